"""What a training leaves in MLflow: its runs with models and plots, and a registered version."""

import re
from datetime import UTC, datetime
from typing import Any

from prefect.runtime import flow_run

from rancast import cluster_plots, plots
from rancast.cluster_pages import clusters_page, whose_letters
from rancast.cluster_profiles import Clusters, label_of
from rancast.documents import canonical_json, digest
from rancast.errors import ModelRefused
from rancast.evaluation import Evaluation, SliceScore
from rancast.models import ModelCard
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.trainings import Fit, Tracked, Training
from tasks.registry import Registry
from tasks.retrying import retried_task
from tasks.steps import load_frame
from tasks.stores import open_lake, open_ledger

SLICES_LOGGED = 500  # a batch of MLflow takes a thousand metrics
NAME_PART = 60


@retried_task("track")
def track_training(training: Training, report: Reference | None) -> Tracked:
    """Log one training to MLflow: a parent run, and a nested one per candidate with its model.

    A training that was tracked before only gets a tag for the present flow run.

    Args:
        training: its fits and baselines.
        report: its interactive report, None on a rerun that has nothing new to report.
    """
    ledger, registry = open_ledger(), Registry(load_settings().tracking)
    place = f"mlflow/trainings/{training.use_case.name}/{training.key}"
    pinned = ledger.pinned(place)
    if pinned is None:
        pinned = ledger.pin(place, _track(registry, training, report).model_dump(mode="json"))
    tracked = Tracked.model_validate(pinned)
    if flow_run.id:
        registry.tag_run(
            tracked.run_id, {f"rancast.flow_run.{flow_run.id}": training.end.isoformat()}
        )
    return tracked.model_copy(update={"report": report or tracked.report})


@retried_task("register")
def register_candidate(training: Training, fit: Fit, tracked: Tracked) -> int:
    """Register the best candidate of a training as a version, once per fingerprint."""
    ledger, name = open_ledger(), training.use_case.name
    own = {"model_sha256": fit.made["model"].digest}
    pinned = ledger.pin(_place(name, fit.fingerprint), own)
    tags = _tags(training) | {
        "rancast.candidate": fit.entry.name,
        "rancast.model_sha256": str(pinned["model_sha256"]),
        "rancast.table": training.table["table"].uri,
        "rancast.table_sha256": training.table["table"].digest,
        "rancast.ledger": f"ledger/steps/{fit.fingerprint}.json",
    }
    registry = Registry(load_settings().tracking)
    run_id = tracked.candidates[fit.entry.name]
    return registry.register(ledger, name, fit.fingerprint, run_id, tags)


def pinned_sha256(use_case: str, fingerprint: str) -> str:
    """Return the digest of the model that was registered under a fingerprint.

    It is that of the first fit, also where its files were lost and it was fitted once more: two
    dumps of one model differ in bytes. Raises ModelRefused where no model was registered under it.
    """
    pinned = open_ledger().pinned(_place(use_case, fingerprint))
    if pinned is None:
        raise ModelRefused(
            f"The ledger has no model of {use_case} under the fingerprint {fingerprint[:12]!r}; "
            "train again, which registers one."
        )
    return str(pinned["model_sha256"])


def pinned_version(use_case: str, fingerprint: str) -> int | None:
    """Return the version that was registered under a fingerprint, None where none was."""
    pinned = open_ledger().pinned(f"mlflow/versions/{use_case}/{fingerprint or 'none'}")
    return None if pinned is None else int(pinned["version"])


def _place(use_case: str, fingerprint: str) -> str:
    return f"mlflow/models/{use_case}/{fingerprint}"


def _track(registry: Registry, training: Training, report: Reference | None) -> Tracked:
    ledger, name = open_ledger(), training.use_case.name
    at = datetime.combine(training.end, datetime.min.time(), UTC)
    at_ms = int(at.timestamp() * 1000)
    tags = _tags(training)
    parent = registry.ensure_run(ledger, training.key, name, f"training to {training.end}", tags)
    runs = {}
    for fit in training.fits:
        run = registry.ensure_run(
            ledger, f"{training.key}/{fit.entry.name}", name, fit.entry.name, tags, parent
        )
        registry.log_model(run, *_model(fit))
        registry.track_candidate(
            run, _params(fit), _metrics(fit.entry.evaluation), {}, _plots(training, fit), at_ms
        )
        runs[fit.entry.name] = run
    baselines = {
        f"baseline.{entry.name}.{metric}": interval.value
        for entry in training.baseline_entries
        for metric, interval in entry.evaluation.metrics.items()
    }
    overview = _overview(training, report)
    registry.track_candidate(parent, {"use_case": name}, baselines, {}, overview, at_ms)
    return Tracked(run_id=parent, candidates=runs, report=report)


def _model(fit: Fit) -> tuple[bytes, ModelCard, Any]:
    model = open_lake().read(fit.made["model"].uri)
    return model, fit.card, load_frame(fit.made["golden"])


def _plots(training: Training, fit: Fit) -> dict[str, bytes]:
    if fit.clusters is not None:
        return _clusters(training.use_case.name, fit, fit.clusters)
    baselines = {name: load_frame(ref) for name, ref in training.baselines.outputs.items()}
    drawn = plots.for_candidate(
        load_frame(fit.made["predictions"]),
        fit.card,
        fit.entry.evaluation,
        load_frame(fit.made["importance"]),
        baselines,
        label_of(training.use_case.foretold),
    )
    return {f"plots/{name}": data for name, data in drawn.items()}


def _clusters(use_case: str, fit: Fit, clusters: Clusters) -> dict[str, bytes]:
    """Draw and describe a clustering, by letters: numbers come with a promotion."""
    rows, importance = (load_frame(fit.made[name]) for name in ("predictions", "importance"))
    drawn = cluster_plots.for_candidate(clusters, fit.card, rows, importance)
    page = clusters_page(fit.entry.name, clusters, whose_letters(fit.entry.name, use_case), None)
    return {
        "clusters.json": canonical_json(clusters),
        "clusters.md": page.encode(),
        **{f"plots/{name}": data for name, data in drawn.items()},
    }


def _overview(training: Training, report: Reference | None) -> dict[str, bytes]:
    """Return the leaderboard as a picture, and the interactive report."""
    candidates = {fit.entry.name: fit.entry.evaluation for fit in training.fits}
    baselines = {entry.name: entry.evaluation for entry in training.baseline_entries}
    board = plots.leaderboard(candidates, baselines, training.use_case.metric)
    page = {} if report is None else {"report.html": open_lake().read(report.uri)}
    return {"leaderboard.png": board, **page}


def _params(fit: Fit) -> dict[str, Any]:
    card = fit.card
    chosen = {f"model.{name}": value for name, value in card.params.items()}
    kept = card.selected
    selected = {} if kept is None else {"features": len(card.features), "selected": len(kept)}
    return (
        chosen
        | {
            "candidate": card.candidate,
            "estimator": card.estimator,
            "threshold": card.threshold,
            "train_end": card.train_end,
            "refit": card.refit,
        }
        | selected
    )


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, interval in evaluation.metrics.items():
        values[name] = interval.value
        values[f"{name}_low"], values[f"{name}_high"] = interval.low, interval.high
    known = [part for part in evaluation.slices if part.score is not None]
    return values | {_slice_name(part): part.score for part in known[:SLICES_LOGGED]}


def _slice_name(part: SliceScore) -> str:
    """Return 'slice.technology.5G.average_precision', with signs that MLflow refuses as '_'."""
    words = (part.column, part.value, part.metric)
    return ".".join(
        ["slice", *(re.sub(r"[^A-Za-z0-9_ -]", "_", word[:NAME_PART]) for word in words)]
    )


def _tags(training: Training) -> dict[str, str]:
    return {
        "rancast.training_key": training.key,
        "rancast.use_case": training.use_case.name,
        "rancast.configuration": digest(training.use_case),
        "rancast.end": training.end.isoformat(),
        "rancast.audit": training.audited,
    }

"""Champion, tracking, registration and promotion: where ledger and registry have to agree."""

from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from rancast import plots
from rancast.champions import Champion, Pointer, Promotion
from rancast.decisions import Decision
from rancast.documents import digest
from rancast.errors import ModelRefused, RegistryError
from rancast.evaluation import Evaluation
from rancast.judging import ChampionState
from rancast.models import ModelCard
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.trainings import Fit, FoundChampion, Tracked, Training
from tasks.registry import Registry, verify_in_clean_process
from tasks.steps import load_frame, may_pass
from tasks.stores import open_lake, open_ledger


@task(cache_policy=NO_CACHE, task_run_name="champion of {use_case}")
def find_champion(use_case: str) -> FoundChampion:
    """Say who is champion by the ledger, and whether the registry has that very model.

    An unreachable registry or an unreadable champion is a reason not to promote, not an error.
    Raises RegistryError where a registry that answers does not hold the champion at all.
    """
    pointer = open_ledger().pointer(use_case)
    registry = Registry(load_settings().tracking)
    if pointer is None:
        return FoundChampion(pointer=None, state=_vacant(registry, use_case))
    champion = pointer.champion
    known = ChampionState(
        version=champion.version,
        fingerprint=champion.fingerprint,
        train_end=champion.train_end,
        has_registry_answered=True,
    )
    try:
        stored = None
        if registry.fingerprint_of(use_case, champion.version) == champion.fingerprint:
            stored = registry.download_model(use_case, champion.version, champion.model_sha256)
    except (RegistryError, ModelRefused) as error:
        return FoundChampion(pointer=pointer, state=known.model_copy(update={"reason": str(error)}))
    if stored is None:
        # its next versions would get numbers that ledger and aliases take for other models
        raise RegistryError(
            f"The ledger names version {champion.version} ({champion.fingerprint[:12]}) champion of"
            f" {use_case}, but the registry at {registry.place} has no such version; point "
            "MLFLOW_TRACKING_URI at the registry that holds it, or restore that from a backup."
        )
    uri = f"models/{use_case}/{champion.model_sha256}.skops"
    open_lake().write_if_absent(uri, stored.model)
    model = Reference(uri=uri, digest=champion.model_sha256, key=champion.fingerprint)
    return FoundChampion(pointer=pointer, state=known, model=model, card=stored.card)


@task(
    task_run_name="track",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[2, 8],
    retry_condition_fn=may_pass,
)
def track_training(training: Training) -> Tracked:
    """Log one training to MLflow: a parent run, and a nested one per candidate with its model.

    A training that was tracked before only gets a tag for the present flow run.
    """
    ledger, registry = open_ledger(), Registry(load_settings().tracking)
    place = f"mlflow/trainings/{training.use_case.name}/{training.key}"
    pinned = ledger.pinned(place)
    if pinned is None:
        pinned = ledger.pin(place, _track(registry, training).model_dump(mode="json"))
    tracked = Tracked.model_validate(pinned)
    if flow_run.id:
        registry.tag_run(
            tracked.run_id, {f"rancast.flow_run.{flow_run.id}": training.end.isoformat()}
        )
    return tracked


@task(
    task_run_name="register",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[2, 8],
    retry_condition_fn=may_pass,
)
def register_candidate(training: Training, fit: Fit, tracked: Tracked) -> int:
    """Register the best candidate of a training as a version, once per fingerprint."""
    tags = _tags(training) | {
        "rancast.candidate": fit.entry.name,
        "rancast.model_sha256": _pinned_sha256(training, fit),
        "rancast.table": training.table["table"].uri,
        "rancast.table_sha256": training.table["table"].digest,
        "rancast.ledger": f"ledger/steps/{fit.fingerprint}.json",
    }
    registry = Registry(load_settings().tracking)
    run_id = tracked.candidates[fit.entry.name]
    return registry.register(open_ledger(), training.use_case.name, fit.fingerprint, run_id, tags)


@task(
    task_run_name="apply decision",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[2, 8],
    retry_condition_fn=may_pass,
)
def apply_decision(
    training: Training, fit: Fit, version: int, found: FoundChampion, decision: Decision | None
) -> Pointer | None:
    """Carry a decision out, exactly once: the ledger first, then the aliases that follow it.

    `decision` is None where the candidate already is champion. A promotion needs the version to
    load in a clean process and to reproduce its golden rows. Raises WriteConflict where the
    champion changed since the decision was made, and ModelRefused where the version fails.
    """
    name, ledger = training.use_case.name, open_ledger()
    registry = Registry(load_settings().tracking)
    if decision is not None and decision.promote:
        stored = registry.download_model(name, version, _pinned_sha256(training, fit))
        verify_in_clean_process(stored.model, stored.card, stored.golden)
        ledger.advance(name, found.pointer, _promotion(training, fit, version, found, decision))
    pointer = ledger.pointer(name)
    while True:
        registry.tag_version(name, version, _decision_tags(version, pointer, decision))
        if pointer is not None:
            registry.set_aliases(name, pointer.champion.version, pointer.previous)
        latest = ledger.pointer(name)
        if latest == pointer:
            return pointer
        pointer = latest  # somebody else promoted meanwhile, and the aliases follow the ledger


def _pinned_sha256(training: Training, fit: Fit) -> str:
    """Return the digest of the model that was registered under a fingerprint.

    It is that of the first fit, also where its files were lost and it was fitted once more: two
    dumps of one model differ in bytes.
    """
    place = f"mlflow/models/{training.use_case.name}/{fit.fingerprint}"
    own = {"model_sha256": fit.made["model"].digest}
    return str(open_ledger().pin(place, own)["model_sha256"])


def _vacant(registry: Registry, use_case: str) -> ChampionState:
    try:
        held = registry.alias_of(use_case, "champion")
    except RegistryError as error:
        return ChampionState(has_registry_answered=False, reason=str(error))
    if held is not None:
        # the ledger always moves first: an alias without a pointer belongs to another lake
        reason = (
            f"the registry at {registry.place} has version {held} as champion, but this lake's "
            "ledger names none; correct RANCAST_LAKE_URL, restore ledger/promotions/ from a "
            "backup, or remove the alias"
        )
        return ChampionState(has_registry_answered=True, reason=reason)
    return ChampionState(has_registry_answered=True)


def _track(registry: Registry, training: Training) -> Tracked:
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
    registry.track_candidate(parent, {"use_case": name}, baselines, {}, _overview(training), at_ms)
    return Tracked(run_id=parent, candidates=runs)


def _model(fit: Fit) -> tuple[bytes, ModelCard, Any]:
    model = open_lake().read(fit.made["model"].uri)
    return model, fit.card, load_frame(fit.made["golden"])


def _plots(training: Training, fit: Fit) -> dict[str, bytes]:
    baselines = {name: load_frame(ref) for name, ref in training.baselines.outputs.items()}
    drawn = plots.for_candidate(
        load_frame(fit.made["predictions"]),
        fit.card,
        fit.entry.evaluation,
        load_frame(fit.made["importance"]),
        baselines,
    )
    return {f"plots/{name}": data for name, data in drawn.items()}


def _overview(training: Training) -> dict[str, bytes]:
    """Draw the leaderboard, and a page to zoom into what the best candidate predicted."""
    candidates = {fit.entry.name: fit.entry.evaluation for fit in training.fits}
    baselines = {entry.name: entry.evaluation for entry in training.baseline_entries}
    best = training.best
    title = f"{training.use_case.name}: predicted and actual, {best.entry.name}"
    page = plots.explore_html(load_frame(best.made["predictions"]), title)
    return {
        "leaderboard.png": plots.leaderboard(candidates, baselines, training.use_case.metric),
        "explore.html": page.encode(),
    }


def _params(fit: Fit) -> dict[str, Any]:
    card = fit.card
    chosen = {f"model.{name}": value for name, value in card.params.items()}
    return chosen | {
        "candidate": card.candidate,
        "estimator": card.estimator,
        "threshold": card.threshold,
        "train_end": card.train_end,
        "refit": card.refit,
    }


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, interval in evaluation.metrics.items():
        values[name] = interval.value
        values[f"{name}_low"], values[f"{name}_high"] = interval.low, interval.high
    return values


def _tags(training: Training) -> dict[str, str]:
    return {
        "rancast.training_key": training.key,
        "rancast.use_case": training.use_case.name,
        "rancast.configuration": digest(training.use_case),
        "rancast.end": training.end.isoformat(),
    }


def _decision_tags(
    version: int, pointer: Pointer | None, decision: Decision | None
) -> dict[str, str]:
    """Say of a version whether it was promoted, by the history, or else why it was not."""
    history = pointer.history if pointer else ()
    promoted = [entry.reasons for entry in history if entry.champion.version == version]
    reasons = promoted[-1] if promoted else decision.reasons if decision else ()
    word = "promote" if promoted else "keep"
    return {"rancast.decision": word, "rancast.reasons": " ".join(reasons)[:4000]}


def _promotion(
    training: Training, fit: Fit, version: int, found: FoundChampion, decision: Decision
) -> Promotion:
    before = found.pointer
    return Promotion(
        sequence=(before.sequence if before else 0) + 1,
        kind="promotion",
        champion=Champion(
            version=version,
            fingerprint=fit.fingerprint,
            model_sha256=_pinned_sha256(training, fit),
            candidate=fit.entry.name,
            training_key=training.key,
            train_end=fit.card.train_end,
        ),
        previous=before.champion.version if before else None,
        reasons=decision.reasons,
        by="schedule",
        at=datetime.now(UTC),
    )

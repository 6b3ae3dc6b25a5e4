"""The arguments of each step of a training, made in one place for the flow and for its plan."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rancast.audit import view_of
from rancast.audit_future import audited_days
from rancast.datasets import Dataset
from rancast.decisions import Decision
from rancast.durations import DAY
from rancast.fit_view import Candidate
from rancast.joins import Other
from rancast.judging import judge_view
from rancast.manifests import PartitionManifest
from rancast.references import Reference
from rancast.tables import TableSummary
from rancast.training_report import ReportFacts
from rancast.trainings import Training
from rancast.use_cases import UseCase
from rancast.windows import Delivered, days_back, looking_back

Arguments = dict[str, Any]


def features_call(use_case: UseCase, delivered: Mapping[str, Delivered], day: date) -> Arguments:
    """What `build_features` takes for one day: its partitions, and those it looks back on."""
    seen = {
        name: looking_back(one.partitions, day, days_back(use_case, one.dataset))
        for name, one in delivered.items()
    }
    own = use_case.dataset
    return {
        "curated": _curated(seen[own]),
        "view": use_case.feature_view(),
        "dataset": _of_days(delivered[own].dataset, seen[own]),
        "day": day,
        "joined": {name: _curated(days) for name, days in seen.items() if name != own},
        "others": {
            name: _other(delivered[name], days) for name, days in seen.items() if name != own
        },
    }


def table_call(
    use_case: UseCase,
    dataset: Dataset,
    partitions: Sequence[PartitionManifest],
    features: Sequence[Reference],
    end: date,
) -> Arguments:
    """What `assemble_table` takes: features and partitions of the same days."""
    return {
        "features": list(features),
        "curated": _curated(partitions),
        "view": use_case.table_view(),
        "dataset": _of_days(dataset, partitions),
        "end": end,
    }


def audit_call(
    use_case: UseCase,
    delivered: Mapping[str, Delivered],
    days: Sequence[date],
    table: Reference,
) -> Arguments:
    """What `audit_table` takes: the table, and what a few of its days' features are made from."""
    view, own = view_of(use_case), use_case.dataset
    chosen = audited_days(days, view)
    seen = {
        name: _looking_back(one, chosen, days_back(use_case, one.dataset))
        for name, one in delivered.items()
    }
    return {
        "table": table,
        "curated": _curated(seen[own]),
        "view": view.model_copy(update={"days": chosen}),
        "dataset": _of_days(delivered[own].dataset, seen[own]),
        "joined": {name: _curated(found) for name, found in seen.items() if name != own},
        "others": {
            name: _other(delivered[name], found) for name, found in seen.items() if name != own
        },
    }


def _looking_back(one: Delivered, days: Sequence[date], back: int) -> list[PartitionManifest]:
    """Return the usable partitions of some days and of those before each of them, in order."""
    found = {each.date: each for day in days for each in looking_back(one.partitions, day, back)}
    return [found[day] for day in sorted(found)]


def fit_call(use_case: UseCase, candidate: Candidate, table: Reference) -> Arguments:
    """What `fit_candidate` takes."""
    return {"table": table, "candidate": candidate, "view": use_case.fit_view()}


def baselines_call(use_case: UseCase, table: Reference) -> Arguments:
    """What `score_baselines` takes."""
    return {
        "table": table,
        "problem": use_case.problem,
        "slices": use_case.fit_view().slices,
        "entity": use_case.entity,
    }


def evaluate_call(use_case: UseCase, predictions: Reference, threshold: float | None) -> Arguments:
    """What `evaluate_predictions` takes."""
    return {"predictions": predictions, "view": judge_view(use_case), "threshold": threshold}


def report_call(training: Training, decision: Decision | None) -> Arguments:
    """What `report_training` takes: the best candidate's frames, the baselines', and the facts."""
    best, case = training.best, training.use_case
    outputs, baselines = best.made.outputs, sorted(training.baselines.outputs.items())
    return {
        "predictions": outputs["predictions"],
        "importance": outputs.get("importance"),
        "dependence": outputs.get("dependence"),
        "baselines": [frame for _, frame in baselines],
        "facts": ReportFacts(
            use_case=case.name,
            description=case.description,
            problem=case.problem,
            metric=case.metric,
            end=training.end.isoformat(),
            table=training.table.fact("summary", TableSummary),
            entries=(*(fit.entry for fit in training.fits), *training.baseline_entries),
            # a model's bytes differ at each fit, and the page has no use for them
            card=best.card.model_copy(update={"model_sha256": ""}),
            baselines=tuple(name for name, _ in baselines),
            decision=decision,
            clusters=best.clusters,
            target=case.foretold,
        ),
    }


def _of_days(dataset: Dataset, partitions: Sequence[PartitionManifest]) -> Dataset:
    """Return the dataset as the rows of these partitions depend on it."""
    days = [one.date for one in partitions]
    return dataset.between(min(days), max(days) + DAY) if days else dataset


def _other(delivered: Delivered, days: Sequence[PartitionManifest]) -> Other:
    # what the dataset derives is not joined, so that no step depends on its formulas
    return Other(dataset=delivered.dataset.as_delivered(), days=tuple(one.date for one in days))


def _curated(partitions: Sequence[PartitionManifest]) -> list[Reference]:
    return [partition.curated for partition in partitions]

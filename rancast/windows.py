"""Which days a run covers, which of them arrived, and whether they are enough to learn from."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from rancast.datasets import Dataset
from rancast import joins
from rancast.documents import Document
from rancast.errors import DataError, PartitionRefused
from rancast.features import lookback_days
from rancast.manifests import PartitionFacts, PartitionManifest
from rancast.reading import Inventory
from rancast.steps import Made
from rancast.use_cases import UseCase

Day = date


class Delivered(Document):
    """What of one dataset a training can read: its partitions by day, refused ones included."""

    dataset: Dataset
    partitions: dict[Day, PartitionManifest]


class Ingested(Document):
    """What one ingest found: the facts of each partition, and which of them it had to compute."""

    dataset: str
    start: Day
    end: Day
    partitions: tuple[PartitionFacts, ...]
    missing: tuple[Day, ...]
    computed: int
    computed_days: tuple[Day, ...] = ()


def summarise(dataset: Dataset, start: date, end: date, made: Mapping[date, Made]) -> Ingested:
    """Gather what validation found for each day; days without any blob are `missing`."""
    computed = tuple(day for day in sorted(made) if not made[day].is_reused)
    return Ingested(
        dataset=dataset.name,
        start=start,
        end=end,
        partitions=tuple(made[day].fact("manifest", PartitionFacts) for day in sorted(made)),
        missing=tuple(day for day in days_between(start, end) if day not in made),
        computed=len(computed),
        computed_days=computed,
    )


def register_of(
    dataset: Dataset, day: date, inventories: Mapping[date, Inventory]
) -> tuple[str, ...]:
    """Return the entities that are expected on `day`: those seen on it or in the days before."""
    days = [day - timedelta(days=back) for back in range(dataset.register_days)]
    seen = (inventories[one].entities for one in days if one in inventories)
    return tuple(sorted(set().union(*seen)))


def listed_days(dataset: Dataset, start: date, end: date) -> list[date]:
    """Return the days that an ingest reads: those asked for, and before them those whose entities
    are still expected.
    """
    earlier = dataset.register_days - 1 if dataset.kind == "periodic" else 0
    return days_between(start - timedelta(days=earlier), end)


def days_between(start: date, end: date) -> list[date]:
    """Return the UTC days from `start` up to, and without, `end`."""
    return [start + timedelta(days=index) for index in range((end - start).days)]


def usable_days(
    partitions: Mapping[date, PartitionManifest],
    days: Sequence[date],
    use_case: UseCase,
    dataset: Dataset,
) -> list[date]:
    """Return the days of the window whose partition can be learned from.

    Raises PartitionRefused where the newest day of the use case's own dataset, expected daily, was
    refused, and DataError where it is missing, or where fewer days are usable than
    `minimum_coverage` asks for: absent is not zero. A missing day of a joined dataset leaves
    features unknown.
    """
    usable = [day for day in days if _is_usable(partitions.get(day))]
    newest = days[-1]
    is_own = dataset.name == use_case.dataset
    if is_own and dataset.expected == "daily" and newest not in usable:
        raise _why_not(partitions.get(newest), dataset.name, newest)
    share = len(usable) / len(days)
    if share < use_case.minimum_coverage:
        raise DataError(
            f"Use case {use_case.name!r} has {len(usable)} usable days of {dataset.name} out of "
            f"the {len(days)} from {days[0]} to {newest} ({share:.0%}); minimum_coverage asks for "
            f"{use_case.minimum_coverage:.0%}. Deliver the missing days and run ingest for them, "
            f"or shorten history in use_cases/{use_case.name}.yaml."
        )
    return usable


def _is_usable(partition: PartitionManifest | None) -> bool:
    return partition is not None and not partition.is_refused and partition.rows.curated > 0


def _why_not(partition: PartitionManifest | None, dataset: str, day: date) -> DataError:
    if partition is None:
        return DataError(
            f"{dataset} {day} has no file where one is expected daily: nothing lies under "
            f"{dataset}/year={day:%Y}/month={day:%m}/day={day:%d}/ in the raw container. Deliver "
            "it and run ingest for that day, or wait for the next schedule."
        )
    if not partition.is_refused:
        return DataError(f"{dataset} {day} has no row that passed validation; see its quarantine.")
    return PartitionRefused(" ".join(partition.reasons))


def window_start(use_case: UseCase, dataset: Dataset, end: date) -> date:
    """Return the first day whose partition a training up to `end` can use, lookback included.

    `dataset` is the use case's own, or one that it joins.
    """
    return history_start(use_case, end) - timedelta(days=days_back(use_case, dataset))


def days_back(use_case: UseCase, dataset: Dataset) -> int:
    """Return how many days before a day its features need of one of the use case's datasets."""
    view = use_case.feature_view()
    if dataset.name == use_case.dataset:
        return lookback_days(view, dataset)
    return joins.lookback_days(view, dataset.name)


def history_start(use_case: UseCase, end: date) -> date:
    """Return the first day of the training window that ends, exclusively, with `end`."""
    return end - timedelta(days=-(-use_case.history // timedelta(days=1)))


def looking_back(
    partitions: Mapping[date, PartitionManifest], day: date, days: int
) -> list[PartitionManifest]:
    """Return the usable partitions of `day` and of the `days` before it, oldest first."""
    wanted = days_between(day - timedelta(days=days), day + timedelta(days=1))
    return [partitions[one] for one in wanted if _is_usable(partitions.get(one))]


def ingest_windows(
    use_cases: Sequence[UseCase], datasets: Mapping[str, Dataset], end: date
) -> dict[str, date]:
    """Return for each dataset that the use cases need the first day to ingest, sorted by name."""
    starts: dict[str, date] = {}
    for case in use_cases:
        for name in case.datasets:
            start = window_start(case, datasets[name], end)
            starts[name] = min(start, starts.get(name, start))
    return dict(sorted(starts.items()))

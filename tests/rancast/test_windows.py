"""Which days a run covers, and whether what arrived is enough: absent is not zero."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from rancast.calls import features_call
from rancast.datasets import Dataset, load_dataset
from rancast.errors import DataError, PartitionRefused
from rancast.joins import Other
from rancast.manifests import PartitionManifest
from rancast.reading import Inventory
from rancast.references import Reference, RowCounts
from rancast.use_cases import UseCase, load_use_case
from rancast.windows import (
    Delivered,
    days_between,
    history_start,
    ingest_windows,
    looking_back,
    register_of,
    usable_days,
    window_start,
)

HOME = Path(__file__).parents[2]
END = date(2024, 3, 31)


@pytest.fixture()
def dataset() -> Dataset:
    """The shipped dataset of network performance, expected daily."""
    return load_dataset(HOME, "network_performance")


@pytest.fixture()
def use_case() -> UseCase:
    """The shipped use case, 30 days of history with at least half of them usable, by itself."""
    case = load_use_case(HOME, "network_degradation")
    alone = case.features.model_copy(update={"joins": (), "busy_hour": None})
    gates = case.gates.model_copy(update={"slices": ()})
    return case.model_copy(update={"features": alone, "gates": gates})


def partition(day: date, curated: int = 5, is_refused: bool = False) -> PartitionManifest:
    """Return the manifest of a day with so many curated rows."""
    quarantined = 5 - curated
    return PartitionManifest(
        schema_version=1,
        dataset="network_performance",
        date=day,
        rows=RowCounts(raw=5, curated=curated, quarantined=quarantined, duplicates=0),
        sources=(),
        coverage=1.0,
        is_refused=is_refused,
        reasons=("it was refused for a reason",) if is_refused else (),
        step="validate_partition",
        key="k",
        files={"curated": Reference(uri=f"curated/{day}", digest="d", rows=curated)},
        digest="d",
    )


def month(**changes: PartitionManifest | None) -> dict[date, PartitionManifest]:
    """Return a partition for each day of the window, some replaced or left out (None)."""
    days = days_between(END - timedelta(days=30), END)
    found = {day: partition(day) for day in days}
    for name, manifest in changes.items():
        day = END - timedelta(days=int(name.removeprefix("back_")))
        del found[day]
        if manifest is not None:
            found[day] = manifest
    return found


def usable(found: dict[date, PartitionManifest], case: UseCase, dataset: Dataset) -> list[date]:
    """Return the usable days of the window before END."""
    return usable_days(found, days_between(history_start(case, END), END), case, dataset)


def test_a_refused_or_empty_day_is_left_out(use_case: UseCase, dataset: Dataset) -> None:
    """Of a full month, the refused and the empty day are not learned from, the others are."""
    refused = partition(END - timedelta(days=9), 0, is_refused=True)
    empty = partition(END - timedelta(days=8), 0)
    days = usable(month(back_9=refused, back_8=empty), use_case, dataset)
    assert len(days) == 28 and refused.date not in days and empty.date not in days


def test_a_missing_newest_day_stops_the_run(use_case: UseCase, dataset: Dataset) -> None:
    """Where files are expected daily and the newest is missing, the error names its folder."""
    with pytest.raises(DataError, match=r"year=2024/month=03/day=30/.*[Dd]eliver it"):
        usable(month(back_1=None), use_case, dataset)


def test_a_refused_newest_day_stops_the_run_with_its_reason(
    use_case: UseCase, dataset: Dataset
) -> None:
    """The reason of the refusal is the error."""
    with pytest.raises(PartitionRefused, match="it was refused for a reason"):
        usable(month(back_1=partition(date(2024, 3, 30), 0, is_refused=True)), use_case, dataset)


def test_without_daily_expectation_the_newest_day_may_be_absent(
    use_case: UseCase, dataset: Dataset
) -> None:
    """A dataset that is not expected daily trains on what there is."""
    relaxed = dataset.model_copy(update={"expected": "no"})
    assert len(usable(month(back_1=None), use_case, relaxed)) == 29


def test_too_few_usable_days_stop_the_run(use_case: UseCase, dataset: Dataset) -> None:
    """Below minimum_coverage the error says how many days there are and how many are asked for."""
    few = {day: month()[day] for day in list(month())[-14:]}
    with pytest.raises(DataError, match=r"14 usable days .* the 30 .*\(47%\).*50%"):
        usable(few, use_case, dataset)


def test_the_window_reaches_back_for_history_and_features(
    use_case: UseCase, dataset: Dataset
) -> None:
    """Training sees 30 days, and their features look back over another week."""
    assert history_start(use_case, END) == END - timedelta(days=30)
    assert window_start(use_case, dataset, END) == END - timedelta(days=37)


def test_use_cases_of_one_dataset_share_its_widest_window(
    use_case: UseCase, dataset: Dataset
) -> None:
    """The first day to ingest is the earliest that any use case needs."""
    shorter = use_case.model_copy(update={"name": "b", "history": timedelta(days=10)})
    windows = ingest_windows([shorter, use_case], {dataset.name: dataset}, END)
    assert windows == {"network_performance": END - timedelta(days=37)}


def joining(use_case: UseCase) -> UseCase:
    """Return the use case with call records of two days in its features."""
    join = {"name": "load", "dataset": "call_detail_records", "by": "cell_id", "over": ["2d"]}
    features = {"current": ["latency_ms"], "joins": [join | {"count": True}]}
    return UseCase.model_validate(use_case.model_dump() | {"features": features})


def test_a_joined_dataset_has_a_window_of_its_own(use_case: UseCase, dataset: Dataset) -> None:
    """It is ingested for the history, and as far back as its own features look."""
    calls = load_dataset(HOME, "call_detail_records")
    datasets = {dataset.name: dataset, calls.name: calls}
    windows = ingest_windows([joining(use_case)], datasets, END)
    assert windows == {
        "call_detail_records": END - timedelta(days=32),
        "network_performance": END - timedelta(days=30),
    }


def test_a_joined_day_may_be_missing_but_not_too_many(use_case: UseCase, dataset: Dataset) -> None:
    """The newest joined day is unknown, not a reason to stop; too few days are, with the name."""
    case, calls = joining(use_case), load_dataset(HOME, "call_detail_records")
    assert calls.expected == "daily"
    refused = partition(END - timedelta(days=1), 0, is_refused=True)
    assert len(usable(month(back_1=None), case, calls)) == 29
    assert len(usable(month(back_1=refused), case, calls)) == 29
    few = {day: month()[day] for day in list(month())[:14]}
    with pytest.raises(DataError, match=r"usable days of call_detail_records out of the 30"):
        usable(few, case, calls)


def test_features_are_handed_each_dataset_by_name(use_case: UseCase, dataset: Dataset) -> None:
    """A day's step gets the joined partitions that there are, and is told which days they are."""
    calls = load_dataset(HOME, "call_detail_records")
    day = END - timedelta(days=3)
    delivered = {
        dataset.name: Delivered(dataset=dataset, partitions=month()),
        calls.name: Delivered(dataset=calls, partitions=month(back_4=None)),
    }
    call = features_call(joining(use_case), delivered, day)
    assert [one.uri for one in call["curated"]] == [f"curated/{day}"]
    there = [day - timedelta(days=2), day]
    assert [one.uri for one in call["joined"][calls.name]] == [f"curated/{one}" for one in there]
    assert call["others"] == {calls.name: Other(dataset=calls, days=tuple(there))}
    alone = features_call(use_case, {dataset.name: delivered[dataset.name]}, day)
    assert (alone["joined"], alone["others"]) == ({}, {})


def test_looking_back_takes_the_usable_days_before() -> None:
    """The partitions of a day and of the days before it come oldest first; gaps stay gaps."""
    found = month(back_3=None)
    days = [one.date for one in looking_back(found, END - timedelta(days=2), 2)]
    assert days == [END - timedelta(days=4), END - timedelta(days=2)]


def test_the_register_is_who_was_seen_in_the_last_days(dataset: Dataset) -> None:
    """An entity is expected for a week after it was last seen, and sorted."""

    def seen(*entities: str) -> Inventory:
        return Inventory(sources=(), refusals=(), entities=entities)

    inventories = {
        END - timedelta(days=7): seen("forgotten"),
        END - timedelta(days=6): seen("b"),
        END: seen("c", "a"),
    }
    assert register_of(dataset, END, inventories) == ("a", "b", "c")

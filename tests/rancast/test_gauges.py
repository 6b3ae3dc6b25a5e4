"""The numbers for Prometheus, from what flows say of themselves."""

from datetime import UTC, date, datetime

from rancast.gauges import Gauge, newest_day, of_ingest, of_runs
from rancast.manifests import PartitionFacts
from rancast.references import RowCounts
from rancast.windows import Ingested

AT = datetime(2024, 3, 6, 2, 30, tzinfo=UTC)


def day(number: int, raw: int, quarantined: int, is_refused: bool = False) -> PartitionFacts:
    """Return a day of March with its rows."""
    curated = raw - quarantined - 1
    return PartitionFacts(
        dataset="kpis",
        date=date(2024, 3, number),
        rows=RowCounts(raw=raw, curated=curated, quarantined=quarantined, duplicates=1),
        sources=(),
        coverage=None,
        is_refused=is_refused,
        reasons=(),
    )


INGESTED = Ingested(
    dataset="kpis",
    start=date(2024, 3, 3),
    end=date(2024, 3, 7),
    partitions=(day(3, 100, 4), day(4, 90, 0), day(5, 80, 79, is_refused=True)),
    missing=(date(2024, 3, 6),),
    computed=2,
)


def values(gauges: list[Gauge]) -> dict[tuple[str, ...], float]:
    """Return the gauges by name and labels."""
    return {(one.name, *one.labels.values()): one.value for one in gauges}


def test_an_ingest_counts_days_and_rows_and_says_when_it_was() -> None:
    """Rows by their fate over all days, of the flow that asked for it."""
    found = values(of_ingest(INGESTED, "daily", 12.5, AT))
    assert found == {
        ("rancast_ingest_duration_seconds", "kpis", "daily"): 12.5,
        ("rancast_ingest_last_success_timestamp_seconds", "kpis", "daily"): AT.timestamp(),
        ("rancast_ingest_days", "kpis", "daily", "present"): 3,
        ("rancast_ingest_days", "kpis", "daily", "missing"): 1,
        ("rancast_ingest_days", "kpis", "daily", "refused"): 1,
        ("rancast_ingest_days", "kpis", "daily", "computed"): 2,
        ("rancast_ingest_rows", "kpis", "daily", "raw"): 270,
        ("rancast_ingest_rows", "kpis", "daily", "curated"): 184,
        ("rancast_ingest_rows", "kpis", "daily", "quarantined"): 83,
        ("rancast_ingest_rows", "kpis", "daily", "duplicates"): 3,
    }


def test_the_newest_day_is_one_that_was_accepted() -> None:
    """A refused day is none, and an ingest that accepted no day does not know the newest."""
    newest = newest_day(INGESTED)
    assert newest is not None and newest.labels == {"dataset": "kpis"}
    assert newest.value == datetime(2024, 3, 4, tzinfo=UTC).timestamp()
    refused = INGESTED.model_copy(update={"partitions": INGESTED.partitions[2:]})
    assert newest_day(refused) is None


def test_runs_are_counted_by_flow_and_state() -> None:
    """And the supervision that counted them says when it looked."""
    states = [("daily", "Completed"), ("ingest", "Completed"), ("ingest", "Late")] * 2
    found = values(of_runs(states, AT))
    assert found.pop(("rancast_supervision_last_success_timestamp_seconds",)) == AT.timestamp()
    assert found == {
        ("rancast_runs", "daily", "Completed"): 2,
        ("rancast_runs", "ingest", "Completed"): 2,
        ("rancast_runs", "ingest", "Late"): 2,
    }

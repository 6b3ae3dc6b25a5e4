"""The files of numbers that ingests leave: each flow's own, and the newest day of all."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rancast.manifests import PartitionFacts
from rancast.references import RowCounts
from rancast.windows import Ingested, days_between
from tasks import metrics
from tasks.storage import Store, open_store

NEWEST = ("rancast_ingest_newest_day_timestamp_seconds", "kpis")


@pytest.fixture()
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty lake, written to outside of any run."""
    lake = open_store((tmp_path / "lake").as_uri(), setting="RANCAST_LAKE_URL")
    monkeypatch.setattr(metrics, "open_lake", lambda: lake)
    return lake


def ingested(start: date, days: int) -> Ingested:
    """Return an ingest of some days of 10 rows."""
    end = start + timedelta(days=days)
    rows = RowCounts(raw=10, curated=10, quarantined=0, duplicates=0)
    facts = [
        PartitionFacts(
            dataset="kpis",
            date=day,
            rows=rows,
            sources=(),
            coverage=None,
            is_refused=False,
            reasons=(),
        )
        for day in days_between(start, end)
    ]
    return Ingested(
        dataset="kpis", start=start, end=end, partitions=tuple(facts), missing=(), computed=days
    )


def numbers(lake: Store) -> dict[tuple[str, ...], float]:
    """Return what all files say, by name and the values of the labels."""
    texts = [lake.read(blob.name).decode() for blob in lake.list(f"{metrics.FOLDER}/ingest/")]
    return {
        (sample.name, *sample.labels.values()): sample.value
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_backfill_leaves_the_numbers_of_the_night_alone(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After late files and days of January, the night's rows are the night's, and the newest day is
    still the newest; it goes forward with the next night."""
    for flow, start, days in [
        ("daily", date(2024, 4, 25), 37),
        ("ingest", date(2024, 5, 29), 3),
        ("backfill", date(2024, 1, 29), 3),
    ]:
        monkeypatch.setattr(metrics, "top_flow", lambda flow=flow: flow)
        metrics.record_ingest.fn(ingested(start, days))
    found = numbers(lake)
    rows = {flow: found["rancast_ingest_rows", "kpis", "raw", flow] for flow in ("daily", "ingest")}
    assert rows == {"daily": 370, "ingest": 30}
    assert found["rancast_ingest_rows", "kpis", "raw", "backfill"] == 30
    assert found[NEWEST] == datetime(2024, 5, 31, tzinfo=UTC).timestamp()
    metrics.record_ingest.fn(ingested(date(2024, 6, 1), 1))
    assert numbers(lake)[NEWEST] == datetime(2024, 6, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("days_before", [0, 1])
def test_an_ingest_that_looked_before_another_wrote_does_not_put_the_day_back(
    lake: Store, monkeypatch: pytest.MonkeyPatch, days_before: int
) -> None:
    """Between look and write the newest day may go forward, or be written for the first time."""
    for _ in range(days_before):
        metrics.record_ingest.fn(ingested(date(2024, 3, 1), 1))
    read = lake.read_tagged

    def read_and_be_overtaken(name: str) -> tuple[bytes, str]:
        monkeypatch.setattr(lake, "read_tagged", read)
        try:
            return read(name)
        finally:
            metrics.record_ingest.fn(ingested(date(2024, 3, 16), 1))

    monkeypatch.setattr(lake, "read_tagged", read_and_be_overtaken)
    metrics.record_ingest.fn(ingested(date(2024, 3, 3), 1))
    assert numbers(lake)[NEWEST] == datetime(2024, 3, 16, tzinfo=UTC).timestamp()

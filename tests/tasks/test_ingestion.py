"""From the raw container to typed frames: exact listings, contents by digest, no mixed reads."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from rancast.datasets import Dataset, load_dataset
from rancast.errors import DataError, StorageError
from rancast.references import RawBlob
from rancast.steps import Made
from tasks import ingestion
from tasks.ingestion import find_partitions, list_raw, pull_partition
from tasks.steps import load_frame
from tasks.stores import open_lake, open_raw
from tests.faults import tiny

DAY = tiny.START
HEADER = "timestamp,cell_id,load_ratio,latency_ms\n"


@pytest.fixture(autouse=True)
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one day's raw files, in a home of the test's own."""
    monkeypatch.setenv("RANCAST_HOME", str(tmp_path))
    tiny.write_home(tmp_path)
    return tmp_path / ".local" / "raw" / "kpis" / f"year={DAY:%Y}/month={DAY:%m}/day={DAY:%d}"


@pytest.fixture()
def dataset(tmp_path: Path) -> Dataset:
    """The tiny dataset."""
    return load_dataset(tmp_path, "kpis")


def listed() -> list[RawBlob]:
    """Return the day's blobs as they are listed now."""
    return list_raw.fn("kpis", [DAY]).get(DAY.isoformat(), [])


def write(raw: Path, name: str, latency: float) -> None:
    """Write a file of one row."""
    (raw / name).write_text(f"{HEADER}{DAY}T00:00:00Z,C0,0.5,{latency}\n")


def latencies(made: Made) -> list[float]:
    """Return what was pulled, as the latencies of the rows."""
    frame: pd.DataFrame = load_frame(made["typed"])
    return frame["latency_ms"].tolist()


class Busy:
    """A raw store in which something happens right before each of its bulk reads."""

    def __init__(self, happen: Callable[[int], None]) -> None:
        self.store, self.happen, self.reads = open_raw(), happen, 0

    def list(self, prefix: str) -> list[RawBlob]:
        """List as it is."""
        return self.store.list(prefix)

    def read_many(self, names: Sequence[str]) -> "list[bytes]":
        """Let it happen, then read."""
        self.happen(self.reads)
        self.reads += 1
        return self.store.read_many(names)


def test_only_the_days_asked_for_are_listed(raw: Path) -> None:
    """Each day is found by its exact prefix; a day without blobs is left out."""
    days = [DAY - timedelta(days=1), DAY]
    found = list_raw.fn("kpis", days)
    assert {day: [blob.name for blob in blobs] for day, blobs in found.items()} == {
        "2024-03-01": ["kpis/year=2024/month=03/day=01/kpis.csv"]
    }
    assert list_raw.fn("kpi", days) == {}


def test_what_other_systems_leave_beside_data_is_no_data(raw: Path) -> None:
    """Markers and checksums of Spark and Hadoop are not read as files of the dataset."""
    for name in ("_SUCCESS", "_started_17", ".kpis.csv.crc"):
        (raw / name).write_bytes(b"x")
    assert [blob.name.rsplit("/")[-1] for blob in listed()] == ["kpis.csv"]


def test_a_listing_that_was_read_is_not_downloaded_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a listing holds is in the ledger, so that a second pull reads no blob."""
    first = pull_partition.fn(dataset, DAY, listed())
    blobs = listed()
    monkeypatch.setattr(ingestion, "open_raw", None)
    second = pull_partition.fn(dataset, DAY, blobs)
    assert (first.is_reused, second.is_reused) == (False, True)
    assert first.outputs == second.outputs


def test_a_blob_replaced_while_it_is_read_is_read_as_it_is_then(
    raw: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is known by the listing that it belongs to, and never by the one before."""
    write(raw, "kpis.csv", 1.0)
    before = listed()
    busy = Busy(lambda reads: write(raw, "kpis.csv", 22.0) if reads == 0 else None)
    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "open_raw", lambda: busy)
        assert latencies(pull_partition.fn(dataset, DAY, before)) == [22.0]
    assert busy.reads == 2
    after = listed()
    monkeypatch.setattr(ingestion, "open_raw", None)
    assert pull_partition.fn(dataset, DAY, after).is_reused


def test_a_blob_renamed_between_listing_and_reading_is_read_once(
    raw: Path, dataset: Dataset
) -> None:
    """An uploader that renames its finished file neither fails the pull nor doubles its rows."""
    write(raw, "kpis.csv", 1.0)
    before = listed()
    (raw / "kpis.csv").rename(raw / "final.csv")
    made = pull_partition.fn(dataset, DAY, before)
    assert latencies(made) == [1.0]
    assert load_frame(made["typed"])["_blob"].unique().tolist() == [
        "kpis/year=2024/month=03/day=01/final.csv"
    ]


def test_a_blob_that_never_stays_is_an_error_with_the_next_step(
    raw: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that goes on and on is not read in parts; the error says to wait for its end."""
    busy = Busy(lambda reads: write(raw, f"part-{reads}.csv", reads))
    monkeypatch.setattr(ingestion, "open_raw", lambda: busy)
    with pytest.raises(StorageError, match=r"kpis 2024-03-01 changed 3 times .* again"):
        pull_partition.fn(dataset, DAY, open_raw().list(""))


def test_a_lost_frame_of_a_blob_that_changed_since_is_an_error(raw: Path, dataset: Dataset) -> None:
    """What was pulled from content that is gone cannot be made again, and is not made up."""
    blobs = listed()
    made = pull_partition.fn(dataset, DAY, blobs)
    write(raw, "kpis.csv", 1.0)
    open_lake().delete(made["typed"].uri)
    with pytest.raises(DataError, match=r"kpis.csv changed since it was listed; run the ingest"):
        pull_partition.fn(dataset, DAY, blobs)


def test_partitions_without_a_manifest_do_not_exist() -> None:
    """Data files alone are no partition, and a day without any is left out."""
    open_lake().write(f"curated/kpis/date={DAY}/abc.parquet", b"PAR1")
    assert find_partitions.fn("kpis", [DAY, date(2024, 3, 2)]) == {}

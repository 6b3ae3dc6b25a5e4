"""Files as they come: the public data sets, and the simulator's, read by the shipped YAML."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from rancast.datasets import Dataset, load_dataset
from rancast.reading import Pulled, read_partition
from rancast.simulation import DATASETS, Scale, raw_files
from tests.rancast.feeds import KEY
from tests.servers import CHECKOUT

real = pytest.mark.real_data


@pytest.fixture(scope="module")
def raw(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The public data sets, laid out as a raw container."""
    folder = tmp_path_factory.mktemp("raw")
    command = [sys.executable, str(real_data / "lay_out.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def read_all(raw: Path, dataset: Dataset) -> dict[date, Pulled]:
    """Read each day of a dataset; nothing is refused, and records add up."""
    found = {}
    for folder in sorted({path.parent for path in (raw / dataset.name).rglob("*.csv*")}):
        blobs = {str(path.relative_to(raw)): path.read_bytes() for path in folder.iterdir()}
        pulled = read_partition(blobs, dataset, KEY)
        assert pulled.inventory.refusals == ()
        rows = sum(source.rows for source in pulled.inventory.sources)
        assert len(pulled.typed) + len(pulled.rejected) == rows
        year, month, day = (int(part.split("=")[1]) for part in folder.parts[-3:])
        found[date(year, month, day)] = pulled
    return found


@pytest.fixture(scope="module")
def traces(raw: Path) -> dict[date, Pulled]:
    """The 5G traces, day by day."""
    return read_all(raw, load_dataset(CHECKOUT / "examples" / "ucc_5g", "ucc_5g"))


def rows_of(days: dict[date, Pulled]) -> pd.DataFrame:
    """The typed rows of all days."""
    return pd.concat([pulled.typed for pulled in days.values()], ignore_index=True)


@real
def test_every_record_of_the_5g_traces_is_read(traces: dict[date, Pulled]) -> None:
    """188,711 records of 83 traces, none rejected, none outside of its day."""
    rows = rows_of(traces)
    assert sum(len(pulled.rejected) for pulled in traces.values()) == 0
    assert (len(traces), len(rows), rows["trace"].nunique()) == (27, 188_711, 83)
    assert rows.groupby("app").size().to_dict() == {
        "Amazon_Prime": 72_671,
        "Download": 43_208,
        "Netflix": 72_832,
    }
    assert set(rows["mobility"]) == {"Driving", "Static"}
    assert rows["downlink_mbps"].max() == 532.905
    assert all(set(pulled.typed["timestamp"].dt.date) == {day} for day, pulled in traces.items())
    # 7,968 rows repeat a second of their trace
    assert rows.duplicated(["trace", "timestamp"]).sum() == 7_968


@real
def test_the_sentinels_of_the_5g_traces_are_missing_values(traces: dict[date, Pulled]) -> None:
    """-200 dBm is not a signal, and the largest 32-bit integer is no quality."""
    rows = rows_of(traces)
    ranges = rows[["rsrp_dbm", "neighbour_rsrp_dbm", "neighbour_rsrq_db"]].agg(["min", "max"])
    assert ranges.to_dict("list") == {
        "rsrp_dbm": [-124, -48],
        "neighbour_rsrp_dbm": [-140, -39],
        "neighbour_rsrq_db": [-56, 0],
    }
    assert rows["rsrp_dbm"].isna().sum() == 73


@real
def test_every_record_of_the_city_is_read(raw: Path) -> None:
    """48,315 hours of 127 clusters on 24 UTC days; one of these is too small to be a day."""
    dataset = load_dataset(CHECKOUT / "examples" / "cell_traffic", "cell_traffic")
    days = read_all(raw, dataset)
    assert sum(len(pulled.rejected) for pulled in days.values()) == 0
    assert sum(len(pulled.typed) for pulled in days.values()) == 48_315
    assert all(set(pulled.typed["timestamp"].dt.date) == {day} for day, pulled in days.items())
    clusters = {name for pulled in days.values() for name in pulled.inventory.entities}
    assert len(clusters) == 127
    thin = [
        day
        for day, pulled in days.items()
        if len(pulled.typed) < dataset.minimum_coverage * 24 * len(clusters)
    ]
    assert thin == [date(2012, 8, 16)]


def test_simulated_files_are_read(tmp_path: Path) -> None:
    """Three feeds of two days: what is rejected was garbled, at most one row in a hundred."""
    for name, content in raw_files(Scale(days=2)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for name in DATASETS:
        for day, pulled in read_all(tmp_path, load_dataset(CHECKOUT, name)).items():
            assert 0 < len(pulled.typed)
            assert len(pulled.rejected) <= 0.01 * len(pulled.typed)
            assert set(pulled.typed["timestamp"].dt.date) == {day}

"""Files into folders of days: each record once, in the day that it belongs to."""

import gzip
import io
from datetime import date, timedelta

import pandas as pd
import pytest

from rancast.datasets import Dataset
from rancast.errors import DataError
from rancast.frames import to_parquet
from rancast.onboarding import draft
from rancast.onboarding_layout import split_by_day
from rancast.onboarding_sample import SampleFile, blob_name
from rancast.reading import read_partition
from tests.rancast.drafts import SCHEMAS, csv, drafted
from tests.rancast.feeds import KEY, cells, with_column

D1, D2, D3 = (date(2024, 3, day) for day in (1, 2, 3))
HEADER = b"timestamp,cell_id,latency_ms,note\n"
FIRST, SECOND = b"2024-03-01T23:55:00Z,A,1,x\n", b"2024-03-02T00:00:00Z,A,2,y\n"


def test_a_file_of_one_day_stays_as_it_is() -> None:
    """Not a byte is changed, not even a byte order mark."""
    data = b"\xef\xbb\xbf" + HEADER + FIRST
    assert split_by_day("a.csv", data, cells()) == {D1: data}


def test_a_file_of_two_days_is_split_with_its_header() -> None:
    """Each part has the header and its own lines, as they were."""
    parts = split_by_day("a.csv", HEADER + SECOND + FIRST + SECOND, cells())
    assert parts == {D1: HEADER + FIRST, D2: HEADER + SECOND + SECOND}


def test_days_are_those_of_utc_and_of_the_start_of_periods() -> None:
    """Local stamps of period ends: 00:00 in Berlin is the end of a period of 23 h UTC."""
    clock = {
        "column": "timestamp",
        "period": "1h",
        "timezone": "Europe/Berlin",
        "stamped_at": "end",
    }
    local = HEADER + b"2024-03-02 01:00:00,A,1,x\n2024-03-02 02:00:00,A,2,y\n"
    parts = split_by_day("a.csv", local, cells(time=clock))
    assert sorted(parts) == [D1, D2] and parts[D2].count(b"\n") == 2


def test_what_cannot_be_read_goes_with_the_record_before_it() -> None:
    """So that ingestion sees the broken record, and says what is wrong with it."""
    parts = split_by_day("a.csv", HEADER + FIRST + SECOND + b"soon,A,1,z\n", cells())
    assert parts == {D1: HEADER + FIRST, D2: HEADER + SECOND + b"soon,A,1,z\n"}
    parts = split_by_day("a.csv", HEADER + FIRST + b"soon,A,1,z\n" + SECOND, cells())
    assert parts == {D1: HEADER + FIRST + b"soon,A,1,z\n", D2: HEADER + SECOND}


def test_a_cell_with_a_line_break_is_not_torn() -> None:
    """A record of two lines stays with both."""
    broken = b'2024-03-01T23:50:00Z,A,1,"two\nlines"\n'
    parts = split_by_day("a.csv", HEADER + broken + SECOND, with_column("note", type="string"))
    assert parts[D1] == HEADER + broken


def test_gzip_and_parquet_are_split_too() -> None:
    """The parts are of the kind that the file was."""
    packed = split_by_day("a.csv.gz", gzip.compress(HEADER + FIRST + SECOND), cells())
    assert gzip.decompress(packed[D2]) == HEADER + SECOND
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2024-03-01T23:55Z", "2024-03-02T00:00Z"]),
            "cell_id": ["A", "A"],
            "latency_ms": [1.0, 2.0],
        }
    )
    parts = split_by_day("a.parquet", to_parquet(frame), cells())
    assert pd.read_parquet(io.BytesIO(parts[D2]))["latency_ms"].tolist() == [2.0]


def test_a_file_that_is_refused_is_not_laid_out() -> None:
    """The reader's sentence says why."""
    with pytest.raises(DataError, match="lacks the column cell_id"):
        split_by_day("a.csv", b"timestamp,latency_ms,note\n", cells())
    with pytest.raises(DataError, match="none of 1 records can be read by datasets/cells.yaml"):
        split_by_day("a.csv", HEADER + b"soon,A,1,z\n", cells())


def test_no_record_is_lost_or_doubled() -> None:
    """The days of a drafted feed, read one by one, have the rows of the file."""
    times = pd.date_range("2024-03-01 10:00", periods=60, freq="h").strftime("%d.%m.%Y %H:%M")
    text = csv("Zeit;cell_id;load", ((at, cell, "1,5") for at in times for cell in "AB"), ";")
    found = drafted(text)
    parts = split_by_day("a.csv", text.encode(), found.dataset)
    rows = [
        read_partition({blob_name("feed", day, "a.csv"): part}, found.dataset, KEY).typed
        for day, part in parts.items()
    ]
    assert [len(part) for part in rows] == [28, 48, 44]
    days = [set(part["zeit"].dt.date) for part in rows]
    assert days == [{D1}, {D2}, {D3}]


def test_rows_outside_of_their_folder_s_day_are_tolerated_or_told() -> None:
    """A trace that runs past midnight: a tolerance; a file of another day: a warning in words."""
    late = csv("timestamp,cell_id,load", [(f"2024-03-02 0{h}:15", "A", h) for h in range(3)])
    for day, tolerance, words in (
        (D1, timedelta(hours=3), "3 rows lie outside of the day of their folder, by up to 2:15"),
        (D3 + timedelta(days=9), timedelta(0), "too far to be tolerated"),
    ):
        file = SampleFile("a.csv", late.encode(), True, len(late), day)
        found = draft((file,), "feed", SCHEMAS)
        assert isinstance(found.dataset, Dataset) and found.dataset.tolerance == tolerance
        assert words in found.dataset_yaml


def test_files_of_several_days_are_told() -> None:
    """The comment says that files must be split before they are ingested."""
    rows = [(f"2024-03-0{day} 12:00", "A", day) for day in (1, 2, 3)]
    text = drafted(csv("timestamp,cell_id,load", rows)).dataset_yaml
    assert "1 of 1 file hold rows of more than one UTC day; make layout" in text

"""Numbers with a decimal comma, and times that are numbers since 1970."""

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from rancast.datasets import FileFormat, TimeColumn
from rancast.frames import to_parquet
from tests.rancast.feeds import cells, read, reject, texts

COMMAS: dict[str, Any] = {"delimiter": ";", "decimal": ","}
HEADER = b"timestamp;cell_id;latency_ms;note\n"
AT = b"2024-03-01T00:05:00Z;A;"
EPOCH_HEADER = b"timestamp,cell_id,latency_ms,note\n"


def test_a_decimal_comma_is_read() -> None:
    """12,5 is twelve and a half where the dataset says so."""
    found = read(HEADER + AT + b"12,5;fine\n", cells(format=COMMAS))
    assert found.typed["latency_ms"].tolist() == [12.5]


def test_a_point_is_no_part_of_a_number_with_decimal_commas() -> None:
    """1.234 may be a thousand, or one and a bit: it is rejected, not guessed."""
    row = reject(HEADER + AT + b"12,5;fine\n" + AT + b"1.234;fine\n", cells(format=COMMAS))
    assert (row["rule"], row["value"]) == ("latency_ms is not a finite number", "1.234")


def test_a_mark_is_compared_as_a_number_with_a_comma() -> None:
    """'-200' covers -200,0."""
    columns = cells().model_dump(by_alias=True)["columns"]
    columns["latency_ms"]["missing"] = ["-200"]
    found = read(HEADER + AT + b"-200,0;fine\n", cells(format=COMMAS, columns=columns))
    assert found.typed["latency_ms"].isna().all() and found.rejected.empty


def test_numbers_stored_as_such_have_no_decimal_mark() -> None:
    """A Parquet file's numbers are read whatever the CSV files write."""
    frame = pd.DataFrame(
        {"timestamp": ["2024-03-01T00:05:00Z"], "cell_id": ["A"], "latency_ms": [1.5], "note": [""]}
    )
    found = read(to_parquet(frame), cells(format=COMMAS), "cells/a.parquet")
    assert found.typed["latency_ms"].tolist() == [1.5]


def test_a_comma_cannot_be_both_marks() -> None:
    """Fields and decimals cannot both be told by a comma."""
    with pytest.raises(ValidationError, match="both a comma"):
        FileFormat(decimal=",")


@pytest.mark.parametrize(
    ("form", "stamp"),
    [
        ("epoch_s", b"1709251500"),
        ("epoch_s", b"1709251500.000"),
        ("epoch_ms", b"1709251500000"),
        ("epoch_us", b"1709251500000000"),
    ],
)
def test_numbers_since_1970_are_times(form: str, stamp: bytes) -> None:
    """The same instant in seconds, milliseconds and microseconds."""
    dataset = cells(time={"column": "timestamp", "period": "5min", "format": form})
    found = read(EPOCH_HEADER + stamp + b",A,12.5,fine\n", dataset)
    assert texts(found.typed["timestamp"]) == ["2024-03-01 00:05:00+00:00"]


def test_a_fraction_of_a_second_is_exact() -> None:
    """No microsecond is lost to floating point."""
    dataset = cells(time={"column": "timestamp", "period": "5min", "format": "epoch_s"})
    found = read(EPOCH_HEADER + b"1709251500.123457,A,12.5,fine\n", dataset)
    assert texts(found.typed["timestamp"]) == ["2024-03-01 00:05:00.123457+00:00"]


@pytest.mark.parametrize(
    ("stamp", "rule"),
    [
        (b"2024-03-01T00:05:00Z", "timestamp is not a time of the form epoch_s"),
        (b"-5", "timestamp is not a time of the form epoch_s"),
        (b"99999999999999999999", "timestamp is not a time of the form epoch_s"),
        (b"1709251500000", "timestamp is not a time of the form epoch_s"),
        (b"17092515000", "timestamp lies outside of the years 1900 to 2199"),
    ],
)
def test_what_is_no_number_of_seconds_is_rejected(stamp: bytes, rule: str) -> None:
    """Another form, or another unit, is never taken for seconds."""
    dataset = cells(time={"column": "timestamp", "period": "5min", "format": "epoch_s"})
    row = reject(EPOCH_HEADER + b"1709251500,A,12.5,fine\n" + stamp + b",A,12.5,fine\n", dataset)
    assert row["rule"] == rule


def test_the_forms_of_numbers_have_names() -> None:
    """A typo in the form's name is told, like any format without a date."""
    assert TimeColumn(column="at", format="epoch_ms").format == "epoch_ms"
    with pytest.raises(ValidationError, match="does not say the year|not a strptime"):
        TimeColumn(column="at", format="epoch")

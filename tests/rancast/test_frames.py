"""Frames at rest: equal frames are equal bytes, and what was damaged is not read."""

import pandas as pd
import pytest

from rancast.errors import DataError
from rancast.frames import from_parquet, to_parquet

FRAME = pd.DataFrame(
    {
        "cell_id": pd.Series(["A", None], dtype="str"),
        "timestamp": pd.Series(pd.to_datetime(["2024-03-01", None], utc=True)).dt.as_unit("us"),
        "latency_ms": [12.5, float("nan")],
        "users": pd.Series([3, None], dtype="Int64"),
        "is_roaming": pd.Series([True, None], dtype="boolean"),
    }
)


def test_types_and_missing_values_come_back() -> None:
    """Every type of a typed frame survives the way through Parquet, with what is missing."""
    pd.testing.assert_frame_equal(from_parquet(to_parquet(FRAME), "x"), FRAME)


def test_an_empty_frame_keeps_its_types() -> None:
    """A partition without a row has the columns and types of all others."""
    pd.testing.assert_frame_equal(from_parquet(to_parquet(FRAME[:0]), "x"), FRAME[:0])


def test_equal_frames_are_equal_bytes() -> None:
    """The index is no part of a frame's content, its values and their order are."""
    moved = FRAME.set_index(pd.Index([7, 9]))
    assert to_parquet(moved) == to_parquet(FRAME.copy())
    assert to_parquet(FRAME.iloc[::-1]) != to_parquet(FRAME)


def test_some_columns_can_be_read_alone() -> None:
    """A look at one column does not need the others."""
    assert list(from_parquet(to_parquet(FRAME), "x", ["users"]).columns) == ["users"]


def test_damaged_bytes_are_an_error_that_names_the_object() -> None:
    """Bytes that are not Parquet or were cut are never half a frame."""
    for damaged in (b"", b"not Parquet", to_parquet(FRAME)[:-1]):
        with pytest.raises(DataError, match="curated/a.parquet is not readable"):
            from_parquet(damaged, "curated/a.parquet")


def test_a_flipped_bit_never_becomes_another_value() -> None:
    """A page that changed on the disk is an error, though it may still look like Parquet."""
    data = to_parquet(FRAME)
    errors = 0
    for place in range(4, 120):
        try:
            read = from_parquet(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], "x")
        except DataError:
            errors += 1
        else:
            pd.testing.assert_frame_equal(read, FRAME)
    assert errors > 50

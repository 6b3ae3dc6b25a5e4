"""Parquet files: typed columns read as exactly as text, damaged or absurd files refused."""

import io
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rancast.datasets import Dataset
from tests.rancast.feeds import CELLS, HEADER, ROW, cells, read, refuse, texts, with_column

NAME = "cells/a.parquet"
STAMPS = [datetime(2024, 3, 1, 0, 5), datetime(2024, 3, 1, 0, 10)]


def parquet(options: dict[str, Any] | None = None, **columns: Any) -> bytes:
    """A file of two rows; columns replace or add to the usual ones."""
    usual = {
        "timestamp": pa.array(STAMPS, pa.timestamp("ms", "UTC")),
        "cell_id": ["A", "B"],
        "latency_ms": [12.5, None],
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(usual | columns), sink, **(options or {}))
    return sink.getvalue()


def column(data_type: str, values: Any, **more: Any) -> pd.Series:
    """Read two values as a column of some type, none of them rejected."""
    pulled = read(parquet(x=values), with_column("x", type=data_type, **more), NAME)
    assert pulled.inventory.refusals == ()
    assert pulled.rejected.empty, pulled.rejected[["rule", "value"]].values
    return pulled.typed["x"]


def test_parquet_is_read_as_csv_is() -> None:
    """The same rows, and the line is the row's number."""
    typed = read(parquet(), name=NAME).typed
    assert typed["_line"].tolist() == [1, 2]
    assert texts(typed["timestamp"]) == ["2024-03-01 00:05:00+00:00", "2024-03-01 00:10:00+00:00"]
    assert typed["cell_id"].tolist() == ["A", "B"]
    assert typed["latency_ms"].tolist()[0] == 12.5
    assert np.isnan(typed["latency_ms"][1])


def test_numbers_of_any_storage_type_are_exact() -> None:
    """Integers, decimals and both widths of floats, as the numbers that they stand for."""
    assert column("float", pa.array([0.1, 1e300])).tolist() == [0.1, 1e300]
    assert column("float", pa.array([0.1, 2.5], pa.float32())).tolist() == [0.1, 2.5]
    assert column("float", pa.array([Decimal("1.50"), None])).tolist()[0] == 1.5
    assert column("integer", pa.array([2**63 - 1, None])).tolist() == [2**63 - 1, pd.NA]
    assert column("integer", pa.array([5.0, None])).tolist() == [5, pd.NA]
    assert column("string", pa.array([353861234567, 7])).tolist() == ["353861234567", "7"]


def test_words_of_any_storage_type_are_kept() -> None:
    """Dictionaries, bytes that are UTF-8, truth values and nulls."""
    assert column("string", pa.array(["x", "y"]).dictionary_encode()).tolist() == ["x", "y"]
    assert column("string", pa.array([b"x", "é".encode()])).tolist() == ["x", "é"]
    assert column("boolean", pa.array([True, None])).tolist() == [True, pd.NA]
    assert column("string", pa.nulls(2)).isna().all()
    assert column("string", pa.array([np.nan, np.nan], from_pandas=True)).isna().all()


def test_times_of_any_storage_type_are_utc() -> None:
    """With a zone, without one (the dataset's holds), and dates; the text format is ignored."""
    zoned = pa.array(STAMPS, pa.timestamp("ns", "Europe/Dublin"))
    assert texts(column("timestamp", zoned))[0] == "2024-03-01 00:05:00+00:00"
    assert texts(column("timestamp", pa.array([date(2024, 3, 1)] * 2)))[0][:10] == "2024-03-01"
    time = CELLS["time"] | {"timezone": "Asia/Shanghai", "format": "%d/%m/%Y %H:%M"}
    naive = parquet(timestamp=pa.array(STAMPS, pa.timestamp("us")))
    typed = read(naive, cells(time=time), NAME).typed
    assert texts(typed["timestamp"])[0] == "2024-02-29 16:05:00+00:00"


def test_cells_that_are_not_finite_are_rejected() -> None:
    """A stored NaN is no missing value unless the dataset lists it."""
    data = parquet(latency_ms=[float("nan"), float("inf")])
    found = read(data, name=NAME).rejected
    assert found["rule"].tolist() == ["latency_ms is not a finite number"] * 2
    assert found["value"].tolist() == ["nan", "inf"]
    listed = with_column("latency_ms", type="float", missing=["nan"])
    assert read(data, listed, NAME).rejected["line"].tolist() == [2]


def test_an_identifier_stored_as_a_float_refuses_the_file() -> None:
    """Its last digits may be gone already."""
    refusal = refuse(parquet(cell_id=[272011234567890.0, 1.0]), name=NAME)
    assert "stores the column cell_id as double, in which identifiers lose digits" in refusal


def test_a_nested_column_refuses_the_file() -> None:
    """A list is no cell."""
    refusal = refuse(parquet(latency_ms=[[1.0], [2.0]]), name=NAME)
    assert "stores the column latency_ms as list<" in refusal


@pytest.mark.parametrize("data", [b"", b"PAR1", HEADER + ROW, b"PAR1" + b"\0" * 99 + b"PAR1"])
def test_what_is_not_parquet_is_refused(data: bytes) -> None:
    """Whatever its name says."""
    assert "is not a Parquet file, though its name says so, or a damaged one" in refuse(
        data, name=NAME
    )


def test_a_cut_parquet_is_refused() -> None:
    """The footer is at the end."""
    assert "is not a Parquet file" in refuse(parquet()[:-10], name=NAME)


def test_a_damaged_page_is_refused_and_its_records_counted() -> None:
    """Where the writer stored checksums, a flipped bit does not pass for another number."""
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    data = parquet(plain | {"write_page_checksum": True})
    place = data.index(np.float64(12.5).tobytes())
    damaged = data[:place] + b"\x01" + data[place + 1 :]
    assert "is a damaged Parquet file" in refuse(damaged, name=NAME)
    assert read(damaged, name=NAME).rejected["line"].tolist() == [1, 2]


def test_text_that_is_not_utf8_refuses_the_file() -> None:
    """A page without a checksum can hold bytes that no text has."""
    data = parquet({"compression": "none", "write_statistics": False}, cell_id=["AAAA", "B"])
    damaged = data.replace(b"AAAA", b"A\xffAA", 1)
    assert "is a damaged Parquet file" in refuse(damaged, name=NAME)


def test_missing_and_unknown_columns_are_refused_as_in_csv() -> None:
    """The records are told by their cells."""
    data = parquet(vendor=["X", "Y"])
    assert "has the unknown column 'vendor' (number 4)" in refuse(data, name=NAME)
    assert '"vendor":"Y"' in read(data, name=NAME).rejected["record"][1]


def bomb(rows: int, word: str) -> bytes:
    """Many rows of one word, in few bytes."""
    sink = io.BytesIO()
    table = pa.table(
        {
            "timestamp": pa.array(np.zeros(rows, dtype="datetime64[ms]")),
            "cell_id": pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int8), [word]),
            "latency_ms": np.zeros(rows),
        }
    )
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(("rows", "word"), [(2_000_000, "A"), (10_000, "A" * 10_000)])
def test_a_parquet_bomb_is_refused(rows: int, word: str) -> None:
    """By its number of rows, and by what its dictionaries unfold into."""
    data = bomb(rows, word)
    assert len(data) < 100_000
    dataset: Dataset = cells(format={"limit_mb": 10})
    assert "is too large to be read safely" in refuse(data, dataset, NAME)


def test_a_long_cell_is_rejected() -> None:
    """As in CSV."""
    pulled = read(parquet(cell_id=["A" * 200_000, "B"]), name=NAME)
    assert pulled.rejected["rule"].tolist() == ["cell_id has more than 131,072 characters"]
    assert pulled.rejected["value"].tolist() == ["A" * 100 + "… (200,000 characters)"]

"""What the reader makes of sound and of bad files: typed rows, or the reason why not."""

import gzip

import numpy as np
import pandas as pd
import pytest

from rancast.datasets import Dataset
from rancast.reading import read_partition
from tests.rancast.feeds import CELLS, HEADER, KEY, NAME, ROW, cells, read, refuse, reject, texts

MANY = ROW * 30


def test_sound_rows_are_typed() -> None:
    """A file becomes the dataset's columns in order, with the blob and line of each row."""
    pulled = read(HEADER + ROW + b"2024-03-01T00:10:00Z,B,-,\n")
    expected = pd.DataFrame(
        {
            "cell_id": pd.Series(["A", "B"], dtype="str"),
            "timestamp": pd.to_datetime(["2024-03-01T00:05Z", "2024-03-01T00:10Z"]).as_unit("us"),
            "latency_ms": [12.5, np.nan],
            "note": pd.Series(["fine", None], dtype="str"),
            "_blob": pd.Series([NAME, NAME], dtype="str"),
            "_line": [2, 3],
        }
    )
    pd.testing.assert_frame_equal(pulled.typed, expected)
    assert pulled.rejected.empty
    assert pulled.inventory.refusals == ()
    assert pulled.inventory.entities == ("A", "B")


def test_nothing_to_read_is_an_empty_frame_of_the_right_types() -> None:
    """A partition without blobs has no rows, the types of any other, and no refusal."""
    pulled = read_partition({}, cells(), KEY)
    pd.testing.assert_series_equal(pulled.typed.dtypes, read(HEADER + ROW).typed.dtypes)
    rejected = read(HEADER + b"x\n" + ROW).rejected
    pd.testing.assert_series_equal(pulled.rejected.dtypes, rejected.dtypes)
    assert pulled.inventory.sources == ()


def test_blobs_are_read_in_the_order_of_their_names() -> None:
    """Whatever order they come in, so that the rule 'last' means the same each time."""
    blobs = {"b.csv": HEADER + ROW, "a.csv": HEADER + ROW + b"short\n"}
    pulled = read_partition(blobs, cells(), KEY)
    assert texts(pulled.typed["_blob"]) == ["a.csv", "b.csv"]
    assert [(source.blob, source.rows) for source in pulled.inventory.sources] == [
        ("a.csv", 2),
        ("b.csv", 1),
    ]


def test_a_header_only_is_no_records_and_no_fault() -> None:
    """Nothing happened, or not yet: suites and coverage say whether that can be."""
    pulled = read(HEADER)
    assert pulled.inventory.sources[0].rows == 0
    assert pulled.inventory.refusals == ()


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n\n  \n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    """Not even a header means that a delivery failed."""
    assert refuse(data) == (
        f"raw blob {NAME!r} is empty; have it delivered again, or removed if nothing happened"
    )


def test_a_missing_column_refuses_the_file() -> None:
    """All of its records are counted, rejected, and told by their text."""
    data = b"timestamp,cell_id\n2024-03-01T00:05:00Z,A\n2024-03-01T00:10:00Z,B\n"
    refusal = refuse(data)
    assert "lacks the column latency_ms (also known as ping_avg)" in refusal
    assert "have it delivered again with that column" in refusal
    rejected = read(data).rejected
    assert rejected["line"].tolist() == [2, 3]
    assert rejected["record"][1] == '{"cell_id":"B","timestamp":"2024-03-01T00:10:00Z"}'


def test_an_optional_column_may_be_missing() -> None:
    """Its values are missing, too."""
    pulled = read(b"timestamp,cell_id,latency_ms\n2024-03-01T00:05:00Z,A,1\n")
    assert pulled.typed["note"].isna().all()


def test_a_renamed_column_is_recognised_but_not_assumed() -> None:
    """The refusal says what to add where."""
    refusal = refuse(HEADER.replace(b"latency_ms", b"Latency-ms") + ROW)
    assert (
        "if 'Latency-ms' is a new name of latency_ms, add it to 'from' of that column in "
        "datasets/cells.yaml"
    ) in refusal


def test_an_extra_column_refuses_the_file() -> None:
    """A name that nobody knows may mean that the others changed as well."""
    refusal = refuse(HEADER.replace(b"\n", b",vendor\n") + ROW.replace(b"\n", b",X\n"))
    assert "has the unknown column 'vendor' (number 5)" in refusal
    assert "add the name to 'columns' or to 'ignore' in datasets/cells.yaml" in refusal


def test_an_ignored_column_is_not_kept() -> None:
    """A raw name under `ignore` is known, and its cells go nowhere but into rejected records."""
    dataset = cells(ignore=["vendor"])
    data = HEADER.replace(b"\n", b",vendor\n") + ROW.replace(b"\n", b",X\n")
    assert "vendor" not in read(data, dataset).typed
    assert '"vendor":"X"' in reject(data.replace(b"12.5", b"many"), dataset)["record"]


def test_a_repeated_column_refuses_the_file() -> None:
    """Which of the two would be the right one?"""
    refusal = refuse(HEADER.replace(b"note", b"cell_id") + ROW)
    assert "has the column 'cell_id' twice" in refusal


def test_two_names_of_one_column_refuse_the_file() -> None:
    """An alias beside the column's own name is a repeated column, too."""
    refusal = refuse(HEADER.replace(b"note", b"cell") + ROW)
    assert "has both 'cell_id' and 'cell' for the column cell_id" in refusal


def test_names_in_the_header_are_stripped_and_aliases_known() -> None:
    """' ping_avg ' is the latency."""
    pulled = read(b' timestamp ,"cell" , ping_avg,note\n'.replace(b'" ,', b'",') + ROW)
    assert pulled.typed["latency_ms"].tolist() == [12.5]


@pytest.mark.parametrize("header", [b'timestamp,"cell_id,latency_ms,note\n', b"\xe9,cell_id\n"])
def test_a_header_that_cannot_be_read_refuses_the_file(header: bytes) -> None:
    """The records behind it are counted all the same."""
    data = header + ROW + ROW
    assert "has a header line that cannot be read" in refuse(data)
    assert len(read(data).rejected) == 2


def test_a_headerless_file_takes_the_given_names() -> None:
    """Its first line is a record."""
    names = ["timestamp", "cell_id", "latency_ms", "note"]
    pulled = read(ROW + ROW, cells(format={"header": False, "names": names}))
    assert pulled.typed["_line"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"2024-03-01T00:05:00Z,A\n", "record has 2 fields instead of 4"),
        (b"2024-03-01T00:05:00Z,A,1,x,y\n", "record has 5 fields instead of 4"),
        (b"2024-03-01T00:05:00Z,A,1,caf\xe9\n", "record has bytes that are not utf-8"),
        (b"2024-03-01T00:05:00Z,A,1,\0\n", "record has a NUL character"),
        (b'2024-03-01T00:05:00Z,A,1,"x\n', "record has quotes that do not pair up"),
        (b'2024-03-01T00:05:00Z,A,1,"x"y\n', "record has quotes that do not pair up"),
        (b'2024-03-01T00:05:00Z,"A,1,x\n', "record has quotes that do not pair up"),
        (b"2024-03-01T00:05:00Z,A,1,\rx\n", "record has a line break where none can be"),
    ],
)
def test_a_line_that_is_no_record_costs_itself_only(line: bytes, rule: str) -> None:
    """The 30 records before and the 30 behind it are read, with their own lines."""
    data = HEADER + MANY + line + MANY
    found = reject(data)
    assert (found["line"], found["rule"]) == (32, rule)
    assert found["record"].startswith("2024-03-01T00:05:00Z,")
    typed = read(data).typed
    assert typed["_line"].tolist() == [*range(2, 32), *range(33, 63)]
    assert typed["latency_ms"].tolist() == [12.5] * 60


def test_two_stray_quotes_do_not_hide_the_records_between_them() -> None:
    """The first would open a field that the second closes, 30 records later."""
    stray = b'2024-03-01T00:05:00Z,"A,1,x\n'
    pulled = read(HEADER + stray + MANY + stray.replace(b'"A', b'A"') + MANY)
    assert pulled.rejected["line"].tolist() == [2]
    assert len(pulled.typed) == 61


def test_a_cut_file_loses_its_last_record_only() -> None:
    """ "89" may have been "8901": a last record without its line break is not believed."""
    found = reject(HEADER + MANY + b"2024-03-01T00:05:00Z,B,89,")
    assert found["line"] == 32
    assert found["rule"] == (
        "record is the last and has no line break: the file may have been cut short"
    )
    assert found["record"] == "2024-03-01T00:05:00Z,B,89,"


def test_a_vendor_may_leave_the_last_line_break_out() -> None:
    """`final_newline: false` believes the last record."""
    pulled = read((HEADER + ROW).rstrip(), cells(format={"final_newline": False}))
    assert len(pulled.typed) == 1


def test_bom_crlf_and_quotes_are_read() -> None:
    """A byte order mark, CRLF, quoted delimiters, quotes and line breaks are no faults."""
    rows = (
        b'2024-03-01T00:05:00Z,A,1,"a,b"\r\n2024-03-01T00:10:00Z,"A",2,"say ""hi"""\r\n'
        b'2024-03-01T00:15:00Z,A,3,"two\r\nlines"\r\n\r\n2024-03-01T00:20:00Z,A,"4",x\r\n'
    )
    pulled = read(b"\xef\xbb\xbf" + HEADER.replace(b"\n", b"\r\n") + rows)
    assert pulled.rejected.empty
    assert pulled.typed["note"].tolist() == ["a,b", 'say "hi"', "two\r\nlines", "x"]
    assert pulled.typed["_line"].tolist() == [2, 3, 4, 7]
    assert pulled.typed["latency_ms"].tolist() == [1, 2, 3, 4]


def test_an_identifier_has_no_line_break() -> None:
    """A quote that is closed on a later line joins records, unless the cell is free text."""
    pulled = read(HEADER + b'2024-03-01T00:05:00Z,"A\nB",1,x\n' + MANY)
    assert pulled.rejected["line"].tolist() == [2, 3]
    assert len(pulled.typed) == 30


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "gb18030"])
def test_other_encodings_are_read_if_declared(encoding: str) -> None:
    """The dataset says which; the text is the same afterwards."""
    row = "2024-03-01T00:05:00Z,Zürich,1,ok\n".encode(encoding)
    pulled = read(HEADER + row, cells(format={"encoding": encoding}))
    assert pulled.typed["cell_id"].tolist() == ["Zürich"]


def test_mixed_encodings_refuse_the_file() -> None:
    """More broken records than may be quarantined mean another encoding, not broken bytes."""
    utf8, latin = (ROW.replace(b"A", "Zürich".encode(name)) for name in ("utf-8", "latin-1"))
    refusal = refuse(HEADER + utf8 * 9 + latin * 3)
    assert "has 3 of 12 records with bytes that are not utf-8" in refusal
    assert "say in format.encoding of datasets/cells.yaml which" in refusal


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((HEADER + ROW).decode().encode("utf-16"), "is UTF-16; have it delivered as UTF-8"),
        (
            gzip.compress(HEADER + ROW, mtime=0),
            "is gzip, though its name says CSV; have it named .csv.gz",
        ),
        (b"PAR1....PAR1", "is Parquet, though its name says CSV"),
        (b"PK\x03\x04....", "is a zip archive or a spreadsheet, not CSV"),
    ],
)
def test_a_file_under_a_wrong_name_is_refused(data: bytes, reason: str) -> None:
    """What it is, is said."""
    assert reason in refuse(data)


def test_a_name_without_a_known_ending_is_refused() -> None:
    """Nothing in the raw container is passed over in silence."""
    assert "is neither .csv, .csv.gz nor .parquet" in refuse(HEADER + ROW, name="cells/a.xlsx")


def test_gzip_is_unpacked_by_name() -> None:
    """Several members, too, as `cat a.gz b.gz` makes them."""
    pulled = read(
        gzip.compress(HEADER + ROW, mtime=0) + gzip.compress(ROW, mtime=0), name="a.csv.gz"
    )
    assert pulled.typed["_line"].tolist() == [2, 3]


def test_a_truncated_gzip_is_refused_and_its_records_counted() -> None:
    """What could be unpacked is rejected, record by record."""
    rng = np.random.default_rng(0)
    rows = b"".join(ROW.replace(b"12.5", b"%d" % value) for value in rng.integers(0, 1e9, 9_000))
    whole = gzip.compress(HEADER + rows, mtime=0)
    data = whole[: len(whole) // 2]
    assert "is a gzip file that was cut short; have it delivered again" in refuse(
        data, name="a.csv.gz"
    )
    assert 1_000 < len(read(data, name="a.csv.gz").rejected) < 9_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (HEADER + ROW, "is not gzip, though its name says so"),
        (
            gzip.compress(HEADER + ROW, mtime=0)[:-6] + b"\0" * 6,
            "is a damaged gzip file (CRC check failed",
        ),
        (gzip.compress(HEADER + ROW, mtime=0) + b"rest", "is a damaged gzip file"),
    ],
)
def test_a_damaged_gzip_is_refused(data: bytes, reason: str) -> None:
    """The checksum is verified; what stands behind the end is a fault."""
    assert reason in refuse(data, name="a.csv.gz")


def test_a_gzip_bomb_is_cut_off() -> None:
    """A few kilobytes that unfold into 20 megabytes are refused at the limit of one."""
    bomb = gzip.compress(HEADER + b"\n" * 20_000_000, mtime=0)
    refusal = refuse(bomb, cells(format={"limit_mb": 1}), "a.csv.gz")
    assert "unfolds into more than 1,000,000 bytes" in refusal
    assert "raise format.limit_mb" in refusal


def test_a_file_that_is_too_large_is_refused() -> None:
    """Many short records take more memory than their bytes, and count as what they take."""
    assert "is too large to be read safely" in refuse(
        HEADER + b"x\n" * 20_000, cells(format={"limit_mb": 1})
    )


def test_values_from_the_path() -> None:
    """A column can come from the blob's name, typed as any other."""
    columns = CELLS["columns"] | {"site": {"type": "integer"}}
    dataset = cells(columns=columns, from_path={"site": r"/site(?P<value>\d+)_"})
    pulled = read(HEADER + ROW + ROW, dataset, "cells/day=01/site007_x.csv")
    assert pulled.typed["site"].tolist() == [7, 7]
    assert "does not say site in its name" in refuse(HEADER + ROW, dataset, "cells/x.csv")


def test_a_cell_of_200_000_characters_is_rejected() -> None:
    """The error shows its beginning and its length, and nothing crashes."""
    found = reject(HEADER + MANY + b"2024-03-01T00:05:00Z,A,1," + b"x" * 200_000 + b"\n" + MANY)
    assert found["rule"] == "record has a cell of more than 131,072 characters"
    assert found["record"].endswith("xxx… (200,025 characters)")
    assert len(found["record"]) < 5_000
    quoted = b'2024-03-01T00:05:00Z,A,1,"' + b"x" * 200_000 + b'"\n'
    assert reject(HEADER + MANY + quoted)["rule"] == found["rule"]


def test_a_long_value_is_shortened_in_the_error() -> None:
    """A wrong number of 50,000 digits is told by its first ones."""
    found = reject(HEADER + ROW.replace(b"12.5", b"9" * 50_000))
    assert found["value"] == "9" * 100 + "… (50,000 characters)"
    assert found["rule"] == "latency_ms is not a finite number"


def test_a_bad_cell_rejects_its_record_and_no_other() -> None:
    """Column, rule, value, line and the whole raw record are written down."""
    found = reject(HEADER + ROW + ROW.replace(b"12.5", b"12,5".replace(b",", b"..")) + ROW)
    assert found == {
        "blob": NAME,
        "line": 3,
        "column": "latency_ms",
        "rule": "latency_ms is not a finite number",
        "value": "12..5",
        "record": '{"cell_id":"A","latency_ms":"12..5","note":"fine",'
        '"timestamp":"2024-03-01T00:05:00Z"}',
    }


def test_all_broken_rules_are_named_the_first_first() -> None:
    """In the order of the dataset's columns."""
    found = reject(HEADER + b"yesterday,,fast,x\n")
    assert found["rule"] == (
        "cell_id is missing; timestamp is not an ISO 8601 time; latency_ms is not a finite number"
    )
    assert (found["column"], found["value"]) == ("cell_id", "")


def test_a_raw_name_that_differs_from_the_column_is_kept_in_the_record() -> None:
    """The record is as delivered, the column as ours."""
    data = (HEADER + ROW).replace(b"latency_ms", b"ping_avg").replace(b"12.5", b"fast")
    found = reject(data)
    assert (found["column"], found["value"]) == ("latency_ms", "fast")
    assert '"ping_avg":"fast"' in found["record"]


def test_events_have_no_register() -> None:
    """Nobody is expected to call each day."""
    dataset = Dataset.model_validate(CELLS | {"kind": "events"})
    assert read(HEADER + ROW, dataset).inventory.entities == ()


def test_the_same_bytes_give_the_same_result() -> None:
    """Reading is a function of its input."""
    data = HEADER + MANY + b'x,"\n' + MANY + b"\xff,1,2,3\n"
    first, second = read(data), read(data)
    pd.testing.assert_frame_equal(first.typed, second.typed)
    pd.testing.assert_frame_equal(first.rejected, second.rejected)
    assert first.inventory == second.inventory

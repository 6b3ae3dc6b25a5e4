"""CSV splitting: the two ways of reading a line agree with each other and with the csv module."""

import csv
import io
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.datasets import FileFormat
from rancast.reading_csv import _Text, parse_csv
from rancast.records import BlobRefused, Records

NAMES = ("a", "b", "c")
FREE = frozenset({"c"})
CELL = st.text(st.sampled_from('xyé "",;\t0'), max_size=6)
FREE_CELL = st.text(st.sampled_from('xyé "",;\n\r0'), max_size=6)
ROWS = st.lists(st.tuples(CELL, CELL, FREE_CELL), max_size=12)
# Two shared cores: no deadline, and the same examples each time
examples = settings(max_examples=150, deadline=None, derandomize=True)
SOUP = st.lists(
    st.sampled_from([b"x", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3\xa9"]),
    max_size=60,
).map(b"".join)


def write(rows: list[tuple[str, str, str]], end: str, quoting: int) -> bytes:
    """Write a header and rows as the csv module does."""
    sink = io.StringIO(newline="")
    dialect = {"lineterminator": end, "quoting": quoting}
    csv.writer(sink, **dialect).writerows([NAMES, *rows])  # type: ignore[arg-type]
    return sink.getvalue().encode()


def one_by_one(data: bytes, form: FileFormat, free: frozenset[str]) -> Records:
    """Parse as if no line were plain."""
    with patch.object(_Text, "is_plain", lambda text: np.zeros(len(text.ends), dtype=bool)):
        return parse_csv(data, form, free)


def plainly(records: Records) -> object:
    """Return records as plain values that compare."""
    cells = [column.to_pylist() for column in records.cells]
    return records.names, cells, records.lines.tolist(), records.malformed


@examples
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_the_csv_module_writes_is_read_back(
    rows: list[tuple[str, str, str]], end: str, quoting: int
) -> None:
    """Each cell as it was, nothing set aside, and each record at the line where it starts."""
    if quoting == csv.QUOTE_MINIMAL:  # writes a lone CR without the quotes that it needs
        rows = [(a, b, c.replace("\r", "")) for a, b, c in rows]
    records = parse_csv(write(rows, end, quoting), FileFormat(), FREE)
    assert [column.to_pylist() for column in records.cells] == [
        [row[place] for row in rows] for place in range(3)
    ]
    assert records.malformed == ()
    starts = [write(rows[:count], end, quoting).count(b"\n") + 1 for count in range(len(rows))]
    assert records.lines.tolist() == starts


@examples
@given(SOUP)
def test_plain_lines_are_what_the_csv_module_would_read(soup: bytes) -> None:
    """Reading plain lines at once changes nothing but the time it takes, whatever the bytes."""
    data = b"a,b,c\n" + soup
    for free in (FREE, frozenset({"a", "b", "c"}), frozenset[str]()):
        together = plainly(parse_csv(data, FileFormat(), free))
        assert together == plainly(one_by_one(data, FileFormat(), free))


@examples
@given(SOUP)
def test_every_line_with_content_is_accounted_for(soup: bytes) -> None:
    """Each line that is not blank belongs to a record, or is set aside."""
    data = b"a,b,c\n" + soup
    records = parse_csv(data, FileFormat(), FREE)
    starts = {*records.lines.tolist(), *(found.line for found in records.malformed)}
    inside = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if number > 1 and line.strip(b"\r") and number not in starts:
            inside += 1
    breaks = sum(cell.count("\n") for column in records.cells for cell in column.to_pylist())
    assert inside <= breaks
    assert records.total == len(starts)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "\x01"])
def test_other_delimiters(delimiter: str) -> None:
    """A comma is then a character as any other."""
    data = f"a,b{delimiter}c\n1,5{delimiter}2\n".encode()
    records = parse_csv(data, FileFormat(delimiter=delimiter), FREE)
    assert records.names == ("a,b", "c")
    assert records.cells[0].to_pylist() == ["1,5"]


def test_blank_lines_are_no_records() -> None:
    """They count as lines, before the header and between records; white space is not blank."""
    records = parse_csv(b"\n\r\na,b\n\n1,2\n \n\r\n3,4\n\n", FileFormat(), FREE)
    assert records.lines.tolist() == [5, 8]
    assert [found.line for found in records.malformed] == [6]


def test_a_file_without_lf_has_its_lines_ended_by_cr() -> None:
    """As old Macs wrote it."""
    records = parse_csv(b"a,b\r1,2\r3,4\r", FileFormat(), FREE)
    assert records.cells[1].to_pylist() == ["2", "4"]


def test_undecodable_bytes_are_shown_as_they_are() -> None:
    """In an encoding other than UTF-8, too."""
    for encoding, bad in (("utf-8", b"\xe9"), ("cp1252", b"\x81"), ("ascii", b"\xe9")):
        records = parse_csv(b"a,b\n1," + bad + b"\n2,x\n", FileFormat(encoding=encoding), FREE)
        (found,) = records.malformed
        assert (found.line, found.text) == (2, f"1,\\x{bad.hex()}")
        assert found.rule == f"record has bytes that are not {encoding}"
        assert records.cells[0].to_pylist() == ["2"]


def test_what_pyarrow_refuses_is_read_one_by_one() -> None:
    """A fault that only pyarrow sees costs time, not records."""
    import pyarrow as pa

    with patch("pyarrow.csv.read_csv", side_effect=pa.ArrowInvalid("no")):
        records = parse_csv(b"a,b\n1,2\nx\n3,4\n", FileFormat(), FREE)
    assert records.cells[0].to_pylist() == ["1", "3"]
    assert records.lines.tolist() == [2, 4]
    assert [found.line for found in records.malformed] == [3]


def test_a_header_alone_that_was_cut_is_refused() -> None:
    """Its last name may be half of one."""
    with pytest.raises(BlobRefused, match="no line break"):
        parse_csv(b"a,b,c", FileFormat(), FREE)

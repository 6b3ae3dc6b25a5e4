"""CSV bytes into records: none is dropped, merged or shifted, and each knows its line.

A record is one of Python's csv module, read strictly: fields in double quotes, a quote in them
doubled, lines ended by LF or CRLF (by CR in a file without LF). Blank lines are no records. Lines
that are one record beyond doubt, usually all of them, are parsed at once by pyarrow. The others,
with quotes that do not pair up within the line, lone CRs, NULs, bytes of another encoding or no
end, go one by one through the csv module. What is no record is set aside and reading goes on with
the next line, so that a stray quote costs one line and not the rest of the file: a record runs over
several lines only if that makes it whole and the broken cell is free text.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from rancast.datasets import FileFormat
from rancast.records import CELL_LIMIT, BlobRefused, Malformed, Records, check_size

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

UTF8_BOM = b"\xef\xbb\xbf"
LF, CR, QUOTE = 10, 13, 34
BLOCK_ROWS = 65_536

UNDECODABLE = "record has bytes that are not {}"
CUT_SHORT = "record is the last and has no line break: the file may have been cut short"
UNPAIRED = "record has quotes that do not pair up"
TOO_LONG = f"record has a cell of more than {CELL_LIMIT:,} characters"
BROKEN_LINE = "record has a line break where none can be"
HAS_NUL = "record has a NUL character"
WRONG_WIDTH = "record has {} fields instead of {}"

# What a file named .csv may be instead, by its first bytes
DISGUISES = {
    b"\x1f\x8b": ("is gzip, though its name says CSV", "have it named .csv.gz"),
    b"PAR1": ("is Parquet, though its name says CSV", "have it named .parquet"),
    b"PK\x03\x04": ("is a zip archive or a spreadsheet, not CSV", "have it delivered as CSV"),
    b"\xff\xfe": ("is UTF-16", "have it delivered as UTF-8"),
    b"\xfe\xff": ("is UTF-16", "have it delivered as UTF-8"),
}


def parse_csv(data: bytes, form: FileFormat, free_text: frozenset[str]) -> Records:
    """Split CSV into records.

    `free_text` are the raw names of columns whose cells may hold line breaks. Raises BlobRefused
    for an empty file, one that is something else, one that is too large, and a header line that
    cannot be read.
    """
    content = _unwrap(data)
    check_size(len(content), content.count(b"\n"), form.limit_bytes)
    text = _Text(_as_utf8(content, form.encoding), form)
    names, first = form.names, 0
    if form.header:
        header = text.record_from(int(np.argmin(text.is_blank())), None, frozenset())
        first = header.start + header.span
        names = tuple(field.strip() for field in header.fields)
        if header.rule:
            raise BlobRefused(
                f"has a header line that cannot be read ({header.rule})",
                "have it delivered again, or correct format in the dataset's YAML",
                _unread(text, first),
            )
    unbroken = frozenset(place for place, name in enumerate(names) if name not in free_text)
    return _collect(text, first, names, unbroken, text.is_plain())


def _unwrap(data: bytes) -> bytes:
    """Return the content without a byte order mark, once it is known to be a CSV's."""
    for signature, (reason, step) in DISGUISES.items():
        if data.startswith(signature):
            raise BlobRefused(reason, step)
    content = data.removeprefix(UTF8_BOM)
    if not content.lstrip()[:1]:
        raise BlobRefused("is empty", "have it delivered again, or removed if nothing happened")
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _as_utf8(content: bytes, encoding: str) -> bytes:
    """Return the content in UTF-8; bytes that the encoding does not have become no valid UTF-8."""
    if _is_utf8(encoding):
        return content
    return content.decode(encoding, "surrogateescape").encode("utf-8", "surrogatepass")


class _Record(NamedTuple):
    """One record, or what stands where one should be: `rule` is what it broke."""

    start: int
    span: int
    fields: list[str]
    rule: str = ""


class _Text:
    """The lines of a file, and how to read the record that starts at one of them."""

    def __init__(self, content: bytes, form: FileFormat) -> None:
        """Find the lines; a last one without an end is marked as cut, if that is a fault."""
        has_end = content.endswith(b"\n")
        self.content = content if has_end else content + b"\n"
        self.octets = np.frombuffer(self.content, dtype=np.uint8)
        self.ends = np.flatnonzero(self.octets == LF)
        self.starts = np.concatenate(([0], self.ends[:-1] + 1))
        self.cut_line = -1 if has_end or not form.final_newline else len(self.ends) - 1
        self.encoding, self.delimiter = form.encoding, form.delimiter
        self.errors = "surrogateescape" if _is_utf8(form.encoding) else "surrogatepass"

    def line(self, number: int) -> str:
        """Return a line with its end; undecodable bytes are surrogates."""
        raw = self.content[self.starts[number] : self.ends[number] + 1]
        return raw.decode("utf-8", self.errors)

    def is_blank(self) -> Mask:
        """Tell which lines are empty."""
        length = self.ends - self.starts
        is_blank: Mask = (length == 0) | ((length == 1) & (self.octets[self.starts] == CR))
        return is_blank

    def is_plain(self) -> Mask:
        """Tell which lines are one record beyond doubt, whatever stands around them."""
        is_plain: Mask = ~self.is_blank() & (self.ends - self.starts <= CELL_LIMIT)
        if b"\0" in self.content:
            is_plain[self._lines_of(np.flatnonzero(self.octets == 0))] = False
        if b"\r" in self.content:
            returns = np.flatnonzero(self.octets == CR)
            is_plain[self._lines_of(returns[self.octets[returns + 1] != LF])] = False
        if b'"' in self.content:
            is_plain[self._lines_with_unpaired_quotes()] = False
        if not self.content.isascii():
            is_plain[self._undecodable_lines()] = False
        if self.cut_line >= 0:
            is_plain[self.cut_line] = False
        return is_plain

    def _lines_of(self, places: Places) -> Places:
        lines: Places = np.searchsorted(self.ends, places)
        return lines

    def _lines_with_unpaired_quotes(self) -> Places:
        """Name the lines with a quote that neither opens or closes a field nor doubles another."""
        quotes = np.flatnonzero(self.octets == QUOTE)
        # Counting by line is cheaper than searching each quote's line
        counts = np.diff(np.searchsorted(quotes, np.append(self.starts, len(self.octets))))
        lines = np.repeat(np.arange(len(counts)), counts)
        position = np.arange(len(quotes)) - np.repeat(np.cumsum(counts) - counts, counts)
        is_opening = position % 2 == 0
        is_pair = (np.diff(quotes) == 1) & (np.diff(lines) == 0)
        before, after = self.octets[quotes - 1], self.octets[quotes + 1]  # the last octet is an LF
        is_delimited = np.where(is_opening, before, after) == ord(self.delimiter)
        is_at_edge = np.where(is_opening, before == LF, (after == LF) | (after == CR))
        is_doubled = np.where(is_opening, np.append(False, is_pair), np.append(is_pair, False))
        is_sound = is_delimited | is_at_edge | is_doubled
        unpaired: Places = np.concatenate([lines[~is_sound], np.flatnonzero(counts % 2)])
        return unpaired

    def _undecodable_lines(self) -> Places:
        suspects = np.unique(self._lines_of(np.flatnonzero(self.octets >= 128)))
        is_broken = [not _is_encodable(self.line(number)) for number in suspects]
        undecodable: Places = suspects[np.array(is_broken, dtype=bool)]
        return undecodable

    def record_from(self, start: int, width: int | None, unbroken: frozenset[int]) -> _Record:
        """Read the record that starts at a line that is not blank.

        `width` is how many fields it must have, None for any; `unbroken` are the positions of cells
        without line breaks. What is no record ends with its line.
        """
        line = self.line(start)
        lines = (self.line(number) for number in range(start, len(self.starts)))
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        try:
            fields = next(reader)
        except csv.Error:
            return _Record(start, 1, [], self._unsound(line) or _unreadable(line))
        span = reader.line_num
        text = "".join(self.line(start + offset) for offset in range(span))
        rule = self._unsound(text) or _misshapen(fields, width, unbroken)
        if not rule and self.cut_line in range(start, start + span):
            rule = CUT_SHORT
        # The line break of a broken record is more likely the end of a line than a part of a cell
        return _Record(start, 1 if rule else span, fields, rule)

    def _unsound(self, text: str) -> str:
        """Tell what is wrong with the characters of a record, if anything."""
        if not _is_encodable(text):
            return UNDECODABLE.format(self.encoding)
        return HAS_NUL if "\0" in text else ""

    def shown(self, number: int) -> str:
        """Return a line without its end, its undecodable bytes written as \\xe9."""
        raw = self.line(number).rstrip("\r\n").encode("utf-8", "surrogateescape")
        return raw.decode("utf-8", "backslashreplace")


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def _is_encodable(text: str) -> bool:
    """Tell whether the text was decoded whole: surrogates cannot be encoded again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(line: str) -> str:
    """Tell why the csv module refused the record that starts with a line."""
    if len(line) > CELL_LIMIT:
        return TOO_LONG
    return UNPAIRED if '"' in line else BROKEN_LINE


def _misshapen(fields: list[str], width: int | None, unbroken: frozenset[int]) -> str:
    """Tell what is wrong with the fields of a record, if anything."""
    if width is not None and len(fields) != width:
        return WRONG_WIDTH.format(len(fields), width)
    if any(len(field) > CELL_LIMIT for field in fields):
        return TOO_LONG
    if any("\n" in fields[place] or "\r" in fields[place] for place in unbroken):
        return BROKEN_LINE
    return ""


def _collect(
    text: _Text, first: int, names: tuple[str, ...], unbroken: frozenset[int], is_plain: Mask
) -> Records:
    """Read the records from line `first` on: the plain ones at once, the others one by one."""
    is_plain[:first] = False
    doubtful = first + np.flatnonzero(~(is_plain | text.is_blank())[first:])
    blocks, lines, malformed = [_no_cells(names)], [], []
    block: list[list[str]] = []
    for record in _each_doubtful(text, doubtful, len(names), unbroken):
        is_plain[record.start : record.start + record.span] = False
        if record.rule:
            malformed.append(_malformed(text, record))
            continue
        lines.append(record.start)
        block.append(record.fields)
        if len(block) == BLOCK_ROWS:
            blocks.append(_as_arrays(block))
            block = []
    blocks.append(_as_arrays(block) if block else _no_cells(names))
    plain = _read_at_once(text, is_plain, names)
    if plain is None:  # pyarrow found a fault that we did not see
        return _collect(text, first, names, unbroken, np.zeros_like(is_plain))
    odd = Records(names, _joined(blocks), np.array(lines, dtype=np.int64) + 1, tuple(malformed))
    return _merged(plain, odd)


def _each_doubtful(
    text: _Text, doubtful: Places, width: int | None, unbroken: frozenset[int]
) -> Iterator[_Record]:
    """Read the records that start at doubtful lines, but for those inside of one before."""
    position = -1
    for start in doubtful:
        if start >= position:
            record = text.record_from(int(start), width, unbroken)
            position = record.start + record.span
            yield record


def _unread(text: _Text, first: int) -> Records:
    """Return the records behind a header that cannot be read: all malformed."""
    found = first + np.flatnonzero(~text.is_blank()[first:])
    records = _each_doubtful(text, found, None, frozenset())
    malformed = tuple(_malformed(text, record) for record in records)
    return Records((), (), np.array([], dtype=np.int64), malformed)


def _malformed(text: _Text, record: _Record) -> Malformed:
    return Malformed(record.start + 1, record.rule, text.shown(record.start))


def _read_at_once(text: _Text, is_plain: Mask, names: tuple[str, ...]) -> Records | None:
    """Parse plain lines with pyarrow; None if it does not find one record in each."""
    lines = np.flatnonzero(is_plain) + 1
    if not len(lines):
        return Records(names, _no_cells(names), lines)
    chosen = np.repeat(is_plain, text.ends - text.starts + 1)
    places = [str(place) for place in range(len(names))]
    misfits: list[Any] = []

    def set_aside(row: Any) -> str:
        misfits.append(row)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(text.octets[chosen])),
            # A single thread tells the numbers of the rows that do not fit
            read_options=pacsv.ReadOptions(column_names=places, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=text.delimiter, invalid_row_handler=set_aside
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows + len(misfits) != len(lines):
        return None
    cells = tuple(column.combine_chunks() for column in table.columns)
    places_of_misfits = np.array([row.number - 1 for row in misfits], dtype=np.int64)
    malformed = tuple(
        Malformed(line, WRONG_WIDTH.format(row.actual_columns, len(names)), text.shown(line - 1))
        for line, row in zip(lines[places_of_misfits].tolist(), misfits, strict=True)
    )
    return Records(names, cells, np.delete(lines, places_of_misfits), malformed)


def _merged(plain: Records, odd: Records) -> Records:
    """Put the records of both kinds in order of line."""
    malformed = tuple(sorted((*plain.malformed, *odd.malformed)))
    if not len(odd.lines):
        return plain._replace(malformed=malformed)
    lines = np.concatenate([plain.lines, odd.lines])
    order = np.argsort(lines, kind="stable")
    cells = (column.take(order) for column in _joined([plain.cells, odd.cells]))
    return Records(plain.names, tuple(cells), lines[order], malformed)


def _joined(blocks: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(pa.concat_arrays(parts) for parts in zip(*blocks, strict=True))


def _as_arrays(rows: list[list[str]]) -> tuple[Any, ...]:
    return tuple(pa.array(column, type=pa.large_string()) for column in zip(*rows, strict=True))


def _no_cells(names: tuple[str, ...]) -> tuple[Any, ...]:
    return (pa.array([], type=pa.large_string()),) * len(names)

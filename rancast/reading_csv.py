"""CSV bytes into records: none is dropped, merged or shifted, and each knows its line.

Two paths give equal results. The fast one (pyarrow) takes files in which every line is one record
for sure: quotes pair up within their line, no NUL, no lone CR, no blank line, every record as wide
as the header. All others take the slow one (the csv module, strict, line by line), which sets aside
what is not a record and goes on with the next line, so that a stray quote costs one line and not
the rest of the file. A record runs over several lines only where the broken cell is free text.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from rancast.datasets import FileFormat
from rancast.records import CELL_LIMIT, BlobRefused, Malformed, Records, check_size

UTF8_BOM = b"\xef\xbb\xbf"
LF, CR, QUOTE = 10, 13, 34
BLOCK_ROWS = 65_536

UNDECODABLE = "record has bytes that are not {}"
CUT_SHORT = "record is the last and has no line break: the file may have been cut short"
UNPAIRED = "record has quotes that do not pair up"
TOO_LONG = f"record has a cell of more than {CELL_LIMIT:,} characters"
BROKEN_LINE = "record has a line break where none can be"
HAS_NUL = "record has a NUL character"

# What a file named .csv may be instead, by its first bytes
DISGUISES = {
    b"\x1f\x8b": ("is gzip, though its name says CSV", "have it named .csv.gz"),
    b"PAR1": ("is Parquet, though its name says CSV", "have it named .parquet"),
    b"PK\x03\x04": ("is a zip archive or a spreadsheet, not CSV", "have it delivered as CSV"),
    b"\xff\xfe": ("is UTF-16, not {encoding}", "have it delivered as UTF-8"),
    b"\xfe\xff": ("is UTF-16, not {encoding}", "have it delivered as UTF-8"),
}


def parse_csv(data: bytes, form: FileFormat, free_text: frozenset[str]) -> Records:
    """Split CSV into records.

    `free_text` are the raw names of columns whose cells may hold line breaks. Raises BlobRefused
    for an empty file, one that is something else, one that is too large, and a header line that
    cannot be read.
    """
    content = _unwrap(data, form)
    check_size(len(content), content.count(b"\n") + content.count(b"\r"), form.limit_bytes)
    is_cut = form.final_newline and not content.endswith((b"\n", b"\r"))
    content = content.rstrip(b"\r\n") + b"\n" if _needs_an_end(content) else content
    records = parse_fast(content, form)
    if records is None:
        records = parse_slowly(content, form, free_text)
    return _without_last(records, form.delimiter) if is_cut else records


def _unwrap(data: bytes, form: FileFormat) -> bytes:
    """Return the content without a byte order mark, once it is known to be a CSV's."""
    for signature, (reason, step) in DISGUISES.items():
        if data.startswith(signature):
            raise BlobRefused(reason.format(encoding=form.encoding), step)
    content = data.removeprefix(UTF8_BOM)
    if not content.strip():
        raise BlobRefused("is empty", "have it delivered again, or removed if nothing happened")
    return content


def _needs_an_end(content: bytes) -> bool:
    return not content.endswith(b"\n") or content.endswith((b"\n\n", b"\n\r\n"))


def _without_last(records: Records, delimiter: str) -> Records:
    """Move the last record, which no line break ends, to the malformed ones."""
    lines, malformed = records.lines, records.malformed
    if not len(lines) or malformed and malformed[-1].line > lines[-1]:
        return records
    sink = io.StringIO()
    row = [column[-1].as_py() for column in records.cells]
    csv.writer(sink, delimiter=delimiter, lineterminator="").writerow(row)
    return records._replace(
        cells=tuple(column[:-1] for column in records.cells),
        lines=lines[:-1],
        malformed=(*malformed, Malformed(int(lines[-1]), CUT_SHORT, sink.getvalue())),
    )


# The fast path -----------------------------------------------------------------------------------


def parse_fast(content: bytes, form: FileFormat) -> Records | None:
    """Parse a well-formed file with pyarrow; None where it is not well-formed beyond doubt."""
    text = _as_utf8(content, form.encoding)
    starts = None if text is None else _record_starts(text, form.delimiter)
    if text is None or starts is None:
        return None
    names, skipped = form.names, 0
    if form.header:
        skipped = int(starts[1]) if len(starts) > 1 else len(text)
        try:
            names = _names(next(_read_lines([text[:skipped].decode()], form.delimiter)))
        except (csv.Error, UnicodeDecodeError):
            return None
    lines = np.arange(1, len(starts) + 1, dtype=np.int64)[int(form.header) :]
    if not len(lines):
        return _no_records(names)
    cells = _read_with_pyarrow(pa.py_buffer(text).slice(skipped), len(names), form.delimiter)
    if cells is None or len(cells[0]) != len(lines):
        return None
    return Records(names, cells, lines)


def _as_utf8(content: bytes, encoding: str) -> bytes | None:
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        return content  # pyarrow checks it
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError:
        return None


def _record_starts(text: bytes, delimiter: str) -> npt.NDArray[np.int64] | None:
    """Return where each record starts, or None unless every line is a record for sure."""
    if b"\0" in text or text.count(b"\r") != text.count(b"\r\n"):
        return None
    octets = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(octets == LF)
    starts = np.concatenate(([0], ends[:-1] + 1))
    if np.isin(octets[starts], (LF, CR)).any() or (ends - starts).max() > CELL_LIMIT:
        return None
    if b'"' in text and not _are_quotes_paired(octets, ends, ord(delimiter)):
        return None
    return starts


def _are_quotes_paired(
    octets: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], delimiter: int
) -> bool:
    """Tell whether every quote opens a field, closes it or doubles another, within its line."""
    quotes = np.flatnonzero(octets == QUOTE)
    if len(quotes) % 2 or (np.searchsorted(quotes, ends) % 2).any():
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening == 0, LF, octets[opening - 1])
    after = octets[closing + 1]  # the last octet is a line break
    is_doubled = np.append(opening[1:] == closing[:-1] + 1, False)
    opens = np.isin(before, (delimiter, LF)) | np.insert(is_doubled[:-1], 0, False)
    closes = np.isin(after, (delimiter, LF, CR)) | is_doubled
    return bool(opens.all() and closes.all())


def _read_with_pyarrow(buffer: Any, width: int, delimiter: str) -> tuple[Any, ...] | None:
    names = [str(position) for position in range(width)]
    try:
        table = pacsv.read_csv(
            pa.BufferReader(buffer),
            read_options=pacsv.ReadOptions(column_names=names),
            parse_options=pacsv.ParseOptions(delimiter=delimiter),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        return None  # a record of another width, bytes that are not UTF-8, an endless line
    return tuple(column.combine_chunks() for column in table.columns)


# The slow path -----------------------------------------------------------------------------------


class _Dialect(NamedTuple):
    """What the slow path needs to know to tell a record from a broken one."""

    delimiter: str
    encoding: str
    width: int | None  # None: any
    unbroken: frozenset[int] | None  # positions whose cells hold no line break; None: none known
    is_suspect: bool  # whether the text has any NUL or undecodable byte at all


class _Record(NamedTuple):
    """One record, or what stands where one should be: `rule` is what it broke."""

    start: int
    span: int
    fields: list[str]
    rule: str = ""


def parse_slowly(content: bytes, form: FileFormat, free_text: frozenset[str]) -> Records:
    """Parse any file line by line; what is not a record is set aside with its line and its rule."""
    text = content.decode(form.encoding, "surrogateescape")
    lines = list(io.StringIO(text, newline=""))
    is_suspect = "\0" in text or not _is_encodable(text)
    dialect = _Dialect(form.delimiter, form.encoding, None, None, is_suspect)
    position, names = 0, form.names
    if form.header:
        header = next(_each_record(lines, 0, dialect))
        position = header.start + header.span
        names = _names(header.fields)
        if header.rule:
            raise BlobRefused(
                f"has a header line that cannot be read ({header.rule})",
                "have it delivered again, or correct format in the dataset's YAML",
                _unread(lines, position, dialect),
            )
    unbroken = frozenset(place for place, name in enumerate(names) if name not in free_text)
    dialect = dialect._replace(width=len(names), unbroken=unbroken)
    return _collect(names, lines, position, dialect)


def _collect(names: tuple[str, ...], lines: list[str], position: int, dialect: _Dialect) -> Records:
    """Sort the records into cells and malformed ones, the cells in blocks to save memory."""
    blocks = [_no_records(names).cells]
    block: list[list[str]] = []
    starts: list[int] = []
    malformed: list[Malformed] = []
    for record in _each_record(lines, position, dialect):
        if record.rule:
            malformed.append(
                Malformed(record.start + 1, record.rule, _printable(lines[record.start]))
            )
            continue
        starts.append(record.start + 1)
        block.append(record.fields)
        if len(block) == BLOCK_ROWS:
            blocks.append(_as_arrays(block))
            block = []
    if block:
        blocks.append(_as_arrays(block))
    cells = tuple(pa.concat_arrays(parts) for parts in zip(*blocks, strict=True))
    return Records(names, cells, np.array(starts, dtype=np.int64), tuple(malformed))


def _unread(lines: list[str], position: int, dialect: _Dialect) -> Records:
    """Return the records behind a header that cannot be read: all malformed."""
    found = (
        Malformed(record.start + 1, "", _printable(lines[record.start]))
        for record in _each_record(lines, position, dialect)
    )
    return _no_records(())._replace(malformed=tuple(found))


def _each_record(lines: list[str], position: int, dialect: _Dialect) -> Iterator[_Record]:
    while position < len(lines):
        if not lines[position].rstrip("\r\n"):
            position += 1
            continue
        record = _next_record(lines, position, dialect)
        yield record
        position += record.span


def _next_record(lines: list[str], start: int, dialect: _Dialect) -> _Record:
    """Read the record that starts at a line; a broken one ends with that line."""
    line = lines[start]
    if '"' not in line:
        fields, span = line.rstrip("\r\n").split(dialect.delimiter), 1
    else:
        reader = _read_lines(map(lines.__getitem__, range(start, len(lines))), dialect.delimiter)
        try:
            fields = next(reader)
        except csv.Error:
            rule = TOO_LONG if len(line) > CELL_LIMIT else UNPAIRED
            return _Record(start, 1, [], _unsound(line, dialect) or rule)
        span = reader.line_num
    text = line if span == 1 else "".join(lines[start : start + span])
    rule = _unsound(text, dialect) or _misshapen(fields, dialect)
    # The line break of a broken record is more likely the end of a line than a part of a cell
    return _Record(start, 1 if rule else span, fields, rule)


def _unsound(text: str, dialect: _Dialect) -> str:
    """Tell what is wrong with the characters of a record, if anything."""
    if not dialect.is_suspect:
        return ""
    if not _is_encodable(text):
        return UNDECODABLE.format(dialect.encoding)
    return HAS_NUL if "\0" in text else ""


def _misshapen(fields: list[str], dialect: _Dialect) -> str:
    """Tell what is wrong with the fields of a record, if anything."""
    if dialect.width is not None and len(fields) != dialect.width:
        return f"record has {len(fields)} fields instead of {dialect.width}"
    for position, field in enumerate(fields):
        if len(field) > CELL_LIMIT:
            return TOO_LONG
        if dialect.unbroken and position in dialect.unbroken and ("\n" in field or "\r" in field):
            return BROKEN_LINE
    return ""


def _read_lines(lines: Any, delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _names(fields: list[str]) -> tuple[str, ...]:
    return tuple(field.strip() for field in fields)


def _no_records(names: tuple[str, ...]) -> Records:
    empty = pa.array([], type=pa.large_string())
    return Records(names, (empty,) * len(names), np.array([], dtype=np.int64))


def _as_arrays(rows: list[list[str]]) -> tuple[Any, ...]:
    return tuple(pa.array(column, type=pa.large_string()) for column in zip(*rows, strict=True))


def _is_encodable(text: str) -> bool:
    """Tell whether the text was decoded whole: escaped bytes cannot be encoded again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(line: str) -> str:
    """Return a line without its break, its undecodable bytes written as \\xe9."""
    raw = line.rstrip("\r\n").encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace")

"""The dialect of a vendor's CSV files: encoding, delimiter, header, decimal mark, last line."""

import csv
import re
from collections import Counter
from typing import NamedTuple

from charset_normalizer import from_bytes

from rancast.datasets import FileFormat
from rancast.errors import DataError
from rancast.onboarding_sample import SampleFile
from rancast.onboarding_yaml import number_of
from rancast.reading_csv import DISGUISES, UTF8_BOM

LOOKED_AT_FILES = 5
LOOKED_AT_LINES = 200
DELIMITERS = ",;|\t"
WORDS = {",": "comma", ";": "semicolon", "|": "pipe", "\t": "tab"}
# encodings that hold ASCII and that vendors use; the others only add chances to guess wrong
ENCODINGS = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1256", "iso8859_2", "iso8859_15"),
    *("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
]
MEGABYTE = 1_000_000
SAFE_SHARE = 0.5

_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+([eE][+-]?[0-9]+)?")
_STAMP = re.compile(r"[0-9]{1,4}[-/. ]([0-9]{1,2}|[A-Za-z]{3})[-/. ][0-9]{2,4}\b.*")


class Dialect(NamedTuple):
    """The format of the files, and for each key that is not its default, the evidence."""

    form: FileFormat
    notes: dict[str, str]


class _Text(NamedTuple):
    """The first lines of some files, decoded, and those as records of one delimiter."""

    lines: list[list[str]]

    def widths(self, delimiter: str) -> Counter[int]:
        """Count how many fields the lines have."""
        return Counter(len(row) for rows in self.rows(delimiter) for row in rows)

    def rows(self, delimiter: str) -> list[list[list[str]]]:
        """Return the records of each file."""
        return [list(csv.reader(lines, delimiter=delimiter)) for lines in self.lines]


def guess_dialect(files: tuple[SampleFile, ...]) -> Dialect:
    """Return the dialect of the CSV files, the defaults where there are none.

    Raises DataError for what only has the name of CSV, and for lines before the header.
    """
    texts = tuple(file for file in files if file.is_csv)
    if not texts:
        return Dialect(FileFormat(), {})
    for file in texts:
        _refuse_disguise(file)
    encoding, notes = _encoding(texts)
    lines = _Text([_first_lines(file, encoding) for file in texts[:LOOKED_AT_FILES]])
    delimiter, notes["delimiter"] = _delimiter(lines)
    rows = lines.rows(delimiter)
    _refuse_preamble(texts, rows)
    has_header, notes["header"] = _header(rows)
    body = [row for found in rows for row in (found[1:] if has_header else found)]
    decimal, notes["decimal"] = _decimal(body, delimiter)
    width = max(len(found[0]) for found in rows if found)
    form = FileFormat(
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
        header=has_header,
        names=() if has_header else tuple(f"column_{place + 1}" for place in range(width)),
        **_ends(texts, notes),
        **_sizes(files, notes),
    )
    return Dialect(form, notes)


def _refuse_disguise(file: SampleFile) -> None:
    for signature, (reason, step) in DISGUISES.items():
        if file.data.startswith(signature):
            raise DataError(f"{file.name} {reason}; {step}.")
    if not file.data.strip():
        raise DataError(f"{file.name} is empty; leave it out.")


def _encoding(files: tuple[SampleFile, ...]) -> tuple[str, dict[str, str]]:
    marks = sum(file.data.startswith(UTF8_BOM) for file in files)
    broken = [file for file in files if not _is_utf8(file.data)]
    if not broken:
        with_mark = f", {marks} with a byte order mark, which is read over" if marks else ""
        counted = number_of(len(files), "CSV file")
        return "utf-8", {"encoding": f"all bytes of {counted} are UTF-8{with_mark}"}
    odd = [
        line
        for file in broken
        for line in file.data.splitlines()
        if any(byte > 127 for byte in line)
    ]
    best = from_bytes(b"\n".join(odd[: LOOKED_AT_LINES * 5]), cp_isolation=ENCODINGS).best()
    encoding = best.encoding if best else "cp1252"
    return encoding, {
        "encoding": f"{number_of(len(odd), 'line')} of {number_of(len(broken), 'file')} have bytes "
        f"that are not UTF-8; {encoding} is the best guess of charset-normalizer. Encodings of one "
        "byte look alike: check a name with an accent"
    }


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _first_lines(file: SampleFile, encoding: str) -> list[str]:
    head = b"\n".join(file.data.removeprefix(UTF8_BOM).splitlines()[: LOOKED_AT_LINES + 1])
    lines = head.decode(encoding, "replace").replace("\0", "").splitlines(keepends=True)
    return [line for line in lines if line.strip()][:LOOKED_AT_LINES]


def _delimiter(text: _Text) -> tuple[str, str]:
    """Return the character that cuts most lines into one number of fields, above one."""
    shares: dict[str, tuple[float, bool, int]] = {}
    sniffed = _sniffed(text)
    for delimiter in DELIMITERS:
        widths = text.widths(delimiter)
        width, count = widths.most_common(1)[0]
        if width > 1:
            shares[delimiter] = (count / widths.total(), delimiter == sniffed, width)
    if not shares:
        return ",", "no delimiter cuts the lines into fields: the files have a single column"
    best = max(shares, key=lambda delimiter: shares[delimiter])
    widths = text.widths(best)
    width, count = widths.most_common(1)[0]
    agrees = "csv.Sniffer agrees" if best == sniffed else "csv.Sniffer does not agree"
    return best, (
        f"cut at each {WORDS[best]}, {count:,} of {widths.total():,} lines have "
        f"{number_of(width, 'field')}; {agrees}"
    )


def _sniffed(text: _Text) -> str:
    try:
        return csv.Sniffer().sniff("".join(text.lines[0]), DELIMITERS).delimiter
    except csv.Error:
        return ""


def _refuse_preamble(files: tuple[SampleFile, ...], rows: list[list[list[str]]]) -> None:
    for file, found in zip(files, rows, strict=False):
        widths = [len(row) for row in found]
        usual = Counter(widths).most_common(1)[0][0]
        first = widths.index(usual)
        if first and usual > 1:
            raise DataError(
                f"{file.name} starts with {number_of(first, 'line')} of another form (the lines "
                f"after them have {usual} fields, the first has {widths[0]}); have it delivered "
                "with its header on the first line."
            )


def _header(rows: list[list[list[str]]]) -> tuple[bool, str]:
    """Tell whether the first line of the files has names: no number, time, or empty cell."""
    first = [found[0] for found in rows]
    for cells in first:
        for place, cell in enumerate(map(str.strip, cells)):
            if not cell or _NUMBER.fullmatch(cell) or _STAMP.fullmatch(cell):
                kind = "a number or a time" if cell else "empty"
                return False, f"cell {place + 1} of the first line is {kind}, so it is no header"
    for place, name in enumerate(first[0]):
        below = [row[place].strip() for row in rows[0][1:] if len(row) > place]
        if name.strip() in below:
            times = below.count(name.strip())
            return False, (
                f"the text of cell {place + 1} of the first line stands {times} times below it, so "
                "it is no header"
            )
    return True, "no cell of the first line is a number, a time or empty, or stands again below it"


def _decimal(body: list[list[str]], delimiter: str) -> tuple[str, str]:
    """Return the decimal mark by columns of numbers, of which some have it."""
    marks: Counter[str] = Counter()
    width = max((len(row) for row in body), default=0)
    for place in range(width):
        cells = [row[place].strip() for row in body if len(row) > place]
        numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
        if 2 * len(numbers) < len([cell for cell in cells if cell]):
            continue
        for mark, pattern in ((".", _POINT), (",", _COMMA)):
            marks[mark] += any(pattern.fullmatch(cell) for cell in numbers)
    decimal = "," if marks[","] > marks["."] and delimiter != "," else "."
    return decimal, (
        f"{number_of(marks[','], 'column')} of numbers with a comma, {marks['.']} with a point"
    )


def _ends(files: tuple[SampleFile, ...], notes: dict[str, str]) -> dict[str, bool]:
    whole = [file for file in files if file.is_whole]
    cut = sum(not file.data.endswith((b"\n", b"\r")) for file in whole)
    if not cut:
        return {}
    notes["final_newline"] = (
        f"{cut} of {number_of(len(whole), 'whole file')} end without a line break; if the vendor's "
        "tool always writes one, leave this key out, so that files that were cut short are noticed"
    )
    return {"final_newline": False}


def _sizes(files: tuple[SampleFile, ...], notes: dict[str, str]) -> dict[str, int]:
    largest = max(file.size for file in files) / MEGABYTE
    limit = FileFormat().limit_mb
    if largest < SAFE_SHARE * limit:
        return {}
    notes["limit_mb"] = f"the largest file has {largest:,.0f} MB"
    return {"limit_mb": min(16_384, int(2 * largest))}

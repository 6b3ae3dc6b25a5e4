"""What onboarding looks at: the heads of a vendor's files, and their cells in one table of text."""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rancast.datasets import FileFormat
from rancast.errors import DataError
from rancast.reading_csv import parse_csv
from rancast.reading_parquet import parse_parquet
from rancast.records import BlobRefused, Records

# two headers are of one feed if they share this much of all their names
SAME_FEED = 0.5
DAY_IN_PATH = r"/year=(?P<value>\d{4}/month=\d{2}/day=\d{2})/"
DAY_FORMAT = "%Y/month=%m/day=%d"
FILE_IN_PATH = r"/(?P<value>[^/]+?)\.(?:csv|csv\.gz|parquet)$"
# the day of files that lie in no day's folder yet
NO_DAY = date(2000, 1, 1)


class SampleFile(NamedTuple):
    """The head of one file, unpacked; it ends with a whole record.

    `name` is without folders, `size` that of the whole file, `is_whole` tells whether the head is
    all of it, and `day` is the one in its path, if it lies in the folder of a day already.
    """

    name: str
    data: bytes
    is_whole: bool
    size: int
    day: date | None = None

    @property
    def is_csv(self) -> bool:
        """Whether it is text, and not Parquet."""
        return self.name.endswith(".csv")

    def blob(self, dataset: str) -> str:
        """Return its name in the raw container."""
        return blob_name(dataset, self.day or NO_DAY, self.name)


def blob_name(dataset: str, day: date, name: str) -> str:
    """Return the name of a raw blob: its dataset's folder, that of its day, and the file."""
    return f"{dataset}/year={day:%Y}/month={day:%m}/day={day:%d}/{name}"


class SampleTable(NamedTuple):
    """The records of all heads as text: one array per raw name, null where there is no value.

    `file` is each row's position in `files`, `times` are names that Parquet stores as times,
    `malformed` counts what is no record, and `seen_in` the files that have a column.
    """

    files: tuple[SampleFile, ...]
    cells: dict[str, Any]
    file: npt.NDArray[np.int64]
    times: frozenset[str]
    malformed: int
    seen_in: dict[str, int]

    @property
    def rows(self) -> int:
        """How many records were read."""
        return len(self.file)

    @property
    def is_whole(self) -> bool:
        """Whether every file was read to its end."""
        return all(file.is_whole for file in self.files)


def read_table(files: tuple[SampleFile, ...], form: FileFormat) -> SampleTable:
    """Read the records of every file by the product's own readers.

    Raises DataError for a file that cannot be read, with the reader's next step, for files of
    several feeds, and where there is not a single record.
    """
    records = [_records(file, form) for file in files]
    names = _union(files, records)
    counts = [len(found.lines) for found in records]
    if not sum(counts):
        raise DataError(
            f"{len(files)} files hold no record, only headers; take files with a day of data."
        )
    cells = {
        name: pa.concat_arrays(
            [
                _texts(found, name) if name in found.names else pa.nulls(count, pa.large_string())
                for found, count in zip(records, counts, strict=True)
            ]
        )
        for name in names
    }
    return SampleTable(
        files=files,
        cells=cells,
        file=np.repeat(np.arange(len(files)), counts),
        times=frozenset(found.names[place] for found in records for place in found.iso),
        malformed=sum(len(found.malformed) for found in records),
        seen_in={name: sum(name in found.names for found in records) for name in names},
    )


def _records(file: SampleFile, form: FileFormat) -> Records:
    try:
        if not file.is_csv:
            return parse_parquet(file.data, form.limit_bytes, frozenset())
        return parse_csv(file.data, form, frozenset(_names(file, form)))
    except BlobRefused as refused:
        raise DataError(f"{file.name} {refused}.") from refused


def _names(file: SampleFile, form: FileFormat) -> tuple[str, ...]:
    """Return all raw names of a file: any cell of a sample may hold a line break."""
    if not form.header:
        return form.names
    head = file.data.lstrip(b"\r\n").split(b"\n", 1)[0]
    return parse_csv(head + b"\n", form, frozenset()).names


def _texts(found: Records, name: str) -> Any:
    """Return a column's cells without blanks around them, null where empty."""
    text = pc.utf8_trim_whitespace(found.cells[found.names.index(name)])
    return pc.if_else(pc.equal(text, ""), None, text)


def _union(files: tuple[SampleFile, ...], records: list[Records]) -> list[str]:
    """Return the names of all files, in order; raises DataError where they are several feeds."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for file, found in zip(files, records, strict=True):
        if len(set(found.names)) < len(found.names) or "" in found.names:
            raise DataError(
                f"{file.name} has a column without a name, or a name twice, among its "
                f"{len(found.names)}; have it delivered with one name for each column."
            )
        groups.setdefault(found.names, []).append(file.name)
    headers = sorted(groups, key=lambda header: -len(groups[header]))
    for header in headers[1:]:
        common, together = set(header) & set(headers[0]), set(header) | set(headers[0])
        if len(common) < SAME_FEED * len(together):
            raise DataError(
                f"the files are of {len(headers)} feeds: {groups[headers[0]][0]} and "
                f"{groups[header][0]} share {len(common)} of {len(together)} column names; run "
                "make onboard once for each, with DATA naming its files alone."
            )
    return list(dict.fromkeys(name for header in headers for name in header))


def value_counts(cells: Any) -> "pd.Series[int]":
    """Return how often each text stands in a column, most frequent first, nulls left out."""
    found = pc.value_counts(cells.drop_null())
    counts = pd.Series(
        found.field("counts").to_numpy(zero_copy_only=False),
        index=pd.Index(found.field("values").to_pylist(), dtype=object),
        dtype="int64",
    )
    return counts.sort_values(ascending=False, kind="stable")

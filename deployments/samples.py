"""Which part of a folder of vendor files is looked at: the heads of some, in bounded memory."""

import gzip
import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rancast.errors import DataError
from rancast.onboarding_sample import DAY_IN_PATH, SampleFile

MOST_FILES = 40
MOST_BYTES = 64_000_000
MOST_ROWS = 200_000
SUFFIXES = (".csv", ".csv.gz", ".parquet")


class RawFile(NamedTuple):
    """A file of a vendor: `name` is without folders, `day` from its path if that has one."""

    path: Path
    name: str
    day: date | None


def find_files(data: Path) -> list[RawFile]:
    """Return the data files at or below `data`, by name.

    Raises DataError where there is none, with what is there instead.
    """
    if not data.exists():
        raise DataError(f"{data} is not there; set DATA to a file or to a folder of files.")
    paths = [data] if data.is_file() else sorted(path for path in data.rglob("*") if path.is_file())
    hidden = re.compile(r"(^|/)[._]")
    paths = [path for path in paths if path == data or not hidden.search(_below(path, data))]
    found = [path for path in paths if path.name.endswith(SUFFIXES)]
    if not found:
        kinds = ", ".join(sorted({path.suffix or path.name for path in paths})[:8]) or "nothing"
        raise DataError(
            f"{data} has no {', '.join(SUFFIXES)} file, but {kinds}; unpack archives, have "
            "spreadsheets exported as CSV, and have files named by what they are."
        )
    return [RawFile(path, _flat(_below(path, data)), _day(path)) for path in found]


def _below(path: Path, data: Path) -> str:
    return path.name if path == data else path.relative_to(data).as_posix()


def _flat(below: str) -> str:
    """Return a file's name with its folders in it, apart from that of its day."""
    return re.sub(f"^(.*{DAY_IN_PATH[1:]})", "", f"/{below}").strip("/").replace("/", "_")


def _day(path: Path) -> date | None:
    found = re.search(DAY_IN_PATH, path.resolve().as_posix())
    return date(*map(int, re.findall(r"\d+", found["value"]))) if found else None


def read_sample(found: list[RawFile]) -> tuple[SampleFile, ...]:
    """Return the heads of at most MOST_FILES files, spread evenly over their names.

    Together they have at most MOST_BYTES, unpacked, and about MOST_ROWS records.
    """
    places = np.unique(np.linspace(0, len(found) - 1, MOST_FILES).round().astype(int))
    chosen = [found[place] for place in places]
    size, rows = MOST_BYTES // len(chosen), MOST_ROWS // len(chosen)
    return tuple(_head(file, size, rows) for file in chosen)


def _head(file: RawFile, most_bytes: int, most_rows: int) -> SampleFile:
    size = file.path.stat().st_size
    try:
        if file.name.endswith(".parquet"):
            data, is_whole = _parquet_head(file.path, most_rows)
            return SampleFile(file.name, data, is_whole, size, file.day)
        opened = gzip.open if file.name.endswith(".gz") else open
        with opened(file.path, "rb") as stream:
            data, is_whole = _csv_head(stream, most_bytes, most_rows)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise DataError(
            f"{file.path} cannot be read ({' '.join(str(error).split())}); have it delivered again."
        ) from error
    return SampleFile(file.name.removesuffix(".gz"), data, is_whole, size, file.day)


def _csv_head(stream: BinaryIO, most_bytes: int, most_rows: int) -> tuple[bytes, bool]:
    """Return the first records, whole, and whether they are all."""
    data = stream.read(most_bytes + 1)
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    is_cut = len(data) > most_bytes
    if not is_cut and len(ends) <= most_rows + 1:
        return data, True
    for end in ends[: most_rows + 1][::-1]:
        # a line break between quotes is part of a cell
        if data.count(b'"', 0, int(end)) % 2 == 0:
            return data[: int(end) + 1], False
    return data, not is_cut


def _parquet_head(path: Path, most_rows: int) -> tuple[bytes, bool]:
    file = pq.ParquetFile(path)
    head = list(_batches(file, most_rows))
    sink = io.BytesIO()
    table = pa.Table.from_batches(head, file.schema_arrow)
    pq.write_table(table, sink)
    return sink.getvalue(), table.num_rows == file.metadata.num_rows


def _batches(file: pq.ParquetFile, most_rows: int) -> Iterator[pa.RecordBatch]:
    left = most_rows
    for batch in file.iter_batches(batch_size=min(65_536, most_rows)):
        yield batch.slice(0, left)
        left -= len(batch)
        if left <= 0:
            return

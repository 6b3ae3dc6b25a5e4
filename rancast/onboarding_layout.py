"""A vendor's file into the raw container's folders: one part per UTC day, each row as it was."""

import gzip
import io
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from rancast.datasets import Dataset
from rancast.errors import DataError
from rancast.onboarding_sample import NO_DAY, blob_name
from rancast.reading import read_partition
from rancast.reading_gzip import unpack

# pseudonyms that are made to be thrown away
KEY = b"of a layout that is thrown away"


def split_by_day(name: str, data: bytes, dataset: Dataset) -> dict[date, bytes]:
    """Return the parts of a file by the UTC day in which their rows' periods start.

    A file of a single day stays as it is. A record that cannot be read goes with the one before it,
    so that ingestion tells what is wrong with it. Raises DataError for a file that is refused, with
    the reader's sentence, and for one of which no record can be read.
    """
    blob = blob_name(dataset.name, NO_DAY, name)
    pulled = read_partition({blob: data}, dataset, KEY)
    if pulled.inventory.refusals:
        raise DataError(f"{' '.join(pulled.inventory.refusals)}.")
    if pulled.typed.empty:
        raise DataError(
            f"{name}: none of {len(pulled.rejected):,} records can be read by "
            f"datasets/{dataset.name}.yaml; the first one: {pulled.rejected['rule'].iloc[0]}."
        )
    starts, days = _records(pulled.typed, pulled.rejected, dataset.time.column)
    distinct = sorted(set(days))
    if len(distinct) == 1:
        return {distinct[0]: data}
    if name.endswith(".parquet"):
        return {day: _rows(data, starts[days == day]) for day in distinct}
    is_packed = name.endswith(".gz")
    content = unpack(data, dataset.format.limit_bytes).content if is_packed else data
    parts = {day: _lines(content, starts, days == day) for day in distinct}
    return {day: gzip.compress(part, mtime=0) if is_packed else part for day, part in parts.items()}


def _records(
    typed: pd.DataFrame, rejected: pd.DataFrame, clock: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """Return the line of each record, in order, and its day."""
    found = pd.Series(typed[clock].dt.date.to_numpy(), index=typed["_line"].to_numpy())
    unread = pd.Series(None, index=rejected["line"].to_numpy(), dtype=object)
    days = pd.concat([found, unread]).sort_index().ffill().bfill()
    return days.index.to_numpy(dtype=np.int64), days.to_numpy(dtype=object)


def _rows(data: bytes, numbers: npt.NDArray[np.int64]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(data)).take(numbers - 1), sink)
    return sink.getvalue()


def _lines(
    content: bytes, starts: npt.NDArray[np.int64], is_wanted: npt.NDArray[np.bool_]
) -> bytes:
    """Return the header and the records that are wanted, each from its line to the next one's."""
    end = b"\n" if b"\n" in content else b"\r"
    breaks = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == end[0])
    places = np.concatenate([[0], breaks + 1])[starts - 1].tolist()
    bounds = zip(places, [*places[1:], len(content)], is_wanted, strict=True)
    chosen = [content[first:last] for first, last, wanted in bounds if wanted]
    return content[: places[0]] + b"".join(chosen)

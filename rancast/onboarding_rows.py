"""The rows of a sample as codes: which columns tell them apart, and how far apart they lie."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from rancast.grids import microseconds
from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_names import FILE
from rancast.onboarding_sample import SampleTable

Codes = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """One column of whole numbers per column of ours, equal where its cells are, -1 where missing.

    `codes` has one row per distinct record, `times` each timestamp's column in UTC, `total` counts
    all records, and `file` is the column of files.
    """

    codes: pd.DataFrame
    times: dict[str, "pd.Series[pd.Timestamp]"]
    total: int

    @property
    def repeated(self) -> int:
        """How many records stand in the sample once more, equal in every column."""
        return self.total - len(self.codes)

    def distinct(self, columns: Iterable[str]) -> int:
        """Return how many different values the columns have together."""
        return len(np.unique(hashed(self.codes[list(columns)])))

    def share(self, columns: Iterable[str]) -> float:
        """Return the share of distinct records that the columns tell apart."""
        return self.distinct(columns) / len(self.codes)


def hashed(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return one number per row, equal for equal rows; a constant for a frame without columns."""
    if frame.shape[1] == 0:
        return np.zeros(len(frame), dtype=np.uint64)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def encode_rows(table: SampleTable, columns: Sequence[ColumnGuess]) -> Rows:
    """Return the distinct rows of a sample as codes."""
    codes = pd.DataFrame({FILE: table.file})
    times = {}
    for guess in columns:
        encoded = pc.dictionary_encode(table.cells[guess.raw])
        places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        words = encoded.dictionary.to_pylist()
        is_mark = np.array([word in guess.missing for word in words] + [True], dtype=bool)
        codes[guess.name] = np.where(is_mark[places], -1, places)
        if guess.time is not None:
            stamps = guess.time.values.reindex(words)
            times[guess.name] = pd.Series([*stamps, pd.NaT]).take(places).reset_index(drop=True)
            codes[guess.name] = microseconds(times[guess.name])
    is_first = ~pd.Series(hashed(codes.drop(columns=FILE))).duplicated()
    kept = {name: values[is_first].reset_index(drop=True) for name, values in times.items()}
    return Rows(codes[is_first].reset_index(drop=True), kept, table.rows)


class Gaps(NamedTuple):
    """The gaps between rows of one entity: the usual one, how many have it, or a multiple of it."""

    period: timedelta
    usual: int
    multiples: int
    total: int


def gaps(rows: Rows, entity: str | None, clock: str) -> Gaps | None:
    """Return the gaps between successive times of each entity; None where no entity has two."""
    of = rows.codes[entity] if entity else pd.Series(0, index=rows.codes.index)
    found = pd.DataFrame({"of": of, "at": rows.codes[clock]})[rows.times[clock].notna()]
    found = found.drop_duplicates().sort_values(["of", "at"])
    lengths = found["at"].diff()[found["of"].diff() == 0].astype("int64").to_numpy()
    if not len(lengths):
        return None
    values, counts = np.unique(lengths, return_counts=True)
    usual = int(values[counts.argmax()])
    return Gaps(
        period=timedelta(microseconds=usual),
        usual=int(counts.max()),
        multiples=int((lengths % usual == 0).sum()),
        total=len(lengths),
    )

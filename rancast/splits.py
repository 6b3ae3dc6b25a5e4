"""How time is divided: train < embargo < holdout, and folds that follow time inside train."""

from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.durations import short_duration
from rancast.errors import EvidenceError
from rancast.grids import Ints, microseconds
from rancast.table_view import Split


def assign(times: "pd.Series[pd.Timestamp]", split: Split, end: pd.Timestamp) -> "pd.Series[str]":
    """Return 'train', 'embargo' or 'holdout' for each time, as `str` on the index of `times`.

    `end` is the end (exclusive) of the last day whose labels are complete; the holdout is the
    `split.holdout` before it, the embargo the `split.embargo` before that. Raises EvidenceError
    where a part that is needed has no rows, with the days there are, and ValueError for a time at
    or after `end`.
    """
    if len(times) and times.max() >= end:
        raise ValueError(f"{times.max()} is not before the end of complete labels, {end}")
    start = end - split.holdout
    parts = np.where(times >= start, "holdout", "embargo")
    parts = np.where(times < start - split.embargo, "train", parts)
    _expect_rows(times, parts, split, start)
    return pd.Series(parts, index=times.index, dtype="str", name="split")


def _expect_rows(
    times: "pd.Series[pd.Timestamp]", parts: NDArray[np.str_], split: Split, start: pd.Timestamp
) -> None:
    if not len(times):
        raise EvidenceError(
            "there is no labelled row to divide into train and holdout; look at the coverage of "
            "the dataset's partitions and at target.observed."
        )
    for part in ("train", "holdout"):
        if not (parts == part).any():
            days = f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
            raise EvidenceError(
                f"{times.dt.floor('D').nunique()} days with labelled rows ({days}) are too few: "
                f"no row is left for {part}, with a holdout of {short_duration(split.holdout)} "
                f"from {start:%Y-%m-%d} on and an embargo of {short_duration(split.embargo)}; "
                "ingest more days, or shorten split.holdout."
            )


def folds(times: "pd.Series[pd.Timestamp]", n: int, embargo: timedelta) -> list[tuple[Ints, Ints]]:
    """Return `n` pairs of row positions (train, test), each test later than its train.

    Like scikit-learn's TimeSeriesSplit with a growing train, but by time and not by row: times are
    cut into n + 1 blocks of about as many rows each, all rows of one time lie in one block, and
    train ends more than `embargo` before its test starts. Rows may be in any order. Raises
    EvidenceError where a fold has no row to train or to test on.
    """
    at = microseconds(times)
    ordered = np.sort(at)
    gap = embargo // timedelta(microseconds=1)
    borders = [int(ordered[len(at) * fold // (n + 1)]) for fold in range(1, n + 1) if len(at)]
    found = []
    for start, end in zip(borders, [*borders[1:], np.iinfo(np.int64).max], strict=False):
        train = np.flatnonzero(at < start - gap)
        test = np.flatnonzero((at >= start) & (at < end))
        if len(train) and len(test):
            found.append((train, test))
    if len(found) < n:
        raise EvidenceError(
            f"{len(at):,} rows at {len(np.unique(at)):,} times are too few for {n} folds in time "
            f"with an embargo of {short_duration(embargo)}; take fewer folds or a longer history."
        )
    return found

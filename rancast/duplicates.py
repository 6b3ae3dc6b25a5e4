"""Which row of a repeated key stays: the dataset's rule `duplicates`."""

from typing import Literal, NamedTuple

import pandas as pd

from rancast.datasets import Dataset


class Deduplicated(NamedTuple):
    """Rows with unique keys, rows in conflict, and how many others were taken as duplicates."""

    kept: pd.DataFrame
    conflicting: pd.DataFrame
    duplicates: int


def deduplicate(rows: pd.DataFrame, dataset: Dataset) -> Deduplicated:
    """Sort rows of a typed frame by the dataset's rule; rows come in order of blob and line.

    Rows that agree in every column of the dataset are one row delivered twice: one stays, the
    others count as duplicates whatever the rule. Among rows that differ, `quarantine` puts all of
    the key in conflict, `first` and `last` keep one, and `mean` keeps the last one with the average
    of each number (integers rounded half to even), the others count as duplicates.
    """
    key, columns = list(dataset.key), list(dataset.columns)
    is_repeated = rows.duplicated(key, keep=False)
    if not is_repeated.any():
        return Deduplicated(rows, rows.iloc[:0], 0)
    single, repeated = rows[~is_repeated], rows[is_repeated]
    # the last of equal rows stays where the last row of a key is meant to stay
    keep: Literal["first", "last"] = "last" if dataset.duplicates in ("last", "mean") else "first"
    distinct = repeated[~repeated.duplicated(columns, keep=keep)]
    if dataset.duplicates == "quarantine":
        is_torn = distinct.duplicated(key, keep=False)
        chosen, conflicting = distinct[~is_torn], distinct[is_torn]
    else:
        chosen, conflicting = distinct[~distinct.duplicated(key, keep=keep)], distinct.iloc[:0]
    if dataset.duplicates == "mean":
        chosen = _averaged(distinct, chosen, dataset)
    duplicates = len(repeated) - len(chosen) - len(conflicting)
    return Deduplicated(pd.concat([single, chosen]), conflicting, duplicates)


def _averaged(distinct: pd.DataFrame, chosen: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return `chosen` with each number replaced by the mean over its key, empty cells left out."""
    key = list(dataset.key)
    kinds = {name: column.type for name, column in dataset.columns.items() if name not in key}
    averaged = chosen.copy()
    for name in [name for name, kind in kinds.items() if kind in ("float", "integer")]:
        means = distinct.groupby(key, sort=False)[name].transform("mean")[chosen.index]
        averaged[name] = means.round().astype("Int64") if kinds[name] == "integer" else means
    return averaged

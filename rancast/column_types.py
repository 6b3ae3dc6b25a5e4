"""The types of a dataset's columns: which of them are numbers, and what each is in pandas."""

import pandas as pd

from rancast.datasets import ColumnType, Dataset

TEXT: tuple[ColumnType, ...] = ("string",)
NUMERIC: tuple[ColumnType, ...] = ("float", "integer", "boolean")
DTYPES: dict[ColumnType, str] = {
    "string": "str",
    "float": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "timestamp": "datetime64[us, UTC]",
}


def no_rows(dataset: Dataset) -> pd.DataFrame:
    """Return a curated frame of `dataset` without rows: its columns with their types."""
    return pd.DataFrame(
        {name: pd.Series(dtype=DTYPES[column.type]) for name, column in dataset.columns.items()}
    )

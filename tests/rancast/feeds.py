"""Small feeds that the reader's tests read: a dataset of cells, one of subscribers, and helpers."""

from typing import Any

import pandas as pd

from rancast.datasets import Dataset
from rancast.reading import Pulled, read_partition

KEY = b"a key of the tests, long enough"
HEADER = b"timestamp,cell_id,latency_ms,note\n"
ROW = b"2024-03-01T00:05:00Z,A,12.5,fine\n"
NAME = "cells/year=2024/month=03/day=01/a.csv"

CELLS: dict[str, Any] = {
    "name": "cells",
    "kind": "periodic",
    "time": {"column": "timestamp", "period": "5min"},
    "key": ["cell_id", "timestamp"],
    "entity": "cell_id",
    "columns": {
        "cell_id": {"type": "string", "from": ["cell"]},
        "timestamp": {"type": "timestamp"},
        "latency_ms": {"type": "float", "from": ["ping_avg"], "missing": ["-", "NULL"]},
        "note": {"type": "string", "required": False},
    },
}
CALLS: dict[str, Any] = {
    "name": "calls",
    "kind": "events",
    "time": {"column": "timestamp"},
    "key": ["call_id"],
    "columns": {
        "call_id": {"type": "string"},
        "timestamp": {"type": "timestamp"},
        "caller_id": {"type": "string"},
        "seconds": {"type": "integer"},
    },
    "pseudonymise": {"caller_id": "subscriber"},
}


def cells(**changes: Any) -> Dataset:
    """The dataset of cells, some of its keys replaced."""
    return Dataset.model_validate(CELLS | changes)


def with_column(name: str, **column: Any) -> Dataset:
    """The dataset of cells with one more column, or another form of one."""
    return cells(columns=CELLS["columns"] | {name: column})


def read(data: bytes, dataset: Dataset | None = None, name: str = NAME) -> Pulled:
    """Read one blob, and check on the way that no record was lost or invented."""
    pulled = read_partition({name: data}, dataset or cells(), KEY)
    rows = sum(source.rows for source in pulled.inventory.sources)
    assert len(pulled.typed) + len(pulled.rejected) == rows
    return pulled


def reject(data: bytes, dataset: Dataset | None = None) -> dict[str, Any]:
    """Read a sound file in which one record is rejected; return that one."""
    pulled = read(data, dataset)
    assert pulled.inventory.refusals == ()
    (row,) = pulled.rejected.to_dict("records")
    return {str(key): value for key, value in row.items()}


def refuse(data: bytes, dataset: Dataset | None = None, name: str = NAME) -> str:
    """Read a file that is refused, every record of it rejected; return the refusal."""
    pulled = read(data, dataset, name)
    assert pulled.typed.empty
    (refusal,) = pulled.inventory.refusals
    assert all(rule in refusal for rule in pulled.rejected["rule"])
    return refusal


def texts(values: pd.Series) -> list[str]:
    """The values of a column as text, for literals that fit a line."""
    return [str(value) for value in values]

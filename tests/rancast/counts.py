"""A small dataset of counters, KPIs and a cumulative counter, from which telecom tests start."""

from datetime import date
from typing import Any

import pandas as pd

from rancast.column_types import no_rows
from rancast.datasets import Dataset
from rancast.use_cases import UseCase

DAY = date(2024, 3, 4)  # a Monday
DROPS: dict[str, Any] = {"numerator": "dropped", "denominator": "attempts", "unit": "ratio"}


def dataset(**changes: Any) -> Dataset:
    """Return a dataset of cells that report calls and bytes each quarter of an hour."""
    given = {
        "name": "counts",
        "kind": "periodic",
        "entity": "cell",
        "time": {"column": "at", "period": "15min"},
        "key": ["cell", "at"],
        "columns": {
            "cell": {"type": "string"},
            "at": {"type": "timestamp"},
            "dropped": {"type": "integer"},
            "attempts": {"type": "integer"},
            "total": {"type": "integer"},
        },
        "cumulative": {"total": {"increment": "bytes", "width": 16}},
        "kpis": {"drop_ratio": DROPS, "calls": {"numerator": "attempts"}},
    }
    return Dataset.model_validate(given | changes)


def rows(*given: tuple[Any, ...]) -> pd.DataFrame:
    """Return a curated frame of (cell, at, dropped, attempts, total), the last ones optional.

    `at` is HH:MM of DAY, or a whole date and time, in UTC.
    """
    typed = no_rows(dataset())
    whole = [row + (None,) * (len(typed.columns) - len(row)) for row in given]
    frame = pd.DataFrame(whole, columns=typed.columns)
    frame["at"] = [pd.Timestamp(at if "-" in at else f"{DAY} {at}", tz="UTC") for at in frame["at"]]
    return frame.astype(typed.dtypes.to_dict())


def use_case(features: dict[str, Any], **changes: Any) -> UseCase:
    """Return a use case over `dataset` with these features: are many calls dropped in an hour?"""
    given = {
        "name": "drops",
        "problem": "classification",
        "dataset": "counts",
        "entity": "cell",
        "history": "10d",
        "target": {"within": "1h", "any": "drop_ratio > 0.5", "observed": 0.5},
        "features": features,
        "split": {"holdout": "1d", "embargo": "2h"},
        "candidates": [{"name": "logistic", "estimator": "LogisticRegression"}],
        "metric": "average_precision",
    }
    return UseCase.model_validate(given | changes)


def bits_of(frame: pd.DataFrame) -> list[int]:
    """Return the bits of every value of a frame, hashed by row, wherever the row lies in it."""
    hashed: list[int] = pd.util.hash_pandas_object(frame, index=False).tolist()
    return hashed

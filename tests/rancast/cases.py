"""A small dataset and use case from which tests of features, targets and tables start."""

from datetime import date, timedelta
from typing import Any

import pandas as pd

from rancast.column_types import no_rows
from rancast.datasets import Dataset
from rancast.use_cases import UseCase

DAY = date(2024, 3, 4)  # a Monday
NEXT_DAY = DAY + timedelta(days=1)


def dataset(period: str | None = "10min") -> Dataset:
    """Return a dataset of cells with a number, a count, a flag and a text."""
    return Dataset.model_validate(
        {
            "name": "kpi",
            "kind": "periodic" if period else "events",
            "entity": "cell",
            "time": {"column": "at", "period": period},
            "key": ["cell", "at"],
            "columns": {
                "cell": {"type": "string"},
                "at": {"type": "timestamp"},
                "load": {"type": "float"},
                "users": {"type": "integer"},
                "is_busy": {"type": "boolean"},
                "band": {"type": "string"},
            },
        }
    )


def rows(*given: tuple[Any, ...]) -> pd.DataFrame:
    """Return a curated frame of (cell, at, load, users, is_busy, band), the last ones optional.

    `at` is HH:MM of DAY, or a whole date and time.
    """
    typed = no_rows(dataset())
    whole = [row + (None,) * (len(typed.columns) - len(row)) for row in given]
    frame = pd.DataFrame(whole, columns=typed.columns)
    frame["at"] = [pd.Timestamp(at if "-" in at else f"{DAY} {at}", tz="UTC") for at in frame["at"]]
    return frame.astype(typed.dtypes.to_dict())


def spec(**changes: Any) -> dict[str, Any]:
    """Return a use case as it stands in YAML: is the load above 90 within 20 minutes?"""
    return {
        "name": "overload",
        "problem": "classification",
        "dataset": "kpi",
        "entity": "cell",
        "history": "10d",
        "target": {"within": "20min", "any": "load > 90", "observed": 0.5},
        "features": {"current": ["load"]},
        "split": {"holdout": "1d", "embargo": "20min"},
        "candidates": [{"name": "logistic", "estimator": "LogisticRegression"}],
        "metric": "average_precision",
    } | changes


def regression(**changes: Any) -> dict[str, Any]:
    """Return a use case for the mean load of the next 20 minutes."""
    target = {"within": "20min", "mean": "load", "observed": 0.5}
    return spec(**{"problem": "regression", "metric": "mae", "target": target} | changes)


def clustering(**changes: Any) -> dict[str, Any]:
    """Return a use case that groups cells by their load."""
    given = spec(
        problem="clustering",
        metric="silhouette",
        gates={"floors": {"stability": 0.6}},
        candidates=[{"name": "k_means", "estimator": "KMeans", "params": {"n_clusters": 2}}],
    )
    return {name: value for name, value in given.items() if name != "target"} | changes


def use_case(given: dict[str, Any]) -> UseCase:
    """Return the use case of a spec."""
    return UseCase.model_validate(given)


def use_case_with(features: dict[str, Any], **changes: Any) -> UseCase:
    """Return the use case with these features."""
    return use_case(spec(features=features, **changes))

"""Baselines as prediction frames of the same holdout rows as every model."""

import numpy as np
import pandas as pd
import pytest

from rancast.baselines import predictions
from rancast.errors import EvidenceError

TABLE = pd.DataFrame(
    {
        "entity": ["a", "b", "a", "a", "b"],
        "time": pd.to_datetime(
            ["2024-03-01", "2024-03-01", "2024-03-02", "2024-03-03", "2024-03-03"], utc=True
        ),
        "connection_type": ["4G", "5G", "4G", "4G", "5G"],
        "y": [1.0, 0.0, 0.0, 1.0, 0.0],
        "split": ["train", "train", "embargo", "holdout", "holdout"],
        "baseline_last_value": [np.nan, np.nan, np.nan, 0.0, np.nan],
        "baseline_seasonal": [np.nan, np.nan, np.nan, 0.25, 0.75],
        "baseline_weekly": [np.nan, np.nan, np.nan, np.nan, 0.5],
    }
)


def test_baselines_predict_the_holdout_rows() -> None:
    """Each baseline has the holdout's rows; one without a value says what is usual in training."""
    found = predictions(TABLE, "classification", ("connection_type",))
    assert {name: frame["prediction"].tolist() for name, frame in found.items()} == {
        "last_value": [0.0, 0.5],
        "seasonal": [0.25, 0.75],
        "weekly": [0.5, 0.5],
        "majority": [0.5, 0.5],
    }
    expected = ["entity", "time", "y", "prediction", "connection_type"]
    for frame in found.values():
        assert list(frame.columns) == expected and frame["entity"].tolist() == ["a", "b"]


def test_majority_of_a_regression_is_the_training_median() -> None:
    """One huge value in the training rows does not move the usual value."""
    table = TABLE.assign(y=[1.0, 3.0, 9.0, 5.0, 5.0], split=["train"] * 3 + ["holdout"] * 2)
    table.loc[2, "y"] = 1e9
    assert predictions(table, "regression")["majority"]["prediction"].tolist() == [3.0, 3.0]


def test_no_training_rows_is_no_evidence() -> None:
    """A base rate of nothing is an error, not a missing prediction."""
    with pytest.raises(EvidenceError, match="no training rows"):
        predictions(TABLE.assign(split="holdout"), "classification")

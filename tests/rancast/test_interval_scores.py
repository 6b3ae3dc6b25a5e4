"""Intervals on the holdout: which share they held, how wide they were, and both in one number."""

import numpy as np
import pandas as pd
import pytest

from rancast.evaluation import Evaluation, Interval, evaluate
from rancast.gates import Intervals
from rancast.interval_scores import scores, with_intervals

WANTED = Intervals(coverage=0.8, by="technology", minimum_support=2)
FOUR = pd.DataFrame(
    {
        "entity": ["a", "a", "b", "b"],
        "time": pd.to_datetime(["2024-03-01", "2024-03-02"] * 2, utc=True),
        "y": [10.0, 12.0, 20.0, 33.0],
        "prediction": [10.0, 10.0, 22.0, 22.0],
        "low": [9.0, 9.0, 20.5, 19.0],
        "high": [12.0, 12.0, 24.5, 31.0],
        "technology": pd.Series(["4G", "4G", "5G", "5G"], dtype="str"),
    }
)


def evaluated(frame: pd.DataFrame, wanted: Intervals | None = WANTED) -> Evaluation:
    """Return the evaluation of a frame, intervals included."""
    return with_intervals(evaluate(frame, "regression", ("mae",), seed=1), frame, wanted, seed=1)


def test_each_row_has_its_coverage_width_and_score() -> None:
    """An end belongs to the interval; outside, the score adds ten times the distance at 80 %."""
    found = scores(FOUR, 0.8)
    assert found["coverage"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert found["interval_width"].tolist() == [3.0, 3.0, 4.0, 12.0]
    assert found["interval_score"].tolist() == pytest.approx([3.0, 3.0, 9.0, 32.0])


def test_metrics_have_bounds_and_groups() -> None:
    """Coverage, width and score stand beside the other metrics, with their bounds and per group."""
    found = evaluated(FOUR)
    assert found.metrics["coverage"] == Interval(value=0.5, low=0.0, high=1.0)
    assert found.metrics["interval_width"].value == 5.5
    assert found.metrics["interval_score"].value == pytest.approx(11.75)
    groups = [(part.metric, part.value, part.rows, part.score) for part in found.slices]
    assert groups == [
        ("mae", "4G", 2, 1.0),
        ("mae", "5G", 2, 6.5),
        ("coverage", "4G", 2, 1.0),
        ("coverage", "5G", 2, 0.0),
        ("interval_score", "4G", 2, 3.0),
        ("interval_score", "5G", 2, pytest.approx(20.5)),
        ("interval_width", "4G", 2, 3.0),
        ("interval_width", "5G", 2, 8.0),
    ]


def test_without_intervals_nothing_is_added() -> None:
    """A model without intervals, and a use case that asks for none, keep their evaluation."""
    bare = FOUR.drop(columns=["low", "high"])
    assert evaluated(bare) == evaluated(bare, None)
    assert set(evaluated(FOUR, None).metrics) == {"mae"}
    assert {part.column for part in evaluated(FOUR, None).slices} == {"technology"}


def test_a_missing_end_voids_the_metric_with_its_reason() -> None:
    """A row without an interval is not left out of the share."""
    found = evaluated(FOUR.assign(high=[12.0, np.nan, 24.5, 31.0]))
    assert set(found.metrics) == {"mae"}
    assert "1 of 4 predictions are not finite, so coverage" in found.missing["coverage"]
    by_group = {part.value: part for part in found.slices if part.metric == "coverage"}
    assert by_group["4G"].score is None and by_group["5G"].score == 0.0


def test_the_true_quantiles_score_best() -> None:
    """The interval score is proper: wider and narrower intervals than the true ones score worse."""
    y = np.random.default_rng(3).normal(size=20_000)
    half = {
        width: pd.DataFrame({"y": y, "low": -width, "high": width}) for width in (1.0, 1.64, 3.0)
    }
    mean = {width: scores(frame, 0.9)["interval_score"].mean() for width, frame in half.items()}
    assert mean[1.64] < mean[1.0] and mean[1.64] < mean[3.0]

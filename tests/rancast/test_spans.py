"""Days whose rows share measurements count as one: labels of a week make spans of a week."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.bootstrap import cluster_codes
from rancast.decisions import Comparison, compare
from rancast.evaluation import evaluate
from rancast.gates import Gates

WEEK, NONE = timedelta(days=7), timedelta(0)
GATES = Gates(minimum_clusters={"entity": 2, "day": 2})
DAYS = pd.date_range("2024-03-01", periods=42, tz="UTC").as_unit("us")
CUSTOMERS = [f"C{number:02}" for number in range(20)]


def rows(**columns: Any) -> pd.DataFrame:
    """Return a row for each customer and day, customer by customer."""
    keys = {"entity": np.repeat(CUSTOMERS, len(DAYS)), "time": np.tile(DAYS, len(CUSTOMERS))}
    return pd.DataFrame(keys | columns)


@pytest.mark.parametrize(
    "gap, days, expected",
    [
        (NONE, [0, 1, 2, 9], [0, 1, 2, 3]),
        (timedelta(hours=47), [0, 1, 2, 9], [0, 1, 2, 3]),
        (WEEK, range(14), [0] * 7 + [1] * 7),
        (WEEK, range(16), [0] * 7 + [1] * 9),
        (WEEK, [0, 6, 21, 27], [0, 0, 1, 1]),
        (WEEK, range(5), [0] * 5),
    ],
    ids=["none", "shorter than two days", "two spans", "a rest", "a span without rows", "one"],
)
def test_a_span_is_as_long_as_the_gap(gap: timedelta, days: Any, expected: list[int]) -> None:
    """Whole days from the first row on; what is left over at the end is no cluster of its own."""
    times = pd.Timestamp("2024-02-27T23:00", tz="UTC") + pd.to_timedelta(list(days), unit="D")
    frame = pd.DataFrame({"entity": "a", "time": times})
    assert cluster_codes(frame, gap)["day"].tolist() == expected


def weekly_outcomes(random: np.random.Generator) -> pd.DataFrame:
    """Return rows whose y is the mean over the seven days after t of what all customers share."""
    shared = random.normal(size=len(DAYS) + 7)
    week = np.convolve(shared, np.ones(7) / 7, "valid")[1 : len(DAYS) + 1]
    own = random.normal(size=len(CUSTOMERS) * len(DAYS))
    return rows(y=np.tile(week, len(CUSTOMERS)) + own)


def compared(gap: timedelta, seed: int) -> Comparison:
    """Compare two forecasts that are truly equally good: one always high, one always low."""
    outcomes = weekly_outcomes(np.random.default_rng(seed))
    high, low = (outcomes.assign(prediction=value) for value in (0.2, -0.2))
    return compare(high, low, "mae", GATES, "2024-01-01", gap)


def share_missed(gap: timedelta) -> float:
    """Return how often the 95 % interval of an improvement leaves the true one, 0, out."""
    found = [compared(gap, seed) for seed in range(120)]
    assert all(one.is_sufficient and one.low is not None for one in found)
    return float(np.mean([(one.low or 0) > 0 or (one.high or 0) < 0 for one in found]))


def test_overlapping_labels_are_no_evidence_of_their_own() -> None:
    """Of 120 intervals by spans of a week a few leave the truth out, of those by days a third."""
    assert share_missed(WEEK) <= 0.15
    assert share_missed(NONE) >= 0.3


def test_too_few_spans_are_too_little_evidence() -> None:
    """Six weeks are six spans, whatever the number of days, and the reason says so."""
    found = compared(WEEK, seed=1)
    assert found.clusters == {"entity": 20, "day": 6}
    outcomes = weekly_outcomes(np.random.default_rng(1)).assign(prediction=0.0)
    gates = Gates(minimum_clusters={"entity": 2, "day": 7})
    short = compare(outcomes, outcomes, "mae", gates, "2024-01-01", WEEK)
    assert not short.is_sufficient
    assert "only 6 spans of 7 days (at least 7 are required)" in short.reason


def width(gap: timedelta, seed: int) -> float:
    """Return how wide the interval of one model's error is."""
    outcomes = weekly_outcomes(np.random.default_rng(seed)).assign(prediction=0.0)
    found = evaluate(outcomes, "regression", ("mae",), seed=1, gap=gap)
    assert found.clusters == {"entity": 20, "day": 42}
    interval = found.metrics["mae"]
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low


def test_the_interval_of_a_metric_is_by_spans_too() -> None:
    """On average it is wider than by days, and the days are still counted as days."""
    wider = [width(WEEK, seed) / width(NONE, seed) for seed in range(10)]
    assert np.mean(wider) > 1.1

"""Splits: train, embargo and holdout by time, and folds that follow time."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from rancast.errors import EvidenceError
from rancast.splits import assign, folds
from rancast.table_view import Split

SPLIT = Split.model_validate({"holdout": "2d", "embargo": "30min"})
END = pd.Timestamp("2024-03-11", tz="UTC")


def times(*given: str) -> pd.Series:
    """Return times of March 2024, 'DD HH:MM'."""
    stamps = [pd.Timestamp(f"2024-03-{at}", tz="UTC") for at in given]
    return pd.Series(stamps, dtype="datetime64[us, UTC]")


def test_train_ends_an_embargo_before_the_holdout() -> None:
    """A row exactly an embargo before the holdout is embargoed; the holdout starts at midnight."""
    given = times("08 23:29", "08 23:30", "08 23:59", "09 00:00", "10 23:59")
    expected = ["train", "embargo", "embargo", "holdout", "holdout"]
    assert assign(given, SPLIT, END).tolist() == expected


def test_no_label_of_train_reaches_into_the_holdout() -> None:
    """With an embargo as long as the horizon, each train label ends before the first test row."""
    given = pd.Series(pd.date_range(END - timedelta(days=3), END, freq="7min", inclusive="left"))
    parts = assign(given, SPLIT, END)
    horizon_end = given[parts == "train"].max() + SPLIT.embargo
    assert horizon_end < given[parts == "holdout"].min()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (times(), "no labelled row"),
        (times("09 00:00", "10 00:00"), "2 days .* no row is left for train"),
        (times("01 00:00", "02 00:00"), "no row is left for holdout, with a holdout of 2d"),
    ],
)
def test_too_few_days_are_refused_with_numbers(given: pd.Series, reason: str) -> None:
    """Too few days for the split say how many there are, and what to do."""
    with pytest.raises(EvidenceError, match=reason):
        assign(given, SPLIT, END)


def test_rows_after_the_end_are_a_mistake_of_the_caller() -> None:
    """A row without a complete label must not slip into the holdout."""
    with pytest.raises(ValueError, match="not before the end"):
        assign(times("01 00:00", "11 00:00"), SPLIT, END)


def test_folds_follow_time_whatever_the_order_of_rows() -> None:
    """Each test is later than its train by more than the embargo, and tests do not overlap."""
    given = times("04 00:00", "01 00:00", "03 00:00", "02 00:00", "02 00:00", "01 00:00")
    found = [(list(train), list(test)) for train, test in folds(given, 2, timedelta(hours=1))]
    assert found == [([1, 5], [3, 4]), ([1, 3, 4, 5], [0, 2])]


def test_rows_of_one_time_stay_together() -> None:
    """Many cells at one time are never divided between train and test."""
    given = pd.Series(np.repeat(pd.date_range("2024-03-01", periods=9, freq="10min", tz="UTC"), 7))
    for train, test in folds(given, 3, timedelta(0)):
        assert set(given[train]).isdisjoint(set(given[test]))
        assert given[train].max() < given[test].min()


def test_the_embargo_of_folds_is_counted_in_time() -> None:
    """Rows within the embargo before a test are in neither side."""
    given = pd.Series(pd.date_range("2024-03-01", periods=40, freq="10min", tz="UTC"))
    for train, test in folds(given, 3, timedelta(minutes=30)):
        assert given[test].min() - given[train].max() == timedelta(minutes=40)


@pytest.mark.parametrize(
    "given", [times(), times("01 00:00"), times("01 00:00", "01 00:00", "01 00:00", "01 00:00")]
)
def test_too_few_times_for_the_folds_are_refused(given: pd.Series) -> None:
    """Folds without a row to train or test on are refused, with the numbers."""
    with pytest.raises(EvidenceError, match="too few for 3 folds"):
        folds(given, 3, timedelta(minutes=30))

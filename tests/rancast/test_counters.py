"""Cumulative counters: an increment is of one period, or it is missing with a reason."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.counters import with_increments
from rancast.features import build, lookback_days
from tests.rancast.counts import DAY, dataset, rows, use_case

NAN = float("nan")


def series(*totals: tuple[str, Any]) -> pd.DataFrame:
    """Return rows of cell a with these totals at these times."""
    return rows(*(("a", at, None, None, total) for at, total in totals))


def found(frame: pd.DataFrame, **cumulative: Any) -> list[tuple[float, str]]:
    """Return increment and mark of each row, NaN as None."""
    counted = with_increments(
        frame, dataset(cumulative={"total": {"increment": "bytes"} | cumulative})
    )
    pairs = zip(counted["bytes"], counted["bytes_suspect"], strict=True)
    return [(None if np.isnan(value) else value, mark) for value, mark in pairs]


def test_each_period_adds_the_difference_to_the_one_before() -> None:
    """Increments are those of the row's own cell, in whatever order rows come."""
    frame = rows(
        ("b", "00:15", None, None, 1_007),
        ("a", "00:15", None, None, 15),
        ("a", "00:00", None, None, 10),
        ("b", "00:00", None, None, 1_000),
        ("a", "00:30", None, None, 15),
    )
    assert found(frame) == [(7, "none"), (5, "none"), (None, "gap"), (None, "gap"), (0, "none")]


def test_a_gaps_traffic_belongs_to_no_period() -> None:
    """After an absent row, and after one without a value, an increment is not known."""
    frame = series(("00:00", 1), ("00:30", 9), ("00:45", None), ("01:00", 20), ("01:15", 21))
    marks = [(None, "gap"), (None, "gap"), (None, "missing"), (None, "gap"), (1, "none")]
    assert found(frame) == marks


def test_a_counter_that_fell_was_reset() -> None:
    """What came before the restart is lost, so the new reading is no increment; then it goes on."""
    frame = series(("00:00", 500), ("00:15", 7), ("00:30", 9))
    assert found(frame) == [(None, "gap"), (None, "reset"), (2, "none")]


def test_a_counter_of_declared_width_rolls_over() -> None:
    """250 and then 4 of 8 bits is 10 more; 100 and then 4 would be 160 more, and is a reset."""
    frame = series(("00:00", 250), ("00:15", 4), ("00:30", 100), ("00:45", 4))
    rolled = [(None, "gap"), (10, "rollover"), (96, "none"), (None, "reset")]
    assert found(frame, width=8) == rolled
    assert found(frame, width=8, most=9)[1] == (None, "reset")
    assert found(frame, width=8, most=160)[3] == (160, "rollover")
    assert found(frame)[1] == (None, "reset")


def test_more_than_a_period_can_add_is_no_increment() -> None:
    """A jump is marked, whether the limit is stated or half of the counter's range."""
    frame = series(("00:00", 0), ("00:15", 200))
    assert found(frame, most=199)[1] == found(frame, width=8)[1] == (None, "jump")
    assert found(frame, most=200)[1] == (200, "none")


def test_a_reading_that_the_counter_cannot_have_is_missing() -> None:
    """A negative reading, or one beyond the width, is no reading, and starts no increment."""
    frame = series(("00:00", 1), ("00:15", -1), ("00:30", 2), ("00:45", 256), ("01:00", 3))
    marks = ["gap", "missing", "gap", "missing", "gap"]
    assert [mark for _, mark in found(frame, width=8)] == marks


def test_two_rows_of_one_period_add_once() -> None:
    """Equal rows of a period are one; rows that differ leave it, and the one after, unknown."""
    same = series(("00:00", 1), ("00:15", 4), ("00:16", 4), ("00:30", 5))
    assert found(same) == [(None, "gap"), (3, "none"), (None, "duplicate"), (1, "none")]
    torn = series(("00:00", 1), ("00:15", 4), ("00:16", 6), ("00:30", 7))
    assert found(torn) == [(None, "gap"), (None, "duplicate"), (None, "duplicate"), (None, "gap")]


def test_large_counters_keep_every_digit() -> None:
    """Beyond 53 bits a difference is still exact, also across the last bit."""
    top = 2**62
    frame = series(("00:00", top - 3), ("00:15", top - 2), ("00:30", 5))
    assert found(frame, width=62) == [(None, "gap"), (1, "none"), (7, "rollover")]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 2**15), min_size=2, max_size=30),
    st.integers(0, 2**16 - 1),
    st.sets(st.integers(0, 29)),
    st.integers(0, 29),
)
def test_increments_are_what_was_added(
    added: list[int], start: int, absent: set[int], cut: int
) -> None:
    """Whatever is known is true, across rollovers and gaps, and depends on nothing later."""
    begin = pd.Timestamp(DAY)
    totals = [int(total) % 2**16 for total in start + np.cumsum(added)]
    table = [
        (str(begin + place * pd.Timedelta("15min")), total)
        for place, total in enumerate(totals)
        if place not in absent
    ]
    counted = with_increments(series(*table), dataset())
    place = ((counted["at"] - counted["at"].dt.floor("D")) // pd.Timedelta("15min")).tolist()
    for number, (value, mark) in zip(
        place, zip(counted["bytes"], counted["bytes_suspect"], strict=True), strict=True
    ):
        is_known = number > 0 and number - 1 not in absent
        assert (mark in ("none", "rollover")) == is_known == (not np.isnan(value))
        assert not is_known or value == added[number]
    before = with_increments(series(*table[:cut]), dataset())
    pd.testing.assert_frame_equal(counted.head(len(before)), before, check_exact=True)


def test_increments_are_features_that_reach_into_the_evening_before() -> None:
    """A use case names an increment and its mark; the day's first one needs the day before."""
    features = {"current": ["bytes"], "categories": ["bytes_suspect"]}
    view = use_case(features, where="bytes_suspect != 'reset'").feature_view()
    assert lookback_days(view, dataset()) == 1
    curated = [
        series(("2024-03-03 23:45", 100)),
        series(("00:00", 130), ("00:15", 2), ("00:30", 5)),
    ]
    X = build(curated, view, dataset(), DAY)
    expected = pd.DataFrame(
        {"bytes": [30.0, 3.0], "bytes_suspect": pd.Series(["none", "none"], dtype="str")}
    )
    pd.testing.assert_frame_equal(X[list(expected)], expected)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cumulative": {"at": {"increment": "x"}}}, "cumulative names 'at'"),
        ({"cumulative": {"totel": {"increment": "x"}}}, "cumulative names 'totel'"),
        ({"cumulative": {"total": {"increment": "dropped"}}}, "'dropped' stands for two things"),
        ({"kind": "events", "kpis": {}}, "cumulative needs a periodic dataset"),
        ({"cumulative": {"total": {"increment": "x", "width": 64}}}, "less than or equal to 62"),
    ],
)
def test_a_counter_that_cannot_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    """A counter is a column of numbers of a periodic dataset, and its increment a new name."""
    with pytest.raises(ValueError, match=sentence):
        dataset(**changes)

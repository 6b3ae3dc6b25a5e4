"""Joined features: rows of other datasets up to t, through events or not, exact in time and sum."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from rancast.column_types import no_rows
from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.features import build
from rancast.joins import Other, lookback_days
from rancast.use_cases import UseCase
from tests.rancast.cases import DAY, dataset, rows, spec, use_case

KPI = dataset()
NAN = float("nan")


def calls_dataset(**changes: Any) -> Dataset:
    """Return a dataset of calls: who called, from which cell, and how much was used."""
    return Dataset.model_validate(
        {
            "name": "calls",
            "kind": "events",
            "time": {"column": "begun"},
            "key": ["id"],
            "columns": {
                "id": {"type": "string"},
                "begun": {"type": "timestamp"},
                "caller": {"type": "string"},
                "cell": {"type": "string"},
                "used": {"type": "float"},
            },
        }
        | changes
    )


CALLS = calls_dataset()
# one row per customer and day; its name stands for the joins that start from it
DAYS = Dataset.model_validate(
    {
        "name": "days",
        "kind": "events",
        "time": {"column": "at"},
        "key": ["customer", "at"],
        "columns": {
            "customer": {"type": "string"},
            "at": {"type": "timestamp"},
            "score": {"type": "float"},
        },
    }
)


def calls(*given: tuple[Any, ...]) -> pd.DataFrame:
    """Return calls of (begun, caller, cell, used); begun is HH:MM of DAY, or a date and time."""
    typed = no_rows(CALLS)
    whole = [(f"c{number}", *row) for number, row in enumerate(given)]
    frame = pd.DataFrame(whole, columns=typed.columns)
    frame["begun"] = [
        pd.Timestamp(at if "-" in at else f"{DAY} {at}", tz="UTC") for at in frame["begun"]
    ]
    return frame.astype(typed.dtypes.to_dict())


def delivered(*datasets: Dataset, back: int = 3) -> dict[str, Other]:
    """Return the datasets, delivered on DAY and the days before."""
    days = tuple(DAY - timedelta(days=number) for number in range(back + 1))
    return {one.name: Other(dataset=one, days=days) for one in datasets}


def of_cells(**join: Any) -> UseCase:
    """Return the use case of cells with a join of the calls that they carried."""
    given = {"name": "load", "dataset": "calls", "by": "cell", "over": ["30min"]} | join
    return use_case(spec(features={"current": ["load"], "joins": [given]}))


def X(
    case: UseCase, frame: pd.DataFrame, called: pd.DataFrame, others: dict[str, Other] | None = None
) -> pd.DataFrame:
    """Return the joined features of DAY's rows of cells."""
    found = build(
        [frame], case.feature_view(), KPI, DAY, {"calls": [called]}, others or delivered(CALLS)
    )
    return found.drop(columns=["cell", "at", "load"])


def test_events_of_a_window_end_at_t_and_begin_after_its_start() -> None:
    """(t - window, t]: a call at t counts, one a window earlier does not; nor do other cells'."""
    at = rows(("a", "10:00"), ("a", "10:30"), ("a", "11:10"), ("b", "10:30"))
    called = calls(
        ("09:59", "x", "a", 1.0),
        ("10:00", "x", "a", 2.0),
        ("10:30", "y", "a", 4.0),
        ("10:30:00.000001", "z", "a", 99.0),
        ("10:10", "z", None, 99.0),
    )
    statistics = {"used": ["sum", "mean", "min", "max", "count"], "caller": ["nunique"]}
    case = of_cells(count=True, statistics=statistics, any="used > 3")
    expected = pd.DataFrame(
        {
            "load_count_30min": [2.0, 1.0, 0.0, 0.0],
            "load_used_sum_30min": [3.0, 4.0, 0.0, 0.0],
            "load_used_mean_30min": [1.5, 4.0, NAN, NAN],
            "load_used_min_30min": [1.0, 4.0, NAN, NAN],
            "load_used_max_30min": [2.0, 4.0, NAN, NAN],
            "load_used_count_30min": [2.0, 1.0, 0.0, 0.0],
            "load_caller_nunique_30min": [1.0, 1.0, 0.0, 0.0],
            "load_share_30min": [0.0, 1.0, NAN, NAN],
        }
    )
    pd.testing.assert_frame_equal(X(case, at, called), expected)


def test_a_value_that_is_missing_is_no_value_of_zero() -> None:
    """A call whose use is unknown counts as a call; its sum is unknown, beside known ones not."""
    at = rows(("a", "10:00"), ("a", "11:00"))
    called = calls(("09:50", "x", "a", None), ("10:50", "x", "a", None), ("10:51", "x", "a", 2.0))
    found = X(of_cells(count=True, statistics={"used": ["sum", "count"]}), at, called)
    assert found["load_count_30min"].tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(found["load_used_sum_30min"], [NAN, 2.0])
    assert found["load_used_count_30min"].tolist() == [0.0, 1.0]


def test_a_window_into_a_day_without_partition_is_unknown() -> None:
    """No call on delivered days is 0; on a day that was not delivered nothing is known."""
    at = rows(("a", "00:00"), ("a", "00:20"), ("a", "00:30"))
    only_today = {"calls": Other(dataset=CALLS, days=(DAY,))}
    found = X(of_cells(count=True), at, calls(("00:10", "x", "a", 1.0)), only_today)
    # at 00:30 the window begins right after midnight
    np.testing.assert_array_equal(found["load_count_30min"], [NAN, NAN, 1.0])
    nothing = {"calls": Other(dataset=CALLS, days=())}
    assert X(of_cells(count=True), at, calls(), nothing)["load_count_30min"].isna().all()


def test_with_a_delay_windows_end_before_t() -> None:
    """A call whose record takes ten minutes to arrive is not known before."""
    at = rows(("a", "10:00"), ("a", "10:10"))
    found = X(of_cells(count=True, delay="10min"), at, calls(("10:00", "x", "a", 1.0)))
    assert found["load_count_30min"].tolist() == [0.0, 1.0]


def test_sums_do_not_know_the_order_of_rows_nor_other_entities() -> None:
    """Partitions in any order, rows in any order and calls of other cells leave every bit."""
    random = np.random.default_rng(1)
    used = random.lognormal(0, 3, 60)
    given = [(f"09:{31 + number % 3}", "x", "a", value) for number, value in enumerate(used)]
    others = [(f"09:{31 + number % 3}", "x", "b", 1e12) for number in range(30)]
    case = of_cells(statistics={"used": ["sum", "mean"]})
    at = rows(("a", "10:00"))
    found = X(case, at, calls(*given))
    mixed = calls(*given, *others).sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(X(case, at, mixed), found, check_exact=True)


def served(**join: Any) -> UseCase:
    """Return a use case of customers with what their calls met at the serving cells."""
    through = {"dataset": "calls", "entity": "caller", "by": "cell", "within": "10min"}
    given = {"name": "met", "dataset": "kpi", "by": "cell", "through": through, "over": ["1d"]}
    return use_case(
        spec(
            dataset="days",
            entity="customer",
            grid={"period": "1d"},
            target={"within": "1d", "any": "score < 3"},
            split={"holdout": "1d", "embargo": "1d"},
            features={"current": ["score"], "joins": [given | join]},
        )
    )


def met(
    case: UseCase,
    called: pd.DataFrame,
    kpis: pd.DataFrame,
    others: dict[str, Other] | None = None,
) -> pd.DataFrame:
    """Return what customers x, y and z had met by the beginning of DAY."""
    at = pd.DataFrame({"customer": ["x", "y", "z"], "at": pd.Timestamp(DAY, tz="UTC"), "score": 3})
    frame = at.astype(no_rows(DAYS).dtypes.to_dict())
    joined = {"calls": [called], "kpi": [kpis]}
    found = build([frame], case.feature_view(), DAYS, DAY, joined, others or delivered(CALLS, KPI))
    return found.drop(columns=["customer", "at", "score"])


def test_calls_meet_the_last_report_of_their_cell() -> None:
    """The report at or before the call and not too old counts, never a later one or another's."""
    called = calls(
        ("2024-03-03 10:04", "x", "a", 1.0),  # meets 10:00
        ("2024-03-03 10:10", "x", "a", 1.0),  # meets 10:10 itself
        ("2024-03-03 10:21", "x", "a", 1.0),  # the last one is too old
        ("2024-03-03 10:04", "y", "b", 1.0),  # before the first report of b
        ("2024-03-03 10:06", "y", None, 1.0),
    )
    kpis = rows(
        ("a", "2024-03-03 10:00", 10.0),
        ("a", "2024-03-03 10:10", 95.0),
        ("b", "2024-03-03 10:05", 50.0),
        ("a", "2024-03-03 10:22", 77.0),
    )
    case = served(count=True, statistics={"load": ["mean", "max"]}, any="load > 90")
    expected = pd.DataFrame(
        {
            "met_count_1d": [2.0, 0.0, 0.0],
            "met_load_mean_1d": [52.5, NAN, NAN],
            "met_load_max_1d": [95.0, NAN, NAN],
            "met_share_1d": [0.5, NAN, NAN],
        }
    )
    pd.testing.assert_frame_equal(met(case, called, kpis), expected)


def test_what_calls_met_before_midnight_must_have_been_delivered_too() -> None:
    """A call at midnight may meet a report of the evening before; unknown without that day, though
    the window of the calls themselves begins after it."""
    called = calls(("2024-03-03 00:04", "x", "a", 1.0))
    kpis = rows(("a", "2024-03-02 23:58", 10.0))
    case = served(count=True)
    evening = delivered(CALLS, back=1) | delivered(KPI, back=2)
    assert met(case, called, kpis, evening)["met_count_1d"].tolist() == [1.0, 0.0, 0.0]
    lost = delivered(CALLS, KPI, back=1)
    assert met(case, called, rows(), lost)["met_count_1d"].isna().all()


def test_lookback_is_of_each_dataset_by_itself() -> None:
    """Reports are looked up before the first call of a window, so they reach back a day further."""
    view = served(count=True, over=["1d", "2d"]).feature_view()
    assert [lookback_days(view, name) for name in ("calls", "kpi", "else")] == [2, 3, 0]
    delayed = served(count=True, over=["2d"], delay="1h").feature_view()
    assert lookback_days(delayed, "calls") == 3


def test_a_use_case_names_its_datasets_its_own_first() -> None:
    """They are what a night ingests for it."""
    assert served(count=True).datasets == ("days", "calls", "kpi")
    assert use_case(spec()).datasets == ("kpi",)


@pytest.mark.parametrize(
    ("join", "calls_are", "reason"),
    [
        ({"by": "site", "count": True}, {}, "names 'site', which is not a column"),
        ({"by": "used", "count": True}, {}, "needed here: string"),
        ({"statistics": {"cell": ["mean"]}}, {}, "needed here: float or integer or boolean"),
        ({"any": "load > 1"}, {}, "features.joins[load].any names 'load'"),
        ({"count": True, "dataset": "kpi"}, {}, "the dataset that the use case is about"),
        ({"count": True}, {"pseudonymise": {"cell": "cells"}}, "they are never equal"),
    ],
)
def test_joins_that_cannot_be_are_refused(
    join: dict[str, Any], calls_are: dict[str, Any], reason: str
) -> None:
    """A column that is not there or can never match is refused before anything is computed."""
    with pytest.raises(ConfigurationError) as refused:
        of_cells(**join).check(KPI, {"calls": calls_dataset(**calls_are), "kpi": KPI})
    assert reason in str(refused.value)


def test_a_dataset_that_is_not_given_is_asked_for() -> None:
    """A use case that joins is never made without what it joins."""
    with pytest.raises(ConfigurationError, match="joins dataset 'calls', but was given none"):
        build([rows()], of_cells(count=True).feature_view(), KPI, DAY)


def test_the_busy_hour_knows_of_events_only_what_was_known() -> None:
    """Until the delay after midnight, yesterday is not over; events that are left
    out have no traffic."""
    busy = {"traffic": "used", "dataset": "calls", "by": "cell", "days": 1, "of": ["entity"]}
    known = busy | {"where": "used < 100", "delay": "10min"}
    view = use_case(spec(features={"busy_hour": known})).feature_view()
    assert lookback_days(view, "calls") == 2
    called = calls(
        ("2024-03-02 08:10", "x", "a", 30.0),
        ("2024-03-03 22:10", "x", "a", 20.0),
        ("2024-03-03 23:58", "x", "a", 25.0),
        ("2024-03-03 09:10", "x", "a", 500.0),
    )
    at = rows(("a", "00:00"), ("a", "01:00"))
    found = build([at], view, KPI, DAY, {"calls": [called]}, delivered(CALLS, back=2))
    np.testing.assert_array_equal(found["hours_from_busy_hour"], [-8.0, 2.0])
    with pytest.raises(ValidationError, match="where and delay are those of events"):
        use_case(spec(features={"busy_hour": {"traffic": "used", "delay": "10min"}}))


def test_the_busy_hour_can_be_of_another_datasets_traffic() -> None:
    """Traffic is the sum of an hour; a day that was not delivered is not a quiet one."""
    busy = {"traffic": "used", "dataset": "calls", "by": "cell", "days": 2, "of": ["entity"]}
    view = use_case(spec(features={"busy_hour": busy})).feature_view()
    assert lookback_days(view, "calls") == 2
    called = calls(
        ("2024-03-02 08:10", "x", "a", 30.0),
        ("2024-03-03 09:10", "x", "a", 20.0),
        ("2024-03-03 09:50", "x", "a", 25.0),
        ("09:50", "x", "b", 25.0),  # of today: not yet known which hour it will be
    )
    at = rows(("a", "08:00"), ("a", "09:30"), ("b", "09:30"))
    both = delivered(CALLS, back=2)
    found = build([at], view, KPI, DAY, {"calls": [called]}, both)
    np.testing.assert_array_equal(found["is_busy_hour"], [0.0, 1.0, NAN])
    np.testing.assert_array_equal(found["hours_from_busy_hour"], [-1.0, 0.0, NAN])
    one = {"calls": Other(dataset=CALLS, days=(date(2024, 3, 2), DAY))}
    found = build([at], view, KPI, DAY, {"calls": [called]}, one)
    # of 2 March alone: what lies on a day that was not delivered is not looked at
    np.testing.assert_array_equal(found["is_busy_hour"], [1.0, 0.0, NAN])

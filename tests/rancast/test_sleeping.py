"""The suspect flag `is_sleeping` of a dataset, as use cases name it: features, where and slices."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from rancast.coverage import reach_of_sleep, with_sleep
from rancast.datasets import Dataset, PlacedDataset, load_dataset
from rancast.features import build, lookback_days
from rancast.hierarchy import Placement, parse_hierarchy
from rancast.levels import with_levels
from rancast.simulation_network import Network
from rancast.simulation_scale import Faults, Scale
from rancast.targets import label
from rancast.use_cases import UseCase
from tests.rancast.counts import DAY, bits_of, rows, use_case
from tests.rancast.counts import dataset as counts

SITES = {"site": {"from": "cell", "pattern": "^(?P<value>.)"}}
SLEEP = {"traffic": "attempts", "level": "site", "for": "30min"}


def dataset(**changes: Any) -> Dataset:
    """Return a dataset whose cells S1 and S2 stand on site S, without a counter that counts on."""
    return counts(**({"cumulative": {}, "levels": SITES, "sleeping": SLEEP} | changes))


def night() -> pd.DataFrame:
    """Return S1 falling asleep before midnight, and waking up; S2 carries traffic all the time."""
    times = ("2024-03-03 23:45", "00:00", "00:15", "00:30")
    own = [("S1", at, 0, calls) for at, calls in zip(times, (0, 0, 0, 7), strict=True)]
    return rows(*own, *(("S2", at, 0, 5) for at in times))


def features(frame: pd.DataFrame, case: UseCase, of: Dataset | None = None) -> pd.DataFrame:
    """Return X of DAY, of `dataset()` unless told otherwise."""
    return build([frame], case.feature_view(), of or dataset(), DAY)


def test_sleep_is_a_feature_that_knows_of_the_day_before() -> None:
    """At midnight half an hour of sleep began yesterday; as any number it has lags and windows."""
    case = use_case(
        {
            "current": ["is_sleeping"],
            "lags": [{"columns": ["is_sleeping"], "periods": [2]}],
            "windows": [{"columns": ["is_sleeping"], "over": ["1h"], "statistics": ["mean"]}],
        }
    )
    X = features(night(), case).set_index(["cell", "at"])
    assert X.loc["S1", "is_sleeping"].tolist() == [1.0, 1.0, 0.0]
    assert X.loc["S2", "is_sleeping"].tolist() == [0.0, 0.0, 0.0]
    assert X.loc["S1"].iloc[-1].tolist() == [0.0, 1.0, 2 / 3]


def test_rows_of_sleepers_can_be_left_out() -> None:
    """`where` sees the flag of each row, also of neighbours that it leaves out; so does `given`."""
    case = use_case({"current": ["attempts"]}, where="not is_sleeping")
    frame = night()
    assert features(frame, case)[["cell", "attempts"]].values.tolist() == [
        ["S1", 7.0],
        *[["S2", 5.0]] * 3,
    ]
    asked = use_case(
        {"current": ["attempts"]},
        target={"within": "15min", "mean": "attempts", "given": "is_sleeping"},
        problem="regression",
        metric="mae",
    )
    at = frame[["cell", "at"]].set_axis(["entity", "time"], axis="columns")[:4]
    y = label(at, [frame], asked.table_view(), dataset())["y"]
    assert y.tolist()[1:3] == [0.0, 7.0] and y.isna().tolist() == [True, False, False, True]


def test_the_flag_is_a_slice() -> None:
    """A use case is sliced by it as by any feature."""
    case = use_case({"current": ["is_sleeping"]}, report={"slices": ["is_sleeping"]})
    case.check(dataset())
    assert list(case.slice_support()) == ["is_sleeping"]


def test_a_neighbours_later_row_of_the_same_period_is_not_seen() -> None:
    """Whatever is stamped after t, on the grid or between two of its times, X(t) keeps its bits."""
    case = use_case({"current": ["is_sleeping", "attempts"]})
    frame = rows(
        *(("S1", at, 0, 0) for at in ("00:00", "00:15", "00:30")),
        *(("S2", at, 0, 5) for at in ("00:00", "00:20", "00:30")),
    )
    briefly = dataset(sleeping=SLEEP | {"for": "15min"})
    whole = features(frame, case, briefly)
    for until in ("00:00", "00:15"):
        now = pd.Timestamp(f"{DAY} {until}", tz="UTC")
        known = features(frame[frame["at"] <= now], case, briefly)
        assert bits_of(whole[whole["at"] <= now]) == bits_of(known)
    found = whole.set_index(["cell", "at"]).loc["S1", "is_sleeping"]
    assert [None if value != value else value for value in found] == [1.0, None, 1.0]


def test_only_who_names_it_looks_back_further() -> None:
    """`for` adds to the lookback in whole periods; other use cases keep theirs, and their bits."""
    history = [{"columns": ["attempts"], "days": 7}]
    unaware = use_case({"current": ["attempts"], "history": history})
    aware = use_case({"current": ["is_sleeping"], "history": history})
    conditional = use_case({"history": history}, where="not is_sleeping")
    found = [
        lookback_days(case.feature_view(), dataset()) for case in (unaware, aware, conditional)
    ]
    assert found == [7, 8, 8]
    plain = dataset(sleeping=None)
    assert lookback_days(unaware.feature_view(), plain) == 7
    assert bits_of(features(night(), unaware)) == bits_of(features(night(), unaware, plain))
    long = dataset(sleeping=SLEEP | {"for": "1441min"})
    now = use_case({"current": ["is_sleeping"]}).feature_view()
    assert [lookback_days(now, one) for one in (dataset(), long)] == [1, 2]


def test_a_hierarchy_says_who_the_neighbours_are() -> None:
    """The level may be one of a hierarchy; what is delivered knows of neither."""
    lines = "entity,site,valid_from,valid_to\nS1,X,2024-01-01,\nS2,X,2024-01-01,\n"
    where = Placement.of(parse_hierarchy(lines.encode(), "radio"))
    given = dataset(levels={}, hierarchy="radio").model_dump()
    placed = PlacedDataset(**given, placement=where)
    X = features(night(), use_case({"current": ["is_sleeping"]}), placed)
    assert X["is_sleeping"].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert placed.as_delivered().sleeping is None
    lost = given | {"sleeping": SLEEP | {"level": "cluster"}}
    with pytest.raises(ValidationError, match="sleeping.level names 'cluster'"):
        PlacedDataset(**lost, placement=where)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sleeping": SLEEP | {"traffic": "calls_made"}}, "sleeping.traffic names 'calls_made'"),
        ({"sleeping": SLEEP | {"traffic": "drop_ratio"}}, "no number of one period that adds up"),
        ({"sleeping": SLEEP | {"level": "cell"}}, "not a level above the entity"),
        ({"levels": {}}, "sleeping.level names 'site'"),
        ({"sleeping": SLEEP | {"for": "0s"}}, "state a length, such as 1h"),
        ({"kpis": {"is_sleeping": {"numerator": "attempts"}}}, "'is_sleeping' stands for two"),
        ({"kind": "events"}, "sleeping needs a periodic dataset"),
    ],
)
def test_sleep_that_cannot_be_told_is_refused(changes: dict[str, Any], message: str) -> None:
    """A typo, a ratio, a level that is none and a name that is taken are refused at load."""
    with pytest.raises(ValidationError, match=message):
        dataset(**changes)


def test_traffic_may_be_an_increment() -> None:
    """A counter that counts on is idle where it adds nothing, and is not its own traffic."""
    counter = {"cumulative": {"total": {"increment": "bytes"}}}
    by_bytes = dataset(**counter, sleeping=SLEEP | {"traffic": "bytes", "for": "15min"})
    frame = rows(
        *(("S1", at, 0, 0, 100) for at in ("00:00", "00:15")),
        *(("S2", at, 0, 0, total) for at, total in (("00:00", 0), ("00:15", 9))),
    )
    X = features(frame, use_case({"current": ["is_sleeping"]}), by_bytes)
    assert [None if value != value else value for value in X["is_sleeping"]] == [None, 1, None, 0]
    with pytest.raises(ValidationError, match="sleeping.traffic names 'total'"):
        dataset(**counter, sleeping=SLEEP | {"traffic": "total"})


def test_the_reach_is_whole_periods() -> None:
    """Twenty minutes of sleep are two quarters of an hour."""
    assert reach_of_sleep(dataset(sleeping=SLEEP | {"for": "20min"})) == timedelta(minutes=30)


def test_the_shipped_flag_finds_the_simulated_sleepers() -> None:
    """Of a simulated operator's cells those are marked that slept for an hour, and no others."""
    scale = Scale(cells=12, days=5, faults=Faults(sleeps_per_cell_day=0.2))
    network = Network(scale)
    shipped = load_dataset(Path(__file__).parents[2], "network_performance")
    days = [network.reports(day) for day in scale.network_days()]
    frame = pd.concat(days, ignore_index=True).astype({"cell_id": "str"})
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).astype("M8[us, UTC]")
    found = with_sleep(with_levels(frame, shipped), shipped)["is_sleeping"]
    was_idle = frame["throughput_mbps"].eq(0).astype("float64").groupby(frame["cell_id"])
    hour = was_idle.transform(lambda idle: idle.rolling(12, min_periods=12).sum()) == 12
    assert 0 < hour.sum() < len(frame) / 10
    assert (found.fillna(False).to_numpy(dtype=bool) == hour.to_numpy()).all()

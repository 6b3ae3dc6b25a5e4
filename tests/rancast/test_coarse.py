"""Entities with several rows at one time: KPIs add up, and one row never stands for all."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.busy_hour import hourly_traffic
from rancast.datasets import Dataset, PlacedDataset
from rancast.errors import ConfigurationError
from rancast.features import build
from rancast.hierarchy import Placement, parse_hierarchy
from rancast.targets import label
from rancast.use_cases import UseCase
from tests.rancast import cases
from tests.rancast.counts import DAY, DROPS, dataset, rows, use_case

KPIS = {"drop_ratio": DROPS, "calls": {"numerator": "attempts"}}
SITES = {"site": {"from": "cell", "pattern": "^(?P<value>.+)-"}}
OF_SITES = dataset(cumulative={}, kpis=KPIS, levels=SITES)
OF_CARRIERS = dataset(
    cumulative={},
    key=["cell", "carrier", "at"],
    columns=dataset().model_dump()["columns"] | {"carrier": {"type": "string"}},
    levels=SITES,
)
OF_CELLS = dataset(cumulative={}, kpis=KPIS)
INVENTORY = "entity,site,region,valid_from,valid_to\na-1,a,north,2024-01-01,\n"

EVERYTHING: dict[str, Any] = {
    "current": ["drop_ratio", "calls"],
    "lags": [{"columns": ["calls"], "periods": [1, 4]}],
    "windows": [
        {"columns": ["drop_ratio", "calls"], "over": ["1h"], "statistics": ["mean", "max"]}
    ],
    "history": [{"columns": ["drop_ratio", "calls"], "days": 1, "at": "same_hour"}],
    "profile": [{"columns": ["drop_ratio", "calls"], "days": 1, "hours": 12}],
    "busy_hour": {"traffic": "calls", "days": 1, "of": ["entity", "network"]},
    "missing": ["1h"],
}
TARGETS: list[dict[str, Any]] = [
    {"within": "1h", "any": "drop_ratio > 0.5", "given": "calls > 120"},
    {"within": "1h", "mean": "drop_ratio"},
    {"within": "1h", "sum": "calls"},
]


def two_days(seed: int = 0) -> pd.DataFrame:
    """Return two days of calls of a site with two cells, and of one with a single cell."""
    random = np.random.default_rng(seed)
    at = pd.date_range(pd.Timestamp(DAY) - pd.Timedelta("24h"), periods=192, freq="15min")
    return rows(
        *(
            (cell, str(time), int(random.integers(0, 60)), int(random.integers(60, 100)))
            for cell in ("a-1", "a-2", "b-1")
            for time in at
        )
    )


def added_up(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as a vendor would deliver them who reports sites: the sums of their cells."""
    site = frame["cell"].str[:1]
    found = frame.groupby([site, "at"])[["dropped", "attempts"]].sum().reset_index()
    return found.assign(total=pd.array([None] * len(found), dtype="Int64"))[frame.columns]


@pytest.mark.parametrize("grid", [{}, {"period": "1h"}])
def test_a_use_case_of_sites_is_that_of_their_sums(grid: dict[str, str]) -> None:
    """Features of KPIs at a level are those of rows that were added up before."""
    of_sites = use_case(EVERYTHING, entity="site", grid=grid).feature_view()
    of_cells = use_case(EVERYTHING, grid=grid).feature_view()
    found = build([two_days()], of_sites, OF_SITES, DAY)
    expected = build([added_up(two_days())], of_cells, OF_CELLS, DAY)
    pd.testing.assert_frame_equal(found.rename(columns={"site": "cell"}), expected)
    assert found["calls"].notna().all() and found["is_busy_hour"].sum() > 0


def test_the_traffic_of_an_hour_is_that_of_all_rows() -> None:
    """A period has the traffic of both cells, and two rows of one quarter are no half an hour."""
    frame = rows(
        *(("a-1", f"09:{minute}", 0, 5) for minute in (15, 30)),
        *(("a-2", f"09:{minute}", 0, 7) for minute in (15, 30)),
        *((cell, "10:15", 0, 99) for cell in ("a-1", "a-2")),
    )
    frame = frame.assign(site="a")
    assert hourly_traffic(frame, "site", "attempts", OF_SITES, "UTC")["traffic"].tolist() == [12.0]


@pytest.mark.parametrize("target", TARGETS)
def test_labels_of_sites_are_those_of_their_sums(target: dict[str, Any]) -> None:
    """A target at a level, whether it is asked, and its baselines, are made of the sums."""
    kind = {} if "any" in target else {"problem": "regression", "metric": "mae"}
    of_sites = use_case({"current": ["calls"]}, target=target, entity="site", **kind)
    of_cells = use_case({"current": ["calls"]}, target=target, **kind)
    found = labels(two_days(), of_sites, OF_SITES)
    pd.testing.assert_frame_equal(found, labels(added_up(two_days()), of_cells, OF_CELLS))
    assert found["y"].nunique() > 1
    # each quarter of the site with two cells has more than 120 calls, and none of the other one
    assert found["y"].isna().sum() >= 96 or "given" not in target


def labels(frame: pd.DataFrame, case: UseCase, kpi: Dataset) -> pd.DataFrame:
    """Return y and the baselines of all rows of DAY."""
    at = build([frame], case.feature_view(), kpi, DAY).iloc[:, :2]
    at = at.set_axis(["entity", "time"], axis="columns")
    return label(at, [frame], case.table_view(), kpi)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"features": {"current": ["attempts"]}}, "features names 'attempts'"),
        ({"features": {"windows": [{"columns": ["dropped"], "over": ["1h"]}]}}, "'dropped'"),
        ({"features": {"history": [{"columns": ["dropped"]}]}}, "features names 'dropped'"),
        (
            {"features": {"current": ["calls"], "categories": ["carrier"]}},
            "features.categories names 'carrier'",
        ),
        (
            {"features": {"busy_hour": {"traffic": "attempts"}}},
            "features.busy_hour.traffic names 'attempts'",
        ),
        (
            {
                "features": {
                    "neighbours": [{"same": "site", "columns": ["attempts"], "over": ["1h"]}]
                }
            },
            "features.neighbours names 'attempts'",
        ),
        ({"target": {"within": "1h", "any": "calls > 9 or dropped > 3"}}, "target names 'dropped'"),
        (
            {"target": {"within": "1h", "any": "calls > 9", "given": "dropped > 3"}},
            "target.given names 'dropped'",
        ),
        ({"where": "carrier == 'x' or calls > 3", "features": {"current": ["dropped"]}}, "dropped"),
        ({"where": "carrier > 'x'", "features": {"current": ["dropped"]}}, "'dropped'"),
    ],
)
def test_one_row_never_stands_for_all(changes: dict[str, Any], key: str) -> None:
    """A column that is read as a row has it is refused where a cell has a row for each carrier,
    with the column, the key and what to do."""
    several = "the key of dataset 'counts' is cell, carrier, at: one 'cell' has several rows"
    with pytest.raises(ConfigurationError, match=f"{key}.*{several}.*Name a KPI.*carrier == "):
        use_case(**{"features": {"current": ["calls"]}} | changes).check(OF_CARRIERS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"entity": "carrier"},
        {"features": {"current": ["calls"], "categories": ["site"], "missing": ["1h"]}},
        {"features": {"neighbours": [{"same": "site", "columns": ["calls"], "over": ["1h"]}]}},
        {"features": {"current": ["dropped"]}, "where": "calls > 3 and carrier == 'x'"},
        {
            "features": {"current": ["dropped"], "categories": ["carrier"]},
            "where": "carrier == 'x'",
        },
    ],
)
def test_what_is_the_same_or_adds_up_is_allowed(changes: dict[str, Any]) -> None:
    """KPIs, levels above the entity, and the rows of one carrier are right for a cell."""
    use_case(**{"features": {"current": ["calls"]}} | changes).check(OF_CARRIERS)


def test_levels_of_an_inventory_are_known_by_their_order() -> None:
    """A site has one region and several cells: the one is a category of it, the other is not."""
    where = Placement.of(parse_hierarchy(INVENTORY.encode(), "radio"))
    given = dataset(cumulative={}, hierarchy="radio").model_dump()
    placed = PlacedDataset(**given, placement=where)
    features = {"current": ["calls"], "categories": ["region"]}
    use_case(features, entity="site").check(placed)
    with pytest.raises(ConfigurationError, match="features.categories names 'site'"):
        use_case({**features, "categories": ["site"]}, entity="region").check(placed)


def test_events_meet_a_row_and_not_one_of_several() -> None:
    """A call that looks up its cell's last report is refused where each carrier has one."""
    through = {"dataset": "events", "entity": "caller", "by": "cell"}
    join = {"name": "met", "dataset": "counts", "by": "cell", "over": ["1h"], "count": True}
    events = {"name": "events", "kind": "events", "key": ["id"], "time": {"column": "at"}}
    columns = dict.fromkeys(["id", "caller", "cell"], {"type": "string"}) | {
        "at": {"type": "timestamp"}
    }
    calls = Dataset.model_validate(events | {"columns": columns})
    others = {"counts": OF_CARRIERS, "events": calls}

    def check(**given: Any) -> None:
        joins = [join | {"through": through} | given]
        case = cases.use_case(cases.spec(features={"joins": joins}))
        case.check(cases.dataset(), others)

    with pytest.raises(ConfigurationError, match=r"joins\[met\] looks up .* differ in carrier"):
        check()
    check(where="carrier == 'x'")
    check(through=None)

"""Counters that count on, KPIs, a hierarchy, sleep and the busy hour, from files to a decision."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from flows.daily import daily
from rancast.decisions import Decision
from rancast.evaluation import Evaluation
from tasks import browsing
from tests.faults import tiny
from tests.flows import homes

AS_OF = date(2024, 4, 3)  # Dublin's clock went forward on 2024-03-31 at 01:00 UTC
DAYS = 7
CELLS = ("C0", "C1", "C2", "C3", "C4", "C5")
RESET = pd.Timestamp("2024-04-01T12Z")
ASLEEP = pd.date_range("2024-04-01T10Z", periods=3, freq="h")
HOUR = pd.Timedelta(hours=1)
GROUPS = {"is_busy_hour": ("busy hour", "other hours"), "site": ("S1", "S2")}
# dropped and attempted calls of three hours each, beside which a quotient is taken by hand
BY_HAND = {
    ("C4", "2024-04-01T08Z"): (5, 100),
    ("C4", "2024-04-01T09Z"): (1, 100),
    ("C4", "2024-04-01T10Z"): (30, 200),
    ("C0", "2024-04-01T11Z"): (10, 100),
    ("C0", "2024-04-01T13Z"): (20, 50),
}

DATASET = """
name: calls
kind: periodic
time: {column: at, timezone: UTC, period: 1h}
key: [cell, at]
entity: cell
expected: daily
columns:
  at: {type: timestamp}
  cell: {type: string}
  load: {type: float}
  dropped: {type: integer}
  attempts_total: {type: integer}
cumulative:
  attempts_total: {increment: attempts}
kpis:
  drop_ratio: {numerator: dropped, denominator: attempts, unit: ratio}
  traffic: {numerator: attempts, unit: calls}
hierarchy: radio
sleeping: {traffic: traffic, level: site, for: 2h}
"""

HIERARCHY = """entity,site,valid_from,valid_to
C0,S1,2024-01-01,
C1,S1,2024-01-01,
C2,S1,2024-01-01,2024-04-01T06:00:00Z
C2,S2,2024-04-01T06:00:00Z,
C3,S2,2024-01-01,
C4,S2,2024-01-01,
C5,S2,2024-01-01,
"""

USE_CASE = """
name: drops
problem: regression
dataset: calls
entity: cell
history: 4d
target: {within: 1h, mean: drop_ratio, observed: 1.0}
features:
  current: [load, traffic, is_sleeping]
  categories: [site, attempts_suspect]
  windows: [{columns: [drop_ratio], over: [3h]}]
  busy_hour: {traffic: traffic, days: 1, of: [entity, network]}
  timezone: Europe/Dublin
split: {holdout: 2d, embargo: 1h, folds: 2}
search: {rows: 1000, iterations: 1}
candidates:
  - {name: ridge, estimator: Ridge, impute: true, scale: true}
metric: mae
gates:
  minimum_clusters: {entity: 3, day: 2}
  slices:
    - {column: is_busy_hour, minimum_support: 5}
    - {column: site, minimum_support: 5}
"""


class Night(NamedTuple):
    """What a night left: X and y by cell and time, and what was said of the model."""

    X: pd.DataFrame
    y: "pd.Series[float]"
    evaluation: Evaluation
    decision: Decision


def write_home(home: Path) -> None:
    """Write the dataset, its inventory, a use case, and the files of the days before AS_OF."""
    (home / "hierarchies").mkdir()
    (home / "hierarchies" / "radio.csv").write_text(HIERARCHY)
    (home / "datasets" / "calls.yaml").write_text(DATASET)
    (home / "use_cases" / "drops.yaml").write_text(USE_CASE)
    suite: dict[str, Any] = json.loads(json.dumps(tiny.SUITE | {"name": "calls"}))
    suite["expectations"] = suite["expectations"][:2]
    columns = ["at", "cell", "load", "dropped", "attempts_total"]
    suite["expectations"][1]["kwargs"]["column_set"] = columns
    (home / "expectations" / "calls.json").write_text(json.dumps(suite))
    rows = pd.concat([hours_of(number, cell) for number, cell in enumerate(CELLS)])
    for day, part in rows.groupby(rows["at"].str[:10], sort=True):
        year, month, number = str(day).split("-")
        folder = home / f".local/raw/calls/year={year}/month={month}/day={number}"
        folder.mkdir(parents=True)
        (folder / "calls.csv").write_text(part.to_csv(index=False))


def hours_of(number: int, cell: str) -> pd.DataFrame:
    """Return all hours of a cell: busiest at 18 o'clock in Dublin, C3 at 9; drops follow load."""
    start = pd.Timestamp(AS_OF - timedelta(days=DAYS), tz="UTC")
    at = pd.date_range(start, periods=24 * DAYS, freq="h")
    random = np.random.default_rng(number)
    load = random.random(len(at))
    is_busy = at.tz_convert("Europe/Dublin").hour == (9 if cell == "C3" else 18)
    attempts = np.where(is_busy, 3000, 1000)
    ratio = 0.05 + 0.2 * np.roll(load, 1) + random.normal(0, 0.01, len(at))
    dropped = np.rint(attempts * ratio)
    attempts[at.isin(ASLEEP) & (cell == "C5")] = 0
    dropped[attempts == 0] = 0
    for (whose, hour), numbers in BY_HAND.items():
        if whose == cell:
            place = at.get_loc(pd.Timestamp(hour))
            dropped[place], attempts[place] = numbers
    total = 50_000 + np.cumsum(attempts)
    if cell == "C0":
        total[at >= RESET] -= total[at == RESET] - 17
    frame = {"cell": cell, "load": load.round(4), "dropped": dropped.astype(int)}
    stamps = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return pd.DataFrame({"at": stamps, **frame, "attempts_total": total})


def ran(home: Path) -> Night:
    """Run a night on the home; return what it left, which has to be a champion."""
    write_home(home)
    (trained,) = daily(["drops"], AS_OF).trained
    assert trained.is_new_champion and trained.decision is not None, trained.reasons
    steps = [entry for entry in homes.steps(home) if entry["config"].get("place") != "tiny"]
    outputs = {entry["step"]: entry["outputs"] for entry in steps}
    table, predictions = outputs["assemble_table"]["table"], outputs["fit_candidate"]["predictions"]
    (made,) = (
        entry["facts"]["data"]
        for entry in steps
        if entry["step"] == "evaluate_predictions" and entry["inputs"]["predictions"] == predictions
    )
    X = browsing.read_days("features", "drops", browsing.list_days("features", "drops"))
    y = homes.load(home, table).set_index(["entity", "time"])["y"]
    evaluation = Evaluation.model_validate(made)
    return Night(X.set_index(["cell", "at"]), y, evaluation, trained.decision)


def expect_sums_over_sums(night: Night) -> None:
    """A window of three hours has their drops over their calls; a target has those of its hour."""
    of_c4 = night.X["drop_ratio_mean_3h"]["C4"]
    assert of_c4["2024-04-01T10Z"] == (5 + 1 + 30) / (100 + 100 + 200)  # mean of ratios: 0.07
    assert night.y["C4", "2024-04-01T07Z"] == 5 / 100


def expect_lost_to_the_restart(night: Night) -> None:
    """The hour of the restart has no calls, a mark, no part in a window and no label."""
    of_c0 = night.X.loc["C0"]
    marks = of_c0["attempts_suspect"]
    assert marks[marks != "none"].to_dict() == {RESET: "reset"}
    assert of_c0.index[of_c0["traffic"].isna()].tolist() == [RESET]
    assert of_c0["drop_ratio_mean_3h"]["2024-04-01T13Z"] == (10 + 20) / (100 + 50)
    labelled = night.y.index
    assert ("C0", RESET - HOUR) not in labelled and ("C0", RESET) in labelled


def expect_moved(night: Night) -> None:
    """The cell that moves is on its new site from that hour on; all others stay."""
    sites = night.X["site"].groupby(level="cell").agg(["first", "last"])
    assert sites["first"].tolist() == ["S1", "S1", "S1", "S2", "S2", "S2"]
    assert sites["last"].tolist() == ["S1", "S1", "S2", "S2", "S2", "S2"]
    of_c2 = night.X["site"]["C2"]
    assert of_c2.index[of_c2 == "S2"].min() == pd.Timestamp("2024-04-01T06Z")
    assert not (of_c2["2024-04-01T06Z":] == "S1").any()


def expect_asleep(night: Night) -> None:
    """After two hours without calls the cell sleeps, and without calls there is no ratio."""
    is_sleeping = night.X["is_sleeping"]
    assert is_sleeping.index[is_sleeping == 1].tolist() == [("C5", hour) for hour in ASLEEP[1:]]
    unknown = night.X["drop_ratio_mean_3h"]["C5"].isna()
    assert unknown.index[unknown].tolist() == [ASLEEP[-1]]


def expect_found_by_people() -> None:
    """Who looks into the lake finds the same sleeper, and the ratio in the busy hour of a day."""
    (sleeper,) = browsing.sleepers("calls", [date(2024, 4, 1)]).to_dict("records")
    times = {"first": ASLEEP[1], "last": ASLEEP[2]}
    assert sleeper == {"entity": "C5", "periods": 2, "share": 2 / 24} | times
    found = browsing.busy_hours("calls", [date(2024, 3, 31)], timezone="Europe/Dublin")
    busiest = found.set_index("entity")
    assert busiest["hours_of_day"].tolist() == [23] * (len(CELLS) + 1)
    assert [f"{hour:%H}" for hour in busiest["hour"]] == ["17"] * 3 + ["08"] + ["17"] * 3
    of_all = busiest.loc["network"]
    assert of_all["traffic"] == 5 * 3000 + 1000 and of_all["traffic.mean"] == 16_000 / 6
    own = busiest.drop(index=["network", "C3"])["drop_ratio"]
    assert own.min() < of_all["drop_ratio"] < own.max()


def busy_hours(night: Night, flag: str, cell: str) -> list[str]:
    """Return day and hour, UTC, in which a cell is in the busy hour, about the clock's change."""
    flags = night.X[flag][cell]["2024-03-30":"2024-04-01"]
    return [f"{at:%d %H}" for at in flags.index[flags == 1]]


@pytest.mark.usefixtures("hurry")
def test_a_night_knows_what_telecom_knows(new_home: Path) -> None:
    """A KPI is a sum over a sum, what a restart took is missing and marked, a cell is where it is
    from the very hour on, and how good a model is in the busy hour is part of the decision."""
    night = ran(new_home)
    expect_sums_over_sums(night)
    expect_lost_to_the_restart(night)
    expect_moved(night)
    expect_asleep(night)
    expect_found_by_people()
    # 18 o'clock in Dublin, which is an hour earlier from the 31st on; the network's is its cells'
    assert busy_hours(night, "is_busy_hour", "C0") == ["30 18", "31 17", "01 17"]
    assert busy_hours(night, "is_busy_hour", "C3") == ["30 09", "31 08", "01 08"]
    assert busy_hours(night, "is_network_busy_hour", "C3") == ["30 18", "31 17", "01 17"]
    # the holdout is the 31st and the 1st: two busy hours of six cells
    rows = {(one.column, one.value): one.rows for one in night.evaluation.slices}
    assert set(rows) == {(name, value) for name in GROUPS for value in GROUPS[name]}
    assert rows["is_busy_hour", "busy hour"] == 2 * len(CELLS)
    gates = {gate.name: gate.passed for gate in night.decision.gates}
    asked = [f"slice {name}={value}" for name in GROUPS for value in GROUPS[name]]
    assert night.decision.promote and [gates[name] for name in asked] == [True] * 4

"""Looking things up for a notebook: what is there as frames, and a sentence where nothing is."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from rancast.errors import ConfigurationError, DataError, ObjectNotFound
from rancast.use_cases import load_use_case
from tasks import browsing
from tests.flows import homes


def test_days_are_read_by_their_manifests(champion_home: Path) -> None:
    """Four days have rows, what was set aside and features; a fifth is not there."""
    days = browsing.list_days("curated", "kpis")
    assert days == [date(2024, 3, day) for day in (1, 2, 3, 4)]
    assert browsing.list_days("features", "tiny") == days
    curated = browsing.read_days("curated", "kpis", days)
    assert (len(curated), len(browsing.read_day("quarantined", "kpis", days[0]))) == (572, 1)
    table = browsing.coverage_table("kpis")
    assert table["raw"].tolist() == [144] * 4 and not table["is_refused"].any()
    with pytest.raises(ObjectNotFound):
        browsing.read_day("curated", "kpis", date(2024, 3, 5))


def test_days_have_busy_hours(champion_home: Path) -> None:
    """Each cell's is where it had most on that day, the network's where its cells had on average;
    with a KPI there is its value in that hour, and without a word on traffic there is none."""
    with pytest.raises(ConfigurationError, match="'kpis' does not say what its traffic is"):
        browsing.busy_hours("kpis", [date(2024, 3, 2)])
    days = [date(2024, 3, 2), date(2024, 3, 3)]
    rows = browsing.read_days("curated", "kpis", days)
    load = rows.pivot(index="timestamp", columns="cell_id", values="load_ratio")
    load["network"] = load.mean(axis="columns")
    found = browsing.busy_hours("kpis", days, traffic="load_ratio").set_index(["entity", "day"])
    assert len(found) == 7 * 2 and found.index[-1][0] == "network"
    for day in days:
        of_day = load.loc[f"{day} 00:00":f"{day} 23:00"]
        busiest = found.xs(pd.Timestamp(day), level="day")
        assert busiest["hour"].to_dict() == of_day.idxmax().to_dict()
        assert busiest["traffic.mean"].to_dict() == pytest.approx(of_day.max().to_dict())
        assert busiest["hours_of_day"].tolist() == [24] * 7
    homes.declare(champion_home, "kpis:\n  latency: {numerator: latency_ms, denominator: '1'}\n")
    known = browsing.busy_hours("kpis", days, traffic="load_ratio").set_index(["entity", "day"])
    latency = rows.pivot(index="timestamp", columns="cell_id", values="latency_ms")
    own, of_all = known.loc["C1"].iloc[0], known.loc["network"].iloc[0]
    assert own["latency"] == latency["C1"][own["hour"]]
    assert of_all["latency"] == pytest.approx(latency.loc[of_all["hour"]].mean())
    with pytest.raises(ConfigurationError, match="traffic cannot be of 'latency', a ratio"):
        browsing.busy_hours("kpis", days, traffic="latency")


def test_nobody_sleeps_unless_the_dataset_says_who(champion_home: Path) -> None:
    """Without `sleeping` it is said that it is missing; with it an awake network has no sleepers,
    and its traffic is that of busy hours."""
    days = browsing.list_days("curated", "kpis")
    with pytest.raises(ConfigurationError, match="'kpis' does not say who sleeps"):
        browsing.sleepers("kpis", days)
    homes.declare(champion_home, homes.SLEEPING)
    found = browsing.sleepers("kpis", days)
    assert list(found) == ["entity", "periods", "share", "first", "last"] and found.empty
    assert len(browsing.busy_hours("kpis", days)) == 7 * 4


def test_versions_lead_to_their_training(champion_home: Path) -> None:
    """A version's fingerprint gives its fit, table and predictions; only champions are scored."""
    (version,) = browsing.versions_table("tiny").to_dict("records")
    assert (version["version"], version["candidate"]) == (1, "ridge")
    fit = browsing.read_training(version["fingerprint"])
    table, predictions = browsing.read_table(fit), browsing.read_output(fit, "predictions")
    assert len(predictions) == (table["split"] == "holdout").sum()
    case = load_use_case(champion_home, "tiny")
    scored = browsing.score_version(case, 1, table)
    assert scored["prediction"].tolist() == predictions["prediction"].tolist()
    assert browsing.champions_table("tiny")["version"].tolist() == [1]
    with pytest.raises(DataError, match="version 2 of tiny never was champion"):
        browsing.score_version(case, 2, table)
    with pytest.raises(DataError, match="the ledger has no fit 'nobody'"):
        browsing.read_training("nobody")

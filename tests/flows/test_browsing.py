"""Looking things up for a notebook: what is there as frames, and a sentence where nothing is."""

from datetime import date
from pathlib import Path

import pytest

from rancast.errors import DataError, ObjectNotFound
from rancast.use_cases import load_use_case
from tasks import browsing


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

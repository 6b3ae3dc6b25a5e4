"""The pages of a run: complete, bounded in number, in a useful order, and safe to show."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from rancast.decisions import Comparison
from rancast.evaluation import Interval
from rancast.guidance import Part
from rancast.manifests import PartitionFacts
from rancast.pages import (
    MOST_DAYS,
    coverage_page,
    day_page,
    days_to_show,
    decision_page,
    ingest_page,
    leaderboard_page,
    night_page,
    rows_page,
)
from rancast.partition_results import Attendance, Attended
from rancast.references import RowCounts
from tests.markdown import rows_of
from tests.rancast.outcomes import decision, expectation, ingested, partition
from tests.rancast.test_summaries import outcome

REFUSED = RowCounts(raw=4, curated=0, quarantined=4, duplicates=0)
LINKS = {"MLflow, run": "https://mlflow.example/#/experiments/1/runs/2", "version": "tiny, 7"}


def on(day: int, **changes: Any) -> PartitionFacts:
    """A day of March 2024."""
    return partition(day, **changes)


def test_the_ingest_page_has_every_day_and_says_why_one_was_refused() -> None:
    """Newest first, with its rows; which of them this run validated; what was set aside by rule."""
    refused = on(2, is_refused=True, reasons=("too few | rows.",), rows=REFUSED)
    found = ingested(on(1), refused, missing=(date(2024, 3, 3),))
    page = ingest_page(found.model_copy(update={"computed_days": (date(2024, 3, 2),)}))
    rows = rows_of(page)
    assert [(row["day"], row["state"], row["now"]) for row in rows] == [
        ("2024-03-03", "no file", ""),
        ("2024-03-02", "refused", "yes"),
        ("2024-03-01", "curated", ""),
    ]
    assert [rows[2][name] for name in ("raw", "curated", "quarantined")] == ["10", "9", "1"]
    assert "**Refused.** too few \\| rows." in page
    assert rows_of(page, 1) == [{"rule": "latency_ms is between 0 and 1000", "rows": "2"}]


def test_the_coverage_page_says_who_is_absent() -> None:
    """Each day has its coverage, how many entities were expected, how many and which are absent."""
    absent = Attendance(expected=40, absent=12, examples=("C1", "C<2>"), partly=3)
    private = Attendance(expected=5, absent=1)  # as manifests of before have it
    found = ingested(
        on(1), on(2, attendance=absent), on(3, attendance=private), missing=(date(2024, 3, 4),)
    )
    page = coverage_page(found, b"PNG")
    assert "data:image/png;base64," in page
    rows = {row["day"]: row for row in rows_of(page)}
    assert list(rows) == ["2024-03-04", "2024-03-03", "2024-03-02", "2024-03-01"]
    assert rows["2024-03-04"]["coverage"] == "no file"
    assert rows["2024-03-03"]["absent"] == "1" and rows["2024-03-03"]["who is absent"] == ""
    assert rows["2024-03-02"]["who is absent"] == "C1, C<2> and 10 more"
    assert (rows["2024-03-02"]["partly"], rows["2024-03-03"]["partly"]) == ("3", "")
    assert rows["2024-03-01"]["coverage"] == "90.0%"


def test_a_days_page_says_who_was_partly_there() -> None:
    """The entities with the fewest periods, worst first, as the manifest names them; or nobody."""
    worst = (
        Attended(entity="C<1>", seen=0, periods=288),
        Attended(entity="C2", seen=144, periods=288),
    )
    page = day_page(on(1, attendance=Attendance(expected=40, absent=1, partly=7, worst=worst)))
    assert "Of 40 entities that were expected, 1 have no row that passed, 7 lack some" in page
    assert rows_of(page, 1) == [
        {"entity": "C<1>", "periods seen": "0", "of": "288", "coverage": "0.0%"},
        {"entity": "C2", "periods seen": "144", "of": "288", "coverage": "50.0%"},
    ]
    older = day_page(on(1, attendance=Attendance(expected=5, absent=1)))
    assert "1 have no row that passed." in older and "| entity" not in older
    assert "Who was there" not in day_page(on(1))


def test_a_days_page_has_every_expectation_failures_first() -> None:
    """Expectation, what was observed, rows quarantined or reported, severity and note."""
    results = (
        expectation(expectation="cell_id is present", outcome="passed", quarantined_rows=0),
        expectation(outcome="could_not_evaluate", observed="ValueError: <b>", quarantined_rows=0),
        expectation(unexpected_rows=2, quarantined_rows=2),
        expectation(severity="warning", unexpected_rows=3, quarantined_rows=0),
    )
    page = day_page(on(1, results=results))
    rows = rows_of(page)
    assert [(row["outcome"], row["rows"]) for row in rows] == [
        ("failed", "2 quarantined"),
        ("failed", "3 reported"),
        ("could not evaluate", ""),
        ("passed", ""),
    ]
    assert rows[2]["observed"] == "ValueError: <b>" and "<b>" not in page
    assert rows[0]["note"] == "a latency is a time" and rows[1]["severity"] == "warning"
    assert "accepted" in page and "10 raw rows = 9 curated + 1 quarantined" in page


def test_a_refused_days_page_says_why() -> None:
    """The reason, with its next step, stands above the table."""
    reason = "kpis 2024-03-01 was refused: Half of it is missing; resend it."
    page = day_page(on(1, is_refused=True, reasons=(reason,)))
    assert "2024-03-01: refused" in page
    assert "**Why.** Half of it is missing; resend it." in page


def test_a_night_shows_the_validation_of_its_new_day_and_of_the_newest() -> None:
    """Days that an earlier run validated had their page then, but for the newest one."""
    found = ingested(*[on(day) for day in range(1, 6)])
    new = found.model_copy(update={"computed_days": (date(2024, 3, 3),)})
    assert [facts.date.day for facts in days_to_show(new)] == [3, 5]
    assert [facts.date.day for facts in days_to_show(ingested(*found.partitions))] == [5]
    assert days_to_show(ingested()) == []


def test_a_first_night_does_not_flood_the_artifacts() -> None:
    """At most a week of pages is written, those of refused days and of broken rules first."""
    broken = expectation(outcome="could_not_evaluate", unexpected_rows=None, quarantined_rows=0)
    usual = expectation(unexpected_rows=1)
    days = [on(day, results=(usual,)) for day in range(1, 31)]
    days[3] = on(4, is_refused=True, reasons=("no.",), rows=REFUSED)
    days[5] = on(6, results=(broken,))
    every = tuple(date(2024, 3, 1) + timedelta(days=index) for index in range(30))
    found = ingested(*days).model_copy(update={"computed_days": every})
    shown = [facts.date.day for facts in days_to_show(found)]
    assert shown == [4, 6, 26, 27, 28, 29, 30] and len(shown) == MOST_DAYS


def test_the_leaderboard_has_everyone_and_the_champion_on_the_same_rows(tmp_path: Path) -> None:
    """Every model with its metrics; then the judged one against champion and baselines, each with
    the gate that it passed or failed."""
    against = Comparison(
        metric="mae",
        candidate=2.0,
        other=2.5,
        improvement=0.2,
        low=0.1,
        high=0.3,
        confidence=0.95,
        rows=1200,
        is_sufficient=True,
    )
    lacking = Comparison(metric="mae", confidence=0.95, reason="2 entities; 3 are required.")
    decided = decision(False).model_copy(
        update={"champion": 3, "comparisons": {"version 3": against, "last_value": lacking}}
    )
    page = leaderboard_page(outcome(tmp_path, decided), None)
    models, others = rows_of(page), rows_of(page, 1)
    assert [row["model"] for row in models] == ["ridge", "last_value", "forest"]
    assert models[0]["mae"] == "2 (1 to 3)" and models[0]["other metrics"] == "r2 0.8"
    assert "| **ridge** |" in page
    assert [row["against"] for row in others] == ["champion, version 3", "baseline last_value"]
    assert others[0]["better by"] == "20.0% (10.0% to 30.0%)" and others[0]["rows"] == "1,200"
    assert others[1]["better by"] == "2 entities; 3 are required." and others[1]["gate"] == "failed"


def test_a_metric_that_only_some_have_is_told_of_them(tmp_path: Path) -> None:
    """Baselines have no metric at a threshold; whoever leads, each model has its own metrics."""
    told = outcome(tmp_path, None)
    first, *others = told.leaderboard
    metrics = {**first.evaluation.metrics, "alerts_per_day": Interval(value=5.0)}
    extra = first.model_copy(
        update={"evaluation": first.evaluation.model_copy(update={"metrics": metrics})}
    )
    for entries in ((extra, *others), (*others, extra)):
        page = leaderboard_page(told.model_copy(update={"leaderboard": entries}), None)
        shown = {row["model"]: row["other metrics"] for row in rows_of(page)}
        assert shown[first.name] == "r2 0.8, alerts_per_day 5"
        assert all("alerts" not in shown[one.name] for one in others)


def test_alerts_stand_beside_their_budget(tmp_path: Path) -> None:
    """Leaderboard and decision say what the holdout gave and what was allowed."""
    told = outcome(tmp_path, decision(False))
    first, *others = told.leaderboard
    metrics = {**first.evaluation.metrics, "alerts_per_day": Interval(value=217, low=180, high=260)}
    found = first.evaluation.model_copy(update={"metrics": metrics})
    entries = (first.model_copy(update={"evaluation": found}), *others)
    said = told.model_copy(update={"leaderboard": entries, "alert_budget": 200.0})
    page = leaderboard_page(said, None)
    assert rows_of(page)[0]["other metrics"] == "r2 0.8, alerts_per_day 217 (budget 200)"
    sentence = "ridge: 217 (180 to 260) alerts a day on the holdout, budget 200."
    assert sentence in page and sentence in decision_page(said, {})
    assert "budget" not in leaderboard_page(told, None) + decision_page(told, {})


def test_a_decision_leads_to_its_evidence_and_carries_no_markup(tmp_path: Path) -> None:
    """The page has the sentence, the reasons, the gates and where everything lies."""
    page = decision_page(outcome(tmp_path, decision(False)), LINKS)
    assert "**Not promoted: ridge is registered as version 7" in page
    assert rows_of(page) == [{"gate": "baseline last_value", "": "failed", "why": "MAE 2 | 3 <b>"}]
    assert "[MLflow, run](https://mlflow.example/#/experiments/1/runs/2)" in page
    assert "- version, `tiny, 7`" in page and "ledger/steps/key of ridge.json" in page
    assert "<b>" not in page


@pytest.mark.parametrize(("reasons", "count"), [(("MAE 2 | 3 <b>",), 1), (("else.",), 2)])
def test_reasons_that_the_gates_say_are_not_said_twice(
    reasons: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    """Where every gate is a reason the table is enough; any other reason stands above it."""
    told = outcome(tmp_path, decision(True)).model_copy(update={"reasons": reasons})
    page = decision_page(told, {})
    assert page.count("MAE 2") + page.count("else.") == count


def test_the_nights_page_links_to_its_parts(tmp_path: Path) -> None:
    """A sentence for each ingest and training, links to their runs, and who trains instead."""
    part = Part(id="0190", name="training 2024-03-05 · tiny", state="Completed", message="")
    told = outcome(tmp_path, decision(False))
    page = night_page(date(2024, 3, 5), [ingested(on(1))], [told], "daily 2024-03-06", [part])
    assert [row["part"] for row in rows_of(page)] == ["ingest of kpis", "training of tiny"]
    assert "[training 2024-03-05 · tiny](../../runs/flow-run/0190): Completed" in page
    assert "left to daily 2024-03-06" in page


def test_rows_of_any_shape_are_a_page() -> None:
    """Each column has its heading, and no cell becomes markup."""
    page = rows_page("Champions", [{"version": 3, "why": "a | b"}, {"version": 2, "why": "<i>"}])
    assert rows_of(page) == [{"version": "3", "why": "a | b"}, {"version": "2", "why": "<i>"}]
    assert rows_page("Champions", []).startswith("## Champions")

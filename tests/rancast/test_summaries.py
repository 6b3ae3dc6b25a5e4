"""A run in rows and words: complete, in a useful order, and safe to show."""

from datetime import date
from pathlib import Path

import pytest

from rancast.champions import Pointer
from rancast.decisions import Decision
from rancast.evaluation import Interval
from rancast.references import RowCounts
from rancast.summaries import (
    decision_word,
    ingest_rows,
    ingest_sentence,
    interval_text,
    leaderboard_rows,
    night_sentence,
    quarantine_reasons,
)
from rancast.trainings import Tracked, TrainingOutcome, conclude
from rancast.use_cases import load_use_case
from tests.faults import tiny
from tests.rancast.outcomes import (
    decision,
    fit,
    ingested,
    partition,
    pointer,
    promotion,
    training,
)

EMPTY = RowCounts(raw=4, curated=0, quarantined=4, duplicates=0)


def outcome(
    tmp_path: Path, decided: Decision | None, pointed: Pointer | None = None, version: int = 7
) -> TrainingOutcome:
    """How a training of two candidates ended."""
    tiny.write_home(tmp_path)
    this = training(load_use_case(tmp_path, "tiny"), fit("ridge", 2.0), fit("forest", 2.5, 4.0))
    tracked = Tracked(run_id="run", candidates={})
    return conclude(this, this.best, decided, pointed, tracked, version)


def test_each_day_of_an_ingest_is_a_row_the_newest_first() -> None:
    """Curated, refused and missing days are told apart, with counts, coverage and reasons."""
    refused = partition(2, is_refused=True, reasons=("too few.", "too late."), rows=EMPTY)
    rows = ingest_rows(ingested(partition(1), refused, missing=(date(2024, 3, 3),)))
    assert [(row["day"], row["state"]) for row in rows] == [
        ("2024-03-03", "no file"),
        ("2024-03-02", "refused"),
        ("2024-03-01", "curated"),
    ]
    assert (rows[1]["why"], rows[1]["quarantined"]) == ("too few. too late.", 4)
    assert (rows[2]["raw"], rows[2]["coverage"]) == (10, "90.0%")


def test_rules_are_ranked_by_the_rows_that_they_set_aside() -> None:
    """Reasons for quarantine are summed over all days, most rows first."""
    days = [
        partition(1, quarantined_by_rule={"a": 1, "b": 1}),
        partition(2, quarantined_by_rule={"b": 4}),
    ]
    assert quarantine_reasons(ingested(*days)) == [("b", 5), ("a", 1)]


@pytest.mark.parametrize("metric", ["mae", "r2"])
def test_the_leaderboard_has_everyone_best_first(metric: str, tmp_path: Path) -> None:
    """Candidates and baselines are ordered by the metric, whether higher or lower is better."""
    told = outcome(tmp_path, decision(False)).model_copy(update={"metric": metric})
    rows = leaderboard_rows(told)
    assert [row["model"] for row in rows] == ["ridge", "last_value", "forest"]
    assert [row["chosen"] != "" for row in rows] == [True, False, False]
    assert (rows[0]["mae"], rows[0]["r2"]) == ("2 (1 to 3)", "0.8")


def test_an_interval_says_what_is_known() -> None:
    """Four significant digits; without bounds the value alone, without a value that."""
    assert interval_text(Interval(value=0.123456, low=0.1, high=0.2)) == "0.1235 (0.1 to 0.2)"
    assert interval_text(Interval(value=0.5)) == "0.5"
    assert interval_text(None) == "not computed"


@pytest.mark.parametrize(
    "decided, pointed, version, said",
    [
        (decision(True), pointer(promotion(7)), 7, "Promoted: ridge is version 7"),
        (decision(False), pointer(promotion(7)), 8, "version 8; version 7 stays champion"),
        (decision(False), None, 7, "version 7; there is still no champion"),
        (None, pointer(promotion(7)), 7, "Nothing to decide: ridge is the champion already"),
    ],
)
def test_how_it_ended_is_one_sentence(
    decided: Decision | None, pointed: Pointer | None, version: int, said: str, tmp_path: Path
) -> None:
    """Promoted, kept beside a champion, kept without one, and nothing to decide are told apart."""
    assert said in decision_word(outcome(tmp_path, decided, pointed, version))


def test_a_decision_left_to_people_says_how_they_were_asked(tmp_path: Path) -> None:
    """Where the use case leaves it to people, the sentence is theirs to go on from."""
    asked = "A person is asked about version 7."
    told = outcome(tmp_path, decision(False)).model_copy(update={"asked": asked})
    assert decision_word(told) == (
        "Left to people: ridge is registered as version 7 and passed every gate. " + asked
    )


@pytest.mark.parametrize(
    ("refused", "missing", "said"),
    [
        ((), (), "1 day, 0 validated in this run; 9 rows curated, 1 quarantined."),
        (
            (2,),
            (),
            "2 days, 0 validated in this run, 1 refused (2024-03-02); 9 rows",
        ),
        ((2, 3, 4, 5), (), "4 refused (2024-03-05, 2024-03-04, 2024-03-03, …);"),
        ((), (9,), "2 days, 0 validated in this run, 1 without a file (2024-03-09); 9 rows"),
    ],
)
def test_an_ingest_is_one_sentence(
    refused: tuple[int, ...], missing: tuple[int, ...], said: str
) -> None:
    """How many days, how many of them it validated, refused and missed, and the rows."""
    days = [partition(day, is_refused=True, rows=EMPTY) for day in refused]
    absent = tuple(date(2024, 3, day) for day in missing)
    found = ingested(partition(1), *days, missing=absent).model_copy(update={"computed": 0})
    assert said in ingest_sentence(found)


def test_a_night_is_told_part_by_part(tmp_path: Path) -> None:
    """Each dataset and use case has its sentence, and a night that was superseded says by which."""
    told = night_sentence([ingested(partition(1))], [outcome(tmp_path, decision(False))], None)
    assert told.startswith("kpis: 1 day, 1 validated in this run") and "tiny: Not promoted" in told
    assert "left to daily 2024-03-06" in night_sentence([], [], "daily 2024-03-06")

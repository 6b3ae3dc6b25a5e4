"""One training as it is handed on: its key, its best candidate, and how it ended."""

from pathlib import Path

import pytest

from rancast.champions import Kind
from rancast.judging import ChampionState, Readable
from rancast.references import Reference
from rancast.steps import Made
from rancast.trainings import FoundChampion, Tracked, conclude
from rancast.use_cases import LeakageAudit, UseCase, load_use_case
from tests.faults import tiny
from tests.rancast.outcomes import (
    END,
    audit,
    decision,
    fit,
    history,
    made,
    oracle,
    pointer,
    promotion,
    training,
)

RIDGE, FOREST = fit("ridge", 2.0), fit("forest", 2.5, is_reused=True)
TRACKED = Tracked(run_id="run", candidates={"ridge": "a", "forest": "b"})


@pytest.fixture()
def use_case(tmp_path: Path) -> UseCase:
    """The tiny use case, whose metric is better where it is lower."""
    tiny.write_home(tmp_path)
    return load_use_case(tmp_path, "tiny")


def test_the_same_table_and_fits_are_the_same_training(use_case: UseCase) -> None:
    """The day on which it is asked for is no part of a training; its table and each fit are."""
    key = training(use_case, RIDGE, FOREST).key
    assert training(use_case, RIDGE, FOREST, end=END.replace(day=9)).key == key
    assert training(use_case, RIDGE, FOREST, table="other").key != key
    assert training(use_case, RIDGE).key != key


def test_the_best_of_the_folds_is_the_one_that_is_judged(use_case: UseCase) -> None:
    """Folds choose, by the use case's metric; the holdout, on which forest is better, does not."""
    forest = fit("forest", 2.5, mae=0.1)
    assert training(use_case, forest, RIDGE).best == RIDGE


def test_a_promotion_is_told_as_such(use_case: UseCase) -> None:
    """Where the pointer names the version after a decision to promote, it is the new champion."""
    told = conclude(
        training(use_case, RIDGE, FOREST),
        RIDGE,
        decision(True),
        pointer(promotion(7)),
        TRACKED,
        7,
    )
    assert told.is_new_champion and (told.version, told.champion) == (7, 7)
    # the table, its audit, ridge and the baselines; features and forest were known
    assert (told.best, told.computed, told.reasons) == ("ridge", 4, ("MAE 2 | 3 <b>",))


def test_what_was_accepted_of_an_audit_stays_with_the_training(use_case: UseCase) -> None:
    """The verdict is told beside the reason for which people went on, or alone without one."""
    this = training(use_case, RIDGE)
    assert conclude(this, RIDGE, decision(False), None, TRACKED, 8).audited == (
        "Nothing found by 2 rules."
    )
    accepted = LeakageAudit(accept={"single_feature": "a slow KPI", "future": "looked"})
    refused = made("audit_table", "a", {"data": audit(oracle()).model_dump(mode="json")})
    told = this.model_copy(
        update={"audit": refused, "use_case": use_case.model_copy(update={"audit": accepted})}
    )
    assert told.audited == (
        "Refused for single feature. single feature accepted: a slow KPI; future accepted, but "
        "nothing was found"
    )


def test_a_kept_champion_stays_in_the_story(use_case: UseCase) -> None:
    """Not promoted, the version is told beside that of the champion, or beside None."""
    this = training(use_case, RIDGE)
    kept = conclude(this, RIDGE, decision(False), pointer(promotion(7)), TRACKED, 8)
    none = conclude(this, RIDGE, decision(False), None, TRACKED, 8)
    assert (kept.is_new_champion, kept.version, kept.champion) == (False, 8, 7)
    assert (none.is_new_champion, none.version, none.champion) == (False, 8, None)


def test_the_alert_budget_is_that_of_who_is_judged(use_case: UseCase) -> None:
    """It comes from the card of the best candidate, and is None without alerts."""
    card = RIDGE.card.model_copy(update={"alert_budget": 20.0})
    facts = {**RIDGE.made.facts, "card": card.model_dump(mode="json")}
    best = RIDGE.model_copy(update={"made": RIDGE.made.model_copy(update={"facts": facts})})
    for fitted, budget in ((best, 20.0), (RIDGE, None)):
        this = training(use_case, fitted)
        told = conclude(this, fitted, decision(False), None, TRACKED, 8)
        assert told.alert_budget == budget


def test_a_rerun_of_a_promoted_training_repeats_its_reasons(use_case: UseCase) -> None:
    """With nothing to decide, the reasons are those of the promotion, and nobody is new."""
    this = training(use_case, RIDGE)
    told = conclude(this, RIDGE, None, pointer(promotion(7)), TRACKED, 7)
    assert (told.is_new_champion, told.champion, told.reasons) == (False, 7, ("it was better",))


def test_a_champion_that_could_not_be_scored_has_a_reason() -> None:
    """A verdict with a reason becomes the champion's state; one without leaves predictions."""
    found = FoundChampion(
        pointer=pointer(promotion(7)),
        state=ChampionState(version=7, fingerprint="key of ridge", has_registry_answered=True),
    )

    def scoring(reason: str | None) -> Made:
        outputs = {"predictions": Reference(uri="p", digest="d")} if reason is None else {}
        facts = {"verdict": Readable(reason=reason)}
        return Made(key="k", step="score", outputs=outputs, facts=facts, is_reused=False)

    scored, unread = found.scored(scoring(None)), found.scored(scoring("unreadable"))
    assert scored.predictions is not None and scored.state == found.state
    assert unread.predictions is None and unread.state.reason == "unreadable"
    assert found.is_already(RIDGE) and not found.is_already(FOREST)


def found_after(*entries: tuple[int, Kind]) -> FoundChampion:
    """What the ledger says after these versions became champion, each of its kind."""
    return FoundChampion(pointer=history(*entries), state=ChampionState(has_registry_answered=True))


def test_what_people_took_back_no_schedule_promotes_again() -> None:
    """A candidate that was rolled back is kept, with the reason, whether it would be promoted or
    asked about; one that was not is decided on as ever."""
    good = decision(True).model_copy(update={"fingerprint": "f2"})
    rolled_back = found_after((1, "promotion"), (2, "promotion"), (1, "rollback"))
    asking = good.model_copy(update={"promote": False, "needs_approval": True})
    for wanted in (good, asking):
        kept = rolled_back.respected(wanted)
        assert not kept.promote and not kept.needs_approval
        assert "until rollback of 2024-03-03" in kept.reasons[0]
        assert kept.reasons[1:] == wanted.reasons
    assert found_after((1, "promotion")).respected(good) == good
    beaten = found_after((1, "promotion"), (2, "promotion"), (3, "promotion"))
    assert beaten.respected(good) == good

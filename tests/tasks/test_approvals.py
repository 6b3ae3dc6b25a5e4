"""Asking about a candidate, the form of a question, and a run that was ended without an answer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from rancast.approvals import Answer, Asked, Question
from rancast.champions import Champion, Change
from rancast.errors import ModelRefused, RequestRefused
from tasks import approvals, promotion
from tasks.approvals import AnswerForm, prepare_question, record_rejection, wait_for_answer
from tasks.ledger import Ledger
from tasks.runs import Run
from tasks.storage import open_store
from tests.rancast.test_approvals import question

AT = datetime(2024, 3, 5, 4, tzinfo=UTC)
ASKED = Asked(question=question(), at=AT)
ASKING = Run(
    id=UUID(int=7),
    flow="promotion",
    name="promotion tiny · version 3",
    state="Suspended",
    state_type="PAUSED",
    parameters={},
    created=AT,
    scheduled=None,
    started=None,
    deployment_id=UUID(int=1),
)
REJECTION = Answer(verdict="reject", reason="too noisy", by="Ada", at=AT)


class Registered:
    """A registry whose version 3 is the model of a fingerprint."""

    fingerprint = "old"

    def __init__(self, tracking: str) -> None:
        pass

    def fingerprint_of(self, use_case: str, version: int) -> str:
        """Return it."""
        return self.fingerprint

    def links(self, *given: object) -> dict[str, str]:
        """Return nothing."""
        return {}

    def tag_version(self, *given: object) -> None:
        """Forget it."""


@pytest.fixture()
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """An empty ledger, beside a Prefect server that has the run `ASKING`."""
    ledger = Ledger(open_store((tmp_path / "lake").as_uri(), setting="RANCAST_LAKE_URL"))
    monkeypatch.setattr(approvals, "open_ledger", lambda: ledger)
    monkeypatch.setattr(approvals, "Registry", Registered)
    monkeypatch.setattr(approvals, "runs_of", lambda *given: [])
    monkeypatch.setattr(approvals, "start_run", lambda *given, **named: ASKING.id)
    monkeypatch.setattr(approvals, "read_run", lambda *given: ASKING)
    monkeypatch.setattr(approvals, "present_run", lambda: ASKING)
    return ledger


def about(fingerprint: str, sequence: int = 0) -> Question:
    """Return the question about version 3 that is the model of a fingerprint."""
    return question(sequence).model_copy(update={"fingerprint": fingerprint})


def test_a_version_of_a_new_registry_is_not_taken_for_the_old_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an old question and a rejection left, the same number of another model is asked about,
    with its own evidence, whichever champion it met; the rejected one is not."""
    approvals._ask(about("old"))
    record_rejection.fn(about("old"), REJECTION)
    assert "Ada (as declared) rejected it (too noisy)" in approvals._ask(about("old"))
    assert "A person is asked about version 3" in approvals._ask(about("new"))
    assert prepare_question.fn("tiny", 3).question == about("old")
    monkeypatch.setattr(Registered, "fingerprint", "new")
    assert prepare_question.fn("tiny", 3).question == about("new")
    monkeypatch.setattr(Registered, "fingerprint", "newer")
    approvals._ask(about("newer", 5))
    assert prepare_question.fn("tiny", 3).question == about("newer", 5)
    monkeypatch.setattr(Registered, "fingerprint", "unknown")
    with pytest.raises(RequestRefused, match="no training asked people about version 3"):
        prepare_question.fn("tiny", 3)


def test_an_approval_is_of_the_model_that_was_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the version is another model by now, the answer to an old question promotes nothing."""
    champion = Champion(
        version=3,
        fingerprint="new",
        model_sha256="s",
        candidate="ridge",
        training_key="t",
        train_end="2024-03-02T22:00:00+00:00",
    )
    change = Change(
        use_case="tiny",
        kind="approval",
        champion=champion,
        expected=None,
        reasons=("quieter",),
        by="Ada",
        flow_run="run",
    )
    monkeypatch.setattr(promotion, "_plan", lambda *given: change)
    assert promotion.plan_approved.fn(about("new"), REJECTION) == change
    with pytest.raises(ModelRefused, match="fingerprint new, but the question was about old"):
        promotion.plan_approved.fn(about("old"), REJECTION)


@pytest.mark.parametrize(
    "state, state_type, said",
    [
        ("Scheduled", "SCHEDULED", "A person is asked about version 3, in the run of promotion"),
        ("Suspended", "PAUSED", "until 2024-03-12 04:00 UTC; nothing waits"),
        ("Cancelled", "CANCELLED", "asked, and ended as Cancelled; its state says why. If"),
        ("Refused", "COMPLETED", "asked, and ended as Refused; its state says why. If"),
        ("Crashed", "CRASHED", "ended as Crashed; its state says why. *Retry* it where it failed"),
    ],
)
def test_a_question_is_said_to_be_asked_while_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, state: str, state_type: str, said: str
) -> None:
    """Prefect gives the run of a key in whatever state: one that is over asks nobody any more, and
    the way by hand is named; the date counts from when the run was made, not from now."""
    run = ASKING.model_copy(update={"state": state, "state_type": state_type})
    monkeypatch.setattr(approvals, "read_run", lambda *given: run)
    text = approvals._ask(about("old"))
    assert said in text
    is_over = state_type not in ("SCHEDULED", "PAUSED")
    assert ("Nobody is asked about version 3 any more" in text) is is_over
    assert ("promote it by hand: run the deployment promotion" in text) is is_over


def test_a_question_that_was_ended_and_retried_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect shows a form once; without an answer to it, the error names the way by hand."""

    def resumed(wait_for_input: type[AnswerForm], **given: Any) -> AnswerForm:
        return wait_for_input()  # what Prefect does where there is no answer

    monkeypatch.setattr(approvals, "suspend_flow_run", resumed)
    with pytest.raises(RequestRefused, match="version 3 of tiny was ended without an answer"):
        wait_for_answer(ASKED)


def test_the_form_tells_what_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run suspends with is the form with the question as its description."""

    def resumed(wait_for_input: type[AnswerForm], **given: Any) -> AnswerForm:
        assert "Shall version 3 become champion of tiny?" in str(wait_for_input._description)
        assert given["timeout"] == 8 * 24 * 3600
        return wait_for_input(decision="approve", reason="quieter", name="Ada")

    monkeypatch.setattr(approvals, "suspend_flow_run", resumed)
    assert wait_for_answer(ASKED).name == "Ada"


@pytest.mark.parametrize(
    "given", [{"decision": "maybe"}, {"reason": " "}, {"name": "\n"}, {"reason": "r" * 1001}]
)
def test_the_form_takes_no_half_answers(given: dict[str, Any]) -> None:
    """An answer is one of two, and has a reason and a name."""
    whole = {"decision": "reject", "reason": "too new", "name": "Ada"}
    AnswerForm(**whole)
    with pytest.raises(ValidationError):
        AnswerForm(**whole | given)

"""The form of a question, and a run that was ended without an answer."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from rancast.approvals import Asked
from rancast.errors import ConfigurationError
from tasks import approvals
from tasks.approvals import AnswerForm, wait_for_answer
from tests.rancast.test_approvals import question

ASKED = Asked(question=question(), at=datetime(2024, 3, 5, tzinfo=UTC))


def test_a_question_that_was_ended_and_retried_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect shows a form once; without an answer to it, the error names the way by hand."""

    def resumed(wait_for_input: type[AnswerForm], **given: Any) -> AnswerForm:
        return wait_for_input()  # what Prefect does where there is no answer

    monkeypatch.setattr(approvals, "suspend_flow_run", resumed)
    with pytest.raises(ConfigurationError, match="version 3 of tiny was ended without an answer"):
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

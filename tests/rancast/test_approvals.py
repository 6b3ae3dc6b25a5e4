"""Questions to people: what they are told, and which of their answers count."""

from datetime import UTC, datetime, timedelta

import pytest

from rancast.approvals import (
    ANSWER_WITHIN,
    Answer,
    Question,
    by_hand,
    description,
    is_expired,
    is_question,
    promoted,
    refusal,
)
from rancast.champions import Change
from rancast.documents import parse_yaml
from rancast.trainings import Tracked, conclude
from rancast.use_cases import UseCase
from tests.faults import tiny
from tests.rancast.outcomes import decision, fit, history, promotion, training

ASKED_AT = datetime(2024, 3, 5, 4, tzinfo=UTC)
KNOWN = history((1, "promotion"), (2, "promotion"))


def question(sequence: int = 2) -> Question:
    """What people are asked about version 3 of the tiny use case, judged against version 2."""
    ridge = fit("ridge", 2.0)
    this = training(parse_yaml(tiny.USE_CASE.encode(), UseCase, "tiny.yaml"), ridge)
    tracked = Tracked(run_id="run", candidates={"ridge": "a"})
    outcome = conclude(this, ridge, decision(True), KNOWN, tracked, 3)
    return Question.of(outcome, sequence)


def test_a_question_tells_what_is_decided_and_on_what_evidence() -> None:
    """The form says which version, in whose place, its metric with the interval, each gate in
    words, where to look, and until when; nothing of it becomes markup."""
    links = {"MLflow: tiny version 3": "http://127.0.0.1:5000/#/models/tiny/versions/3"}
    text = description(question(), links)
    assert (
        "Shall version 3 become champion of tiny?" in text and "Version 2 is champion now" in text
    )
    assert "mae 2 (95 %: 1 to 3)" in text and "- MAE 2 | 3 &lt;b>" in text
    assert "[MLflow: tiny version 3](http://127.0.0.1:5000/#/models/tiny/versions/3)" in text
    assert "expires after 7 days" in text and "nobody checks it" in text


def test_a_question_without_pages_or_a_champion_says_so() -> None:
    """Before a first champion, and with MLflow in a file, the form has no link and no version."""
    first = question(0).model_copy(update={"champion": None})
    text = description(first, {})
    assert "There is no champion yet" in text and "MLflow: model tiny, version 3" in text


def test_a_model_is_asked_about_once_for_each_champion_it_met() -> None:
    """The key names use case, version, model and the history that it was judged against, a
    rejection all but the last; the identity has the MLflow run as well."""
    this = question(2).model_copy(update={"fingerprint": "0123456789abcdef"})
    later = this.model_copy(update={"sequence": 4})
    assert (this.key, later.key) == ("tiny/3-0123456789ab-2", "tiny/3-0123456789ab-4")
    assert this.rejection_key == later.rejection_key == "tiny/3-0123456789ab-rejected"
    other = this.model_copy(update={"run_id": "other"})
    assert other.key == this.key and other.identity != this.identity


def test_an_answer_counts_while_the_champion_is_the_one_it_was_judged_against() -> None:
    """With the same history an answer counts; with a longer one it is refused, both named."""
    assert refusal(question(2), KNOWN, ASKED_AT, ASKED_AT) is None
    later = history((1, "promotion"), (2, "promotion"), (1, "rollback"))
    why = refusal(question(2), later, ASKED_AT, ASKED_AT)
    assert why is not None and "(version 2) than the present one (version 1)" in why
    first = refusal(question(0), KNOWN, ASKED_AT, ASKED_AT)
    assert first is not None and refusal(question(0), None, ASKED_AT, ASKED_AT) is None


def test_an_answer_after_the_time_is_refused() -> None:
    """A question counts for the whole time, and not a moment longer."""
    assert not is_expired(ASKED_AT, ASKED_AT + ANSWER_WITHIN)
    late = ASKED_AT + ANSWER_WITHIN + timedelta(seconds=1)
    assert is_expired(ASKED_AT, late)
    why = refusal(question(2), KNOWN, ASKED_AT, late)
    assert why is not None and "expired after 7 days" in why and "2024-03-05 04:00 UTC" in why


@pytest.mark.parametrize(
    "parameters, is_asking",
    [
        ({"use_case": "tiny", "version": 3, "reason": "r"}, True),
        ({"use_case": "tiny", "version": 3, "declared_by": None}, True),
        ({"use_case": "tiny", "version": 3, "declared_by": " "}, True),
        ({"use_case": "tiny", "version": 3, "declared_by": "Ada"}, False),
        ({"use_case": "other", "version": 3}, False),
    ],
)
def test_a_run_by_hand_is_no_question(parameters: dict[str, object], is_asking: bool) -> None:
    """A run with a name promotes and asks not, so that a newer candidate does not cancel it."""
    assert is_question(parameters, "tiny") is is_asking


def test_a_rejection_is_kept_with_the_name_as_declared() -> None:
    """The tags of a rejected version say who rejected it, why and when, and label the name."""
    answer = Answer(verdict="reject", reason="drift", by="Ada", at=ASKED_AT)
    assert answer.rejection() == {
        "rancast.approval": "rejected",
        "rancast.approval_reason": "drift",
        "rancast.approval_by_as_declared": "Ada",
        "rancast.approval_at": "2024-03-05T04:00:00+00:00",
    }


def test_an_ending_says_who_is_champion_after_whom() -> None:
    """The message of a run's last state names version, person as declared, and who was before."""
    change = Change(
        use_case="tiny",
        kind="rollback",
        champion=promotion(1).champion,
        expected=KNOWN,
        reasons=("alarms",),
        by="Ada",
        flow_run="run",
    )
    ending = promoted(change)
    assert (ending.word, ending.champion) == ("Rolled back", 1)
    assert ending.sentence == (
        "Version 1 of tiny (ridge) is champion, by Ada (as declared); before it was 2."
    )
    first = promoted(change.model_copy(update={"kind": "approval", "expected": None}))
    assert first.word == "Promoted" and "the first champion" in first.sentence


def test_what_to_do_by_hand_names_use_case_and_version() -> None:
    """Where nobody can be asked, the next step can be copied."""
    assert "use case tiny, version 3" in by_hand("tiny", 3)

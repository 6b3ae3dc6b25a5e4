"""promotion: a registered version becomes champion because a person said so, asked or unasked."""

from prefect import flow

from rancast.approvals import Ending, promoted
from rancast.champions import Change, is_declared
from rancast.errors import ModelRefused
from rancast.settings import load_settings
from rancast.use_cases import load_use_case
from tasks.approvals import (
    consider,
    decide_again,
    ended,
    prepare_question,
    record_rejection,
    take_answer,
    wait_for_answer,
)
from tasks.artifacts import explain, show_ending, show_history
from tasks.forms import UseCaseName
from tasks.names import promotion_name
from tasks.promotion import (
    check_champion,
    check_target,
    move_champion,
    plan_approved,
    plan_promotion,
    undo_change,
)
from tasks.redaction import redacted


@flow(name="promotion", flow_run_name=promotion_name, on_failure=[explain], on_crashed=[explain])
@redacted
def promotion(
    use_case: UseCaseName, version: int, reason: str, declared_by: str | None = None
) -> Ending:
    """Make a registered version champion, by hand, or after asking whether it shall be.

    With `declared_by` it is done at once. Without it the run waits, suspended and without a
    worker, until the form in the UI is answered; that is how a training asks about a candidate
    where the use case says `promotion: manual`. Either way the version is checked before and after.

    Args:
        use_case: whose champion it shall be.
        version: the version of the registered model, as MLflow numbers it.
        reason: why, in a sentence; the history of champions keeps it.
        declared_by: your name, if you promote by hand. It is recorded as declared, not checked.
    """
    load_use_case(load_settings().home, use_case)
    if declared_by is not None and is_declared(declared_by):
        return ended(carry_out(plan_promotion(use_case, version, reason, declared_by)))
    asked = prepare_question(use_case, version)
    why = consider(asked, None)
    if why is not None:
        return _ended(use_case, decide_again(asked, why))
    form = wait_for_answer(asked)
    answer = take_answer(form.decision, form.reason, form.name)
    why = consider(asked, answer)
    if why is not None:
        return _ended(use_case, decide_again(asked, why))
    if answer.verdict == "reject":
        return _ended(use_case, record_rejection(asked.question, answer))
    return ended(carry_out(plan_approved(asked.question, answer)))


def carry_out(change: Change) -> Ending:
    """Check the version, make it champion, and look whether it is; take it back where it is not.

    Raises ModelRefused for a version that fails either check, and WriteConflict where somebody
    else changed the champion meanwhile.
    """
    check_target(change)
    pointer = move_champion(change)
    failure = check_champion(change).failure
    if failure is not None:
        show_history(undo_change(change, failure))
        raise ModelRefused(change.taken_back(failure))
    show_history(pointer)
    return promoted(change)


def _ended(use_case: str, ending: Ending) -> Ending:
    show_ending(use_case, ending)
    return ended(ending)

"""Asking people about a candidate: a run that waits suspended, its form, and what became of it."""

from collections.abc import Collection
from typing import Any, Literal, cast
from uuid import UUID

from prefect import suspend_flow_run, task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field, ValidationError

from rancast.approvals import (
    ANSWER_WITHIN,
    Answer,
    Asked,
    Ending,
    Question,
    by_hand,
    description,
    is_asked,
    is_asked_no_more,
    is_expired,
    is_question,
    model_key,
    refusal,
)
from rancast.champions import Pointer, declared, stated
from rancast.errors import RequestRefused
from rancast.settings import load_settings
from rancast.trainings import TrainingOutcome
from tasks.clock import now
from tasks.redaction import redacted
from tasks.names import name_of_promotion
from tasks.registry import Registry
from tasks.retrying import retried_task
from tasks.runs import Run, end_run, present_run, read_run, runs_of, start_run
from tasks.stores import open_ledger

FLOW = "promotion"
# these were not answered for sure: one that was is Resuming, Pending and Running once more
WAITING = ("Suspended", "Scheduled", "Late", "AwaitingConcurrencySlot")
ALIVE = (
    *WAITING,
    *("Pending", "Submitting", "InfrastructurePending", "Running", "Resuming"),
    *("AwaitingRetry", "Retrying"),
)
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Prefect fails a run that waits longer, should nobody have ended it at ANSWER_WITHIN
WAIT_SECONDS = int(ANSWER_WITHIN.total_seconds()) + 24 * 3600


class AnswerForm(RunInput):
    """What the form in the Prefect UI asks for; nothing is preselected."""

    decision: Literal["approve", "reject"] = Field(description="approve: it becomes champion")
    reason: str = Field(
        pattern=r"\S", max_length=1000, description="why, for the history of champions"
    )
    name: str = Field(pattern=r"\S", max_length=100, description="yours, recorded as declared")


# --- asking -------------------------------------------------------------------------------------


@retried_task("ask for approval")
def ask_for_approval(outcome: TrainingOutcome, pointer: Pointer | None) -> TrainingOutcome:
    """Start the run that asks people about a candidate; return the outcome, which says so.

    One run per version and champion, however often it is asked for. It takes the place of
    unanswered questions about older versions. Nobody is asked about a version that was rejected, or
    while a newer one waits for its answer.
    """
    question = Question.of(outcome, pointer.sequence if pointer else 0)
    return outcome.model_copy(update={"asked": _ask(question)})


def _ask(question: Question) -> str:
    name, version = question.use_case, question.version
    ledger = open_ledger()
    rejected = ledger.pinned(f"approvals/{question.rejection_key}")
    if rejected is not None:
        return (
            f"Nobody was asked about version {version}: {rejected['by']} (as declared) rejected it "
            f"({rejected['reason']}). If it shall be champion nevertheless, "
            f"{by_hand(name, version)}."
        )
    newer = _newer(question)
    if newer is not None:
        return (
            f"Nobody was asked about version {version}, since version {_version(newer)} is newer, "
            f"and is asked about in {newer.name}."
        )
    ledger.pin(f"approvals/{question.key}", question.model_dump(mode="json"))
    run_id = start_run(
        FLOW,
        {"use_case": name, "version": version, "reason": "every gate passed"},
        idempotency_key=f"{FLOW} {question.identity}",
        name=name_of_promotion(name, version),
    )
    if run_id is None:
        return (
            f"A person has to decide on version {version}, but this server has no deployment "
            f"{FLOW} to ask through: {by_hand(name, version)}."
        )
    _cancel_older(question, run_id)
    run = read_run(run_id, FLOW)
    if run.state_type in ENDED:
        can_go_on = run.state_type in ("FAILED", "CRASHED")
        return is_asked_no_more(question, str(run_id), run.state, can_go_on)
    return is_asked(question, str(run_id), run.created)


def _cancel_older(question: Question, asking: UUID) -> None:
    for run in _questions(question.use_case, WAITING):
        if run.id != asking and _version(run) <= question.version:
            message = (
                f"Not asked any more: version {question.version} of {question.use_case} is newer, "
                "or was judged against a newer champion, and passed every gate."
            )
            end_run(run.id, "Cancelled", message)


def _newer(question: Question) -> Run | None:
    """Return a run that asks about a newer version of the same use case."""
    alive = _questions(question.use_case, ALIVE)
    return next((run for run in alive if _version(run) > question.version), None)


def _questions(use_case: str, states: Collection[str]) -> list[Run]:
    return [run for run in runs_of(FLOW, states) if is_question(run.parameters, use_case)]


def _version(run: Run) -> int:
    return int(run.parameters["version"])


@task(task_run_name="expire questions", cache_policy=NO_CACHE)
@redacted
def expire_questions() -> list[str]:
    """Cancel every question that has waited too long for its answer; return their runs' names."""
    expired = [
        run
        for run in runs_of(FLOW, ["Suspended"])
        if run.started is not None and is_expired(run.started, now())
    ]
    for run in expired:
        message = (
            f"Nobody answered within {ANSWER_WITHIN.days} days, so the champion stays. To promote "
            "the version nevertheless, run the deployment promotion with your name as declared_by."
        )
        end_run(run.id, "Cancelled", message)
    return [run.name for run in expired]


# --- the question, as a suspended run keeps it --------------------------------------------------


def _once_per_run(context: TaskRunContext, given: dict[str, Any]) -> str:
    # not by the task's source: the code may have changed while nobody answered
    return f"{context.task_run.flow_run_id}-{context.task.name}"


@task(
    name="prepare_question",
    task_run_name="question",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_once_per_run),
    persist_result=True,
)
@redacted
def prepare_question(use_case: str, version: int) -> Asked:
    """Return what a person is asked in this run; a resumed run gets what was shown in the form.

    Raises RequestRefused where no training has left this version to people, and for a run that
    cannot wait because it is no run of the deployment.
    """
    run = present_run()
    ledger = open_ledger()
    registry = Registry(load_settings().tracking)
    about = model_key(use_case, version, registry.fingerprint_of(use_case, version) or "")
    pointer = ledger.pointer(use_case)
    found = ledger.pinned(f"approvals/{about}-{pointer.sequence if pointer else 0}")
    if found is None:
        found = _last_question(about)
    if found is None or run is None or run.deployment_id is None:
        raise RequestRefused(
            f"declared_by is empty, and no training asked people about version {version} of "
            f"{use_case} through this run; to promote it without a question, give your name as "
            "declared_by."
        )
    question = Question.model_validate(found)
    return Asked(
        question=question,
        at=run.started or now(),
        links=registry.links(use_case, version, question.run_id, load_settings().mlflow_ui_url),
    )


def _last_question(about: str) -> dict[str, Any] | None:
    """Return a question about a model, as `model_key`, that met an earlier champion."""
    lake = open_ledger().lake
    prefix = f"ledger/approvals/{about}-"
    sequences = [
        int(blob.name.removeprefix(prefix).removesuffix(".json"))
        for blob in lake.list(prefix)
        if blob.name.removeprefix(prefix).removesuffix(".json").isdigit()
    ]
    if not sequences:
        return None
    return open_ledger().pinned(f"approvals/{about}-{max(sequences)}")


def wait_for_answer(asked: Asked) -> AnswerForm:
    """Suspend this run until the form in the UI is answered; a resumed run gets what it says.

    Called by the flow itself, since a task cannot suspend. Raises RequestRefused in a run that
    was ended without an answer and then retried: a form can be shown once.
    """
    form = AnswerForm.with_initial_data(description=description(asked.question, asked.links))
    try:
        return suspend_flow_run(wait_for_input=form, key="question", timeout=WAIT_SECONDS)
    except ValidationError as error:
        name, version = asked.question.use_case, asked.question.version
        raise RequestRefused(
            f"The question about version {version} of {name} was ended without an answer, and a "
            f"run can ask once; {by_hand(name, version)}."
        ) from error


# --- the answer ---------------------------------------------------------------------------------


@task(
    name="take_answer",
    task_run_name="answer",
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_once_per_run),
    persist_result=True,
)
@redacted
def take_answer(decision: Literal["approve", "reject"], reason: str, name: str) -> Answer:
    """Return the answer with the time at which it was taken, the same on each retry."""
    return Answer(verdict=decision, reason=stated(reason, "reason"), by=declared(name), at=now())


@task(task_run_name="does it count", cache_policy=NO_CACHE)
@redacted
def consider(asked: Asked, answer: Answer | None) -> str | None:
    """Say why a question must not be asked, or its answer must not count; None where all is well.

    A retry of a run that has carried its answer out goes on with it.
    """
    question = asked.question
    pointer = open_ledger().pointer(question.use_case)
    if pointer is not None and pointer.entry_of(flow_run.id, "approval") is not None:
        return None
    newer = _newer(question)
    if newer is not None:
        return (
            f"The question about version {question.version} of {question.use_case} is superseded: "
            f"version {_version(newer)} is newer, and is asked about in {newer.name}."
        )
    return refusal(question, pointer, asked.at, answer.at if answer else asked.at)


@task(task_run_name="decide again", cache_policy=NO_CACHE)
@redacted
def decide_again(asked: Asked, why: str) -> Ending:
    """Have the candidate's training run again, which judges it against the present champion.

    Where the champion is the same, the answer came too late, and nothing is decided again.
    """
    question = asked.question
    pointer = open_ledger().pointer(question.use_case)
    sequence = pointer.sequence if pointer else 0
    if sequence == question.sequence:
        return Ending(word="Refused", sentence=why, champion=_champion(pointer))
    run_id = start_run(
        "training",
        {"use_case": question.use_case, "end": question.end.isoformat()},
        idempotency_key=f"decide again {question.identity} {sequence}",
    )
    again = (
        f"Its training is run again, which decides against it: {run_id}."
        if run_id is not None
        else f"Run training for {question.use_case} with end {question.end}, which decides again."
    )
    return Ending(word="Refused", sentence=f"{why} {again}", champion=_champion(pointer))


@retried_task("record rejection")
def record_rejection(question: Question, answer: Answer) -> Ending:
    """Keep in the ledger, and as tags of the version, that a person rejected it and why."""
    name, version = question.use_case, question.version
    ledger = open_ledger()
    place = f"approvals/{question.rejection_key}"
    kept = Answer.model_validate(ledger.pin(place, answer.model_dump(mode="json")))
    Registry(load_settings().tracking).tag_version(name, version, kept.rejection())
    pointer = ledger.pointer(name)
    return Ending(
        word="Rejected",
        sentence=f"Version {version} of {name} was rejected by {kept.by} (as declared): "
        f"{kept.reason}",
        champion=_champion(pointer),
    )


def _champion(pointer: Pointer | None) -> int | None:
    return pointer.champion.version if pointer else None


def ended(ending: Ending) -> Ending:
    """Return the final state of a run that ended this way, whose result is the ending itself."""
    # to a flow that returns a state, Prefect gives this state, and to its caller the state's data
    state: State[Ending] = Completed(name=ending.word, message=ending.sentence, data=ending)
    return cast(Ending, state)

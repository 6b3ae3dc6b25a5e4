"""Questions to people about a candidate: what is asked, until when, and which answers count."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from rancast.champions import Change, Pointer, is_declared
from rancast.documents import Document
from rancast.judging import Entry
from rancast.trainings import TrainingOutcome

# Long enough for a week of holidays; a newer candidate asks anew, and nothing waits for an answer
ANSWER_WITHIN = timedelta(days=7)

Day = date


class Question(Document):
    """Whether a candidate that passed every gate shall become champion.

    `sequence` is that of the history that it was judged against, 0 before a first champion: an
    answer counts while it still is.
    """

    use_case: str
    version: int
    candidate: str
    fingerprint: str
    end: Day
    metric: str
    score: str = Field(description="the metric on the holdout with its interval")
    reasons: tuple[str, ...]
    gates: tuple[str, ...]
    champion: int | None
    sequence: int
    run_id: str

    @classmethod
    def of(cls, outcome: TrainingOutcome, sequence: int) -> "Question":
        """Return the question that the decision of a training leaves to people."""
        decision = outcome.decision
        entry = next(one for one in outcome.leaderboard if one.name == outcome.best)
        return cls(
            use_case=outcome.use_case,
            version=outcome.version,
            candidate=outcome.best,
            fingerprint=outcome.fingerprint,
            end=outcome.end,
            metric=outcome.metric,
            score=_score(entry, outcome.metric),
            reasons=outcome.reasons,
            gates=tuple(gate.sentence for gate in decision.gates) if decision else (),
            champion=outcome.champion,
            sequence=sequence,
            run_id=outcome.run_id,
        )

    @property
    def key(self) -> str:
        """Names the question: a model is asked about once for each champion it met."""
        return f"{model_key(self.use_case, self.version, self.fingerprint)}-{self.sequence}"

    @property
    def rejection_key(self) -> str:
        """Names the rejection of the model, which is final whoever is champion."""
        return f"{model_key(self.use_case, self.version, self.fingerprint)}-rejected"

    @property
    def identity(self) -> str:
        """Names the question among those of other lakes, and of one that was set up anew."""
        return f"{self.key} {self.run_id}"


def model_key(use_case: str, version: int, fingerprint: str) -> str:
    """Name a version and the model in it: a registry that is set up anew counts from 1 again."""
    return f"{use_case}/{version}-{fingerprint[:12]}"


class Asked(Document):
    """A question as one run asks it: since when, and the links shown with it, title -> URL."""

    question: Question
    at: datetime
    links: dict[str, str] = {}


class Answer(Document):
    """What a person answered, when, and who as declared."""

    verdict: Literal["approve", "reject"]
    reason: str
    by: str
    at: datetime

    def rejection(self) -> dict[str, str]:
        """Return the tags that tell of a rejection in the registry."""
        return {
            "rancast.approval": "rejected",
            "rancast.approval_reason": self.reason,
            "rancast.approval_by_as_declared": self.by,
            "rancast.approval_at": self.at.isoformat(timespec="seconds"),
        }


class Ending(Document):
    """How a run of `promotion` or `rollback` ended: one word for its state, and a sentence."""

    word: Literal["Promoted", "Rolled back", "Rejected", "Refused"]
    sentence: str
    champion: int | None


def promoted(change: Change) -> Ending:
    """Return how a change ended that was made and checked."""
    champion, before = change.champion, change.expected
    after = "the first champion" if before is None else f"before it was {before.champion.version}"
    return Ending(
        word="Rolled back" if change.kind == "rollback" else "Promoted",
        sentence=f"Version {champion.version} of {change.use_case} ({champion.candidate}) is "
        f"champion, by {change.by} (as declared); {after}.",
        champion=champion.version,
    )


def description(question: Question, links: Mapping[str, str]) -> str:
    """Return what the form says in markdown: what is decided, the evidence, where to look.

    `links` maps a title to a URL.
    """
    champion = (
        "There is no champion yet."
        if question.champion is None
        else f"Version {question.champion} is champion now."
    )
    lines = [
        f"**Shall version {question.version} become champion of {question.use_case}?** {champion}",
        "",
        f"Candidate `{question.candidate}`, trained on the days before {question.end}: "
        f"{_plain(question.metric)} {question.score} on the holdout. Every gate passed:",
        "",
        *[f"- {_plain(sentence)}" for sentence in question.gates or question.reasons],
        "",
        " · ".join(
            [f"[{_plain(title)}]({url})" for title, url in links.items()]
            or [f"MLflow: model {question.use_case}, version {question.version}"]
        ),
        "",
        f"The question expires after {ANSWER_WITHIN.days} days, or when a newer candidate is asked "
        "about. The name is recorded as declared: nobody checks it.",
    ]
    return "\n".join(lines)


def refusal(
    question: Question, pointer: Pointer | None, asked_at: datetime, answered_at: datetime
) -> str | None:
    """Say why an answer does not count any more; None where it does."""
    sequence = pointer.sequence if pointer else 0
    if sequence != question.sequence:
        present = f"version {pointer.champion.version}" if pointer else "none"
        before = "none" if question.champion is None else f"version {question.champion}"
        return (
            f"The answer about version {question.version} of {question.use_case} does not count: "
            f"the candidate was judged against another champion ({before}) than the present one "
            f"({present})."
        )
    if is_expired(asked_at, answered_at):
        return (
            f"The answer about version {question.version} of {question.use_case} does not count: "
            f"it was asked for on {asked_at:%Y-%m-%d %H:%M} UTC, and expired after "
            f"{ANSWER_WITHIN.days} days. Promote the version by hand if it shall be champion."
        )
    return None


def is_asked(question: Question, run: str, since: datetime) -> str:
    """Say that a run asks people, `since` it was created, and until when."""
    return (
        f"A person is asked about version {question.version}, in the run of promotion {run}, until "
        f"{since + ANSWER_WITHIN:%Y-%m-%d %H:%M} UTC; nothing waits for the answer."
    )


def is_asked_no_more(question: Question, run: str, state: str, can_go_on: bool) -> str:
    """Say that the run which asked has ended in a state, and what to do.

    `can_go_on` tells one that failed or crashed, whose answer, if there was one, a retry takes up.
    """
    retry = "*Retry* it where it failed after an answer. " if can_go_on else ""
    return (
        f"Nobody is asked about version {question.version} any more: the run of promotion {run} "
        f"asked, and ended as {state}; its state says why. {retry}If the version shall be "
        f"champion, {by_hand(question.use_case, question.version)}."
    )


def is_expired(asked_at: datetime, now: datetime) -> bool:
    """Tell whether a question has waited too long to be answered."""
    return now - asked_at > ANSWER_WITHIN


def is_question(parameters: Mapping[str, Any], use_case: str) -> bool:
    """Tell whether a run of `promotion` asks about a use case: by hand, it has a name and asks not.

    `parameters` are those of the run as Prefect keeps them.
    """
    return parameters.get("use_case") == use_case and not is_declared(parameters.get("declared_by"))


def by_hand(use_case: str, version: int) -> str:
    """Say how to promote a version without a question."""
    return (
        f"promote it by hand: run the deployment promotion with use case {use_case}, version "
        f"{version}, a reason, and your name as declared_by; docs/promotion.md has it for a shell"
    )


def _score(entry: Entry, metric: str) -> str:
    interval = entry.evaluation.metrics.get(metric)
    if interval is None:
        return "not computed"
    if interval.low is None or interval.high is None:
        return f"{interval.value:.4g}"
    level = f"{entry.evaluation.confidence * 100:g} %"
    return f"{interval.value:.4g} ({level}: {interval.low:.4g} to {interval.high:.4g})"


def _plain(text: str) -> str:
    """Keep text from becoming markup."""
    return " ".join(text.replace("<", "&lt;").replace("[", "\\[").split())

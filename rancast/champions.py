"""Who is champion, since when and why: the ledger's pointer and its append-only history."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from rancast.documents import Document, digest
from rancast.errors import ModelRefused, RegistryError, RequestRefused
from rancast.models import ModelCard
from rancast.use_cases import UseCase

Kind = Literal["promotion", "approval", "manual", "rollback", "revert"]
UNDECLARED = "not declared"


class Champion(Document):
    """One registered model as the ledger pins it: version, fingerprint, SHA-256 of its bytes."""

    version: int
    fingerprint: str
    model_sha256: str
    candidate: str
    training_key: str
    train_end: str = Field(description="ISO 8601 time of the last row it was trained on")
    label_map: dict[int, int] | None = Field(
        default=None, description="of a clustering: the model's labels to the numbers people know"
    )


class Promotion(Document):
    """One entry of the history: which model became champion, who said so, when, and why.

    `kind` is "promotion" by a training alone, "approval" by an answered form, "manual" by hand,
    "rollback", or "revert" where a change failed its check afterwards and was taken back.
    """

    sequence: int
    kind: Kind
    champion: Champion
    previous: int | None = Field(description="version of the champion before, None for the first")
    reasons: tuple[str, ...]
    by: str = Field(description="as declared: nobody checks it")
    at: datetime
    flow_run: str | None = Field(default=None, description="the Prefect run that wrote the entry")

    def labelled(self, label_map: dict[int, int] | None) -> "Promotion":
        """Return this with the numbers of the champion's clusters."""
        champion = self.champion.model_copy(update={"label_map": label_map})
        return self.model_copy(update={"champion": champion})


class Pointer(Document):
    """`ledger/promotions/USE_CASE.json`: the history, whose last entry names the champion."""

    schema_version: Literal[1] = Field(default=1)
    use_case: str
    history: tuple[Promotion, ...] = Field(min_length=1)

    @property
    def champion(self) -> Champion:
        """The model in use."""
        return self.history[-1].champion

    @property
    def previous(self) -> int | None:
        """The version that was champion before."""
        return self.history[-1].previous

    @property
    def sequence(self) -> int:
        """How many times the champion has changed; grows by one each time."""
        return self.history[-1].sequence

    @property
    def earlier(self) -> Champion | None:
        """The champion that a rollback goes back to if none is named; None where there is none.

        Each rollback goes one champion further back. Who was rolled back was so for a reason, and
        is returned to by name only; a change that was reverted counts as not made.
        """
        trails: list[tuple[Champion, ...]] = [()]
        for entry in self.history:
            if entry.kind == "revert":
                trails.pop()
            elif entry.kind == "rollback":
                trails.append(_back_to(entry.champion, trails[-1]))
            else:
                trails.append((*trails[-1], entry.champion))
        return trails[-1][-2] if len(trails[-1]) > 1 else None

    def champion_at(self, moment: datetime) -> Champion | None:
        """Return who was champion at `moment`, a time with a zone; None before the first one."""
        past = [entry.champion for entry in self.history if entry.at <= moment]
        return past[-1] if past else None

    def former(self, version: int) -> Champion | None:
        """Return a version as it was pinned when it was champion; None if it never was."""
        found = [entry.champion for entry in self.history if entry.champion.version == version]
        return found[-1] if found else None

    def entry_of(self, flow_run: str | None, *kinds: Kind) -> Promotion | None:
        """Return the entry that a Prefect run wrote, None where it wrote none of these kinds."""
        found = [
            entry
            for entry in self.history
            if flow_run is not None and entry.flow_run == flow_run and entry.kind in kinds
        ]
        return found[-1] if found else None

    def withdrawal_of(self, fingerprint: str) -> Promotion | None:
        """Return the entry by which people or a failed check took a model back from champion.

        None where the model never was champion, is it now, or last made room for a better one.
        """
        found = None
        for before, entry in zip(self.history, self.history[1:], strict=False):
            if before.champion.fingerprint == fingerprint:
                found = entry if entry.kind in ("rollback", "revert") else None
        return None if self.champion.fingerprint == fingerprint else found

    @property
    def used_labels(self) -> int:
        """The highest number that a cluster of any champion ever had; 0 where none had one."""
        maps = [entry.champion.label_map or {} for entry in self.history]
        return max((number for one in maps for number in one.values()), default=0)

    def content(self) -> str:
        """Digest of the history without times and runs, equal for equal sequences of decisions."""
        volatile = {"at", "flow_run"}
        return digest([entry.model_dump(mode="json", exclude=volatile) for entry in self.history])


class Change(Document):
    """A change of champion that a person asked for or approved, before it is made.

    `expected` is the pointer that it was planned against: it is made from there or not at all.
    """

    use_case: str
    kind: Kind
    champion: Champion
    expected: Pointer | None
    reasons: tuple[str, ...]
    by: str
    flow_run: str | None

    def entry(self, at: datetime) -> Promotion:
        """Return the entry of the history that makes the change."""
        before = self.expected
        return Promotion(
            sequence=(before.sequence if before else 0) + 1,
            kind=self.kind,
            champion=self.champion,
            previous=before.champion.version if before else None,
            reasons=self.reasons,
            by=self.by,
            at=at,
            flow_run=self.flow_run,
        )

    def taken_back(self, failure: str) -> str:
        """Say that the change was made, failed its check, and was taken back."""
        return (
            f"Version {self.champion.version} of {self.use_case} became champion, failed its "
            f"check, and the champion before is champion again: {failure}"
        )

    def revert(self, made: Pointer, failure: str, at: datetime) -> Promotion:
        """Return the entry that takes the change back, `made` being the pointer after it.

        Raises RegistryError where there was no champion before.
        """
        if len(made.history) < 2:
            raise RegistryError(
                f"Version {self.champion.version} of {self.use_case} became champion, and then "
                f"failed its check: {failure} There was no champion before it to go back to; mend "
                "what the check found and retry this run, or promote another version by hand."
            )
        return Promotion(
            sequence=made.sequence + 1,
            kind="revert",
            champion=made.history[-2].champion,
            previous=self.champion.version,
            reasons=(f"Version {self.champion.version} failed its check afterwards: {failure}",),
            by=self.by,
            at=at,
            flow_run=self.flow_run,
        )


class Check(Document):
    """What a look at ledger and registry after a change found; `failure` is None if all is well."""

    failure: str | None


def advance(pointer: Pointer | None, use_case: str, promotion: Promotion) -> Pointer:
    """Return the pointer with one more entry, whose time is not before that of the last one.

    Raises RegistryError where the entry does not follow the present champion, which would
    rewrite history.
    """
    sequence = pointer.sequence if pointer else 0
    version = pointer.champion.version if pointer else None
    if promotion.sequence != sequence + 1 or promotion.previous != version:
        raise RegistryError(
            f"The promotion of {use_case} version {promotion.champion.version} follows champion "
            f"{promotion.previous} at sequence {promotion.sequence - 1}, but the ledger has "
            f"champion {version} at sequence {sequence}; decide again on the present champion."
        )
    history = pointer.history if pointer else ()
    if history and promotion.at < history[-1].at:
        # the clocks of two machines differ; who was champion when must have one answer
        promotion = promotion.model_copy(update={"at": history[-1].at})
    return Pointer(use_case=use_case, history=(*history, promotion))


def rollback_target(pointer: Pointer | None, use_case: str, version: int | None) -> int:
    """Return the version that a rollback goes back to.

    Raises RequestRefused where nobody was champion before, where the version already is, and
    where it never was.
    """
    if pointer is None:
        raise RequestRefused(
            f"{use_case} has no champion yet, so there is nothing to roll back; promote a version "
            "by hand with the flow promotion."
        )
    champion, earlier = pointer.champion.version, pointer.earlier
    if version is None:
        if earlier is None:
            raise RequestRefused(
                f"Version {champion} of {use_case} has no champion before it to roll back to; name "
                "a version, or promote one by hand with the flow promotion."
            )
        version = earlier.version
    if version == champion:
        raise RequestRefused(
            f"Version {champion} is the champion of {use_case} already; name another version."
        )
    if pointer.former(version) is None:
        known = sorted({entry.champion.version for entry in pointer.history})
        raise RequestRefused(
            f"Version {version} of {use_case} was never champion, so there is no way back to it "
            f"(champions so far: {', '.join(map(str, known))}); promote it by hand with the flow "
            "promotion."
        )
    return version


def check_inputs(card: ModelCard, signature: tuple[str, ...], use_case: UseCase) -> None:
    """See that a model's inputs are those of its MLflow signature, and made by the use case.

    Raises ModelRefused with the names that differ.
    """
    if signature != card.features:
        odd = sorted(set(signature) ^ set(card.features)) or ["their order"]
        raise ModelRefused(
            f"The MLflow signature of candidate {card.candidate!r} differs from its card in "
            f"{', '.join(odd)}; restore the model's artifacts, or train again."
        )
    absent = [name for name in card.features if name not in use_case.features.names()]
    if absent or card.problem != use_case.problem:
        wrong = f"the features {', '.join(absent)}" if absent else f"a {card.problem}"
        raise ModelRefused(
            f"Candidate {card.candidate!r} needs {wrong}, which use case {use_case.name} no longer "
            "makes; put it back into the use case's YAML first, or choose another version."
        )


def stated(text: str, field: str) -> str:
    """Return what a person wrote into a field, on one line; raises RequestRefused if empty."""
    found = " ".join(text.split())
    if not found:
        raise RequestRefused(
            f"{field} is empty; say in a sentence why, since the history of champions keeps it."
        )
    return found


def declared(name: str | None) -> str:
    """Return who asked for a change, as declared."""
    return " ".join((name or "").split()) or UNDECLARED


def is_declared(name: str | None) -> bool:
    """Tell whether a name was given."""
    return declared(name) != UNDECLARED


def history_rows(pointer: Pointer) -> list[dict[str, str | int]]:
    """Return one row per entry of the history, the newest first, for tables that people read."""
    times = [f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for entry in pointer.history]
    rows: list[dict[str, str | int]] = [
        {
            "from": since,
            "until": until,
            "version": entry.champion.version,
            "candidate": entry.champion.candidate,
            "kind": entry.kind,
            "by (as declared)": entry.by,
            "reasons": " ".join(entry.reasons),
        }
        for entry, since, until in zip(pointer.history, times, [*times[1:], "now"], strict=True)
    ]
    return rows[::-1]


def _back_to(champion: Champion, trail: tuple[Champion, ...]) -> tuple[Champion, ...]:
    """Return the trail up to the last time that `champion` was in use before its end."""
    versions = [one.version for one in trail[:-1]]
    if champion.version not in versions:
        return (*trail[:-1], champion)
    return trail[: len(versions) - versions[::-1].index(champion.version)]

"""Who is champion, since when and why: the ledger's pointer and its append-only history."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from rancast.documents import Document, digest
from rancast.errors import RegistryError


class Champion(Document):
    """One registered model as the ledger pins it: version, fingerprint, SHA-256 of its bytes."""

    version: int
    fingerprint: str
    model_sha256: str
    candidate: str
    training_key: str
    train_end: str = Field(description="ISO 8601 time of the last row it was trained on")


class Promotion(Document):
    """One entry of the history: which model became champion, who said so, when, and why."""

    sequence: int
    kind: Literal["promotion", "rollback"]
    champion: Champion
    previous: int | None = Field(description="version of the champion before, None for the first")
    reasons: tuple[str, ...]
    by: str = Field(description="as declared: nobody checks it")
    at: datetime


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

    def champion_at(self, moment: datetime) -> Champion | None:
        """Return who was champion at `moment`, None before the first one."""
        past = [entry.champion for entry in self.history if entry.at <= moment]
        return past[-1] if past else None

    def content(self) -> str:
        """Digest of the history without its times, equal for equal sequences of decisions."""
        return digest([entry.model_dump(mode="json", exclude={"at"}) for entry in self.history])


def advance(pointer: Pointer | None, use_case: str, promotion: Promotion) -> Pointer:
    """Return the pointer with one more entry.

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
    return Pointer(use_case=use_case, history=(*history, promotion))

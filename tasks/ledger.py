"""The ledger in the lake: what was computed, what was pinned, and who is champion.

Entries are put if absent, so that the first writer wins and everyone else adopts it; only the
champion's pointer moves, by compare-and-set.
"""

import json
from typing import Any, TypeGuard

from pydantic import ValidationError

from rancast.champions import Pointer, Promotion, advance
from rancast.documents import DocumentT, canonical_json
from rancast.errors import ChampionChanged, ObjectNotFound, StorageError, WriteConflict
from rancast.steps import StepEntry
from tasks.storage import Store


class Ledger:
    """Reads and appends ledger entries below `ledger/` of one store."""

    def __init__(self, lake: Store) -> None:
        self.lake = lake

    def step(self, key: str) -> StepEntry | None:
        """Return the entry of a step that was computed before, on any machine."""
        data = self._read(_step_name(key))
        return None if data is None else self._parse(StepEntry, data, _step_name(key))

    def record(self, entry: StepEntry) -> StepEntry:
        """Put a step's entry if absent; return the one that is there, ours or an earlier one."""
        name = _step_name(entry.key)
        winner = self.lake.write_if_absent(name, _in_order(entry))
        return self._parse(StepEntry, winner, name)

    def supersede(self, lost: StepEntry, entry: StepEntry) -> StepEntry:
        """Replace an entry whose outputs are lost by one whose outputs exist.

        Returns the entry that is there afterwards: of several who replace it, the first one wins.
        """
        name = _step_name(entry.key)
        data, etag = self.lake.read_tagged(name)
        if self._parse(StepEntry, data, name) == lost:
            try:
                self.lake.write_if_match(name, _in_order(entry), etag)
                return entry
            except WriteConflict:
                data = self.lake.read(name)
        return self._parse(StepEntry, data, name)

    def pin(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Put a small fact if absent; return the value that is there, ours or the winner's."""
        winner = self.lake.write_if_absent(f"ledger/{name}.json", canonical_json(value))
        return dict(json.loads(winner))

    def pinned(self, name: str) -> dict[str, Any] | None:
        """Return a pinned fact, None where nobody has pinned it yet."""
        data = self._read(f"ledger/{name}.json")
        return None if data is None else dict(json.loads(data))

    def pointer(self, use_case: str) -> Pointer | None:
        """Return who is champion of a use case and its history; None before the first one."""
        data = self._read(_pointer_name(use_case))
        return None if data is None else self._parse(Pointer, data, _pointer_name(use_case))

    def advance(self, use_case: str, expected: Pointer | None, promotion: Promotion) -> Pointer:
        """Make the promotion's model champion, if the champion is still the expected one.

        An entry that is made already changes nothing: a training's if its model is champion, and
        that of a change by people if the history has it. Raises WriteConflict where somebody else
        changed the champion in the meantime, which is ChampionChanged where no retry decides anew.
        """
        name = _pointer_name(use_case)
        current, etag = self._tagged_pointer(name)
        if _is_made(current, promotion):
            return current
        if current == expected:
            moved = advance(current, use_case, promotion)
            try:
                self.lake.write_if_match(name, canonical_json(moved), etag)
                return moved
            except WriteConflict:
                current, _ = self._tagged_pointer(name)
                if _is_made(current, promotion):
                    return current
        said = (
            f"The champion of {use_case} changed while version {promotion.champion.version} was "
            f"being promoted; its version is now {current.champion.version if current else None}. "
        )
        if promotion.kind in ("promotion", "approval"):
            raise WriteConflict(f"{said}Retry the run, so that the decision is made against it.")
        raise ChampionChanged(
            f"{said}Look at the history, and start a new run if the change is still wanted."
        )

    def _tagged_pointer(self, name: str) -> tuple[Pointer | None, str | None]:
        try:
            data, etag = self.lake.read_tagged(name)
        except ObjectNotFound:
            return None, None
        return self._parse(Pointer, data, name), etag

    def _read(self, name: str) -> bytes | None:
        try:
            return self.lake.read(name)
        except ObjectNotFound:
            return None

    @staticmethod
    def _parse(model: type[DocumentT], data: bytes, name: str) -> DocumentT:
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise StorageError(
                f"{name} in the lake is not a ledger entry that this version reads "
                f"({error.error_count()} faults, first: {error.errors()[0]['msg']}); restore it "
                "from a backup, or remove it if it is a step's entry, which is then computed again."
            ) from error


def _is_made(pointer: Pointer | None, promotion: Promotion) -> TypeGuard[Pointer]:
    if pointer is None:
        return False
    if promotion.kind == "promotion":
        return pointer.champion.fingerprint == promotion.champion.fingerprint
    # going back makes a former champion champion again: who asked tells one change from another
    return pointer.entry_of(promotion.flow_run, promotion.kind) is not None


def _step_name(key: str) -> str:
    return f"ledger/steps/{key}.json"


def _in_order(entry: StepEntry) -> bytes:
    # not canonical: the order of a dataset's columns is part of what a lost step is made again from
    return entry.model_dump_json().encode()


def _pointer_name(use_case: str) -> str:
    return f"ledger/promotions/{use_case}.json"

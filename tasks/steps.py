"""The one adapter that turns a pure function into a Prefect task which computes nothing twice.

A step's task takes references and configuration and looks its key up in the ledger; only where
nothing is known there does it load the references, call the function, publish and record.
"""

import inspect
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from logging import Logger, LoggerAdapter
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pandas as pd
from cachetools import LRUCache
from prefect import Task, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.runtime import flow_run, task_run
from pydantic import BaseModel, TypeAdapter

from rancast import frames
from rancast.code import code_digest
from rancast.documents import canonical_json, sha256
from rancast.errors import (
    DataError,
    ObjectNotFound,
)
from rancast.references import Reference, jsonable
from rancast.steps import Made, StepEntry, manifest_of, step_key
from tasks.ledger import Ledger
from tasks.redaction import no_cells, redacted
from tasks.retrying import RETRY_SECONDS, may_pass
from tasks.stores import open_ledger

STEPS: dict[str, "Step"] = {}


class Step:
    """A pure function under a name, and where in the lake its outputs go.

    A function that returns a NamedTuple has one output per field, any other has the one output
    `data`. Frames, bytes and text become files: `into` maps each to its name in the lake, a format
    string over the call's arguments, `place` and `sha256`. Documents are facts, kept in the
    ledger's entry. Outputs in `volatile` serialise to other bytes each time: the first ones
    recorded win.
    `manifest` names the folder whose `manifest.json`, written last and at once, shows the outputs.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        into: dict[str, str],
        *,
        volatile: tuple[str, ...] = (),
        manifest: str | None = None,
    ) -> None:
        self.name, self.function, self.into = name, function, into
        self.volatile, self.manifest = volatile, manifest
        self.hints = get_type_hints(function)
        STEPS[name] = self

    def key(self, arguments: dict[str, Any], place: str = "") -> str:
        """Return the step key of a call: its inputs' digests, configuration and code."""
        inputs, config = _sort_arguments(self._complete(arguments))
        digests = {name: _digests(value) for name, value in inputs.items()}
        return step_key(
            self.name, code_digest(self.function), digests, jsonable(config) | {"place": place}
        )

    def outline(self, arguments: dict[str, Any], place: str = "") -> StepEntry:
        """Return a call's entry as far as it is known without computing: all but what comes out."""
        arguments = self._complete(arguments)
        inputs, config = _sort_arguments(arguments)
        return StepEntry(
            key=self.key(arguments, place),
            step=self.name,
            code=code_digest(self.function),
            inputs=jsonable(inputs),
            config=jsonable(config) | {"place": place},
            outputs={},
            volatile=self.volatile,
        )

    def known(self, key: str) -> Made | None:
        """Return what was made under a key, None where that is not known or its files are lost."""
        ledger = open_ledger()
        entry = ledger.step(key)
        return None if entry is None or not _exist(ledger, entry) else _made(entry, is_reused=True)

    def make(self, arguments: dict[str, Any], place: str = "", is_forced: bool = False) -> Made:
        """Return what the call makes, from the ledger if it is there and its outputs exist.

        A forced call computes anyway, and warns where the outcome is not the one known.
        """
        arguments = self._complete(arguments)
        key, ledger = self.key(arguments, place), open_ledger()
        known = ledger.step(key)
        if known is not None and not is_forced and _exist(ledger, known):
            self._show(ledger, known, arguments, place)
            return _made(known, is_reused=True)
        entry = self._compute(ledger, self.outline(arguments, place), arguments, place)
        recorded = self._record(ledger, entry)
        self._show(ledger, recorded, arguments, place)
        return _made(recorded, is_reused=False)

    def remake(self, entry: StepEntry) -> None:
        """Compute a recorded step once more since its outputs are lost."""
        known = {name: _as_references(value) for name, value in entry.inputs.items()}
        config = dict(entry.config)
        place = config.pop("place")
        typed = {name: _typed(value, self.hints[name]) for name, value in config.items()}
        self.make({**known, **typed}, place)

    def _complete(self, arguments: dict[str, Any]) -> dict[str, Any]:
        bound = inspect.signature(self.function).bind(**arguments)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _compute(
        self, ledger: Ledger, outline: StepEntry, arguments: dict[str, Any], place: str
    ) -> StepEntry:
        inputs, _ = _sort_arguments(arguments)
        loaded = {name: _load(ledger, inputs[name], self.hints[name]) for name in inputs}
        with no_cells(self.name, arguments):
            result = _fields(self.function(**{**arguments, **loaded}))
        facts = {name: jsonable(value) for name, value in result.items() if _is_fact(value)}
        outputs = {
            name: _publish(ledger, outline.key, self._uri(name, arguments, place), value)
            for name, value in result.items()
            if name not in facts
        }
        return outline.model_copy(update={"outputs": outputs, "facts": facts})

    def _uri(self, output: str, arguments: dict[str, Any], place: str) -> str:
        return self.into[output].format_map({**arguments, "place": place, "sha256": "{sha256}"})

    def _record(self, ledger: Ledger, entry: StepEntry) -> StepEntry:
        recorded = ledger.record(entry)
        if recorded.content != entry.content:
            _logger().warning(
                f"{self.name} is not deterministic: under the key {entry.key[:12]} it gave "
                f"{recorded.content[:12]} before and {entry.content[:12]} now; the first one stays."
            )
        if _exist(ledger, recorded):
            return recorded
        return ledger.supersede(recorded, entry)

    def _show(
        self, ledger: Ledger, entry: StepEntry, arguments: dict[str, Any], place: str
    ) -> None:
        if self.manifest is None:
            return
        folder = self.manifest.format_map({**arguments, "place": place})
        name, data = f"{folder}/manifest.json", canonical_json(manifest_of(entry))
        if not ledger.lake.exists(name) or ledger.lake.read(name) != data:
            ledger.lake.write(name, data)


def as_task(step: Step, run_name: str | None = None) -> Task[..., Made]:
    """Return the Prefect task of a step: `.submit(place=..., is_forced=..., **arguments)`.

    Its results persist as JSON under the id of the flow run that an operator sees, the topmost one,
    and the step key, so that a retry of that run shows finished steps as Cached although its
    subflows begin anew; the ledger alone decides what is computed.
    """

    @redacted
    def call(place: str = "", is_forced: bool = False, **arguments: Any) -> Made:
        return step.make(arguments, place, is_forced)

    def name_run() -> str:
        given = task_run.parameters
        return (run_name or step.name).format_map({**given, **given.get("arguments", {})})

    def cache_key(context: TaskRunContext, given: dict[str, Any]) -> str:
        key = step.key(given["arguments"], given["place"])
        return f"{_top_run(context.task_run.flow_run_id)}-{key}-{given['is_forced']}"

    call.__doc__ = step.function.__doc__
    decorate = task(
        name=step.name,
        task_run_name=name_run,
        persist_result=True,
        result_serializer="json",
        cache_policy=CacheKeyFnPolicy(cache_key_fn=cache_key),
        retries=len(RETRY_SECONDS),
        retry_delay_seconds=RETRY_SECONDS,
        retry_condition_fn=may_pass,
    )
    return decorate(call)


@lru_cache(maxsize=64)
def _top_run(flow_run_id: UUID | None) -> str:
    # asks Prefect for the parents of a subflow, once per run
    return str(flow_run.root_flow_run_id or flow_run_id)


def serialise(value: Any) -> bytes:
    """Return the bytes under which a frame, text or bytes are kept.

    Raises TypeError for anything else, since no reader would know what it is.
    """
    if isinstance(value, pd.DataFrame):
        return frames.to_parquet(value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TypeError(f"a step returned {type(value).__name__}, which has no form in the lake")


def load_frame(reference: Reference, columns: list[str] | None = None) -> pd.DataFrame:
    """Load a referenced frame, optionally only some of its columns; a lost one is made again."""
    (data,) = _read(open_ledger(), [reference])
    return frames.from_parquet(_verified(reference, data), reference.uri, columns)


def _made(entry: StepEntry, is_reused: bool) -> Made:
    return Made(
        key=entry.key,
        step=entry.step,
        outputs=entry.outputs,
        facts=entry.facts,
        is_reused=is_reused,
    )


def _publish(ledger: Ledger, key: str, uri: str, value: Any) -> Reference:
    data = serialise(value)
    content = sha256(data)
    reference = Reference(
        uri=uri.format(sha256=content),
        digest=content,
        rows=len(value) if isinstance(value, pd.DataFrame) else None,
        key=key,
    )
    ledger.lake.write_if_absent(reference.uri, data)
    return reference


def _sort_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell references, whose content is the input, from configuration, which is its own content."""
    inputs = {name: value for name, value in arguments.items() if _is_input(value)}
    return inputs, {name: value for name, value in arguments.items() if name not in inputs}


def _is_input(value: Any) -> bool:
    """Tell whether it is a reference, a list of some, or a mapping of such lists by name."""
    if isinstance(value, dict) and value:
        lists = list(value.values())
        return any(lists) and all(_is_input(items) or items == [] for items in lists)
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, Reference) for item in value)
    return isinstance(value, Reference)


def _digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _digests(items) for name, items in value.items()}
    return value.digest if isinstance(value, Reference) else [item.digest for item in value]


def _load(ledger: Ledger, value: Any, hint: Any) -> Any:
    """Load references as what the function's parameter says: frames, or bytes."""
    if isinstance(value, Reference):
        return _decode(value, _read(ledger, [value])[0], hint)
    if isinstance(value, dict):
        items = get_args(hint)[1]
        return {name: _load(ledger, given, items) for name, given in value.items()}
    item = get_args(hint)[0]
    contents = _read(ledger, list(value))
    return [_decode(one, data, item) for one, data in zip(value, contents, strict=True)]


def _read(ledger: Ledger, references: list[Reference]) -> list[bytes]:
    try:
        return ledger.lake.read_many([reference.uri for reference in references])
    except ObjectNotFound:
        for reference in references:
            _restore(ledger, reference)
    try:
        return ledger.lake.read_many([reference.uri for reference in references])
    except ObjectNotFound as error:
        raise DataError(
            f"{error} It was made again, but came out otherwise than it was recorded; run the "
            "ingest of its days again, and then this run."
        ) from error


def _restore(ledger: Ledger, reference: Reference) -> None:
    """Have the step that made a lost file make it again."""
    if ledger.lake.exists(reference.uri):
        return
    entry = ledger.step(reference.key) if reference.key else None
    if entry is None:
        raise DataError(
            f"{reference.uri} is not in the lake, and no ledger entry says how it was made; run "
            "the ingest of that day again."
        )
    STEPS[entry.step].remake(entry)


def _decode(reference: Reference, data: bytes, hint: Any) -> Any:
    _verified(reference, data)
    return data if hint is bytes else _DECODED.frame(reference, data)


class Decoded:
    """The frames that were decoded last, by the digest of their bytes.

    The features of each day look back on the same partitions, which would be decoded up to 20
    times. What is handed out shares memory with what is kept: pandas copies on write.
    """

    def __init__(self, limit_bytes: int) -> None:
        # one large table would drive out all partitions
        self._largest = limit_bytes // 16
        self._frames: LRUCache[str, pd.DataFrame] = LRUCache(limit_bytes, getsizeof=_size)
        self._lock = threading.Lock()

    def frame(self, reference: Reference, data: bytes) -> pd.DataFrame:
        """Return the frame of bytes that have the reference's digest."""
        with self._lock:
            found = self._frames.get(reference.digest)
        if found is None:
            found = frames.from_parquet(data, reference.uri)
            if _size(found) <= self._largest:
                with self._lock:
                    self._frames[reference.digest] = found
        return found.copy(deep=False)


def _size(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage().sum())


_DECODED = Decoded(limit_bytes=128 * 1024**2)


def _verified(reference: Reference, data: bytes) -> bytes:
    if sha256(data) != reference.digest:
        raise DataError(
            f"{reference.uri} holds other bytes than were written (SHA-256 {sha256(data)[:12]}, "
            f"not {reference.digest[:12]}); remove that file, and it is made again."
        )
    return data


def _exist(ledger: Ledger, entry: StepEntry) -> bool:
    return all(ledger.lake.exists(output.uri) for output in entry.outputs.values())


def _fields(result: Any) -> dict[str, Any]:
    fields = result._asdict() if hasattr(result, "_asdict") else {"data": result}
    return {name: value for name, value in fields.items() if value is not None}


def _is_fact(value: Any) -> bool:
    return isinstance(value, BaseModel)


def _as_references(value: Any) -> Any:
    if isinstance(value, list):
        return [Reference.model_validate(item) for item in value]
    if "uri" not in value:
        return {name: _as_references(items) for name, items in value.items()}
    return Reference.model_validate(value)


def _typed(value: Any, hint: Any) -> Any:
    """Return recorded configuration as the function's parameter says.

    Where files are taken there were none, which is told as it stands: an empty list, a mapping of
    such by name, or None.
    """
    if _takes_files(hint):
        return value
    return TypeAdapter(hint).validate_python(value, strict=False)


def _takes_files(hint: Any) -> bool:
    return hint in (pd.DataFrame, bytes) or any(map(_takes_files, get_args(hint)))


def _logger() -> Logger | LoggerAdapter[Logger]:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("rancast.steps")

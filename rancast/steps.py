"""What the ledger remembers of a step, and the key under which it remembers it."""

import json
from typing import Any, Literal

from pydantic import Field

from rancast.documents import Document, DocumentT, digest, sha256
from rancast.references import SCHEMA_VERSION, Reference


class StepEntry(Document):
    """One finished step: what went in, by content, and what came out."""

    schema_version: Literal[1] = Field(default=1)
    key: str
    step: str
    code: str
    inputs: dict[str, Any]
    config: dict[str, Any]
    outputs: dict[str, Reference]
    facts: dict[str, Any] = {}
    volatile: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """Digest of what came out, apart from outputs whose bytes differ at each serialisation."""
        outputs = {name: output.digest for name, output in self.outputs.items()} | self.facts
        return digest({name: outputs[name] for name in outputs if name not in self.volatile})


class Made(Document):
    """What a step hands on: references to its outputs, its facts, and whether it had to compute."""

    key: str
    step: str
    outputs: dict[str, Reference]
    facts: dict[str, Any] = {}
    is_reused: bool

    def __getitem__(self, name: str) -> Reference:
        return self.outputs[name]

    def fact(self, name: str, model: type[DocumentT]) -> DocumentT:
        """Return one of the step's small results as the document that it is."""
        return model.model_validate(self.facts[name])


def manifest_of(entry: StepEntry) -> dict[str, Any]:
    """Return `manifest.json` of a folder: what a step's facts say, its files, and their digest.

    Times, ETags and run ids are not in it, so that equal input gives an equal manifest anywhere.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        **entry.facts.get("manifest", {}),
        "step": entry.step,
        "key": entry.key,
        "files": {name: output.model_dump(mode="json") for name, output in entry.outputs.items()},
        "digest": digest([entry.step, entry.key, entry.content]),
    }


def step_key(step: str, code: str, inputs: dict[str, Any], config: dict[str, Any]) -> str:
    """Return the SHA-256 of what a step depends on: input digests, configuration and code."""
    parts = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "code": code,
        "inputs": inputs,
        "config": config,
    }
    # not canonical: the order of a dataset's columns is the order of the frame's
    return sha256(json.dumps(parts, separators=(",", ":")).encode())

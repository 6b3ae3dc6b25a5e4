"""What steps hand each other: references to immutable content, and the manifests that list it."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from rancast.documents import Document, digest

SCHEMA_VERSION = 1

Day = date


class Reference(Document):
    """One immutable object of the lake: where it is, the SHA-256 of its bytes, its rows.

    `key` is the step key that made it, by which it can be made again if it was lost; `uri` is the
    object's name relative to the lake, and holds the digest, so that it never changes its content.
    """

    uri: str
    digest: str
    rows: int | None = None
    key: str | None = None


class RawBlob(Document):
    """One blob of the raw container as listed; `name` is relative to the container's prefix.

    ETag and MD5 only tell that a blob changed, they never stand for its content.
    """

    name: str
    size: int
    etag: str
    md5: str | None = None
    modified: datetime | None = Field(default=None, exclude=True)


class Source(Document):
    """One raw blob as it was read: its content's digest and the records found in it."""

    blob: str
    sha256: str
    rows: int


class RowCounts(Document):
    """How a partition's records were sorted; raw = curated + quarantined + duplicates."""

    raw: int
    curated: int
    quarantined: int
    duplicates: int

    def add_up(self) -> bool:
        """Tell whether no record was lost and none was invented."""
        return self.raw == self.curated + self.quarantined + self.duplicates


class PartitionManifest(Document):
    """What one partition holds and what it was made from: `manifest.json` in the lake.

    `digest` covers every other field; times, ETags and run ids are not among them, so that equal
    input gives an equal manifest on any machine.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    dataset: str
    date: Day
    rows: RowCounts
    sources: tuple[Source, ...]
    coverage: float | None
    is_refused: bool = False
    reasons: tuple[str, ...] = ()
    files: tuple[Reference, ...] = ()
    digest: str = ""

    def sealed(self) -> "PartitionManifest":
        """Return a copy whose `digest` is that of its other fields."""
        return self.model_copy(
            update={"digest": digest(self.model_dump(mode="json") | {"digest": ""})}
        )


def jsonable(value: Any) -> Any:
    """Return pydantic models within lists and mappings as plain JSON values."""
    if isinstance(value, Document):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value

"""What steps hand each other: references to immutable content, and the manifests that list it."""

from datetime import date, datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from rancast.documents import Document, format_duration

SCHEMA_VERSION = 1


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

    @model_validator(mode="after")
    def _add_up(self) -> "RowCounts":
        if self.raw != self.curated + self.quarantined + self.duplicates:
            raise ValueError(
                f"{self.raw} raw rows are not {self.curated} curated + {self.quarantined} "
                f"quarantined + {self.duplicates} duplicates"
            )
        return self


def jsonable(value: Any) -> Any:
    """Return pydantic models within lists and mappings as plain JSON values."""
    if isinstance(value, Document):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, timedelta):
        return format_duration(value)
    return value.isoformat() if isinstance(value, (date, datetime)) else value

"""What a curated partition says of itself: `curated/DATASET/date=YYYY-MM-DD/manifest.json`."""

import json
from datetime import date
from typing import Literal

import pandas as pd
from pydantic import ValidationError

from rancast.documents import Document
from rancast.errors import DataError
from rancast.partition_results import Attendance, ExpectationResult
from rancast.references import SCHEMA_VERSION, Reference, RowCounts, Source

Day = date


class PartitionFacts(Document):
    """What validation found in one partition; raw = curated + quarantined + duplicates."""

    dataset: str
    date: Day
    rows: RowCounts
    sources: tuple[Source, ...]
    coverage: float | None
    attendance: Attendance | None = None
    is_refused: bool
    reasons: tuple[str, ...]
    results: tuple[ExpectationResult, ...] = ()
    quarantined_by_rule: dict[str, int] = {}


class PartitionManifest(PartitionFacts):
    """The manifest as a reader finds it: the facts, the files, and the digest over both."""

    schema_version: Literal[1]
    step: str
    key: str
    files: dict[str, Reference]
    digest: str

    @property
    def curated(self) -> Reference:
        """The rows that passed; none of them where the partition was refused."""
        return self.files["curated"]


def partition_folder(dataset: str, day: date) -> str:
    """Return the lake folder whose manifest shows a partition."""
    return f"curated/{dataset}/date={day:%Y-%m-%d}"


def parse_manifest(data: bytes, name: str) -> PartitionManifest:
    """Parse a partition's manifest; `name` is its place in the lake, for errors.

    Raises DataError where it is not one that this version reads.
    """
    try:
        return PartitionManifest.model_validate(json.loads(data))
    except (ValidationError, json.JSONDecodeError) as error:
        raise DataError(
            f"{name} is not a partition manifest of schema version {SCHEMA_VERSION}: "
            f"{str(error).splitlines()[0]}; run the ingest of that day again."
        ) from error


def count_by_rule(quarantined: pd.DataFrame) -> dict[str, int]:
    """Return how many rows each rule set aside first, by its name; a row counts once."""
    first = quarantined["rule"].str.split("; ").str[0]
    return {str(rule): int(count) for rule, count in first.value_counts().sort_index().items()}

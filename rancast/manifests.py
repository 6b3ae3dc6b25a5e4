"""What a curated partition says of itself: `curated/DATASET/date=YYYY-MM-DD/manifest.json`."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.errors import DataError
from rancast.references import SCHEMA_VERSION, Reference, RowCounts, Source
from rancast.use_cases import UseCase

Day = date


class PartitionFacts(Document):
    """What validation found in one partition; raw = curated + quarantined + duplicates."""

    dataset: str
    date: Day
    rows: RowCounts
    sources: tuple[Source, ...]
    coverage: float | None
    is_refused: bool
    reasons: tuple[str, ...]
    results: tuple[dict[str, Any], ...] = ()


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


def days_between(start: date, end: date) -> list[date]:
    """Return the UTC days from `start` up to, and without, `end`."""
    return [start + timedelta(days=index) for index in range((end - start).days)]


def usable_days(
    partitions: Mapping[date, PartitionManifest],
    days: Sequence[date],
    use_case: UseCase,
    dataset: Dataset,
) -> list[date]:
    """Return the days of the window whose partition can be learned from.

    Raises DataError where the newest day of a dataset expected daily is missing or refused, or
    where fewer days are usable than `minimum_coverage` asks for: absent is not zero.
    """
    usable = [day for day in days if _is_usable(partitions.get(day))]
    newest = days[-1]
    if dataset.expected == "daily" and newest not in usable:
        raise DataError(_why_not(partitions.get(newest), dataset.name, newest))
    share = len(usable) / len(days)
    if share < use_case.minimum_coverage:
        raise DataError(
            f"Use case {use_case.name!r} has {len(usable)} usable days of {dataset.name} out of the "
            f"{len(days)} from {days[0]} to {newest} ({share:.0%}); minimum_coverage asks for "
            f"{use_case.minimum_coverage:.0%}. Deliver the missing days and run ingest for them, or "
            f"shorten history in use_cases/{use_case.name}.yaml."
        )
    return usable


def _is_usable(partition: PartitionManifest | None) -> bool:
    return partition is not None and not partition.is_refused and partition.rows.curated > 0


def _why_not(partition: PartitionManifest | None, dataset: str, day: date) -> str:
    if partition is None:
        return (
            f"{dataset} {day} has no file where one is expected daily: nothing lies under "
            f"{dataset}/year={day:%Y}/month={day:%m}/day={day:%d}/ in the raw container. Deliver it "
            "and run ingest for that day, or wait for the next schedule."
        )
    return f"{dataset} {day} was refused: {' '.join(partition.reasons)}"

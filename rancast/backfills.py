"""A range of past days, cut into chunks that are ingested one after the other."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from rancast.documents import Document
from rancast.errors import RequestRefused
from rancast.use_cases import UseCase
from rancast.windows import Ingested

# a chunk is what a killed run does again, of which the ledger knows most
CHUNK_DAYS = 7

Day = date


class Chunk(Document):
    """Days of one dataset, `end` exclusive."""

    dataset: str
    start: Day
    end: Day

    @property
    def label(self) -> str:
        """Names the chunk to a person: 'network_performance 2024-02-01 to 2024-02-07'."""
        return f"{self.dataset} {self.start} to {self.end - timedelta(days=1)}"


def chunks(use_cases: Iterable[UseCase], start: date, end: date, today: date) -> list[Chunk]:
    """Return what to ingest for these use cases, oldest days first.

    Raises RequestRefused for a range without a day, or with one that is not over.
    """
    if start >= end:
        raise RequestRefused(
            f"A backfill from {start} to {end} has no day: end is the day after the last one, so "
            "it must be later than start."
        )
    if end > today:
        raise RequestRefused(
            f"A backfill to {end} holds days that are not over: today is {today} (UTC), which is "
            "the latest end; what comes after is for the schedule."
        )
    datasets = sorted({name for case in use_cases for name in case.datasets})
    starts = [start + timedelta(days=offset) for offset in range(0, (end - start).days, CHUNK_DAYS)]
    return [
        Chunk(dataset=dataset, start=first, end=min(first + timedelta(days=CHUNK_DAYS), end))
        for first in starts
        for dataset in datasets
    ]


def backfill_sentence(ingested: Sequence[Ingested]) -> str:
    """Return what a backfill came to, as one line for its state."""
    present = [facts for one in ingested for facts in one.partitions]
    missing = sum(len(one.missing) for one in ingested)
    refused = sum(facts.is_refused for facts in present)
    computed = sum(one.computed for one in ingested)
    return (
        f"{len(present)} days of files, {computed} validated in this run, "
        f"{refused} refused, {missing} without a file; "
        f"{sum(facts.rows.curated for facts in present):,} rows curated."
    )

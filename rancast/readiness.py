"""Whether a day's data is complete enough to train on, or may still be waited for."""

from datetime import UTC, date, datetime, time, timedelta

from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.durations import short_duration
from rancast.manifests import PartitionFacts
from rancast.windows import Ingested


class Waiting(Document):
    """Why the newest day of a dataset is not ready, and when to look again (UTC)."""

    dataset: str
    look_again: datetime
    reason: str


def waiting_for(dataset: Dataset, ingested: Ingested, now: datetime) -> Waiting | None:
    """Return why the newest day of `ingested` is not ready at `now`; None where it is.

    A dataset without `ready` always is. Otherwise its day is ready at the coverage (periodic) or
    the volume (events) that is usual, and at the latest when its deadline has passed.
    """
    ready = dataset.ready
    if ready is None:
        return None
    newest = ingested.end - timedelta(days=1)
    deadline = datetime.combine(ingested.end, time(), UTC) + ready.deadline
    found = next((one for one in ingested.partitions if one.date == newest), None)
    lack = _lack(dataset, found, newest)
    if lack is None or now >= deadline:
        return None
    look_again = min(now + ready.every, deadline)
    return Waiting(
        dataset=dataset.name,
        look_again=look_again,
        reason=f"{lack}; it is looked at again at {look_again:%H:%M} UTC, and taken as it is at "
        f"{deadline:%H:%M} UTC, {short_duration(ready.deadline)} after the day ended.",
    )


def _lack(dataset: Dataset, found: PartitionFacts | None, day: date) -> str | None:
    """Say what the day still lacks, None where it lacks nothing."""
    if found is None:
        return f"{dataset.name} {day} has no file yet"
    if found.is_refused:
        return f"{dataset.name} {day} is refused as it is ({' '.join(found.reasons)})"
    if dataset.kind == "events":
        fewest = dataset.volume[0] if dataset.volume else 1
        if found.rows.raw >= fewest:
            return None
        return f"{dataset.name} {day} has {found.rows.raw:,} rows so far, ready at {fewest:,}"
    wanted = dataset.ready.coverage if dataset.ready else None
    coverage = found.coverage or 0.0
    if wanted is None or coverage >= wanted:
        return None
    return f"{dataset.name} {day} has a coverage of {coverage:.1%} so far, ready at {wanted:.1%}"

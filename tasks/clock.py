"""Which day it is for a run: the day of its schedule, never that of a late start."""

from datetime import UTC, date, datetime, timedelta

from prefect.runtime import flow_run

# how far back an ingest looks for late files where nobody says which days
LATE_DAYS = 3


def scheduled_day() -> date:
    """Return the UTC day at which the present flow run was scheduled, today outside of a run.

    Only a top flow asks; a subflow's scheduled time is its own start, so it is handed its dates.
    """
    scheduled: datetime | None = flow_run.scheduled_start_time
    return (scheduled or datetime.now(UTC)).astimezone(UTC).date()


def ingest_days(start: date | None, end: date | None) -> tuple[date, date]:
    """Return the days of an ingest, by default the last before its schedule, for late files."""
    last = end or scheduled_day()
    return start or last - timedelta(days=LATE_DAYS), last


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)

"""Which day it is for a run: the day of its schedule, never that of a late start."""

from datetime import UTC, date, datetime

from prefect.runtime import flow_run


def scheduled_day() -> date:
    """Return the UTC day at which the present flow run was scheduled, today outside of a run.

    Only a top flow asks; a subflow's scheduled time is its own start, so it is handed its dates.
    """
    scheduled: datetime | None = flow_run.scheduled_start_time
    return (scheduled or datetime.now(UTC)).astimezone(UTC).date()

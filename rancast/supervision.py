"""When a run is taken for dead, and when a deadline will be missed: rules over plain times."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from rancast.documents import Document
from rancast.use_cases import Deadline

Day = date

# Longer than the API may be away: a client tries for 8.5 minutes, and heartbeats are lost meanwhile
PATIENCE = timedelta(minutes=15)
# Nights on which the typical duration rests; the median leaves an odd one out
TYPICAL_OF = 14


def is_dead(since: datetime, last_heartbeat: datetime | None, now: datetime) -> bool:
    """Tell whether a run gave no sign of life for too long.

    `since` is when it got its present state; a run that never beat has only that.
    """
    return now - _last_sign(since, last_heartbeat) > PATIENCE


def obituary(state: str, since: datetime, last_heartbeat: datetime | None, is_part: bool) -> str:
    """Say why a run was ended, and what to press next.

    `is_part` is for a run within another one, which cannot be retried by itself.
    """
    beat = (
        f"its last heartbeat came at {last_heartbeat:%Y-%m-%d %H:%M:%S} UTC"
        if last_heartbeat is not None
        else "it never gave a heartbeat"
    )
    press = "Retry the run that it is a part of" if is_part else "Press Retry"
    return (
        f"Taken for dead: {state} since {since:%Y-%m-%d %H:%M:%S} UTC, and {beat}. Its process was "
        "killed, ran out of memory, or lost its machine. "
        f"{press}: what was finished is not computed again. See docs/operations.md#zombies."
    )


class NightRun(Document):
    """The newest run of `daily` for a day: its state's type and time, and when it is due."""

    name: str
    state: str
    state_type: str
    since: datetime
    scheduled: datetime | None


class Alarm(Document):
    """A deadline that will be missed, or was; all times are UTC."""

    use_case: str
    day: Day
    kind: Literal["at-risk", "missed"]
    deadline: datetime
    expected: datetime | None
    sentence: str


def typical_duration(durations: Sequence[timedelta]) -> timedelta | None:
    """Return the median of the newest nights' durations, newest first; None without any."""
    if not durations:
        return None
    return timedelta(seconds=median(one.total_seconds() for one in durations[:TYPICAL_OF]))


def watched_days(deadline: Deadline, now: datetime, since: datetime) -> list[date]:
    """Return the days whose deadline passed in the last 24 hours, or comes in the next 24.

    `since` is when this deadline was first watched: one that had passed by then promised nothing.
    """
    near = [(now + timedelta(days=offset)).date() for offset in (-1, 0, 1)]
    return [
        day
        for day in near
        if deadline.on(day) > since and abs(deadline.on(day) - now) <= timedelta(days=1)
    ]


def deadline_alarm(
    use_case: str,
    day: date,
    deadline: Deadline,
    now: datetime,
    night: NightRun | None,
    typical: timedelta | None,
) -> Alarm | None:
    """Return the alarm about a day without a decision; None where there is still time.

    Before any night completed nothing can be forecast, so that only a missed deadline is told of.
    One without any run of `daily` is missed like another: its schedule is paused, or nobody
    scheduled it.
    """
    at = deadline.on(day)
    expected = _expected(night, now, typical)
    if now < at and (expected is None or expected <= at):
        return None
    kind: Literal["at-risk", "missed"] = "missed" if now >= at else "at-risk"
    verb = "missed" if kind == "missed" else "will probably miss"
    utc = "" if deadline.timezone == "UTC" else f" ({at:%H:%M} UTC)"
    return Alarm(
        use_case=use_case,
        day=day,
        kind=kind,
        deadline=at,
        expected=expected,
        sentence=f"{use_case} {day} {verb} its deadline of {deadline.at:%H:%M} "
        f"{deadline.timezone}{utc}: {_why(night, expected)}. See docs/operations.md#deadlines.",
    )


def _why(night: NightRun | None, expected: datetime | None) -> str:
    """Say what the night is at, and when its decision is to be expected where that is known."""
    if night is None:
        return "no run of daily is there for it, so see whether its schedule is paused"
    when = f", and the decision is expected at {expected:%H:%M} UTC" if expected else ""
    return f"{night.name} is {night.state}{when}"


def _expected(night: NightRun | None, now: datetime, typical: timedelta | None) -> datetime | None:
    """Return when a decision is to be expected, had everything not begun yet begin now."""
    if typical is None:
        return None
    if night is not None and night.state_type == "RUNNING":
        return max(night.since + typical, now)
    if night is not None and night.state_type in ("SCHEDULED", "PENDING"):
        return max(night.scheduled or now, now) + typical
    return now + typical


def _last_sign(since: datetime, last_heartbeat: datetime | None) -> datetime:
    return since if last_heartbeat is None else max(since, last_heartbeat)

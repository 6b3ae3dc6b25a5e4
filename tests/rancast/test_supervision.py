"""When a run is taken for dead, and when a deadline is at risk, in plain times."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from rancast.supervision import (
    NightRun,
    deadline_alarm,
    is_dead,
    obituary,
    typical_duration,
    watched_days,
)
from rancast.use_cases import Deadline

DAY = date(2024, 7, 20)
# 05:00 in Dublin is 04:00 UTC in summer
DEADLINE = Deadline.model_validate({"at": "05:00", "timezone": "Europe/Dublin"})
TYPICAL = timedelta(minutes=40)


def at(text: str) -> datetime:
    """Return a UTC time of the deadline's day."""
    return datetime.fromisoformat(f"{DAY}T{text}:00+00:00")


def night(state: str, state_type: str, since: str, scheduled: str = "02:00") -> NightRun:
    """Return the night's run in a state since a time."""
    return NightRun(
        name="daily 2024-07-20 · all use cases",
        state=state,
        state_type=state_type,
        since=at(since),
        scheduled=at(scheduled),
    )


@pytest.mark.parametrize(
    ("since", "last_heartbeat", "now", "dead"),
    [
        ("02:00", None, "02:15", False),
        ("02:00", None, "02:16", True),  # it never beat
        ("02:00", "02:10", "02:25", False),
        ("02:00", "02:10", "02:26", True),
        ("02:20", "02:01", "02:30", False),  # retried: the heartbeat is that of the try before
    ],
)
def test_a_run_is_dead_after_fifteen_minutes_of_silence(
    since: str, last_heartbeat: str | None, now: str, dead: bool
) -> None:
    """Silence counts from the last heartbeat or, if later, from the state's beginning."""
    beat = at(last_heartbeat) if last_heartbeat else None
    assert is_dead(at(since), beat, at(now)) is dead


def test_an_obituary_says_what_to_press() -> None:
    """A run can be retried; one that is a part of another only with that one."""
    assert "Press Retry: what was finished" in obituary("Running", at("02:00"), None, False)
    part = obituary("Running", at("02:00"), at("02:07"), True)
    assert "Retry the run that it is a part of" in part
    assert "last heartbeat came at 2024-07-20 02:07:00 UTC" in part


def test_a_deadline_follows_its_clock() -> None:
    """05:00 in Dublin is 04:00 UTC in summer, and 05:00 UTC in winter."""
    assert DEADLINE.on(DAY) == datetime(2024, 7, 20, 4, tzinfo=UTC)
    assert DEADLINE.on(date(2024, 1, 20)) == datetime(2024, 1, 20, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "given", [{"at": "25:00"}, {"at": "05:00+01:00"}, {"at": "05:00", "timezone": "Mars"}]
)
def test_a_deadline_that_cannot_be_is_refused(given: dict[str, str]) -> None:
    """A time that no clock shows, an offset, and an unknown zone are errors of the YAML."""
    with pytest.raises(ValidationError):
        Deadline.model_validate(given)


def test_the_typical_duration_is_the_median_of_the_newest_nights() -> None:
    """One night that took five hours, and those of last month, change nothing."""
    assert typical_duration([]) is None
    minutes = [40, 41, 300, 39, 42]
    assert typical_duration([timedelta(minutes=m) for m in minutes]) == timedelta(minutes=41)
    newest = [timedelta(minutes=10)] * 14 + [timedelta(hours=9)] * 100
    assert typical_duration(newest) == timedelta(minutes=10)


def test_a_day_is_watched_around_its_deadline() -> None:
    """The deadline that passed last and the one that comes next; with Auckland's clock, too."""
    before = at("03:00") - timedelta(days=30)
    assert watched_days(DEADLINE, at("03:00"), before) == [date(2024, 7, 19), DAY]
    assert watched_days(DEADLINE, at("05:00"), before) == [DAY, date(2024, 7, 21)]
    auckland = Deadline.model_validate({"at": "05:00", "timezone": "Pacific/Auckland"})
    assert watched_days(auckland, at("16:00"), before) == [DAY, date(2024, 7, 21)]


def test_a_deadline_that_passed_before_it_was_set_is_not_watched() -> None:
    """At 04:00 UTC it passes: set at noon it is first watched for the next day."""
    assert watched_days(DEADLINE, at("12:00"), at("12:00")) == [date(2024, 7, 21)]
    assert watched_days(DEADLINE, at("12:00"), at("03:59")) == [DAY, date(2024, 7, 21)]


@pytest.mark.parametrize(
    ("now", "night", "kind", "expected"),
    [
        # 02:00 + 40 min is early enough; started at 03:30 it is not
        ("02:10", night("Running", "RUNNING", "02:00"), None, None),
        ("03:35", night("Running", "RUNNING", "03:30"), "at-risk", "04:10"),
        # longer than usual, but there is time left
        ("03:50", night("Running", "RUNNING", "02:00"), None, None),
        # late, waiting for data, or not due yet
        ("03:10", night("Late", "SCHEDULED", "02:01"), None, None),
        ("03:25", night("Late", "SCHEDULED", "02:01"), "at-risk", "04:05"),
        ("02:30", night("Waiting", "SCHEDULED", "02:05", "03:30"), "at-risk", "04:10"),
        ("01:00", night("Scheduled", "SCHEDULED", "00:00"), None, None),
        # failed: somebody could still press Retry, until it would be too late
        ("03:00", night("Failed", "FAILED", "02:20"), None, None),
        ("03:21", night("Failed", "FAILED", "02:20"), "at-risk", "04:01"),
        # the scheduler made no run at all
        ("03:25", None, "at-risk", "04:05"),
        # its schedule is paused: told before the deadline, and as long after it as it is watched
        ("05:00", None, "missed", "05:40"),
        # too late
        ("04:00", night("Running", "RUNNING", "03:30"), "missed", "04:10"),
        ("23:00", night("Failed", "FAILED", "02:20"), "missed", "23:40"),
    ],
)
def test_an_alarm_is_raised_when_the_typical_night_would_end_too_late(
    now: str, night: NightRun | None, kind: str | None, expected: str | None
) -> None:
    """Before the deadline it is a forecast, after it a fact."""
    alarm = deadline_alarm("network_degradation", DAY, DEADLINE, at(now), night, TYPICAL)
    assert (alarm and alarm.kind) == kind
    assert (alarm and alarm.expected) == (expected and at(expected))


@pytest.mark.parametrize("known", [None, night("Running", "RUNNING", "03:30")])
def test_without_history_only_a_missed_deadline_is_told(known: NightRun | None) -> None:
    """Before any night completed nothing can be forecast; whether there is a night or not."""
    assert deadline_alarm("u", DAY, DEADLINE, at("03:59"), known, None) is None
    missed = deadline_alarm("u", DAY, DEADLINE, at("04:01"), known, None)
    assert missed is not None and (missed.kind, missed.expected) == ("missed", None)


def test_an_alarm_about_no_run_at_all_says_where_to_look() -> None:
    """Nothing is late, failed or waiting, so the sentence leads to the schedule."""
    alarm = deadline_alarm("churn_risk", DAY, DEADLINE, at("04:05"), None, TYPICAL)
    assert alarm is not None and alarm.sentence == (
        "churn_risk 2024-07-20 missed its deadline of 05:00 Europe/Dublin (04:00 UTC): no run of "
        "daily is there for it, so see whether its schedule is paused. "
        "See docs/operations.md#deadlines."
    )


def test_an_alarm_says_what_is_late_and_where_to_read_on() -> None:
    """Use case, day, both clocks, the run and its state, and the page."""
    running = night("Running", "RUNNING", "03:30")
    alarm = deadline_alarm("churn_risk", DAY, DEADLINE, at("03:35"), running, TYPICAL)
    assert alarm is not None and alarm.sentence == (
        "churn_risk 2024-07-20 will probably miss its deadline of 05:00 Europe/Dublin (04:00 UTC): "
        "daily 2024-07-20 · all use cases is Running, and the decision is expected at 04:10 UTC. "
        "See docs/operations.md#deadlines."
    )

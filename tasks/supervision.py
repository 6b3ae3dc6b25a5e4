"""What nobody is there to see: runs whose process died, and deadlines that will be missed."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from rancast.documents import digest
from rancast.markdown import escape
from rancast.errors import ConfigurationError
from rancast.settings import load_settings
from rancast.supervision import (
    Alarm,
    NightRun,
    deadline_alarm,
    is_dead,
    obituary,
    typical_duration,
    watched_days,
)
from rancast.use_cases import UseCase, known_use_cases, load_use_case
from tasks.artifacts import publish, show_what_to_do
from tasks.clock import now
from tasks.events import DEADLINE_AT_RISK, DEADLINE_MISSED, announce
from tasks.redaction import redacted
from tasks.runs import Run, busy_runs, end_run, is_ours, last_heartbeat, recent_runs
from tasks.stores import open_ledger

# how far back nights are looked for, to learn how long one takes
LEARNED_FROM = timedelta(days=60)
# runs of the day that is watched, of which the scheduler has planned the next ones already
PLANNED = timedelta(days=2)
EVENTS = {"at-risk": DEADLINE_AT_RISK, "missed": DEADLINE_MISSED}


@task(task_run_name="end zombies", cache_policy=NO_CACHE)
@redacted
def end_zombies(flows: Collection[str]) -> list[str]:
    """End our deployments' runs that give no sign of life any more, and parts; return their names.

    The slots that they held become free. One that somebody was cancelling is Cancelled, any other
    Crashed, from which it can be retried. Runs of others, and those started in a shell, which hold
    no slot, cannot be retried and may have no heartbeat, are left to whoever started them.
    """
    # this run is alive, whatever its clock says
    others = [run for run in busy_runs(flows) if str(run.id) != flow_run.id]
    return [run.name for run in others if _end_if_dead(run, now())]


def _end_if_dead(run: Run, moment: datetime) -> bool:
    since = run.since or run.created
    # asked for only where the state is old enough, which is hardly ever
    if not is_dead(since, None, moment) or not is_ours(run):
        return False
    beat = last_heartbeat(run.id, since - timedelta(days=1))
    if not is_dead(since, beat, moment):
        return False
    message = obituary(run.state, since, beat, run.is_part)
    if run.state_type == "CANCELLING":
        end_run(run.id, "Cancelled", message)
    else:
        end_run(run.id, "Crashed", message)
        show_what_to_do(run.id, "Crashed", message)  # its own hooks died with it
    return True


@task(task_run_name="watch deadlines", cache_policy=NO_CACHE)
@redacted
def watch_deadlines() -> list[str]:
    """Raise an alarm for each use case whose decision will come too late; return the new ones.

    An alarm is an event, for whoever is to be woken, and an artifact. There is one at most for a
    use case and a day. A use case that does not load is left to `daily`, which says so.
    """
    alarms = [alarm for case in _use_cases() for alarm in _alarms(case, now())]
    return [alarm.sentence for alarm in alarms if _raise_alarm(alarm)]


def _use_cases() -> Iterator[UseCase]:
    home = load_settings().home
    for name in known_use_cases(home):
        try:
            yield load_use_case(home, name)
        except ConfigurationError as error:
            get_run_logger().warning(f"Its deadline is not watched: {error}")


def _alarms(case: UseCase, moment: datetime) -> list[Alarm]:
    if case.deadline is None:
        return []
    nights = _nights(case.name, moment)
    typical = typical_duration([run.run_time for run in nights if run.state_type == "COMPLETED"])
    found = []
    for day in watched_days(case.deadline, moment, _watched_since(case, moment)):
        if _is_decided(case.name, day):
            continue
        of_day = next((run for run in nights if _day_of(run, "as_of") == day), None)
        night = None if of_day is None else _night(of_day)
        alarm = deadline_alarm(case.name, day, case.deadline, moment, night, typical)
        found += [alarm] if alarm else []
    return found


def _watched_since(case: UseCase, moment: datetime) -> datetime:
    """Return when this deadline of the use case was first watched, which the ledger remembers.

    So neither a new installation nor a deadline that was set this noon is told to have missed it
    this morning.
    """
    name = f"deadlines/{case.name}/{digest(case.deadline)[:16]}"
    pinned = open_ledger().pin(name, {"watched_since": moment.isoformat()})
    return datetime.fromisoformat(pinned["watched_since"])


def _nights(use_case: str, moment: datetime) -> list[Run]:
    """Return the runs of our deployment daily that train the use case, newest first."""
    return [
        run
        for run in recent_runs("daily", moment - LEARNED_FROM, moment + PLANNED)
        if run.is_tagged and use_case in (run.parameters.get("use_cases") or [use_case])
    ]


def _is_decided(use_case: str, day: date) -> bool:
    """Tell whether a training on the days before `day` came to a decision, by whatever run."""
    midnight = datetime.combine(day, time(), UTC)
    return any(
        run.state_type == "COMPLETED"
        and run.parameters.get("use_case") == use_case
        and _day_of(run, "end") == day
        for run in recent_runs("training", midnight - PLANNED, midnight + 2 * PLANNED)
    )


def _day_of(run: Run, parameter: str) -> date | None:
    given = run.parameters.get(parameter)
    if isinstance(given, str):
        return date.fromisoformat(given)
    return None if run.scheduled is None else run.scheduled.astimezone(UTC).date()


def _night(run: Run) -> NightRun:
    return NightRun(
        name=run.name,
        state=run.state,
        state_type=run.state_type,
        since=run.since or run.created,
        scheduled=run.scheduled,
    )


def _raise_alarm(alarm: Alarm) -> bool:
    is_new = announce(
        EVENTS[alarm.kind],
        f"deadline.{alarm.use_case}",
        alarm.sentence,
        f"deadlines/{alarm.use_case}/{alarm.day}",
        {"use_case": alarm.use_case, "day": alarm.day.isoformat()},
    )
    if is_new:
        page = f"## Deadline {alarm.kind}\n\n{escape(alarm.sentence)}"
        publish(f"deadline-{alarm.use_case}", page, alarm.sentence)
    return is_new


def told(ended: Sequence[str], expired: Sequence[str], alarms: Iterable[str]) -> str:
    """Return in a line what a supervision came to, for its state."""
    parts = []
    if ended:
        parts.append(f"Taken for dead: {', '.join(ended)}.")
    if expired:
        parts.append(f"Expired: {', '.join(expired)}.")
    return " ".join([*parts, *alarms]) or "Nothing to do."

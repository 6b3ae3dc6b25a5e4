"""Whether this night has to wait for its data, or leaves the training to a newer night.

After an outage the late runs of `daily` execute in any order: each ingests its own day, and only
the newest trains.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Pause

from rancast.readiness import Waiting
from tasks.clock import now
from tasks.names import night_name
from tasks.redaction import redacted
from tasks.runs import Run, present_run, run_later, runs_of

# of a newer night these say that it trains, is about to, or did
WILL_TRAIN = (
    *("Scheduled", "Late", "Waiting", "AwaitingRetry", "AwaitingConcurrencySlot", "Pending"),
    *("Running", "Retrying", "Completed"),
)


@task(task_run_name="look for a newer night", cache_policy=NO_CACHE)
@redacted
def find_newer_night(as_of: date, use_cases: list[str] | None) -> str | None:
    """Return the name of a newer scheduled night that trains these use cases, None without one."""
    this = present_run()
    if this is None:
        return None
    others = [run for run in runs_of("daily", WILL_TRAIN) if run.id != this.id]
    newer = newer_nights(as_of, use_cases, others, now())
    if not newer:
        return None
    return night_name(_as_of(newer[0]) or as_of, newer[0].parameters.get("use_cases"))


def newer_nights(
    as_of: date, use_cases: list[str] | None, others: Iterable[Run], moment: datetime
) -> list[Run]:
    """Return the runs that are due at `moment`, later than `as_of`, and train all of `use_cases`.

    The newest comes first.
    """
    newer = [
        (day, run)
        for run in others
        if run.deployment_id is not None
        and (day := _as_of(run)) is not None
        and day > as_of
        and (run.scheduled is None or run.scheduled <= moment)
        and _covers(run.parameters.get("use_cases"), use_cases)
    ]
    return [run for _, run in sorted(newer, key=lambda item: item[0], reverse=True)]


def wait_for_data(waiting: Iterable[Waiting]) -> None:
    """End this execution and have the run executed again when the first dataset is due.

    Nothing holds a worker meanwhile. A run without a deployment cannot be executed again, and goes
    on with the data that is there.
    """
    found = sorted(waiting, key=lambda one: one.look_again)
    this = present_run()
    if not found or this is None or this.deployment_id is None:
        return
    run_later(this.id, found[0].look_again, " ".join(one.reason for one in found))
    raise Pause  # Prefect's word for "this run goes on later": the process ends without a failure


def _as_of(run: Run) -> date | None:
    given = run.parameters.get("as_of")
    if isinstance(given, str):
        return date.fromisoformat(given)
    return None if run.scheduled is None else run.scheduled.astimezone(UTC).date()


def _covers(others: list[str] | None, ours: list[str] | None) -> bool:
    return others is None or (ours is not None and set(ours) <= set(others))

"""After an outage: which of the late nights trains."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from tasks.nights import newer_nights
from tasks.runs import Run

NOW = datetime(2024, 3, 20, 9, 0, tzinfo=UTC)
DEPLOYED = UUID(int=1)


def night(day: int, **changes: Any) -> Run:
    """A late run of `daily`, scheduled at 02:30 on a day of March."""
    run = Run(
        id=UUID(int=100 + day),
        flow="daily",
        name=f"night {day}",
        state="Late",
        state_type="SCHEDULED",
        parameters={},
        created=NOW,
        scheduled=datetime(2024, 3, day, 2, 30, tzinfo=UTC),
        started=None,
        deployment_id=DEPLOYED,
    )
    return run.model_copy(update=changes)


def names(as_of: int, others: list[Run], use_cases: list[str] | None = None) -> list[str]:
    """The newer nights of one as of a day of March, by name."""
    return [run.name for run in newer_nights(date(2024, 3, as_of), use_cases, others, NOW)]


def test_an_older_night_leaves_the_training_to_the_newest() -> None:
    """Of three late nights the two older ones name the newest; it names nobody."""
    nights = [night(18), night(19), night(20)]
    assert names(18, nights) == ["night 20", "night 19"]
    assert names(20, nights) == []


def test_a_night_that_is_not_due_yet_supersedes_nobody() -> None:
    """Tomorrow's run is scheduled already, but today's still trains."""
    assert names(20, [night(21, scheduled=NOW + timedelta(hours=17))]) == []


def test_an_order_for_a_day_counts_by_its_day() -> None:
    """A run that was started by hand for an old day is no newer night, whenever it was started."""
    by_hand = night(20, parameters={"as_of": "2024-03-10"})
    assert names(19, [by_hand]) == []
    assert names(9, [by_hand]) == ["night 20"]


def test_only_a_night_that_trains_the_same_use_cases_supersedes() -> None:
    """A newer night for one use case does not keep an older one from training all."""
    one = night(20, parameters={"use_cases": ["degradation"]})
    assert names(19, [one]) == []
    assert names(19, [one], ["degradation"]) == ["night 20"]
    assert names(19, [night(20)], ["degradation"]) == ["night 20"]


def test_embedded_runs_do_not_count() -> None:
    """A run without a deployment belongs to somebody who tries something out."""
    assert names(19, [night(20, deployment_id=None)]) == []

"""When deployments run: cron lines of UTC hours, put on the operator's clock, one per dataset.

Days are UTC days (docs/adr/0015-deployments.md), so a night begins when one of them has ended,
wherever the operator is; the clock only says how the UI shows it.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate
from prefect.client.schemas.schedules import construct_schedule
from prefect.server.schemas.schedules import CronSchedule
from pydantic import Field, model_validator

from rancast.documents import Document

DAY = timedelta(days=1)
YEAR = 366
# between the first dataset's turn and the same one's next, over which all of them are spread
CYCLE_MINUTES = 180
EACH_DATASET = {"dataset": "*"}
# a minute and hours of every day, which another clock only shifts
DAILY = re.compile(r"\d+ +[-\d,/*]+( +\*){3}")
EVERY_HOUR = re.compile(r"\S+( +\*){4}")


class Schedule(Document):
    """One entry of `schedules`; the slug is what tells it from the others when the file changes."""

    slug: str
    cron: str
    timezone: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be(self) -> "Schedule":
        self.as_updated()
        return self

    def as_created(self, is_active: bool) -> DeploymentScheduleCreate:
        """Return what creates it."""
        return DeploymentScheduleCreate(
            schedule=construct_schedule(cron=self.cron, timezone=self.timezone),
            slug=self.slug,
            parameters=self.parameters,
            active=is_active,
        )

    def as_updated(self) -> DeploymentScheduleUpdate:
        """Return what updates it, without a word on whether it is paused."""
        created = self.as_created(False).model_dump(exclude_unset=True, exclude={"active"})
        return DeploymentScheduleUpdate(**created)

    def starts(self, since: datetime, days: int) -> list[datetime]:
        """Return when it starts runs in the days from `since` on, in UTC, as Prefect reckons."""
        cron = CronSchedule(cron=self.cron, timezone=self.timezone)
        until = since + days * DAY
        found = asyncio.run(cron.get_dates(start=since, end=until))
        return [datetime.fromtimestamp(one.timestamp(), UTC) for one in found if one < until]

    def later(self, shift: timedelta) -> "Schedule":
        """Return the same line with another clock's hands, which are `shift` ahead.

        Raises ValueError for a line that has more than one minute, or not every day.
        """
        if not shift or EVERY_HOUR.fullmatch(self.cron):
            return self
        if not DAILY.fullmatch(self.cron):
            raise ValueError(
                f"the cron line {self.cron!r} of {self.slug} is not MINUTE HOURS * * *, so it has "
                "no place on another clock; give it the `timezone` that it is meant for, not UTC"
            )
        moments = [one + shift for one in self.starts(datetime(2000, 1, 1, tzinfo=UTC), 1)]
        hours = ",".join(str(hour) for hour in sorted(one.hour for one in moments))
        return self.model_copy(update={"cron": f"{moments[0].minute} {hours} * * *"})


def placed(
    schedules: Iterable[Schedule], timezone: str, datasets: Sequence[str], now: datetime
) -> list[Schedule]:
    """Return the schedules of a deployment on the operator's clock, those of each dataset apart.

    A line whose time zone is another than UTC was meant as it is written. Raises ValueError for a
    line or a time zone that cannot be.
    """
    each = [one for schedule in schedules for one in _of_datasets(schedule, datasets)]
    return [_on_clock(one, timezone, now) if one.timezone == "UTC" else one for one in each]


def _of_datasets(schedule: Schedule, datasets: Sequence[str]) -> list[Schedule]:
    """Return a schedule of every dataset, evenly apart since only one of them runs at a time."""
    if schedule.parameters != EACH_DATASET:
        return [schedule]
    return [
        schedule.later(timedelta(minutes=place * CYCLE_MINUTES // len(datasets))).model_copy(
            update={"slug": name.replace("_", "-"), "parameters": {"dataset": name}}
        )
        for place, name in enumerate(datasets)
    ]


def _on_clock(schedule: Schedule, timezone: str, now: datetime) -> Schedule:
    there = Schedule.model_validate(schedule.model_dump() | {"timezone": timezone})
    shifted = schedule.later(_offset_in_winter(timezone, now))
    return there.model_copy(update={"cron": shifted.cron})


def _offset_in_winter(timezone: str, now: datetime) -> timedelta:
    """Return how far a clock without summer time is ahead of UTC, in the coming year."""
    zone = ZoneInfo(timezone)
    offsets = [(now + day * DAY).astimezone(zone).utcoffset() for day in range(YEAR)]
    return min(offset for offset in offsets if offset is not None)


def refuse_other_than_nightly(schedules: Sequence[Schedule], now: datetime) -> None:
    """Raise ValueError unless every UTC date of the coming year has exactly one night.

    A deployment without any schedule has none, which somebody meant.
    """
    first = datetime.combine(now.date() + DAY, time(), UTC)
    found = [start for one in schedules for start in one.starts(first, YEAR)]
    nights = Counter(start.date() for start in found)
    odd = [day for day in ((first + n * DAY).date() for n in range(YEAR)) if nights[day] != 1]
    if schedules and odd:
        lines = ", ".join(f"{one.cron!r} in {one.timezone}" for one in schedules)
        raise ValueError(
            f"daily works on the UTC day before its start, and {lines} starts {nights[odd[0]]} "
            f"nights on {odd[0]} (UTC) instead of one; write one line of every day with "
            "`timezone: UTC` and an hour from 1 to 22, which summer time moves by one at most"
        )

"""Cron lines on the operator's clock: one night per UTC date anywhere, and a turn per dataset."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from deployments import declared
from deployments.schedules import Schedule, placed, refuse_other_than_nightly
from rancast.datasets import known_datasets, load_dataset
from rancast.errors import ConfigurationError
from rancast.settings import find_home
from rancast.supervision import NightRun, deadline_alarm
from rancast.use_cases import known_use_cases, load_use_case

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NIGHTLY = {
    "Europe/Dublin": "0 2 * * *",
    "Europe/Helsinki": "0 4 * * *",
    "Asia/Kolkata": "30 7 * * *",
    "Asia/Kathmandu": "45 7 * * *",
    "Australia/Sydney": "0 12 * * *",
    "Australia/Lord_Howe": "30 12 * * *",
    "Pacific/Auckland": "0 14 * * *",
    "America/New_York": "0 21 * * *",  # of the evening before
    "Pacific/Honolulu": "0 16 * * *",
}


def schedules_of(flow: str, timezone: str = "UTC", home: Path | None = None) -> list[Schedule]:
    """Return the schedules with which a deployment of the shipped file is deployed."""
    found = {one.name: one.schedules for one in declared.read_declared(timezone, "rancast", home)}
    return found[flow]


@pytest.mark.parametrize("timezone", NIGHTLY)
def test_a_night_begins_when_its_day_has_ended(timezone: str) -> None:
    """Wherever the operator is, every UTC date of the year has one night, one to two hours after
    the day before it ended, by a cron line of the operator's zone."""
    (nightly,) = schedules_of("daily", timezone)
    assert (nightly.cron, nightly.timezone) == (NIGHTLY[timezone], timezone)
    starts = nightly.starts(NEW_YEAR, 365)
    midnights = [NEW_YEAR + timedelta(days=day) for day in range(365)]
    late = [start - midnight for start, midnight in zip(starts, midnights, strict=True)]
    assert timedelta(hours=1) <= min(late) and max(late) <= timedelta(hours=2)


@pytest.mark.parametrize("timezone", NIGHTLY)
def test_a_usual_night_raises_no_alarm_and_can_wait(timezone: str) -> None:
    """Every night of the year that takes two hours is in time for the deadlines of the shipped use
    cases, and begins an hour or more before the shipped datasets are taken as they are."""
    home, takes = find_home(), timedelta(hours=2)
    cases = [load_use_case(home, name) for name in known_use_cases(home)]
    datasets = [load_dataset(home, name) for name in known_datasets(home)]
    deadlines = [(case.name, case.deadline) for case in cases if case.deadline]
    waits = [dataset.ready.deadline for dataset in datasets if dataset.ready]
    assert deadlines and waits
    (nightly,) = schedules_of("daily", timezone)
    for start in nightly.starts(NEW_YEAR, 365):
        since = start - timedelta(days=1)
        told = {"name": "daily", "since": since, "scheduled": start}
        planned = NightRun(state="Scheduled", state_type="SCHEDULED", **told)
        day = start.date()
        for name, deadline in deadlines:
            assert deadline_alarm(name, day, deadline, start, planned, takes) is None
        ended = datetime.combine(day, time(), UTC)
        assert all(start + timedelta(hours=1) <= ended + wait for wait in waits)


@pytest.mark.parametrize(
    ("cron", "timezone", "nights"),
    [
        ("0 2 * * *", "Europe/Helsinki", "2 nights on 2026-03-29"),
        ("30 0 * * *", "UTC", "2 nights on 2026-03-29"),  # an hour earlier in summer
        ("0 2,14 * * *", "UTC", "2 nights on 2026-01-02"),
        ("0 2 * * 1-5", "Asia/Kolkata", "0 nights on 2026-01-02"),
    ],
)
def test_other_than_one_night_per_date_is_refused(cron: str, timezone: str, nights: str) -> None:
    """A line that starts two nights on a UTC date, or none, is not deployed, and the error names
    the line, the date and what to write."""
    line = Schedule(slug="nightly", cron=cron, timezone=timezone)
    found = placed([line], "Europe/Dublin", [], NEW_YEAR)
    with pytest.raises(ValueError, match=rf"{nights} \(UTC\) instead of one; write one line"):
        refuse_other_than_nightly(found, NEW_YEAR)


def test_another_hour_and_none_are_taken() -> None:
    """Somebody's own hour is respected where it is one night per date, in UTC or in a zone of its
    own, and so is a deployment whose schedule was taken out."""
    line = Schedule(slug="nightly", cron="15 6 * * *", timezone="UTC")
    own = line.model_copy(update={"timezone": "Asia/Kolkata"})
    for one, wanted in ((line, "45 11 * * *"), (own, "15 6 * * *")):
        (found,) = placed([one], "Asia/Kolkata", [], NEW_YEAR)
        assert (found.cron, found.timezone) == (wanted, "Asia/Kolkata")
        refuse_other_than_nightly([found], NEW_YEAR)
    refuse_other_than_nightly([], NEW_YEAR)


def test_a_line_that_another_clock_cannot_have_is_refused() -> None:
    """A weekly line in UTC may be of another weekday elsewhere, so it must name its zone; one of
    every hour is the same anywhere."""
    weekly = Schedule(slug="weekly", cron="0 2 * * 1", timezone="UTC")
    with pytest.raises(ValueError, match="'0 2 \\* \\* 1' of weekly is not MINUTE HOURS"):
        placed([weekly], "Asia/Kolkata", [], NEW_YEAR)
    often = Schedule(slug="often", cron="*/5 * * * *", timezone="UTC")
    assert placed([often], "Asia/Kathmandu", [], NEW_YEAR)[0].cron == "*/5 * * * *"


def test_each_dataset_of_the_home_has_its_turn(tmp_path: Path) -> None:
    """The datasets of RANCAST_HOME, and no others, are ingested every three hours, evenly apart."""
    (tmp_path / "datasets").mkdir()
    assert schedules_of("ingest", home=tmp_path) == []
    for name in ("calls", "city_traffic"):
        (tmp_path / "datasets" / f"{name}.yaml").write_text(f"name: {name}\n")
    turns = {one.slug: (one.cron, one.parameters) for one in schedules_of("ingest", home=tmp_path)}
    assert turns == {
        "calls": ("10 5-20/3 * * *", {"dataset": "calls"}),
        "city-traffic": ("40 6,9,12,15,18,21 * * *", {"dataset": "city_traffic"}),
    }


def test_the_printed_file_has_everything_in_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is given to `prefect deploy` has no variable left; a zone that is none is refused."""
    monkeypatch.setenv("RANCAST_TIMEZONE", "Asia/Kolkata")
    assert declared.main() == 0
    text = capsys.readouterr().out
    assert "30 7 * * *" in text and "$" not in text and "'*'" not in text
    monkeypatch.setenv("RANCAST_TIMEZONE", "Mars/Olympus")
    assert declared.main() == 1
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        declared.read_declared("Mars/Olympus")

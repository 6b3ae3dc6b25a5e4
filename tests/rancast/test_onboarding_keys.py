"""What a row is about: time, key, entity, kind, period, stamps, duplicates."""

from typing import Any

import pandas as pd
import pytest

from tests.rancast.drafts import csv, drafted, stamps


def feed(cells: str = "AB", count: int = 24, minutes: int = 15, **more: Any) -> str:
    """Each cell at each time, with a load and further constant columns."""
    names = ",".join(["timestamp", "cell_id", "load", *more])
    rows = [
        (at, cell, place % 9 + 0.5, *more.values())
        for place, at in enumerate(stamps(count, minutes))
        for cell in cells
    ]
    return csv(names, rows)


def test_a_cell_and_a_time_are_the_key_of_a_periodic_feed() -> None:
    """One row per cell and quarter of an hour."""
    dataset = drafted(feed()).dataset
    assert (dataset.kind, dataset.key, dataset.entity) == (
        "periodic",
        ("cell_id", "timestamp"),
        "cell_id",
    )


def test_a_single_cell_is_still_the_entity() -> None:
    """A feed of one cell: the time alone tells rows apart, the cell is part of the key."""
    assert drafted(feed("A")).dataset.key == ("cell_id", "timestamp")


def test_an_identifier_of_its_own_makes_events() -> None:
    """Each row has a call_id: events, about the customers who come back."""
    rows = [(at, f"c{place}", f"K-{place % 30:03d}") for place, at in enumerate(stamps(90, 1))]
    dataset = drafted(csv("started,call_id,account", rows)).dataset
    assert (dataset.kind, dataset.key, dataset.entity) == ("events", ("call_id",), "account")


def test_two_columns_beside_the_time() -> None:
    """Cell and carrier together with the time: the cell is the entity."""
    rows = [(at, cell, band, 1.5) for at in stamps(20) for cell in "AB" for band in "xy"]
    dataset = drafted(csv("timestamp,cell_id,band_name,load", rows)).dataset
    assert dataset.key == ("cell_id", "band_name", "timestamp")
    assert (dataset.entity, dataset.kind) == ("cell_id", "periodic")


def test_files_that_are_traces_give_the_entity() -> None:
    """More files than days, and no column that tells them apart: the file's name does."""
    rows = [(at, place % 5 + 0.5) for place, at in enumerate(stamps(50, 1))]
    other = [(at, speed + 1) for at, speed in rows]
    found = drafted(csv("time,speed", rows), csv("time,speed", other))
    assert found.dataset.key == ("source_file", "timestamp")
    assert (found.dataset.entity, found.dataset.kind) == ("source_file", "events")
    assert set(found.pulled.typed["source_file"]) == {"a", "b"}


def test_gaps_are_counted() -> None:
    """A missing period is a multiple, and told; with most of them missing there is no period."""
    lines = feed("A", 30).splitlines(keepends=True)
    found = drafted("".join(lines[:10] + lines[11:]))
    assert (
        "27 of 28 gaps between rows of one cell_id are 15 min; the others are multiples of it"
        in (found.dataset_yaml)
    )
    rare = drafted("".join([lines[0], *lines[1::7], lines[3], lines[4]]))
    assert (rare.dataset.kind, rare.dataset.time.period) == ("events", None)


@pytest.mark.parametrize(
    ("header", "first", "stamped_at", "evidence"),
    [
        ("timestamp", "00:00", "start", "look like starts of periods"),
        ("timestamp", "00:15", "end", "with one period after it 1 times"),
        ("EndTime", "00:00", "end", "the column is called the end of something"),
        ("BeginTime", "00:15", "start", "the column is called the start of something"),
        ("timestamp", "07:00", "start", "Nothing in the sample tells"),
    ],
)
def test_starts_or_ends(header: str, first: str, stamped_at: str, evidence: str) -> None:
    """By the column's name, or by where the first stamp of a day lies."""
    times = pd.date_range(f"2024-03-01 {first}", periods=40, freq="15min")
    rows = [(f"{at:%Y-%m-%d %H:%M}", cell, 1.5) for at in times for cell in "AB"]
    found = drafted(csv(f"{header},cell_id,load", rows))
    assert found.dataset.time.stamped_at == stamped_at
    assert evidence in " ".join(found.dataset_yaml.split("\n  # "))


def test_a_second_time_one_period_later_is_the_end() -> None:
    """With a start and an end in each row, the start is the clock."""
    rows = [
        (at, after, cell, 1.5) for at, after in zip(stamps(20), stamps(21)[1:]) for cell in "AB"
    ]
    found = drafted(csv("at_a,at_b,cell_id,load", rows))
    assert (found.dataset.time.column, found.dataset.time.stamped_at) == ("at_a", "start")
    assert "at_b is one period later in 40 of 40 rows" in found.dataset_yaml


@pytest.mark.parametrize(
    ("extra", "rule", "evidence"),
    [
        ("", "quarantine", "0 rows repeat another in every column; 0 repeat a key and differ"),
        ("same", "quarantine", "1 row repeat another in every column; 0 repeat a key and differ"),
        ("other", "last", "0 rows repeat another in every column; 1 repeat a key and differ"),
    ],
)
def test_the_rule_for_duplicates_follows_the_sample(extra: str, rule: str, evidence: str) -> None:
    """As strict as the sample lets it be, and nothing of it is quarantined."""
    text = feed()
    row = text.splitlines()[1]
    row = {"": "", "same": row + "\n", "other": row.replace("0.5", "7.25") + "\n"}[extra]
    found = drafted(text + row)
    assert found.dataset.duplicates == rule and evidence in found.dataset_yaml


def test_days_in_a_row_are_expected_daily() -> None:
    """Eight days without a gap; of seven with one, none is expected."""
    hourly = [f"{at:%Y-%m-%d %H:%M}" for at in pd.date_range("2024-03-01", periods=192, freq="h")]
    text = csv("timestamp,cell_id,load", [(at, "A", place % 50) for place, at in enumerate(hourly)])
    assert drafted(text).dataset.expected == "daily"
    lines = [line for line in text.splitlines(keepends=True) if "2024-03-04" not in line]
    assert drafted("".join(lines)).dataset.expected == "no"


def test_events_of_whole_days_get_a_band() -> None:
    """Half of the quietest and twice the busiest day of whole files."""
    rows = [
        (f"2024-03-0{day} 0{hour}:10:00", f"e{day}{hour}", "x")
        for day, count in ((1, 8), (2, 4), (3, 6))
        for hour in range(count)
    ]
    text = csv("timestamp,event_id,kind", rows)
    assert drafted(text).dataset.volume == (2, 16)
    assert drafted(text, is_whole=False).dataset.volume is None


def test_a_number_that_never_comes_back_is_in_no_key() -> None:
    """A SIM card of its own in each row tells rows apart and is nothing to forecast; cell and
    carrier are."""
    keys = [(at, cell, band) for at in stamps(30, 60) for cell in "AB" for band in ("x", "y")]
    rows = ((*key, f"8935{place * 7919:016d}", place) for place, key in enumerate(keys))
    dataset = drafted(csv("at,cell,carrier,sim,used", rows)).dataset
    assert (dataset.key, dataset.entity) == (("cell", "carrier", "at"), "cell")

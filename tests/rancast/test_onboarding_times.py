"""Which form stamps have, which zone, and how sure that is."""

import pandas as pd
import pytest

from rancast.onboarding_times import TimeGuess, guess_time, guess_zone


def guessed(*stamps: str, name: bool = True) -> TimeGuess | None:
    """The guess for a column of these stamps, once each."""
    counts = pd.Series(1, index=pd.Index(stamps, dtype=object), dtype="int64")
    return guess_time(counts, is_stored=False, is_named=name)


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("2024-03-01T00:05:00Z", None),
        ("2024-03-01 00:05:00+08:00", None),
        ("2024-03-21 00:05", None),
        ("2024-03-21", None),
        ("21/03/2024 10:15", "%d/%m/%Y %H:%M"),
        ("03/21/2024 10:15:00", "%m/%d/%Y %H:%M:%S"),
        ("21.03.2024 10:15:00", "%d.%m.%Y %H:%M:%S"),
        ("2024/03/21 10:15", "%Y/%m/%d %H:%M"),
        ("2020.02.13_13.57.29", "%Y.%m.%d_%H.%M.%S"),
        ("21-Mar-2024 10:15", "%d-%b-%Y %H:%M"),
        ("21-MAR-24", "%d-%b-%y"),
        ("3/21/2024 9:05 PM", "%m/%d/%Y %I:%M %p"),
        ("20240321101500", "%Y%m%d%H%M%S"),
        ("202403211015", "%Y%m%d%H%M"),
        ("20240321", "%Y%m%d"),
        ("20240321T101500", "%Y%m%dT%H%M%S"),
        ("1709251500", "epoch_s"),
        ("1709251500.250", "epoch_s"),
        ("1709251500000", "epoch_ms"),
        ("1709251500000000", "epoch_us"),
    ],
)
def test_forms(stamp: str, form: str | None) -> None:
    """The form that the product's own reader reads the stamp by."""
    found = guessed(stamp)
    assert found is not None and found.format == form and found.values.notna().all()


@pytest.mark.parametrize(
    "cells",
    [("a", "b"), ("1", "2"), ("1.5", "2.5"), ("10:15", "10:30"), ("99999999999", "1"), ()],
)
def test_what_is_no_time(cells: tuple[str, ...]) -> None:
    """Words, small numbers and times of day are not taken for dates."""
    assert guessed(*cells) is None


def test_bare_digits_need_a_name_or_regular_times() -> None:
    """Ten digits are a time if they lie close and on full minutes, or are called one."""
    assert guessed("1709251500", "1709251560", name=False) is not None
    assert guessed("1709251501", "1709251563", name=False) is None
    assert guessed("1109251501", "1909251563", name=False) is None
    assert guessed("20240321", name=False) is None


def test_day_first_is_told_by_a_day_above_12() -> None:
    """One cell with a day above 12 settles the order."""
    found = guessed("01/03/2024", "13/03/2024")
    assert found is not None and found.format == "%d/%m/%Y"
    assert found.notes[1] == "the day comes first: 1 cells have a day above 12"


def test_an_ambiguous_order_is_said_and_taken_from_the_shorter_span() -> None:
    """Without such a day, the order under which the stamps lie closer, and a question."""
    found = guessed("01/03/2024", "02/03/2024", "03/03/2024")
    assert found is not None and found.format == "%d/%m/%Y"
    assert found.notes[1] == (
        "AMBIGUOUS: no cell has a day above 12. With the day first the stamps lie on 3 days within "
        "3, the other way on 3 days within 61; ask the vendor"
    )
    other = guessed("03/01/2024", "03/02/2024", "03/03/2024")
    assert other is not None and other.format == "%m/%d/%Y"


def hours(first: str, last: str, *, without: str = "") -> TimeGuess:
    """The guess for a stamp in every hour, some of them missing."""
    texts = pd.date_range(first, last, freq="h").strftime("%Y-%m-%d %H:%M").tolist()
    found = guessed(*[text for text in texts if not without or without not in text])
    assert found is not None
    return found


def test_a_clock_change_tells_the_zone() -> None:
    """The hour that Berlin's clock skipped is the only one without a stamp."""
    zone = guess_zone(hours("2024-03-30 00:00", "2024-04-01 00:00", without="31 02:"))
    assert (zone.timezone, zone.ambiguous) == ("Europe/Berlin", "reject")
    assert "no stamp lies in the hour that the clock of Europe/Berlin skipped" in zone.note


def test_stamps_in_the_skipped_hour_speak_against_a_zone() -> None:
    """With a stamp in every hour no clock was changed: the zone stays unknown, and UTC."""
    zone = guess_zone(hours("2024-03-30 00:00", "2024-04-01 00:00"))
    assert zone.timezone == "UTC" and zone.note.startswith("UNKNOWN")


def test_a_repeated_hour_is_read_as_its_first_pass() -> None:
    """A zone that the spring told and an autumn in the sample: no row is rejected."""
    zone = guess_zone(hours("2024-03-30 00:00", "2024-10-28 00:00", without="03-31 02:"))
    assert (zone.timezone, zone.ambiguous) == ("Europe/Berlin", "first")


def test_an_offset_says_the_zone_itself() -> None:
    """Stamps with an offset, and numbers since 1970, need no zone."""
    for stamp in ("2024-03-01T00:05:00+08:00", "1709251500"):
        found = guessed(stamp)
        assert found is not None and found.has_offset and guess_zone(found).timezone == "UTC"
    assert "+08:00" in str(guessed("2024-03-01T00:05:00+08:00"))

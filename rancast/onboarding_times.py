"""Which form the stamps of a column have, and what they tell about their zone."""

import re
import warnings
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.api import guess_datetime_format

from rancast.datasets import EPOCHS, TimeColumn
from rancast.onboarding_yaml import number_of
from rancast.timestamps import parse_times

# a column is one of times if this share of its cells is; the others would be quarantined
LEAST_SHARE = 0.95
TRIED_VALUES = 5
# numbers since 1970 are taken for times only between these years
FIRST_YEAR, LAST_YEAR = 2000, 2070
LONGEST_EPOCHS = timedelta(days=400)

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"),
    *(
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%d-%b-%Y",
        "%d %b %Y",
        "%d-%b-%y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d.%m.%y",
    ),
)
_CLOCKS = (
    *(
        "",
        " %H:%M:%S",
        " %H:%M",
        "_%H.%M.%S",
        "_%H:%M:%S",
        "_%H%M%S",
        "_%H%M",
        " %H.%M.%S",
        "%H%M%S",
    ),
    *("%H%M", "%H", "T%H:%M:%S", "T%H:%M", "T%H%M%S", "-%H:%M:%S", "-%H:%M", ", %H:%M:%S", " %H"),
    *(" %I:%M:%S %p", " %I:%M %p", " %H:%M:%S.%f", " %H:%M:%S,%f", ".%H%M"),
)
_ZONES = ("", "%z", " %z")
_SWAPPED = {"%d/%m": "%m/%d", "%m/%d": "%d/%m", "%d-%m": "%m-%d", "%m-%d": "%d-%m"}
_SWAPPED |= {"%d.%m": "%m.%d", "%m.%d": "%d.%m"}

# zones of some operators, to hold their clock changes against the stamps
CLOCKS = (
    *("Europe/Dublin", "Europe/Berlin", "Europe/Helsinki", "America/New_York", "America/Chicago"),
    *("America/Denver", "America/Los_Angeles", "America/Santiago", "Australia/Sydney"),
)


class TimeGuess(NamedTuple):
    """The form of a column of stamps: `format` as in the dataset's YAML, None for ISO 8601.

    `values` are the distinct stamps, in UTC as if their zone was UTC, by their text; NaT for those
    that are no times. `has_offset` tells whether the stamps say their zone themselves.
    """

    format: str | None
    values: "pd.Series[pd.Timestamp]"
    has_offset: bool
    notes: tuple[str, ...]


def guess_time(counts: "pd.Series[int]", is_stored: bool, is_named: bool) -> TimeGuess | None:
    """Return the form of a column of texts and their counts; None where they are no times.

    `is_stored` says that Parquet has them as times, `is_named` that the column's name is that of a
    time, which bare digits need.
    """
    stamps = counts.index.to_series()
    if not len(stamps) or not stamps.str.contains("[0-9]").any():
        return None
    is_digits = bool(stamps.str.fullmatch(r"[0-9]+(\.[0-9]+)?").mean() >= LEAST_SHARE)
    if is_digits:
        return _guess_epoch(counts, is_named) or _guess_form(counts, _compact(counts, is_named))
    iso = _parsed(stamps, None)
    if is_stored or _share(iso, counts) >= LEAST_SHARE:
        offsets = stamps.str.extract(r"(Z|[+-][0-9]{2}:?[0-9]{2})$")[0].dropna().unique()
        stored = " (Parquet stores them as times)" if is_stored else ""
        zones = f", with offset {' or '.join(sorted(offsets)[:4])}" if len(offsets) else ""
        note = f"ISO 8601{stored}{zones}: {_told(iso, counts)}"
        return TimeGuess(None, iso, len(offsets) > 0, (note,))
    return _guess_form(counts, _forms(stamps))


def _parsed(stamps: "pd.Series[str]", form: str | None) -> "pd.Series[pd.Timestamp]":
    """Read stamps by the product's own rules."""
    clock = TimeColumn(column="x", format=form)
    text = pa.array(stamps.tolist(), type=pa.large_string())
    return parse_times(text, clock, is_iso=False, allows_dates=True).values.set_axis(stamps)


def _share(values: "pd.Series[pd.Timestamp]", counts: "pd.Series[int]") -> float:
    return float(counts[values.notna().to_numpy()].sum() / counts.sum())


def _told(values: "pd.Series[pd.Timestamp]", counts: "pd.Series[int]") -> str:
    read = int(counts[values.notna().to_numpy()].sum())
    extent = f"{values.min():%Y-%m-%d %H:%M} to {values.max():%Y-%m-%d %H:%M}"
    return f"{read:,} of {int(counts.sum()):,} cells, {extent}"


def _guess_epoch(counts: "pd.Series[int]", is_named: bool) -> TimeGuess | None:
    """Take numbers for times if they lie close together in one unit since 1970."""
    for form, unit in EPOCHS.items():
        values = _parsed(counts.index.to_series(), form)
        if _share(values, counts) < LEAST_SHARE:
            continue
        first, last = values.min(), values.max()
        is_near = last - first <= LONGEST_EPOCHS or is_named
        is_regular = is_named or bool((values.dropna().dt.second == 0).mean() >= LEAST_SHARE)
        if FIRST_YEAR <= first.year and last.year <= LAST_YEAR and is_near and is_regular:
            words = {1_000_000: "seconds", 1_000: "milliseconds", 1: "microseconds"}[unit]
            note = f"{words} since 1970, which is UTC: {_told(values, counts)}"
            return TimeGuess(form, values, True, (note,))
    return None


def _compact(counts: "pd.Series[int]", is_named: bool) -> list[str]:
    """Return the forms of stamps that are digits alone; short ones need a name to be believed."""
    lengths = {len(text) for text in counts.index}
    forms = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M", 10: "%Y%m%d%H", 8: "%Y%m%d"}
    if len(lengths) != 1:
        return []
    (length,) = lengths
    return [forms[length]] if length in forms and (is_named or length in (12, 14)) else []


def _forms(stamps: "pd.Series[str]") -> list[str]:
    """Return the strptime formats that the first stamps have."""
    tried = [text for text in stamps if any(map(str.isdigit, text))][:TRIED_VALUES]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # that it took the other order of day and month
        guessed = [guess_datetime_format(tried[0], dayfirst=first) for first in (True, False)]
    listed = _listed_forms().get(_outline(tried[0]), [])
    forms = dict.fromkeys([form for form in guessed if form and "%Y" in form] + listed)
    return [form for form in forms if all(_fits(text, form) for text in tried)]


@cache
def _listed_forms() -> dict[str, list[str]]:
    """Return the formats that are tried, by the outline of a stamp: strptime compiles each anew."""
    example, found = datetime(2011, 12, 11, 22, 9, 8, 123456, UTC), defaultdict(list)
    for form in (date + clock + zone for date in _DATES for clock in _CLOCKS for zone in _ZONES):
        found[_outline(example.strftime(form))].append(form)
    return dict(found)


def _outline(text: str) -> str:
    """Return a stamp with 9 for one or two digits, 9999 for four and so on, and a for letters."""
    text = re.sub(r"(?<=[0-9])[.,][0-9]{3,6}(?![0-9])", ".999999", text)
    text = re.sub(r"[0-9]+", lambda run: "9" * max(1, len(run[0]) - (len(run[0]) == 2)), text)
    return re.sub(r"[A-Za-z]+", "a", text)


def _fits(text: str, form: str) -> bool:
    try:
        found = datetime.strptime(text, form)
    except ValueError:
        return False
    return 1970 <= found.year < 2100


def _guess_form(counts: "pd.Series[int]", forms: list[str]) -> TimeGuess | None:
    """Return the form that reads most cells; of two that read the same, the shorter span."""
    stamps = counts.index.to_series()
    found = {form: _parsed(stamps, form) for form in forms}
    fitting = {
        form: values for form, values in found.items() if _share(values, counts) >= LEAST_SHARE
    }
    if not fitting:
        return None
    best = max(
        fitting,
        key=lambda form: (
            _share(fitting[form], counts),
            fitting[form].min() - fitting[form].max(),
            form.startswith("%d"),
        ),
    )
    notes = [f"{best}: {_told(fitting[best], counts)}", *_order_of_day(best, fitting, counts)]
    return TimeGuess(best, fitting[best], "%z" in best, tuple(notes))


def _order_of_day(
    best: str, fitting: dict[str, "pd.Series[pd.Timestamp]"], counts: "pd.Series[int]"
) -> list[str]:
    """Tell how sure it is which of two numbers is the day."""
    pair = next((pair for pair in _SWAPPED if best.startswith(pair)), None)
    if pair is None:
        return []
    word = "day" if pair.startswith("%d") else "month"
    other = fitting.get(best.replace(pair, _SWAPPED[pair]))
    if other is None:
        values = fitting[best].dropna()
        beyond = int(counts.reindex(values.index[values.dt.day > 12]).sum())
        return [f"the {word} comes first: {beyond:,} cells have a day above 12"]
    ours, theirs = (_days(values) for values in (fitting[best], other))
    return [
        f"AMBIGUOUS: no cell has a day above 12. With the {word} first the stamps lie on {ours}, "
        f"the other way on {theirs}; ask the vendor"
    ]


def _days(values: "pd.Series[pd.Timestamp]") -> str:
    days = values.dropna().dt.floor("D")
    return f"{number_of(days.nunique(), 'day')} within {(days.max() - days.min()).days + 1}"


class ZoneGuess(NamedTuple):
    """The zone of stamps without an offset, and why."""

    timezone: str
    ambiguous: str
    note: str


def guess_zone(guess: TimeGuess) -> ZoneGuess:
    """Return the zone in which clock changes explain a gap in the stamps, else UTC."""
    if guess.has_offset:
        note = "the stamps say their offset from UTC; this is for those that come without one"
        return ZoneGuess("UTC", "reject", note)
    local = pd.DatetimeIndex(guess.values.dropna().unique()).tz_localize(None).sort_values()
    checked = {zone: skipped for zone in CLOCKS if (skipped := _skipped(local, zone)) is not None}
    explained = [zone for zone, (inside, around) in checked.items() if not inside and around]
    if len(local) and explained:
        zone = explained[0]
        others = f" (so does that of {', '.join(explained[1:])})" if explained[1:] else ""
        repeated = "first" if _has_repeated(local, zone) else "reject"
        return ZoneGuess(
            zone,
            repeated,
            f"no stamp lies in the hour that the clock of {zone} skipped, with stamps before and "
            f"after it{others}; name the operator's own zone",
        )
    return ZoneGuess(
        "UTC",
        "reject",
        "UNKNOWN: the stamps have no offset, and no clock change in the sample tells their zone; "
        "UTC until the vendor says which. A wrong zone moves rows into the day before or after",
    )


def _skipped(local: pd.DatetimeIndex, zone: str) -> tuple[int, bool] | None:
    """Count stamps in the hours that a clock skipped; None without such an hour in the sample.

    The second value tells whether there are stamps in the hour before and in the hour after.
    """
    if not len(local):
        return None
    hours = pd.date_range(local[0].floor("h"), local[-1].ceil("h"), freq="h")
    known = hours.tz_localize(
        ZoneInfo(zone), nonexistent="NaT", ambiguous=np.ones(len(hours), bool)
    )
    gaps = hours[known.isna()]
    if not len(gaps):
        return None
    seen = local.floor("h").unique()
    is_framed = [
        gap - timedelta(hours=1) in seen and gap + timedelta(hours=1) in seen for gap in gaps
    ]
    return int(local.floor("h").isin(gaps).sum()), all(is_framed)


def _has_repeated(local: pd.DatetimeIndex, zone: str) -> bool:
    first, second = (
        local.tz_localize(ZoneInfo(zone), ambiguous=np.full(len(local), flag), nonexistent="NaT")
        for flag in (True, False)
    )
    return bool((first != second)[first.notna()].any())

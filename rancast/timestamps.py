"""Text into UTC: one declared form, zones resolved, and never a guess.

A stamp that lacks the declared form is refused rather than read some other way. So are local
times that the clock skipped in spring and, unless the dataset says which pass, repeats in autumn.
"""

import re
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from rancast.datasets import EPOCHS, TimeColumn

Mask = npt.NDArray[np.bool_]

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_OFFSET = r" ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
# Without separators between its parts, a stamp that lost a digit still reads as some other time
_ADJACENT_PARTS = re.compile(r"%[a-zA-Z]%[a-zA-Z]")

EARLIEST = pd.Timestamp("1900-01-01", tz="UTC")
LATEST = pd.Timestamp("2200-01-01", tz="UTC")


class Times(NamedTuple):
    """Parsed stamps (datetime64[us, UTC], NaT where there is none) and who broke which rule."""

    values: pd.Series
    faults: dict[str, Mask]


def parse_times(text: Any, clock: TimeColumn, is_iso: bool, allows_dates: bool) -> Times:
    """Parse a pyarrow array of stamps, null where missing; equal texts are parsed once.

    `is_iso` overrides the dataset's format; `allows_dates` accepts ISO dates without a time of day,
    meaning midnight. The rules read on after the column's name: "is not an ISO 8601 time".
    """
    encoded = pc.dictionary_encode(text)
    stamps = pd.Series(encoded.dictionary.to_pandas(), dtype="str")
    # One place behind the last stamp stands for all that are missing
    places = encoded.indices.fill_null(len(stamps)).to_numpy(zero_copy_only=False)
    unique = _parse(stamps, clock, is_iso, allows_dates)
    return Times(
        unique.values.reindex(range(len(stamps) + 1)).take(places).reset_index(drop=True),
        {
            rule: np.append(broken, False)[places]
            for rule, broken in unique.faults.items()
            if broken.any()
        },
    )


def _parse(stamps: pd.Series, clock: TimeColumn, is_iso: bool, allows_dates: bool) -> Times:
    if clock.format is None or is_iso:
        aware, local = _read_iso(stamps, allows_dates)
        rule = "is not an ISO 8601 time"
    elif clock.format in EPOCHS:
        aware, local = _read_epoch(stamps, EPOCHS[clock.format])
        rule = f"is not a time of the form {clock.format}"
    else:
        aware, local = _read_format(stamps, clock.format)
        rule = f"is not a time of the form {clock.format}"
    zoned, is_skipped, is_repeated = _to_utc(local, clock)
    values = aware.fillna(zoned)
    is_absurd = (values < EARLIEST) | (values >= LATEST)
    return Times(
        values.mask(is_absurd),
        {
            rule: (aware.isna() & local.isna()).to_numpy(),
            f"does not exist in {clock.timezone}, where the clock went forward": is_skipped,
            f"happens twice in {clock.timezone}, where the clock went back": is_repeated,
            "lies outside of the years 1900 to 2199": is_absurd.to_numpy(),
        },
    )


def _read_iso(stamps: pd.Series, allows_dates: bool) -> tuple[pd.Series, pd.Series]:
    """Return the stamps with an offset as UTC and those without as they are; NaT elsewhere."""
    has_offset = stamps.str.fullmatch(f"{_DATE}{_CLOCK}{_OFFSET}")
    is_local = stamps.str.fullmatch(f"{_DATE}{_CLOCK}")
    if allows_dates:
        is_local |= stamps.str.fullmatch(_DATE)
    return (
        _read(stamps.where(has_offset), "ISO8601", is_utc=True),
        _read(stamps.where(is_local), "ISO8601", is_utc=False),
    )


def _read_format(stamps: pd.Series, form: str) -> tuple[pd.Series, pd.Series]:
    """Return what `_read_iso` does for stamps of a strptime format."""
    # pandas reads the words 'now' and 'today' as the time of reading, in any format
    stamps = stamps.where(stamps.str.contains("[0-9]"))
    none = pd.Series(pd.NaT, index=stamps.index, dtype="datetime64[us]")
    if "%z" in form:
        return _read(stamps, form, is_utc=True), none
    local = _read(stamps, form, is_utc=False)
    if _ADJACENT_PARTS.search(form):
        local = local.where(local.dt.strftime(form) == stamps)
    return none.dt.tz_localize("UTC"), local


def _read_epoch(stamps: pd.Series, unit_us: int) -> tuple[pd.Series, pd.Series]:
    """Return what `_read_iso` does for numbers of units of so many microseconds since 1970."""
    digits = 18 - len(str(unit_us))  # reaches beyond the year 2200, and fits into 64 bits
    is_number = stamps.str.fullmatch(rf"[0-9]{{1,{digits}}}(\.[0-9]+)?").to_numpy(bool)
    values = np.full(len(stamps), np.iinfo(np.int64).min)  # not a time
    values[is_number] = [_epoch_us(text, unit_us) for text in stamps[is_number]]
    aware = pd.Series(values.view("M8[us]"), index=stamps.index).dt.tz_localize("UTC")
    return aware, pd.Series(pd.NaT, index=stamps.index, dtype="datetime64[us]")


def _epoch_us(text: str, unit_us: int) -> int:
    """Return a decimal number of units in whole microseconds, without floating point."""
    whole, _, part = text.partition(".")
    return int(whole) * unit_us + int(part[:6].ljust(6, "0")) * unit_us // 1_000_000


def _read(stamps: pd.Series, form: str, is_utc: bool) -> pd.Series:
    values = pd.to_datetime(stamps, format=form, utc=is_utc, errors="coerce")
    return values.astype("datetime64[us, UTC]") if is_utc else values.astype("datetime64[us]")


def _to_utc(local: pd.Series, clock: TimeColumn) -> tuple[pd.Series, Mask, Mask]:
    """Return local times in UTC, which the clock skipped, and which it repeats, unresolved."""
    zone = ZoneInfo(clock.timezone)
    first, second = (
        local.dt.tz_localize(
            zone, ambiguous=np.full(len(local), is_first), nonexistent="NaT"
        ).dt.tz_convert("UTC")
        for is_first in (True, False)
    )
    is_skipped = (local.notna() & first.isna()).to_numpy()
    is_repeated = (first.notna() & (first != second)).to_numpy()
    if clock.ambiguous != "reject":
        return first if clock.ambiguous == "first" else second, is_skipped, is_repeated & False
    return first.mask(is_repeated), is_skipped, is_repeated

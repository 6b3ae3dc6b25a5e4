"""Text into UTC: one declared form, zones resolved, and never a guess.

A stamp that does not have the declared form is refused rather than read some other way, and so are
local times that the clock skipped in spring or, unless the dataset says which pass, repeats in autumn.
"""

import re
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rancast.datasets import TimeColumn

Mask = npt.NDArray[np.bool_]

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_OFFSET = r" ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
# Without separators between its parts, a stamp that lost a digit still reads as some other time
_ADJACENT_PARTS = re.compile(r"%[a-zA-Z]%[a-zA-Z]")

EARLIEST = pd.Timestamp("1900-01-01", tz="UTC")
LATEST = pd.Timestamp("2200-01-01", tz="UTC")
DTYPE = "datetime64[us, UTC]"


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
    places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    stamps = pd.Series(encoded.dictionary.to_pandas(), dtype="str")
    unique, faults = _parse(stamps, clock, is_iso, allows_dates)
    none = pd.Series([pd.NaT], dtype=DTYPE)
    values = pd.concat([unique, none], ignore_index=True).take(places).reset_index(drop=True)
    return Times(
        values,
        {rule: np.append(mask, False)[places] for rule, mask in faults.items() if mask.any()},
    )


def _parse(
    stamps: pd.Series, clock: TimeColumn, is_iso: bool, allows_dates: bool
) -> tuple[pd.Series, dict[str, Mask]]:
    is_plain = clock.format is None or is_iso
    if is_plain:
        has_form, has_offset = _iso_forms(stamps, allows_dates)
        form, rule = "ISO8601", "is not an ISO 8601 time"
    else:
        form = str(clock.format)
        # pandas reads the words 'now' and 'today' in any format
        has_form = stamps.str.contains("[0-9]").to_numpy(dtype=bool)
        has_offset = np.full(len(stamps), "%z" in form)
        rule = f"is not a time of the form {form}"
    values = pd.Series(pd.NaT, index=stamps.index, dtype=DTYPE)
    aware, naive = has_form & has_offset, has_form & ~has_offset
    values[aware] = _read(stamps[aware], form, utc=True)
    local = _read(stamps[naive], form, utc=False)
    if not is_plain and _ADJACENT_PARTS.search(form):
        local = local.where(local.dt.strftime(form) == stamps[naive])
    values[naive], skipped, repeated = _to_utc(local, clock)
    faults = {
        f"does not exist in {clock.timezone}, where the clock went forward": skipped,
        f"happens twice in {clock.timezone}, where the clock went back": repeated,
    }
    unread = values.isna().to_numpy() & ~np.isin(stamps.index, [*skipped, *repeated])
    faults = {name: np.isin(stamps.index, list(which)) for name, which in faults.items()}
    is_absurd = ((values < EARLIEST) | (values >= LATEST)).to_numpy()
    faults = {rule: unread, **faults, "lies outside of the years 1900 to 2199": is_absurd}
    return values.mask(is_absurd), faults

"""Quarantine rows for what the reader sets aside: whole files, broken records, refused cells."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rancast.casting import Cast
from rancast.quarantine import COLUMNS, Finding, as_quarantine, quarantine, shape
from rancast.records import Malformed, Records
from rancast.timestamps import Mask

SHOWN_VALUE = 100
SHOWN_CELL = 1_000
SHOWN_LINE = 4_000


@cache  # most files are sound; pandas copies on write
def none_rejected() -> pd.DataFrame:
    """Return the quarantine frame without a row."""
    return as_quarantine({name: [] for name in COLUMNS})


def reject_all(blob: str, records: Records, rule: str, is_private: bool) -> pd.DataFrame:
    """Return a row for each record of a blob that is refused for `rule`, in order of line."""
    unread = [found._replace(rule=rule) for found in records.malformed]
    if not records.cells:  # records that can be counted but not read, as in a damaged Parquet file
        unread += [Malformed(int(line), rule, "") for line in records.lines]
        return _in_order(_reject_unread(blob, unread, is_private))
    rows = _raw_rows(blob, records, np.arange(len(records.lines)), is_private)
    everyone = np.ones(len(rows), dtype=bool)
    read = quarantine(rows, [Finding(rule, "", everyone)], _record_names(records), is_private)
    return _in_order(read, _reject_unread(blob, unread, is_private))


def reject_some(
    blob: str, records: Records, cells: dict[str, Any], casts: dict[str, Cast], is_private: bool
) -> tuple[pd.DataFrame, Mask]:
    """Return a row for each malformed record and each refused one, and a mask of the latter.

    `cells` (as read) and `casts` are by column, in the order in which they count; the mask is over
    the records that have cells.
    """
    findings = [
        Finding(rule, column, broken)
        for column, cast in casts.items()
        for rule, broken in cast.faults.items()
    ]
    is_refused = np.zeros(len(records.lines), dtype=bool)
    for finding in findings:
        is_refused |= finding.broken
    unread = _reject_unread(blob, records.malformed, is_private)
    if not findings:
        return unread, is_refused
    places = np.flatnonzero(is_refused)
    rows = _raw_rows(blob, records, places, is_private)
    for column in {finding.column for finding in findings}:
        rows[column] = _texts(cells[column], places)
    found = [finding._replace(broken=finding.broken[places]) for finding in findings]
    broken = quarantine(rows, found, _record_names(records), is_private)
    broken["value"] = [_shorten(value, SHOWN_VALUE) for value in broken["value"]]
    return _in_order(broken, unread), is_refused


def _reject_unread(blob: str, unread: Sequence[Malformed], is_private: bool) -> pd.DataFrame:
    """Return a row for each record without cells, whose text is its line as it is in the file."""
    if not unread:
        return none_rejected()
    texts = [found.text for found in unread]
    return as_quarantine(
        {
            "blob": np.full(len(unread), blob, dtype=object),
            "line": [found.line for found in unread],
            "column": "",
            "rule": [found.rule for found in unread],
            "value": [shape(text) if is_private and text else "" for text in texts],
            "record": "" if is_private else [_shorten(text, SHOWN_LINE) for text in texts],
        }
    )


def _raw_rows(
    blob: str, records: Records, places: npt.NDArray[np.int64], is_private: bool
) -> pd.DataFrame:
    """Return some records as a frame of text by raw name; without their cells where private."""
    named = {} if is_private else dict(zip(_record_names(records), records.cells, strict=True))
    rows = {
        name: [_shorten(text, SHOWN_CELL) for text in _texts(column, places)]
        for name, column in named.items()
    }
    frame = pd.DataFrame(rows, index=range(len(places)), dtype=object)
    return frame.assign(_blob=blob, _line=records.lines[places])


def _record_names(records: Records) -> list[str]:
    """Return the raw names, each only once: a repeated one gets its position, too."""
    names = records.names
    return [
        name if name and names.count(name) == 1 else f"{name} ({place + 1})".strip()
        for place, name in enumerate(names)
    ]


def _texts(cells: Any, places: npt.NDArray[np.int64]) -> list[str | None]:
    texts: list[str | None] = cells.take(places).to_pylist()
    return texts


def _shorten(text: Any, limit: int) -> Any:
    """Cut a long text, saying how long it was."""
    if not isinstance(text, str) or len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text):,} characters)"


def _in_order(*frames: pd.DataFrame) -> pd.DataFrame:
    found = [frame for frame in frames if len(frame)] or [none_rejected()]
    return pd.concat(found).sort_values("line", kind="stable", ignore_index=True)

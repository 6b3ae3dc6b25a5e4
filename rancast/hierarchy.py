"""Which site and region an entity belongs to, and since when: `hierarchies/NAME.csv`.

    entity,site,region,valid_from,valid_to
    S0001-1,S0001,north,2024-01-01,2024-03-05T04:00:00Z
    S0001-1,S0007,south,2024-03-05T04:00:00Z,

One line per entity and stay, levels from narrow to wide, times in UTC, `valid_to` exclusive and
empty while it lasts. CSV and not YAML, since it is exported from an inventory: thousands of lines
that people sort in a spreadsheet. An entity out of service has a line without levels: what is not
said is refused as a gap, never guessed. Which rows are whose is asked at each row's own time, so an
entity that moved counts in each site for the time that it was there.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rancast.documents import Document
from rancast.errors import ConfigurationError

FIRST, LAST = "entity", ("valid_from", "valid_to")
FOREVER = datetime.max.replace(tzinfo=UTC)


class Stay(NamedTuple):
    """One line of the file: where an entity was in [start, end); "" is in none of a level."""

    line: int
    entity: str
    levels: tuple[str, ...]
    start: datetime
    end: datetime

    @property
    def words(self) -> str:
        """The line as an error names it."""
        until = "on" if self.end == FOREVER else f"to {self.end:%Y-%m-%d %H:%M}"
        return f"line {self.line} (from {self.start:%Y-%m-%d %H:%M} {until})"


class Hierarchy(NamedTuple):
    """Stays as a frame [entity, *levels, valid_from, valid_to], sorted by entity and time.

    Levels are `str`, missing where the entity is in none; times UTC, `valid_to` NaT while it lasts.
    """

    name: str
    levels: tuple[str, ...]
    stays: pd.DataFrame

    def locate(self, entity: "pd.Series[str]", time: "pd.Series[pd.Timestamp]") -> pd.DataFrame:
        """Return the levels of each row at its own time, on its index; missing where unknown."""
        asked = pd.DataFrame(
            {
                FIRST: entity.to_numpy(dtype=object),
                "time": time.astype("datetime64[us, UTC]").array,
                "order": range(len(entity)),
            }
        ).astype({FIRST: "str"})
        found = pd.merge_asof(
            asked.sort_values("time", kind="stable"),
            self.stays.sort_values("valid_from", kind="stable"),
            left_on="time",
            right_on="valid_from",
            by=FIRST,
        ).sort_values("order", kind="stable")
        is_over = (found["time"] >= found["valid_to"]).to_numpy(bool)
        levels = {level: found[level].mask(is_over).array for level in self.levels}
        return pd.DataFrame(levels, index=entity.index)

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> "Hierarchy":
        """Return what it says of [start, end) alone, whatever moves come before or after.

        What depends on a day and those before it depends on nothing else of the file.
        """
        stays = self.stays
        is_inside = (stays["valid_from"] < end) & ~(stays["valid_to"] <= start)
        inside = stays[is_inside].reset_index(drop=True)
        inside["valid_from"] = inside["valid_from"].where(inside["valid_from"] >= start, start)
        inside["valid_to"] = inside["valid_to"].mask(inside["valid_to"] >= end)
        return self._replace(stays=inside)

    def members(self, time: pd.Timestamp) -> pd.DataFrame:
        """Return [entity, *levels] of the entities that are somewhere at a time."""
        stays = self.stays
        is_there = (stays["valid_from"] <= time) & ~(stays["valid_to"] <= time)
        is_placed = stays[list(self.levels)].notna().any(axis="columns")
        return stays.loc[is_there & is_placed, [FIRST, *self.levels]].reset_index(drop=True)


class Placement(Document):
    """A hierarchy as configuration: a stay is the entity, its levels, and when it began and ended.

    Times are ISO 8601 in UTC; a level and an end may be missing.
    """

    name: str
    levels: tuple[str, ...]
    stays: tuple[tuple[str | None, ...], ...]

    @classmethod
    def of(cls, hierarchy: Hierarchy) -> "Placement":
        """Return what a hierarchy says."""
        stays = hierarchy.stays.astype(object).where(hierarchy.stays.notna(), None)
        rows = (
            tuple(cell.isoformat() if isinstance(cell, datetime) else cell for cell in row)
            for row in stays.itertuples(index=False, name=None)
        )
        return cls(name=hierarchy.name, levels=hierarchy.levels, stays=tuple(rows))

    def hierarchy(self) -> Hierarchy:
        """Return the hierarchy, to ask it where entities are."""
        names = [FIRST, *self.levels, *LAST]
        columns = dict(zip(names, zip(*self.stays, strict=True), strict=True)) if self.stays else {}
        frame = pd.DataFrame({name: list(columns.get(name, ())) for name in names})
        frame = frame.astype(dict.fromkeys([FIRST, *self.levels], "str"))
        for name in LAST:
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        return Hierarchy(self.name, self.levels, frame)

    def between(self, start: date, end: date) -> "Placement":
        """Return what it says of the days from `start` up to, and without, `end` alone."""
        first, last = (pd.Timestamp(day, tz="UTC") for day in (start, end))
        return Placement.of(self.hierarchy().between(first, last))


def load_hierarchy(home: Path, name: str) -> Hierarchy:
    """Read hierarchies/NAME.csv below `home`.

    Raises ConfigurationError for an unknown name (with the known ones) and whatever
    `parse_hierarchy` refuses.
    """
    folder = home / "hierarchies"
    known = sorted(path.stem for path in folder.glob("*.csv"))
    if name not in known:
        listed = ", ".join(known) or f"none, since {folder} holds no CSV file"
        raise ConfigurationError(f"hierarchy {name!r} not found; known: {listed}.")
    return parse_hierarchy((folder / f"{name}.csv").read_bytes(), name)


def parse_hierarchy(content: bytes, name: str) -> Hierarchy:
    """Read the text of a hierarchy; `name` names it in errors.

    Raises ConfigurationError for a header, cell or time that is wrong, for two lines that place an
    entity at the same time, for a gap between two, and for a site (or other level) that lies in
    two regions at once; each with its lines.
    """
    place = f"hierarchies/{name}.csv"
    records = _records(content, place)
    levels = _levels(records[0][1] if records else [], place)
    stays = [_stay(line, record, levels, place) for line, record in records[1:] if any(record)]
    if not stays:
        raise ConfigurationError(f"{place} places no entity; add a line below its header.")
    stays.sort(key=lambda stay: (stay.entity, stay.start, stay.line))
    _check_entities(stays, place)
    for below, above in pairwise(range(len(levels))):
        _check_parents(stays, below, levels[below], levels[above], place)
    return Hierarchy(name, levels, _frame(stays, levels))


def _records(content: bytes, place: str) -> list[tuple[int, list[str]]]:
    """Return each record with the line on which it ends."""
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        return [(reader.line_num, record) for record in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{place} is not a CSV file in UTF-8: {error}.") from error


def _levels(header: Sequence[str], place: str) -> tuple[str, ...]:
    names = [cell.strip() for cell in header]
    is_good = names[:1] == [FIRST] and tuple(names[-2:]) == LAST and len(names) > 3
    if not is_good or len(set(names)) < len(names) or not all(map(str.isidentifier, names)):
        raise ConfigurationError(
            f"the first line of {place} is {','.join(header)[:200]!r}; write entity, the levels "
            "from narrow to wide, valid_from, valid_to, such as "
            "'entity,site,region,valid_from,valid_to'."
        )
    return tuple(names[1:-2])


def _stay(number: int, record: Sequence[str], levels: Sequence[str], place: str) -> Stay:
    where = f"line {number} of {place}"
    cells = [cell.strip() for cell in record]
    if len(cells) != len(levels) + 3:
        raise ConfigurationError(
            f"{where} has {len(cells)} cells and the header {len(levels) + 3}; write one cell for "
            "each, empty where there is nothing."
        )
    entity, *parents, start, end = cells
    if not entity:
        raise ConfigurationError(f"{where} names no entity; name it, or delete the line.")
    stay = Stay(
        number,
        entity,
        tuple(parents),
        _time(start, where),
        _time(end, where) if end else FOREVER,
    )
    if stay.start >= stay.end:
        raise ConfigurationError(
            f"{where} ends at {end}, and does not begin before; valid_to is exclusive, and empty "
            "while it lasts."
        )
    return stay


def _time(text: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{where} has {text[:40]!r} for a time; write a date or a UTC time, such as "
            "2024-03-05 or 2024-03-05T04:00:00Z."
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _check_entities(stays: Sequence[Stay], place: str) -> None:
    """Refuse two stays of one entity at once, and a time between two in which it was nowhere."""
    for earlier, later in pairwise(stays):
        if earlier.entity != later.entity or earlier.end == later.start:
            continue
        if later.start < earlier.end:
            raise ConfigurationError(
                f"{place} places {earlier.entity!r} twice at {later.start:%Y-%m-%d %H:%M}: "
                f"{earlier.words} and {later.words} overlap; end one where the other begins."
            )
        raise ConfigurationError(
            f"{place} does not say where {earlier.entity!r} was between {earlier.words} and "
            f"{later.words}; let them meet, or add a line with empty levels for a time in which it "
            "was out of service."
        )


def _check_parents(stays: Sequence[Stay], below: int, narrow: str, wide: str, place: str) -> None:
    """Refuse a site that lies in two regions at once: its parts would add up to neither."""
    groups: dict[str, list[Stay]] = defaultdict(list)
    for stay in stays:
        if stay.levels[below]:
            groups[stay.levels[below]].append(stay)
        elif stay.levels[below + 1]:
            raise ConfigurationError(
                f"line {stay.line} of {place} has a {wide} and no {narrow}; name it, or leave both "
                "empty."
            )
    for name, members in groups.items():
        for first, second in _contradictions(members, below + 1):
            raise ConfigurationError(
                f"{place} puts {narrow} {name!r} into {wide} {first.levels[below + 1]!r} and "
                f"{second.levels[below + 1]!r} at once: {first.words} of {first.entity!r} and "
                f"{second.words} of {second.entity!r}; correct one."
            )


def _contradictions(members: Sequence[Stay], level: int) -> Iterator[tuple[Stay, Stay]]:
    """Yield stays that overlap in time and differ in a level."""
    latest: dict[str, Stay] = {}
    for stay in sorted(members, key=lambda one: (one.start, one.line)):
        for value, other in latest.items():
            if value != stay.levels[level] and other.end > stay.start:
                yield other, stay
        known = latest.get(stay.levels[level])
        if known is None or stay.end > known.end:
            latest[stay.levels[level]] = stay


def _frame(stays: Sequence[Stay], levels: Sequence[str]) -> pd.DataFrame:
    columns: dict[str, object] = {FIRST: pd.array([stay.entity for stay in stays], dtype="str")}
    for number, level in enumerate(levels):
        columns[level] = pd.array([stay.levels[number] or None for stay in stays], dtype="str")
    ends = [None if stay.end == FOREVER else stay.end for stay in stays]
    columns["valid_from"] = pd.to_datetime([stay.start for stay in stays], utc=True)
    columns["valid_to"] = pd.to_datetime(pd.Series(ends, dtype=object), utc=True)
    times = dict.fromkeys(LAST, "datetime64[us, UTC]")
    return pd.DataFrame(columns).astype(times)

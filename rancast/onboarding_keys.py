"""What a row is about: its time, its key, its entity, and whether rows come in periods."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import combinations
from typing import Literal

import pandas as pd

from rancast.durations import short_duration
from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_names import FILE, is_end, is_network, is_person, is_start, is_time
from rancast.onboarding_rows import Gaps, Rows, gaps
from rancast.onboarding_times import LEAST_SHARE
from rancast.onboarding_yaml import number_of

DAY = timedelta(days=1)
MIDNIGHT = pd.Timestamp(0).time()
NEAR = 0.9
LEAST_REGULAR = 0.9
MOST_CANDIDATES = 14
MOST_COLUMNS = 3


@dataclass(frozen=True)
class KeyGuess:
    """What identifies a row. `clock` is None where no column is a time: the day of delivery is it.

    `key` names our columns, and FILE where the file's own name is part of it; `repeats` counts the
    rows whose key stands in the sample before. `notes` are sentences by the dataset's key that they
    explain.
    """

    clock: str | None
    key: tuple[str, ...]
    entity: str | None
    kind: Literal["periodic", "events"]
    period: timedelta | None
    stamped_at: Literal["start", "end"]
    duplicates: Literal["quarantine", "last"]
    repeats: int = 0
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """What tells the rows of one entity and time apart, such as a carrier; none of events."""
        if self.kind != "periodic":
            return ()
        return tuple(name for name in self.key if name not in (self.clock, self.entity))

    @property
    def several(self) -> str:
        """That an entity has several rows at a time, in words."""
        parts = " and ".join("the file's name" if name == FILE else name for name in self.parts)
        return f"one {self.entity} has several rows at a time, which differ in {parts}"

    @property
    def needs_file(self) -> bool:
        """Whether the name of the file is a column."""
        return FILE in self.key


def guess_clock(columns: Sequence[ColumnGuess]) -> ColumnGuess | None:
    """Return the column that says when a row was measured, None where there is none."""
    times = [guess for guess in columns if guess.time is not None]
    return max(times, key=_as_clock) if times else None


def _as_clock(guess: ColumnGuess) -> tuple[bool, ...]:
    return (
        guess.present >= LEAST_SHARE * guess.rows,
        not guess.is_constant,
        not is_end(guess.name),
        is_start(guess.name),
        is_time(guess.name),
    )


def guess_key(rows: Rows, columns: Sequence[ColumnGuess], clock: ColumnGuess | None) -> KeyGuess:
    """Return what identifies the rows of a sample, with the evidence."""
    by_name = {guess.name: guess for guess in columns}
    key, why = _key(rows, columns, clock)
    entity = _entity(rows, key, by_name, clock)
    found = gaps(rows, entity, clock.name) if clock else None
    period = _period(found)
    is_in_key = clock is not None and entity is not None and {clock.name, entity} <= set(key)
    is_periodic = period is not None and is_in_key and entity != FILE
    notes: dict[str, tuple[str, ...]] = {
        "key": (why,),
        "kind": (_kind_note(found, entity, is_periodic),),
        "entity": (_entity_note(rows, entity),),
    }
    guess = KeyGuess(
        clock=clock.name if clock else None,
        key=key,
        entity=entity,
        kind="periodic" if is_periodic else "events",
        period=period,
        stamped_at="start",
        duplicates="quarantine",
        notes=notes,
    )
    return _with_stamp(_with_duplicates(guess, rows), rows, columns)


# --- the key ----------------------------------------------------------------------------------


def _key(
    rows: Rows, columns: Sequence[ColumnGuess], clock: ColumnGuess | None
) -> tuple[tuple[str, ...], str]:
    start = (clock.name,) if clock else ()
    usable = [
        guess
        for guess in columns
        if guess.is_complete and guess.time is None and guess.type in ("string", "integer")
    ]
    named = [guess.name for guess in usable if guess.is_name and guess.type == "string"]
    has_files = rows.codes[FILE].nunique() > _days(rows, clock)
    files = [FILE] if has_files else []
    for name in [name for name in named if not _comes_back(name)]:
        if clock and len(rows.codes) > 1 and _is_alone(rows, name, by=clock.name):
            return (name,), f"all {_total(rows)} have a {name} of their own"
    most = 2 if clock else MOST_COLUMNS
    # what is another one in each row is no thing that rows come back to, if others will do
    back = [name for name in named if rows.share([name]) < 1]
    first = _exact(rows, start, [*back, *files], most) or _exact(
        rows, start, [*named, *files], most
    )
    if first is None and clock:
        first = _nearly(rows, start, [*named, *files])
    if first is None:
        texts = [guess.name for guess in usable if guess.type == "string" or guess.is_name]
        counts = [guess.name for guess in usable if guess.name not in texts]
        first = _exact(rows, start, [*files, *texts, *counts], MOST_COLUMNS)
    if first is not None:
        return _explained(rows, first, by_order=start)
    everything = tuple(guess.name for guess in columns if guess.is_complete)
    return everything, (
        f"no {MOST_COLUMNS} columns tell the {_total(rows)} apart, only all columns together: have "
        "the vendor deliver an identifier and a time"
    )


def _days(rows: Rows, clock: ColumnGuess | None) -> int:
    """Count the days on which files start: more files than days are more than deliveries."""
    if clock is None:
        return 1
    starts = rows.times[clock.name].groupby(rows.codes[FILE]).min()
    return int(starts.dt.floor("D").nunique())


def _is_alone(rows: Rows, name: str, by: str) -> bool:
    """Tell whether a column alone tells rows apart, and times do not: the rows are events."""
    return rows.share([name]) == 1 and not (rows.share([by]) == 1 and is_time(name))


def _exact(
    rows: Rows, start: tuple[str, ...], names: list[str], most: int
) -> tuple[str, ...] | None:
    """Return the fewest columns beside `start` that tell all rows apart, by order of the names."""
    names = names[:MOST_CANDIDATES]
    for size in range(most + 1):
        for extra in combinations(names, size):
            if (start or extra) and rows.share([*start, *extra]) == 1:
                return _with_thing(rows, start, extra, names)
    return None


def _with_thing(
    rows: Rows, start: tuple[str, ...], extra: tuple[str, ...], names: list[str]
) -> tuple[str, ...]:
    """Add the thing that a feed is about where the sample's times alone tell rows apart."""
    things = [name for name in names if _comes_back(name)]
    few = [name for name in things if 2 * rows.distinct([name]) <= len(rows.codes)]
    return (*(extra or few[:1]), *start)


def _comes_back(name: str) -> bool:
    """Tell whether a column names parts of the network or people, who have rows again and again."""
    return is_network(name) or is_person(name)


def _nearly(rows: Rows, start: tuple[str, ...], names: list[str]) -> tuple[str, ...] | None:
    """Return the column that with the time tells most rows apart, if these are most of them."""
    shares = {name: round(rows.share([*start, name]), 2) for name in names[:MOST_CANDIDATES]}
    if not shares or max(shares.values()) < NEAR:
        return None
    best = [name for name, share in shares.items() if share == max(shares.values())]
    return (FILE if FILE in best else best[0], *start)


def _explained(
    rows: Rows, key: tuple[str, ...], by_order: tuple[str, ...]
) -> tuple[tuple[str, ...], str]:
    names = " and ".join(["the file's name" if name == FILE else name for name in key])
    share, tell = rows.share(key), "tells" if len(key) == 1 else "tell"
    if share == 1:
        return key, f"{names} {tell} all {_total(rows)} of the sample apart"
    return key, f"{names} {tell} {share:.1%} of the {_total(rows)} apart, no other columns more"


def _total(rows: Rows) -> str:
    return number_of(len(rows.codes), "different row")


# --- entity, kind, period -----------------------------------------------------------------------


def _entity(
    rows: Rows,
    key: tuple[str, ...],
    by_name: dict[str, ColumnGuess],
    clock: ColumnGuess | None,
) -> str | None:
    """Return the column of names that rows come back to: of the key, else of a person or part."""
    in_key = [name for name in key if name == FILE or _is_nameable(by_name[name])]
    if clock is not None and in_key and clock.name in key:
        return max(in_key, key=lambda name: (name != FILE and is_network(name), name != FILE))
    others = [
        guess.name
        for guess in by_name.values()
        if guess.is_name and guess.type == "string" and guess.is_complete and guess.distinct > 1
    ]
    returning = [name for name in others if 2 * rows.distinct([name]) <= len(rows.codes)]
    people = [name for name in returning if is_person(name) or by_name[name].domain]
    return next(iter(people or returning), None)


def _is_nameable(guess: ColumnGuess) -> bool:
    return guess.time is None and (guess.type == "string" or guess.is_name)


def _period(found: Gaps | None) -> timedelta | None:
    if found is None or found.period < timedelta(milliseconds=1):
        return None
    is_regular = found.multiples >= LEAST_REGULAR * found.total
    is_usual = found.usual >= (LEAST_REGULAR - 0.2) * found.total
    return found.period if is_regular and is_usual else None


def _kind_note(found: Gaps | None, entity: str | None, is_periodic: bool) -> str:
    if found is None:
        return "no entity has two times in the sample, so that no period can be seen"
    of = f"rows of one {'file' if entity == FILE else entity}" if entity else "rows"
    odd = found.total - found.multiples
    others = f"; {odd:,} are no multiple of it" if odd else "; the others are multiples of it"
    told = f"{found.usual:,} of {found.total:,} gaps between {of} are {_length(found.period)}"
    told += others if found.usual < found.total else ""
    return told if is_periodic else f"{told}: {_why_events(found, entity)}"


def _why_events(found: Gaps, entity: str | None) -> str:
    if entity == FILE and _period(found) is not None:
        return "regular, but a file ends and never comes back, so that none can be expected"
    if _period(found) is not None:
        return "regular, but entity and time do not identify a row"
    return "too few for a period"


def _length(period: timedelta) -> str:
    text = short_duration(period)
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{digits} {text[len(digits):]}"


def _entity_note(rows: Rows, entity: str | None) -> str:
    if entity is None:
        return "no column names things or people that rows come back to"
    if entity == FILE:
        return f"{rows.distinct([FILE]):,} files, of which each may be a trace or an element"
    return f"{rows.distinct([entity]):,} different ones in the sample"


# --- duplicates, stamps -------------------------------------------------------------------------


def _with_duplicates(guess: KeyGuess, rows: Rows) -> KeyGuess:
    """Choose the rule for rows of one key that differ: as strict as the sample lets it be."""
    conflicts = len(rows.codes) - rows.distinct(guess.key)
    equal = number_of(rows.repeated, "row")
    guess = replace(guess, repeats=rows.repeated + conflicts)
    note = f"{equal} repeat another in every column; {conflicts:,} repeat a key and differ"
    if not conflicts:
        note += ". If one ever does, nobody knows which is right"
        return replace(guess, notes=guess.notes | {"duplicates": (note,)})
    note += ": is the later one a correction? quarantine sets all of them aside, mean averages"
    return replace(guess, duplicates="last", notes=guess.notes | {"duplicates": (note,)})


def _with_stamp(guess: KeyGuess, rows: Rows, columns: Sequence[ColumnGuess]) -> KeyGuess:
    """Tell whether stamps are starts or ends of periods, by their name, a partner, or midnight."""
    if guess.clock is None or guess.period is None:
        return guess
    note = "starts or ends of periods? Nothing in the sample tells; starts until the vendor says"
    stamped: Literal["start", "end"] = "start"
    first, last = _at_midnight(rows, guess.clock, guess.period)
    if is_end(guess.clock):
        stamped, note = "end", "the column is called the end of something"
    elif partner := next(_partners(rows, guess, columns), None):
        note = partner
    elif is_start(guess.clock):
        note = "the column is called the start of something"
    elif first + last and guess.period < DAY:
        stamped = "end" if last > first else "start"
        note = (
            f"files begin with midnight {first:,} times, and with one period after it {last:,} "
            f"times, so stamps look like {stamped}s of periods; ask the vendor"
        )
    return replace(guess, stamped_at=stamped, notes=guess.notes | {"stamped_at": (note,)})


def _at_midnight(rows: Rows, clock: str, period: timedelta) -> tuple[int, int]:
    """Count the files that begin at midnight, and one period after it."""
    firsts = rows.times[clock].groupby(rows.codes[FILE]).min().dropna()
    since = firsts - firsts.dt.floor("D")
    return int((since == timedelta(0)).sum()), int((since == period).sum())


def _partners(rows: Rows, guess: KeyGuess, columns: Sequence[ColumnGuess]) -> Iterator[str]:
    """Yield what another time column, always one period later, tells."""
    ours = rows.times[str(guess.clock)]
    for other in columns:
        if other.time is not None and other.name != guess.clock and guess.period is not None:
            is_later = rows.times[other.name] - ours == guess.period
            if is_later.mean() >= LEAST_SHARE:
                yield (
                    f"{other.name} is one period later in {int(is_later.sum()):,} of "
                    f"{len(is_later):,} rows, so {guess.clock} is the start"
                )

"""What the cells of one raw column are: their type, their marks for "no value", their extent."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from rancast.casting import NUMBER
from rancast.datasets import ColumnType
from rancast.onboarding_names import (
    has_unit,
    is_identifier,
    is_network,
    is_person,
    is_time,
    may_name_person,
    unit_hint,
)
from rancast.onboarding_sample import SampleTable, value_counts
from rancast.onboarding_times import LONGEST_EPOCHS, TimeGuess, guess_time
from rancast.onboarding_yaml import amount, number_of, shown

MARKS = frozenset(
    {
        *(
            "-",
            "--",
            "---",
            ".",
            "?",
            "*",
            "NULL",
            "null",
            "Null",
            "(null)",
            "<null>",
            "NIL",
            "nil",
        ),
        *(
            "NA",
            "N/A",
            "n/a",
            "na",
            "N.A.",
            "#N/A",
            "#NA",
            "NaN",
            "nan",
            "NAN",
            "None",
            "none",
            "NONE",
        ),
        *(
            "\\N",
            "#DIV/0!",
            "#VALUE!",
            "inf",
            "-inf",
            "Infinity",
            "-Infinity",
            "undefined",
            "missing",
        ),
    }
)
# numbers that stand for "not measured" where they lie alone, far from all others
SENTINELS = frozenset(
    {
        *(-99, -999, -9999, -99999, 999, 9999, 99999, 999999, 9999999, 32767, -32768, 65535),
        *(2147483647, -2147483648, 4294967295, 16777215),
    }
)
MOSTLY_NUMBERS = 0.9
MOSTLY_MAILS = 0.5
MOST_MARKS = 5
MOST_CATEGORIES = 20
LEAST_ROWS_OF_A_CATEGORY = 5
LONGEST_CATEGORY = 40
BOOLEANS = ({"true", "false"}, {"yes", "no"})

# lengths of MSISDN, IMSI and IMEI, and of numbers that could be one in their national form
SUBSCRIBER_DIGITS = (10, 15)
SUSPECT_DIGITS = (7, 9)
# of ICCID and other names handed out, of which a float would lose the last ones
LONG_DIGITS = (16, 22)
# so many no counter reaches, whether they are of one length or not
LONGEST_COUNTER = 17
NOW = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC))
_DIGITS = re.compile(r"(\+|00)?[0-9]+")
_ICCID = "89[0-9]{16,20}"
_MAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
# with a country or area code, and its digits in groups: +49 151 234567, (0151) 234-5678
_TELEPHONE = r"[+(0][0-9]*[ ()/-][0-9 ()/-]*"


@dataclass(frozen=True)
class ColumnGuess:
    """What one column of the draft will be, and the evidence for it as sentences.

    `missing` are marks that stand in cells. A column of `is_private` cells names people, or may:
    none of its cells is ever written down. `time` is set for timestamps; `low`, `high` and `tail`,
    above which lie 5 % of its cells, for numbers.
    """

    raw: str
    name: str
    type: ColumnType
    rows: int
    present: int
    distinct: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_required: bool = True
    is_private: bool = False
    domain: str = ""
    time: TimeGuess | None = None
    low: float | None = None
    high: float | None = None
    tail: float | None = None
    categories: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every cell has a value."""
        return self.present == self.rows

    @property
    def is_constant(self) -> bool:
        """Whether all cells that have a value have the same."""
        return self.distinct == 1

    @property
    def is_name(self) -> bool:
        """Whether its cells are names of things or people by what it is called."""
        return is_identifier(self.name) or self.is_private

    def as_text(self, *why: str) -> "ColumnGuess":
        """Return the column as one of text, without marks."""
        return replace(
            self, type="string", missing=(), low=None, high=None, notes=(*self.notes, *why)
        )


def guess_columns(
    table: SampleTable, names: dict[str, str], decimal: str
) -> tuple[ColumnGuess, ...]:
    """Return a guess for each raw column, in order; `names` are ours, by raw name."""
    return tuple(_guess_column(table, raw, name, decimal) for raw, name in names.items())


def _guess_column(table: SampleTable, raw: str, name: str, decimal: str) -> ColumnGuess:
    counts = value_counts(table.cells[raw])
    known = tuple(sorted(mark for mark in counts.index if mark in MARKS))
    rest = counts.drop(list(known))
    guess = ColumnGuess(
        raw=raw,
        name=name,
        type="string",
        rows=table.rows,
        present=int(rest.sum()),
        distinct=len(rest),
        missing=known,
        notes=_gaps(table, raw, counts, known),
        is_required=table.seen_in[raw] == len(table.files),
    )
    if not len(rest):
        return replace(guess, notes=(*guess.notes, "no cell has a value: its type is unknown"))
    private = _as_private(guess, rest)
    if private is not None:
        return private
    time = guess_time(rest, raw in table.times, is_time(name))
    if time is not None:
        return replace(guess, type="timestamp", time=time, notes=(*guess.notes, *time.notes))
    found = _as_long_digits(guess, rest) or _as_numbers(guess, rest, decimal)
    return found or _as_words(guess, rest)


def _gaps(
    table: SampleTable, raw: str, counts: "pd.Series[int]", marks: tuple[str, ...]
) -> tuple[str, ...]:
    notes = []
    if table.seen_in[raw] < len(table.files):
        notes.append(f"in {table.seen_in[raw]} of {number_of(len(table.files), 'file')} only")
    empty = table.rows - int(counts.sum())
    if empty:
        notes.append(f"{empty:,} of {table.rows:,} cells are empty")
    if marks:
        told = _listed(counts[list(marks)])
        doubt = ", unless it is a word of theirs" if {"NA", "na", "none", "None"} & {*marks} else ""
        notes.append(f"taken for 'no value'{doubt}: {told}")
    return tuple(notes)


def _as_private(guess: ColumnGuess, rest: "pd.Series[int]") -> ColumnGuess | None:
    """Return the column as one of people's identifiers, if its name or its digits say so."""
    texts = rest.index.to_series()
    digits = texts.str.fullmatch(_DIGITS.pattern)
    share = _share(rest, digits)
    lengths = texts[digits].str.lstrip("+").str.removeprefix("00").str.len()
    middle = int(lengths.median()) if len(lengths) else 0
    is_narrow = len(lengths) > 0 and float((lengths - middle).abs().le(2).mean()) >= MOSTLY_NUMBERS
    is_long = share >= MOSTLY_NUMBERS and is_narrow and len(rest) > 1
    if (mails := _share(rest, texts.str.fullmatch(_MAIL))) >= MOSTLY_MAILS:
        return _hidden(guess, f"{mails:.1%} of its cells are addresses of mail")
    if is_network(guess.name) or is_time(guess.name):
        return None
    is_call = texts.str.fullmatch(_TELEPHONE) & texts.str.count("[0-9]").between(7, 15)
    if (calls := _share(rest, is_call)) >= MOSTLY_NUMBERS and not _are_regular(texts):
        return _hidden(guess, f"{calls:.1%} of its cells are written as telephone numbers are")
    if is_person(guess.name) and _are_names(guess, rest, is_long and middle >= SUSPECT_DIGITS[0]):
        return _hidden(guess, "its name says that it identifies people")
    low, high = SUBSCRIBER_DIGITS
    if is_long and low <= middle <= high and not _are_regular(texts[digits]):
        return _hidden(
            guess, f"{share:.1%} of its cells are {middle} digits or about, as MSISDN and IMSI have"
        )
    low, high = SUSPECT_DIGITS
    if is_long and low <= middle <= high and _are_arbitrary(guess, texts[digits]):
        why = (
            f"{share:.1%} of its cells are {middle} digits or about: numbers of people, or of "
            "things? If of people, name it under pseudonymise; if it is a measure, make it a float"
        )
        return replace(guess.as_text(why), is_private=True)
    return None


def _are_names(guess: ColumnGuess, rest: "pd.Series[int]", are_numbers: bool) -> bool:
    """Tell whether cells can name people: long numbers, or many texts, but no quantities."""
    texts = rest.index.to_series()
    is_quantity = texts.str.match(NUMBER.replace(r"\.?", r"[.,]?"))
    is_text = float(rest[is_quantity.to_numpy(bool)].sum()) < rest.sum() / 2
    if are_numbers or (is_text and guess.distinct > MOST_CATEGORIES):
        return True
    if has_unit(guess.name) or unit_hint(guess.name, 0, np.inf):
        return False
    # beside short codes, words and each other, numbers of people have any length
    is_whole = texts.str.fullmatch(_DIGITS.pattern)
    is_long = (texts.map(may_name_person) & (is_whole | ~is_quantity)).to_numpy(bool)
    share = max(float(rest[is_long].sum() / rest.sum()), float(is_long.mean()))
    return share >= 1 - MOSTLY_NUMBERS


def _as_long_digits(guess: ColumnGuess, rest: "pd.Series[int]") -> ColumnGuess | None:
    """Return the column as text if it is of digits as names have, and more than a float keeps."""
    texts = rest.index.to_series()
    lengths = texts.str.len()
    middle = int(lengths.median())
    is_measure = has_unit(guess.name) or bool(unit_hint(guess.name, 0, np.inf))
    are_digits = _share(rest, texts.str.fullmatch("[0-9]+")) >= MOSTLY_NUMBERS
    if not are_digits or is_measure or is_network(guess.name):
        return None
    reach = 2 if middle > LONGEST_COUNTER else 0
    is_narrow = float((lengths - middle).abs().le(reach).mean()) >= MOSTLY_NUMBERS
    if not is_narrow or not LONG_DIGITS[0] <= middle <= LONG_DIGITS[1]:
        return None
    if _share(rest, texts.str.fullmatch(_ICCID)) >= MOSTLY_NUMBERS:
        return _hidden(
            guess, f"most of its cells are {middle} digits from 89 on, as SIM cards have"
        )
    if unit := _since_1970(texts, middle):
        why = f"{unit} since 1970? Datasets read seconds, milliseconds and microseconds"
        return None if unit == "microseconds" else guess.as_text(f"{why}; text, to lose no digit")
    why = (
        f"{middle} digits or about, more than a number keeps: names of people, of cards or of "
        "things? If of people, name it under pseudonymise; if it is a measure, make it a float"
    )
    return replace(guess.as_text(why), is_private=True)


def _since_1970(texts: "pd.Series[str]", digits: int) -> str:
    """Return the unit of digits that are times close together, empty where they are none."""
    known = texts[texts.str.len() == digits]
    seconds = known.astype("float64") / 10.0 ** (digits - 10)
    first, last = seconds.min(), seconds.max()
    is_near = last - first <= LONGEST_EPOCHS.total_seconds()
    is_now = NOW[0].timestamp() <= first and last < NOW[1].timestamp()
    return {16: "microseconds", 19: "nanoseconds"}.get(digits, "") if is_near and is_now else ""


def _share(rest: "pd.Series[int]", is_such: "pd.Series[bool]") -> float:
    """Return the share of cells whose texts are such."""
    return float(rest[is_such.to_numpy(bool)].sum() / rest.sum())


def _hidden(guess: ColumnGuess, why: str) -> ColumnGuess:
    note = f"{why}: pseudonymised, and none of its cells is shown here"
    return replace(guess.as_text(note), missing=guess.missing, is_private=True, domain="subscriber")


def _are_regular(texts: "pd.Series[str]") -> bool:
    """Tell whether digits are times: close together since 1970, or written as year, month, day."""
    counts = pd.Series(1, index=pd.Index(texts.tolist(), dtype=object))
    return guess_time(counts, is_stored=False, is_named=False) is not None


def _are_arbitrary(guess: ColumnGuess, texts: "pd.Series[str]") -> bool:
    """Tell whether numbers look handed out: of one length, most of them used once or twice."""
    is_of_one_length = texts.str.len().nunique() == 1
    return is_of_one_length and guess.distinct > 100 and not unit_hint(guess.name, 0, np.inf)


def _as_numbers(guess: ColumnGuess, rest: "pd.Series[int]", decimal: str) -> ColumnGuess | None:
    """Return the column as numbers, or as text with the reason; None where there are too few."""
    texts = rest.index.to_series()
    plain = texts if decimal == "." else texts.str.translate(str.maketrans(".,", ",."))
    is_number = plain.str.match(NUMBER).to_numpy(bool)
    share = float(rest[is_number].sum() / rest.sum())
    if not is_number.any():
        return None
    words = rest[~is_number]
    is_marked = len(words) <= MOST_MARKS and not words.index.str.contains("[0-9]").any()
    if len(words) and (share < MOSTLY_NUMBERS or not is_marked):
        return _as_mixed(guess, share, words, rest)
    if len(words):
        told = _listed(words)
        why = f"{share:.1%} of the cells are numbers, the others taken for 'no value': {told}"
        guess = replace(
            guess,
            missing=(*guess.missing, *map(str, words.index)),
            present=guess.present - int(words.sum()),
            notes=(*guess.notes, why),
        )
        rest, plain = rest[is_number], plain[is_number]
    padded = int(rest[plain.str.match(r"[+-]?0[0-9]").to_numpy(bool)].sum())
    if padded:
        return guess.as_text(f"{padded:,} cells start with a zero that a number would lose")
    if is_identifier(guess.name):
        return _with_categories(guess.as_text("digits that name something, by its name"), rest)
    return _measured(guess, rest, plain)


def _as_mixed(
    guess: ColumnGuess, share: float, words: "pd.Series[int]", rest: "pd.Series[int]"
) -> ColumnGuess:
    if share < 1 - MOSTLY_NUMBERS or is_identifier(guess.name):
        return _as_words(guess, rest)
    why = (
        f"mixed: {share:.1%} of the cells are numbers, {int(words.sum()):,} are not, in "
        f"{number_of(len(words), 'spelling')}; text, so that none is lost. To read it as numbers, "
        "make it a float and list the others under missing"
    )
    return replace(guess.as_text(why), missing=guess.missing)


def _measured(guess: ColumnGuess, rest: "pd.Series[int]", plain: "pd.Series[str]") -> ColumnGuess:
    values = plain.astype("float64").to_numpy()
    if not np.isfinite(values).all():
        return guess.as_text("some numbers are too large to be read")
    counts = rest.groupby(values).sum().sort_index()
    is_whole = not plain.str.contains(r"[.eE]").any() and bool((np.abs(values) < 2.0**53).all())
    counts, found = _without_sentinels(counts)
    low, high = float(counts.index[0]), float(counts.index[-1])
    extent = f"{amount(low)} to {amount(high)}" if high > low else f"always {amount(low)}"
    notes = [f"{int(counts.sum()):,} cells are {'whole ' * is_whole}numbers, {extent}"]
    if is_whole and set(counts.index) == {0.0, 1.0}:
        notes.append("0 and 1 only: boolean, if it is a flag")
    if found:
        told = ", ".join(f"{mark} {count:,} times" for mark, count in found.items())
        notes.append(f"taken for 'no value', as it lies far from all others: {told}")
    notes += _lonely(counts)
    if hint := unit_hint(guess.name, low, high):
        notes.append(f"unit unknown: {hint}")
    return replace(
        guess,
        type="integer" if is_whole else "float",
        present=int(counts.sum()),
        distinct=len(counts),
        missing=(*guess.missing, *found),
        low=low,
        high=high,
        tail=_tail(counts),
        notes=(*guess.notes, *notes),
    )


def _tail(counts: "pd.Series[int]") -> float:
    """Return the value above which lie 5 % of the cells or fewer."""
    shares = (counts.cumsum() / counts.sum()).to_numpy()
    return float(counts.index.to_numpy()[np.searchsorted(shares, 0.95)])


def _without_sentinels(counts: "pd.Series[int]") -> tuple["pd.Series[int]", dict[str, int]]:
    """Return counts by value, in order, without the well-known sentinels at its ends, and those."""
    found: dict[str, int] = {}
    for end in (0, -1):
        while len(counts) > 2 and counts.index[end] in SENTINELS and _is_alone(counts.index, end):
            found[f"{counts.index[end]:.0f}"] = int(counts.iloc[end])
            counts = counts.drop(counts.index[end])
    return counts, found


def _is_alone(ordered: "pd.Index[Any]", end: int) -> bool:
    """Tell whether the outermost value is farther from the next than all others are apart."""
    rest = ordered[1:] if end == 0 else ordered[:-1]
    return bool(abs(ordered[end] - rest[end]) > rest[-1] - rest[0])


def _lonely(counts: "pd.Series[int]") -> list[str]:
    """Ask about an outermost value that stands often and far from all others."""
    ordered, notes = counts.index.to_numpy(), []
    if len(ordered) < 5:
        return []
    shares = (counts.cumsum() / counts.sum()).to_numpy()
    width = ordered[np.searchsorted(shares, 0.99)] - ordered[np.searchsorted(shares, 0.01)]
    for end, inner in ((0, 1), (-1, -2)):
        value, count = ordered[end], int(counts.iloc[end])
        gap = abs(value - ordered[inner])
        if count >= LEAST_ROWS_OF_A_CATEGORY and value != 0 and gap > 0.25 * width:
            notes.append(
                f"{amount(value)} stands {count:,} times, far from all others: 'not measured'? "
                "Then list it under missing"
            )
    return notes


def _as_words(guess: ColumnGuess, rest: "pd.Series[int]") -> ColumnGuess:
    lowered = {str(text).lower() for text in rest.index}
    if any(lowered <= words for words in BOOLEANS) and len(lowered) > 1:
        return replace(guess, type="boolean", notes=(*guess.notes, f"only {_listed(rest)}"))
    lengths = rest.index.str.len()
    texts = number_of(guess.distinct, "different text")
    told = f"{texts} of {lengths.min()} to {lengths.max()} characters"
    return _with_categories(replace(guess, notes=(*guess.notes, told)), rest)


def _listed(counts: "pd.Series[int]") -> str:
    return ", ".join(f"{shown(str(text))} {count:,} times" for text, count in counts.items())


def _with_categories(guess: ColumnGuess, rest: "pd.Series[int]") -> ColumnGuess:
    """Add the set of values, where there are few and each stands often: they name no person."""
    is_set = (
        0 < guess.distinct <= MOST_CATEGORIES
        and guess.present == int(rest.sum())
        and guess.distinct * LEAST_ROWS_OF_A_CATEGORY <= guess.present
        and not is_person(guess.name)
        and not any(map(may_name_person, map(str, rest.index)))
        and rest.index.str.len().max() <= LONGEST_CATEGORY
    )
    if not is_set:
        return guess
    return replace(guess, categories=tuple(sorted(map(str, rest.index))))

"""Which columns of a feed are measures, and how they add up where an entity has several rows."""

import keyword
import re
from collections.abc import Sequence
from typing import NamedTuple

from rancast.column_names import RESERVED
from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_keys import KeyGuess
from rancast.onboarding_names import LONGEST

LEAST_PRESENT = 0.5
LEAST_DISTINCT = 10
_PLACE = re.compile(r"(^|_)(lat|lon|lng|latitude|longitude|altitude)(_|$)")
_ADDS_UP = re.compile(
    r"(^|_)(bytes|octets|kb|mb|gb|tb|volume|traffic|erlang|kwh|users|calls|sessions|attempts|"
    r"drops|dropped|failures|errors|packets|messages|seconds|count)(_|$)"
)
_IS_QUOTIENT = re.compile(r"(^|_)(ratio|rate|share|pct|percent|per|avg|average|mean|max|min|peak)")


class KpiGuess(NamedTuple):
    """A KPI that a measure of single rows becomes: their sum, or their mean."""

    name: str
    measure: str
    is_sum: bool


def measures(columns: Sequence[ColumnGuess], key: KeyGuess) -> list[ColumnGuess]:
    """Return the columns of numbers that vary and are mostly there."""
    return [
        guess
        for guess in columns
        if guess.low is not None
        and guess.present >= LEAST_PRESENT * guess.rows
        and guess.distinct >= LEAST_DISTINCT
        and guess.name not in (*key.key, *RESERVED)
        and not _PLACE.search(guess.name)
    ]


def guess_kpis(columns: Sequence[ColumnGuess], key: KeyGuess) -> dict[str, KpiGuess]:
    """Return the KPI of each measure by its name, none where an entity has one row at a time."""
    if not key.parts:
        return {}
    taken, found = {guess.name for guess in columns}, {}
    for guess in measures(columns, key):
        if keyword.iskeyword(guess.name):  # no formula can name it
            continue
        is_sum = bool(_ADDS_UP.search(guess.name)) and not _IS_QUOTIENT.search(guess.name)
        base = f"{'total' if is_sum else 'mean'}_{guess.name}"[:LONGEST]
        name, number = base, 2
        while name in taken:
            name, number = f"{base[: LONGEST - 3]}_{number}", number + 1
        taken.add(name)
        found[guess.name] = KpiGuess(name, guess.name, is_sum)
    return found

"""The text of a drafted `expectations/NAME.json`: what held in the sample, with a margin."""

import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

from rancast.onboarding_cells import ColumnGuess
from rancast.onboarding_dataset import Guesses
from rancast.onboarding_names import DAY, FILE
from rancast.onboarding_yaml import amount

MARGIN = 0.5
NULL_MARGIN = 0.1
LEAST_PRESENT = 0.2

Expectation = dict[str, Any]


def suite_text(guesses: Guesses) -> str:
    """Return the suite as JSON: sure rules are critical, those of a sample's extent warn."""
    suite = {
        "name": guesses.name,
        "id": _id(guesses.name, "suite"),
        "expectations": [
            *_of_table(guesses),
            *(rule for guess in guesses.columns for rule in _of_column(guess, guesses)),
            _of_key(guesses),
        ],
        "meta": {},
        "notes": f"Drafted by make onboard from a sample: {guesses.sample}. Each warning says what "
        "it saw; make it critical once you know that it always holds.",
    }
    return json.dumps(suite, indent=2, ensure_ascii=False) + "\n"


def columns_of(guesses: Guesses) -> list[str]:
    """Return all curated columns, those from the path first."""
    own = [FILE] * guesses.key.needs_file + [DAY] * (guesses.clock is None)
    return [*own, *(guess.name for guess in guesses.columns)]


def key_of(guesses: Guesses) -> list[str]:
    """Return the curated key."""
    return [*guesses.key.key, *([] if guesses.clock else [DAY])]


def _rule(dataset: str, type_: str, severity: str, notes: str, **kwargs: Any) -> Expectation:
    return {
        "type": type_,
        "kwargs": kwargs,
        "meta": {},
        "notes": notes,
        "id": _id(dataset, type_, str(kwargs.get("column", ""))),
        "severity": severity,
    }


def _id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("rancast", *parts))))


def _of_table(guesses: Guesses) -> Iterator[Expectation]:
    yield _rule(
        guesses.name,
        "expect_table_columns_to_match_set",
        "critical",
        "a lost or an extra column means that suite and dataset no longer agree",
        column_set=columns_of(guesses),
    )
    yield _rule(
        guesses.name,
        "expect_table_row_count_to_be_between",
        "critical",
        "an empty file passes every check of values, so rows are counted too",
        min_value=1,
    )


def _of_key(guesses: Guesses) -> Expectation:
    names = key_of(guesses)
    mostly = {"mostly": 0.5} if guesses.key.repeats else {}
    return _rule(
        guesses.name,
        "expect_compound_columns_to_be_unique",
        "warning",
        f"one row per {' and '.join(names)}; {guesses.key.notes['duplicates'][0]}",
        column_list=names,
        **mostly,
    )


def _of_column(guess: ColumnGuess, guesses: Guesses) -> Iterator[Expectation]:
    is_needed = guess.name in key_of(guesses) or guess.name == guesses.time
    if is_needed:
        yield _rule(
            guesses.name,
            "expect_column_values_to_not_be_null",
            "critical",
            "a row without it cannot be told from others, or belongs to no period",
            column=guess.name,
        )
    elif guess.rows and guess.present >= LEAST_PRESENT * guess.rows:
        yield _present(guess, guesses.name)
    if guess.low is not None and guess.high is not None and not guess.is_private:
        yield _range(guess, guess.low, guess.high, guesses.name)
    if guess.categories:
        yield _set(guess, guesses.name)


def _present(guess: ColumnGuess, dataset: str) -> Expectation:
    share = guess.present / guess.rows
    least = max(0.0, math.floor(100 * (share - NULL_MARGIN)) / 100)
    return _rule(
        dataset,
        "expect_column_proportion_of_non_null_values_to_be_between",
        "warning",
        f"{share:.1%} of {guess.rows:,} cells of the sample have a value; fewer by "
        f"{NULL_MARGIN:.0%} of all rows means that something stopped reporting",
        column=guess.name,
        min_value=least,
    )


def _range(guess: ColumnGuess, low: float, high: float, dataset: str) -> Expectation:
    least, most = margin(low, high)
    return _rule(
        dataset,
        "expect_column_values_to_be_between",
        "warning",
        f"{guess.present:,} cells of the sample lie between {amount(low)} and {amount(high)}; the "
        f"margin is {MARGIN:.0%} of that on both sides"
        + (", but for negative numbers, of which there are none" if low >= 0 else "")
        + ". Write the limits that the quantity cannot pass, and make it critical",
        column=guess.name,
        min_value=least,
        max_value=most,
    )


def margin(low: float, high: float) -> tuple[float, float]:
    """Return the extent with a margin, rounded outwards to two digits; no sign is new in it."""
    span = MARGIN * ((high - low) or abs(high) or 1.0)
    least, most = _rounded(low - span, math.floor), _rounded(high + span, math.ceil)
    return max(least, 0.0) if low >= 0 else least, min(most, 0.0) if high < 0 else most


def _rounded(value: float, towards: Any) -> float:
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{towards(value / step) * step:.12g}")


def _set(guess: ColumnGuess, dataset: str) -> Expectation:
    return _rule(
        dataset,
        "expect_column_values_to_be_in_set",
        "warning",
        f"{guess.present:,} cells of the sample have no other of these "
        f"{len(guess.categories)}; an unknown word would be a category of its own in every model",
        column=guess.name,
        value_set=list(guess.categories),
    )

"""From a sample of a vendor's files to a dataset, a suite and a use case that a person corrects.

Each guess is made in a module of its own: `onboarding_dialect` (CSV), `onboarding_cells` (types,
marks, people's identifiers), `onboarding_times` (stamps, zones), `onboarding_names` (names, units),
`onboarding_keys` (key, entity, period), `onboarding_measures` (measures, KPIs),
`onboarding_delivery` (days). Here they are put together, and held against the product's own reader:
what it would reject becomes text.
"""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from rancast.datasets import Dataset
from rancast.documents import parse_yaml
from rancast.expectations import Suite, parse_suite
from rancast.onboarding_cells import ColumnGuess, guess_columns
from rancast.onboarding_dataset import Guesses, dataset_text
from rancast.onboarding_delivery import guess_delivery
from rancast.onboarding_dialect import guess_dialect
from rancast.onboarding_keys import KeyGuess, guess_clock, guess_key
from rancast.onboarding_names import curated_names
from rancast.onboarding_rows import encode_rows
from rancast.onboarding_sample import SampleFile, read_table
from rancast.onboarding_suite import suite_text
from rancast.onboarding_times import guess_zone
from rancast.onboarding_use_case import use_case_text
from rancast.onboarding_yaml import number_of
from rancast.reading import Pulled, read_partition
from rancast.use_cases import UseCase

MOST_REPAIRS = 3
# pseudonyms of a sample are made to be thrown away
KEY = b"of a sample that is thrown away"


class Draft(NamedTuple):
    """The drafted texts, what they load as, and the sample as the product reads it by them."""

    dataset_yaml: str
    suite_json: str
    use_case_yaml: str | None
    dataset: Dataset
    suite: Suite
    pulled: Pulled
    guesses: Guesses


def draft(
    files: tuple[SampleFile, ...], name: str, schemas: str, use_case: str | None = None
) -> Draft:
    """Draft the files of a new feed from a sample of it.

    `schemas` is the folder of the JSON schemas as seen from the YAML files. Raises DataError for
    files that cannot be read, with the next step, and ConfigurationError for a name that is none.
    """
    guesses = _guess(files, name)
    for _ in range(MOST_REPAIRS):
        text = dataset_text(guesses, schemas)
        dataset = parse_yaml(text.encode(), Dataset, f"datasets/{name}.yaml")
        pulled = read_partition({file.blob(name): file.data for file in files}, dataset, KEY)
        repaired = _repaired(guesses, pulled, dataset)
        if repaired == guesses.columns:
            break
        guesses = guesses._replace(columns=repaired)
    place = f"expectations/{name}.json"
    suite = parse_suite(suite_text(guesses).encode(), place)
    suite.check(dataset)
    case_text = None
    if use_case is not None:
        case_text = use_case_text(guesses, use_case, schemas)
        parse_yaml(case_text.encode(), UseCase, f"use_cases/{use_case}.yaml").check(dataset)
    return Draft(text, suite_text(guesses), case_text, dataset, suite, pulled, guesses)


def _guess(files: tuple[SampleFile, ...], name: str) -> Guesses:
    dialect = guess_dialect(files)
    table = read_table(files, dialect.form)
    columns = guess_columns(table, curated_names(table.cells), dialect.form.decimal)
    clock = guess_clock(columns)
    columns = tuple(_of_one_form(guess, clock) for guess in columns)
    rows = encode_rows(table, columns)
    key = guess_key(rows, columns, clock)
    zone = guess_zone(clock.time) if clock and clock.time else None
    return Guesses(
        name=name,
        table=table,
        dialect=dialect,
        columns=tuple(_as_entity(guess, key) for guess in columns),
        key=key,
        clock=clock,
        zone=zone,
        delivery=guess_delivery(table, rows, key, zone.timezone if zone else "UTC"),
    )


def typed_table(files: tuple[SampleFile, ...]) -> pd.DataFrame:
    """Return the sample's rows under their raw names: times, numbers and texts as they are guessed.

    Raises DataError for files that cannot be read.
    """
    guesses = _guess(files, "table")
    columns = {}
    for guess in guesses.columns:
        words = guesses.table.cells[guess.raw].to_pandas()
        known = words.mask(words.isin(guess.missing))
        if guess.time is not None:
            columns[guess.raw] = known.map(guess.time.values)
        elif guess.low is not None:
            columns[guess.raw] = _as_floats(known, guesses.dialect.form.decimal)
        else:
            columns[guess.raw] = known.astype("str")
    return pd.DataFrame(columns)


def _as_floats(texts: "pd.Series[str]", decimal: str) -> "pd.Series[float]":
    return texts.str.replace(decimal, ".", regex=False).astype("float64")


def _of_one_form(guess: ColumnGuess, clock: ColumnGuess | None) -> ColumnGuess:
    """Return a second column of times as text if its form is another one: a dataset has one."""
    if guess.time is None or clock is None or clock.time is None or guess.raw == clock.raw:
        return guess
    if guess.time.format == clock.time.format:
        return guess
    why = f"times of another form than {clock.name}; text, since a dataset has one form of times"
    return replace(guess.as_text(why), time=None)


def _as_entity(guess: ColumnGuess, key: KeyGuess) -> ColumnGuess:
    """Return numbers that name the entity as text."""
    if guess.name != key.entity or guess.type == "string":
        return guess
    return guess.as_text("it names what rows are about, so its numbers are names")


def _repaired(guesses: Guesses, pulled: Pulled, dataset: Dataset) -> tuple[ColumnGuess, ...]:
    """Return the columns with those as text whose cells the reader rejected."""
    rejected = Counter(pulled.rejected["column"])
    return tuple(
        (
            guess.as_text(
                f"{number_of(rejected[guess.name], 'cell')} would be rejected as {guess.type}"
            )
            if rejected[guess.name] and guess.name not in dataset.mandatory
            else guess
        )
        for guess in guesses.columns
    )

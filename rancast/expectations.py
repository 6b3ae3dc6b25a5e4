"""What must hold: suites in Great Expectations' own JSON, each expectation as a sentence.

Which rows break a row expectation is in `row_rules`; running a suite is `tasks/validation.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from rancast.datasets import Dataset
from rancast.documents import Document, explain
from rancast.errors import ConfigurationError
from rancast.row_rules import ROW_TYPES, check_rule

SUITE_LIMIT_BYTES = 256 * 1024

Severity = Literal["critical", "warning"]
Outcome = Literal["passed", "failed", "could_not_evaluate"]

COUNT_TYPES = (
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
)
COLUMN_SET_TYPES = (
    "expect_table_columns_to_match_ordered_list",
    "expect_table_columns_to_match_set",
)

# Every table expectation of GX 1.24 that runs on a data frame without SQL, and how it reads.
TABLE_SENTENCES = {
    "expect_column_distinct_values_to_be_in_set": "different values of {column} are among {set}",
    "expect_column_distinct_values_to_contain_set": "values of {column} include {set}",
    "expect_column_distinct_values_to_equal_set": "different values of {column} are {set}",
    "expect_column_kl_divergence_to_be_less_than": "",
    "expect_column_max_to_be_between": "maximum of {column} {bounds}",
    "expect_column_mean_to_be_between": "mean of {column} {bounds}",
    "expect_column_median_to_be_between": "median of {column} {bounds}",
    "expect_column_min_to_be_between": "minimum of {column} {bounds}",
    "expect_column_most_common_value_to_be_in_set": "most common {column} is among {set}",
    "expect_column_proportion_of_non_null_values_to_be_between": "share of rows with {column} "
    "{bounds}",
    "expect_column_proportion_of_unique_values_to_be_between": "share of different values of "
    "{column} {bounds}",
    "expect_column_quantile_values_to_be_between": "",
    "expect_column_stdev_to_be_between": "standard deviation of {column} {bounds}",
    "expect_column_sum_to_be_between": "sum of {column} {bounds}",
    "expect_column_to_exist": "column {column} exists",
    "expect_column_type_to_be": "",
    "expect_column_unique_value_count_to_be_between": "number of different values of {column} "
    "{bounds}",
    "expect_table_column_count_to_be_between": "number of columns {bounds}",
    "expect_table_column_count_to_equal": "number of columns is {value}",
    "expect_table_columns_to_match_ordered_list": "columns in this order: {columns}",
    "expect_table_columns_to_match_set": "columns {exactness} {columns}",
    "expect_table_row_count_to_be_between": "number of rows {bounds}",
    "expect_table_row_count_to_equal": "number of rows is {value}",
}
ROW_SENTENCES = {
    "expect_column_pair_values_a_to_be_greater_than_b": "{column_A} {comparison} {column_B}",
    "expect_column_pair_values_to_be_equal": "{column_A} equals {column_B}",
    "expect_column_value_lengths_to_be_between": "length of {column} {bounds}",
    "expect_column_value_lengths_to_equal": "length of {column} is {value}",
    "expect_column_values_to_be_between": "{column} {bounds}",
    "expect_column_values_to_be_in_set": "{column} is one of {set}",
    "expect_column_values_to_be_null": "{column} is empty",
    "expect_column_values_to_be_unique": "{column} is unique",
    "expect_column_values_to_match_regex": "{column} matches {regex}",
    "expect_column_values_to_not_be_in_set": "{column} is none of {set}",
    "expect_column_values_to_not_be_null": "{column} is present",
    "expect_column_values_to_not_match_regex": "{column} does not match {regex}",
    "expect_compound_columns_to_be_unique": "{columns} are unique together",
}


class Expectation(Document):
    """One expectation as GX writes it; `severity` decides what a failure does, `notes` say why."""

    type: str
    kwargs: dict[str, Any]
    severity: Severity
    notes: str | list[str] = Field(min_length=1)
    id: str = Field(min_length=1)
    meta: dict[str, Any] | None = None
    description: str | None = None

    @property
    def is_row(self) -> bool:
        """Whether it judges single rows (True) or the table as a whole (False)."""
        return self.type in ROW_TYPES

    @property
    def is_critical(self) -> bool:
        """Whether a failure quarantines rows or refuses the partition."""
        return self.severity == "critical"

    @property
    def note(self) -> str:
        """The notes as one text."""
        return self.notes if isinstance(self.notes, str) else " ".join(self.notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it judges; () where it is about the whole table."""
        single = [self.kwargs.get(key) for key in ("column", "column_A", "column_B")]
        return tuple(str(name) for name in [*single, *self.kwargs.get("column_list", ())] if name)

    @property
    def sentence(self) -> str:
        """The expectation in words, such as "latency_ms between 0 and 10000"."""
        template = {**TABLE_SENTENCES, **ROW_SENTENCES}.get(self.type)
        if not template:
            # the long tail reads as GX names it, with its arguments
            words = self.type.removeprefix("expect_").replace("_", " ")
            return f"{words}: {json.dumps(self.kwargs, sort_keys=True, default=str)}"
        text = template.format(**_words(self.kwargs))
        mostly = self.kwargs.get("mostly")
        return text if mostly is None else f"{text} in at least {mostly:.4g} of the rows"


class Suite(Document):
    """All expectations of one dataset: `expectations/NAME.json`."""

    name: str
    id: str | None = None
    expectations: tuple[Expectation, ...] = Field(min_length=1)
    suite_parameters: dict[str, Any] = Field(default={}, max_length=0)
    meta: dict[str, Any] = {}
    notes: str | list[str] | None = None

    def check(self, dataset: Dataset) -> None:
        """Hold the suite against the dataset that it is about.

        Raises ConfigurationError for a column that the dataset does not have and for a critical
        row rule on a column of a type that it cannot judge.
        """
        types = {name: column.type for name, column in dataset.columns.items()}
        for number, expectation in enumerate(self.expectations, start=1):
            place = _place(f"expectations/{self.name}.json", number, expectation)
            for column in (*expectation.columns, *expectation.kwargs.get("column_set", ())):
                if column not in types:
                    raise ConfigurationError(
                        f"{place} names the column {column!r}, which dataset {dataset.name!r} does "
                        f"not have; known: {', '.join(types)}."
                    )
            if expectation.is_row and expectation.is_critical:
                _refuse(place, check_rule(expectation.type, expectation.kwargs, types))


class Verdict(Document):
    """What Great Expectations says about one expectation, without a single cell of the data.

    `unexpected_rows` is its count for row expectations; `reason` tells why it could not evaluate.
    """

    outcome: Outcome
    observed: str = ""
    unexpected_rows: int | None = None
    reason: str = ""


def load_suite(home: Path, name: str) -> Suite:
    """Read expectations/NAME.json below `home`.

    Raises ConfigurationError for an unknown name (with the known ones) and for whatever
    `parse_suite` refuses.
    """
    folder = home / "expectations"
    known = sorted(path.stem for path in folder.glob("*.json"))
    if name not in known:
        listed = ", ".join(known) or f"none, since {folder} holds no JSON file"
        raise ConfigurationError(f"suite {name!r} not found; known: {listed}.")
    suite = parse_suite((folder / f"{name}.json").read_bytes(), f"expectations/{name}.json")
    if suite.name != name:
        raise ConfigurationError(
            f'expectations/{name}.json says "name": "{suite.name}"; make the two names equal.'
        )
    return suite


def parse_suite(text: bytes, place: str) -> Suite:
    """Parse a suite as GX 1.24 writes it; `place` names the file in errors.

    Raises ConfigurationError for broken JSON, unknown keys, an expectation type that is not known,
    a missing severity, notes or id, two equal ids, suite parameters, a critical row expectation
    with `mostly` or one that has no mask, and a suite that checks no row count or no columns (an
    empty frame passes every check of values).
    """
    if len(text) > SUITE_LIMIT_BYTES:
        raise ConfigurationError(
            f"{place} has {len(text):,} bytes; a suite may have {SUITE_LIMIT_BYTES:,} at most."
        )
    try:
        raw = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place} is not valid JSON: {error}.") from error
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(f"{place}: {explain(error, Suite)}") from error
    _check_suite(suite, place)
    return suite


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the key {name!r} stands twice in one object")
    return dict(pairs)


def _check_suite(suite: Suite, place: str) -> None:
    for number, expectation in enumerate(suite.expectations, start=1):
        _check_expectation(expectation, _place(place, number, expectation))
    ids = [expectation.id for expectation in suite.expectations]
    for repeated in {name for name in ids if ids.count(name) > 1}:
        raise ConfigurationError(f"{place} uses the id {repeated!r} twice; ids match results.")
    types = {expectation.type for expectation in suite.expectations}
    for wanted, why in (
        (COUNT_TYPES, "an empty file passes every check of values"),
        (COLUMN_SET_TYPES, "a lost or an extra column passes every check of values"),
    ):
        if types.isdisjoint(wanted):
            raise ConfigurationError(
                f"{place} has neither of {' and '.join(wanted)}; add one, since {why}."
            )


def _check_expectation(expectation: Expectation, place: str) -> None:
    if not expectation.is_row and expectation.type not in TABLE_SENTENCES:
        known = ", ".join(sorted([*TABLE_SENTENCES, *ROW_TYPES]))
        raise ConfigurationError(f"{place} has a type that is not known; known: {known}.")
    if "$PARAMETER" in json.dumps(expectation.kwargs):
        raise ConfigurationError(
            f"{place} uses a suite parameter, which nobody would fill in; write the value itself."
        )
    if expectation.is_row and expectation.is_critical:
        if "mostly" in expectation.kwargs:
            raise ConfigurationError(
                f"{place} is critical and says 'mostly'; a critical row expectation quarantines "
                "each failing row, so take 'mostly' out or make the severity 'warning'."
            )
        _refuse(place, check_rule(expectation.type, expectation.kwargs))


def _refuse(place: str, problem: str | None) -> None:
    if problem:
        raise ConfigurationError(f"{place} {problem}.")


def _place(file: str, number: int, expectation: Expectation) -> str:
    columns = f" on {', '.join(expectation.columns)}" if expectation.columns else ""
    return f"{file}, expectation {number} ({expectation.type}{columns}),"


def _words(kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments of an expectation as the words that its sentence is made of."""
    columns = kwargs.get("column_set") or kwargs.get("column_list") or ()
    words = {
        "bounds": _bounds(kwargs),
        "set": "{" + _listed(kwargs.get("value_set") or ()) + "}",
        "columns": ", ".join(map(str, columns)),
        "exactness": "include" if kwargs.get("exact_match") is False else "are exactly",
        "comparison": "at least" if kwargs.get("or_equal") else "above",
        "value": _number(kwargs.get("value")),
    }
    names = ("column", "column_A", "column_B", "regex")
    return words | {name: str(kwargs[name]) for name in names if name in kwargs}


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    is_above, is_below = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    if low is not None and high is not None and not is_above and not is_below:
        return f"between {_number(low)} and {_number(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'above' if is_above else 'at least'} {_number(low)}")
    if high is not None:
        parts.append(f"{'below' if is_below else 'at most'} {_number(high)}")
    return " and ".join(parts) or "of any size"


def _number(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _listed(values: Any, most: int = 12) -> str:
    shown = [_number(value) for value in list(values)[:most]]
    return ", ".join(shown + (["…"] if len(values) > most else []))

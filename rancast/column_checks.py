"""Whether a dataset has the columns that a use case names, of the types that it needs them in."""

from collections.abc import Iterable

import pandas as pd

from rancast.column_types import DTYPES, TEXT
from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.expressions import Expression


def expect_columns(
    dataset: Dataset, key: str, names: Iterable[str], types: tuple[str, ...]
) -> None:
    """Refuse names of no column, and columns of a type that is none of `types`.

    `key` is where the use case names them. Each refusal here is a ConfigurationError.
    """
    for name in names:
        if name not in dataset.types:
            raise ConfigurationError(
                f"{key} names {name!r}, which is not a column of dataset {dataset.name!r}; "
                f"known: {', '.join(dataset.types)}."
            )
        if dataset.types[name] not in types:
            raise ConfigurationError(
                f"{key} names {name!r}, whose type is {dataset.types[name]}; "
                f"needed here: {' or '.join(types)}."
            )


def expect_no_ratio(dataset: Dataset, key: str, names: Iterable[str]) -> None:
    """Refuse KPIs with a denominator where values are added up."""
    for name in names:
        if name in dataset.kpis and dataset.kpis[name].denominator is not None:
            raise ConfigurationError(
                f"{key} cannot be of {name!r}, a ratio: ratios of periods do not add up; take the "
                "mean, which is numerators over denominators, or a KPI without a denominator."
            )


def expect_delivered(
    dataset: Dataset, key: str, names: Iterable[str], types: tuple[str, ...] | None
) -> None:
    """Refuse columns that are derived: a join is of rows as they were delivered."""
    for name in names:
        if name in dataset.types and name not in dataset.columns:
            raise ConfigurationError(
                f"{key} names {name!r}, which {dataset.name!r} derives; a join takes delivered "
                f"columns: {', '.join(dataset.columns)}."
            )
    expect_columns(dataset, key, names, types or tuple(DTYPES))


def expect_key(dataset: Dataset, key: str, name: str, domain: str | None) -> None:
    """Refuse a column that can never equal what it is joined with."""
    expect_delivered(dataset, key, [name], TEXT)
    own = dataset.pseudonymise.get(name)
    if own != domain:
        raise ConfigurationError(
            f"{key} names {name!r} of {dataset.name!r}, whose values are "
            f"{f'pseudonyms of {own!r}' if own else 'as delivered'}, and joins it with "
            f"{f'pseudonyms of {domain!r}' if domain else 'values as delivered'}: they are never "
            "equal. Take columns of one domain (pseudonymise in the datasets)."
        )


def expect_condition(dataset: Dataset, key: str, text: str) -> None:
    """Refuse an expression that cannot be evaluated on the columns of `dataset`."""
    try:
        nothing = {name: pd.Series(dtype=DTYPES[kind]) for name, kind in dataset.types.items()}
        Expression(text).evaluate(pd.DataFrame(nothing))
    except ConfigurationError as error:
        raise ConfigurationError(f"{key} in dataset {dataset.name!r}: {error}") from error

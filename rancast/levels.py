"""Which site (or other level) an entity belongs to: by a hierarchy, or read out of its name."""

import re

import pandas as pd

from rancast.datasets import Dataset, PlacedDataset


def with_levels(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the rows with a `str` column per level, missing where it is not known.

    A hierarchy is asked about each row's own time.
    """
    if isinstance(dataset, PlacedDataset):
        where = dataset.placement.hierarchy()
        located = where.locate(rows[dataset.entity], rows[dataset.time.column])
        rows = rows.assign(**{name: located[name].astype("str") for name in where.levels})
    return rows.assign(
        **{
            name: read_level(rows[level.source], level.pattern)
            for name, level in dataset.levels.items()
        }
    )


def read_level(values: pd.Series, pattern: str) -> "pd.Series[str]":
    """Return what the group `value` of a regular expression finds in each text, else missing."""
    texts, wanted = values.astype("str"), re.compile(pattern)
    matches = {text: wanted.search(text) for text in texts.dropna().unique()}
    found = {text: match["value"] for text, match in matches.items() if match}
    return texts.map(found).astype("str")

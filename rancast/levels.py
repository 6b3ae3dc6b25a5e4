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
    found = {}
    for name, level in dataset.levels.items():
        texts = rows[level.source].astype("str")
        pattern = re.compile(level.pattern)
        matches = {text: pattern.search(text) for text in texts.dropna().unique()}
        site = {text: match["value"] for text, match in matches.items() if match}
        found[name] = texts.map(site).astype("str")
    return rows.assign(**found)

"""Which site (or other level) an entity belongs to, read out of its name."""

import re

import pandas as pd

from rancast.datasets import Dataset


def with_levels(rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Return the rows with a `str` column per level, missing where the pattern finds none."""
    found = {}
    for name, level in dataset.levels.items():
        texts = rows[level.source].astype("str")
        pattern = re.compile(level.pattern)
        matches = {text: pattern.search(text) for text in texts.dropna().unique()}
        site = {text: match["value"] for text, match in matches.items() if match}
        found[name] = texts.map(site).astype("str")
    return rows.assign(**found)

"""How predictions change with one feature alone: partial dependence on a sample of the holdout."""

from typing import Any

import numpy as np
import pandas as pd

SAMPLE_ROWS = 400
TOP_FEATURES = 6
GRID_POINTS = 12
# further values of a category are too rare to say much about
MOST_VALUES = 12
SPREAD = (0.1, 0.9)
COLUMNS = ("feature", "value", "number", "average", "low", "high")


def partial(
    model: Any,
    X: pd.DataFrame,
    features: tuple[str, ...],
    categories: tuple[str, ...],
    seed: int,
) -> pd.DataFrame:
    """Return the mean prediction over rows of X with one feature set to each of some values.

    Columns: feature, value (text), number (the value, missing for `categories`), average, low and
    high, between which the predictions of 80 % of the rows lie. `average` is the partial dependence
    of Friedman (2001), the spread that of the individual curves of Goldstein et al. (2015). Taken
    are at most `SAMPLE_ROWS` rows, a seeded sample, and for numbers `GRID_POINTS` quantiles from
    5 % to 95 %, or all values where there are no more. It shows what the model says, not what
    causes what; where features go together it asks for rows that do not occur.
    """
    random = np.random.default_rng(seed)
    chosen = random.choice(len(X), size=min(len(X), SAMPLE_ROWS), replace=False)
    sample = X.iloc[np.sort(chosen)].reset_index(drop=True)
    parts = [_of_one(model, sample, X[name], name in categories) for name in features]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    types = dict.fromkeys(COLUMNS[:2], "str") | dict.fromkeys(COLUMNS[2:], "float64")
    return found.astype(types)


def top_features(importance: pd.DataFrame) -> tuple[str, ...]:
    """Return the most important features that the model rests on at all, the first ones first."""
    needed = importance[importance["importance_mean"] > 0]
    return tuple(needed["feature"].head(TOP_FEATURES))


def _of_one(model: Any, sample: pd.DataFrame, values: pd.Series, is_category: bool) -> pd.DataFrame:
    from sklearn.inspection import partial_dependence

    name = str(values.name)
    grid = _grid(values.dropna(), is_category)
    if len(grid) == 0:
        return pd.DataFrame(columns=list(COLUMNS))
    found = partial_dependence(
        model,
        sample,
        [name],
        categorical_features=[name] if is_category else None,
        custom_values={name: grid},
        kind="both",
    )
    low, high = np.quantile(found["individual"][0], SPREAD, axis=0)
    return pd.DataFrame(
        {
            "feature": name,
            "value": [str(value) for value in grid],
            "number": np.nan if is_category else grid,
            "average": found["average"][0],
            "low": low,
            "high": high,
        }
    )


def _grid(values: pd.Series, is_category: bool) -> Any:
    """Return the values to try: the most frequent categories, or numbers from low to high."""
    if is_category:
        counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        return np.array(sorted(counts.index[:MOST_VALUES]), dtype=object)
    distinct = np.unique(values.to_numpy(dtype=np.float64))
    if len(distinct) <= GRID_POINTS:
        return distinct
    steps = np.linspace(0.05, 0.95, GRID_POINTS)
    # values that occur, so that a count stays a count
    return np.unique(np.quantile(values.to_numpy(dtype=np.float64), steps, method="nearest"))

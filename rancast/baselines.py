"""The trivial forecasts that every model must beat, in the form of a model's predictions.

`tables` makes the columns they need when it assembles the training table; here they become
prediction frames of the same holdout rows, so that they are compared like any other model.
"""

import pandas as pd

from rancast.candidates import holdout_frame
from rancast.errors import EvidenceError
from rancast.problems import Problem

FROM_COLUMNS = {
    "last_value": "baseline_last_value",
    "seasonal": "baseline_seasonal",
    "weekly": "baseline_weekly",
}
BASELINES = (*FROM_COLUMNS, "majority")


def predictions(
    table: pd.DataFrame,
    problem: Problem,
    slices: tuple[str, ...] = (),
    entity: str = "entity",
) -> dict[str, pd.DataFrame]:
    """Return name -> holdout predictions [entity, time, y, prediction, *slices] of each baseline.

    `last_value`, `seasonal` and `weekly` are the table's own columns. `majority` predicts the same
    for all: the share of positives in the training rows (classification), or their median
    (regression). Where another baseline has no value, it falls back to `majority`, so that all
    models are judged on the same rows. Raises EvidenceError for a table without training rows.
    """
    train = table.loc[table["split"] == "train", "y"]
    if train.empty:
        raise EvidenceError(
            "the training table has no training rows to take a base rate from; take a longer "
            "history or a shorter holdout."
        )
    usual = float(train.mean() if problem == "classification" else train.median())
    holdout = table[table["split"] == "holdout"]
    found = {
        name: holdout[column].astype("float64").fillna(usual)
        for name, column in FROM_COLUMNS.items()
    }
    found["majority"] = pd.Series(usual, index=holdout.index)
    return {
        name: holdout_frame(holdout, prediction, slices, entity)
        for name, prediction in found.items()
    }

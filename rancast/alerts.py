"""From an alert budget to a decision threshold: how many alerts a day people can handle.

An alert is one row, an entity at one time, whose prediction is at least the threshold. The budget
is for all entities together and holds on average over the days of the folds: a bad day may have
more, and so may later days.
"""

import numpy as np
import pandas as pd

from rancast.errors import EvidenceError
from rancast.evaluation import Interval
from rancast.grids import Ints, microseconds

DAY = 86_400_000_000  # microseconds


def threshold(predictions: pd.DataFrame, per_day: float, period: int) -> float:
    """Return the lowest threshold at which alerts stay within `per_day` a day.

    They do so over all folds, which have more days, and on the last one, whose model is the most
    like the final one: fitted on few rows, those before may be less sure of themselves.
    `predictions` [fold, time, prediction] should be of training rows that the predicting model was
    not fitted on: the holdout stays untouched, so that alerts counted there are an honest forecast.
    Alerts are divided by the days that are covered, see `covered_days`. Equal predictions alert
    together, so a tie that does not fit is left out whole; where nothing fits, the threshold lies
    just above the largest prediction. Raises EvidenceError for no rows and predictions that are not
    finite.
    """
    values = predictions["prediction"].to_numpy(dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise EvidenceError(
            f"a threshold needs finite predictions, and {int((~np.isfinite(values)).sum()):,} of "
            f"{len(values):,} are not; look for missing features or too short a history."
        )
    last = predictions[predictions["fold"] == predictions["fold"].max()]
    return max(_lowest_within(rows, per_day, period) for rows in (predictions, last))


def covered_days(rows: pd.DataFrame, period: int) -> float:
    """Return how many days the folds of `rows` [fold, time] cover, parts of a day included.

    A fold covers its UTC days that have rows, from its first time to `period` microseconds after
    its last: half of its first day is half a day, and a day without rows is none.
    """
    at = microseconds(rows["time"])
    folds = rows["fold"].to_numpy()
    return sum(_covered(at[folds == fold], period) for fold in np.unique(folds)) / DAY


def _covered(at: Ints, period: int) -> int:
    days = np.unique(at // DAY) * DAY
    ends = np.minimum(days + DAY, at.max() + period)
    return int((ends - np.maximum(days, at.min())).sum())


def period_of(times: "pd.Series[pd.Timestamp]") -> int:
    """Return the shortest distance between two different times, in microseconds; 0 for one time."""
    steps = np.diff(np.unique(microseconds(times)))
    return int(steps.min()) if len(steps) else 0


def _lowest_within(rows: pd.DataFrame, per_day: float, period: int) -> float:
    budget = per_day * covered_days(rows, period)
    distinct, counts = np.unique(rows["prediction"], return_counts=True)
    alerts = counts[::-1].cumsum()
    fitting = distinct[::-1][alerts <= budget]
    return float(fitting[-1] if len(fitting) else np.nextafter(distinct[-1], np.inf))


def beside_budget(found: Interval | None, budget: float | None) -> str:
    """Return '217 alerts a day on the holdout, budget 200', '' where either is unknown."""
    if found is None or budget is None:
        return ""
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f" ({found.low:,.4g} to {found.high:,.4g})"
    return f"{found.value:,.4g}{bounds} alerts a day on the holdout, budget {budget:,.6g}"

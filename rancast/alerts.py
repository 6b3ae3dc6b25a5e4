"""From an alert budget to a decision threshold: how many alerts a day people can handle.

An alert is one row, an entity at one time, whose prediction is at least the threshold. The budget
is for all entities together and holds on average over the days: a bad day may have more.
"""

import numpy as np
import pandas as pd

from rancast.errors import EvidenceError
from rancast.metrics import FloatArray


def threshold(predictions: pd.DataFrame, per_day: float) -> float:
    """Return the lowest threshold at which alerts stay within `per_day` a day.

    `predictions` [time, prediction] should be of training rows that the predicting model was not
    fitted on: the holdout stays untouched, so that alerts counted there are an honest forecast.
    Alerts are divided by the UTC days that the rows touch. Equal predictions alert together, so a
    tie that does not fit is left out whole; where nothing fits, the threshold lies just above the
    largest prediction. Raises EvidenceError for no rows and predictions that are not finite.
    """
    values = predictions["prediction"].to_numpy(dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise EvidenceError(
            f"a threshold needs finite predictions, and {int((~np.isfinite(values)).sum()):,} of "
            f"{len(values):,} are not; look for missing features or too short a history."
        )
    days = predictions["time"].dt.floor("D").nunique()
    return _lowest_within(values, budget=per_day * days)


def _lowest_within(values: FloatArray, budget: float) -> float:
    distinct, counts = np.unique(values, return_counts=True)
    alerts = counts[::-1].cumsum()
    fitting = distinct[::-1][alerts <= budget]
    return float(fitting[-1] if len(fitting) else np.nextafter(distinct[-1], np.inf))

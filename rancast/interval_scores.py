"""What prediction intervals were worth on the holdout: coverage, width, and both in one score.

How intervals are made is in `conformal`, how other metrics are evaluated in `evaluation`, what must
hold of the coverage in `decisions`.
"""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from rancast.bootstrap import cluster_codes
from rancast.column_names import INTERVAL_COLUMNS
from rancast.errors import EvidenceError
from rancast.evaluation import Evaluation, SliceScore, intervals_of
from rancast.gates import Intervals
from rancast.groups import group_labels
from rancast.metrics import FloatArray, find_metric
from rancast.problems import METRICS_OF_INTERVALS


def with_intervals(
    evaluation: Evaluation,
    predictions: pd.DataFrame,
    wanted: Intervals | None,
    seed: int,
    gap: timedelta = timedelta(0),
) -> Evaluation:
    """Return the evaluation with METRICS_OF_INTERVALS, and with their values in each group.

    `predictions` are those that were evaluated, with `low` and `high`, and `gap` is as there;
    without these columns, or where no intervals are wanted, nothing is added. A metric that cannot
    be computed, since an end is missing or not finite, is listed under `missing` with the reason.
    """
    if wanted is None or not set(INTERVAL_COLUMNS) <= set(predictions.columns):
        return evaluation
    worth = scores(predictions, wanted.coverage)
    values, missing = intervals_of(
        [find_metric(name) for name in METRICS_OF_INTERVALS],
        predictions.assign(**worth),
        cluster_codes(predictions, gap),
        seed,
        evaluation.confidence,
    )
    changes: dict[str, Any] = {
        "metrics": evaluation.metrics | values,
        "missing": evaluation.missing | missing,
        "slices": (*evaluation.slices, *_by_group(predictions, worth, wanted)),
    }
    return evaluation.model_copy(update=changes)


def scores(predictions: pd.DataFrame, coverage: float) -> dict[str, FloatArray]:
    """Return each of METRICS_OF_INTERVALS for every row of `predictions` [y, low, high], (rows,).

    `coverage` is 1 where y lies in the interval, its ends included, and else 0. `interval_score`
    (Winkler 1972; Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and
    Estimation", J. Am. Statist. Assoc. 102, eq. 43) is the width and, where y lies outside, in
    addition 2 / (1 - coverage) times how far: less is better, and the true quantiles are the best.
    Both it and the width are in units of y. Rows with an end that is missing or infinite are NaN.
    """
    y, low, high = (
        predictions[name].to_numpy(dtype=np.float64) for name in ("y", *INTERVAL_COLUMNS)
    )
    is_known = np.isfinite(low) & np.isfinite(high)
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    width = np.where(is_known, high - low, np.nan)
    return {
        "coverage": np.where(is_known, outside == 0, np.nan),
        "interval_width": width,
        "interval_score": width + 2 / (1 - coverage) * outside,
    }


def _by_group(
    predictions: pd.DataFrame, worth: dict[str, FloatArray], wanted: Intervals
) -> list[SliceScore]:
    """Return each metric of each group of the column `wanted.by`."""
    if wanted.by is None or wanted.by not in predictions.columns:
        return []
    groups = predictions.groupby(group_labels(predictions[wanted.by]), sort=True).indices
    return [
        _slice(wanted, str(value), name, worth[name][rows])
        for name in METRICS_OF_INTERVALS
        for value, rows in groups.items()
    ]


def _slice(wanted: Intervals, value: str, metric: str, worth: FloatArray) -> SliceScore:
    score, reason, least = None, None, wanted.minimum_support
    try:
        if len(worth) < least:
            raise EvidenceError(f"too few rows: {len(worth):,}, needed are {least:,}")
        score = find_metric(metric)(np.zeros(len(worth)), worth)
    except EvidenceError as error:
        reason = str(error)
    return SliceScore(
        column=str(wanted.by),
        value=value,
        rows=len(worth),
        positives=None,
        metric=metric,
        score=score,
        reason=reason,
    )

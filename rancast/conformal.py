"""How far off a forecast may be: prediction intervals by split conformal, as numbers for JSON.

A value's interval is its forecast plus two quantiles of the residuals (actual minus predicted) of
rows that the predicting model was not fitted on (Papadopoulos et al. 2002; Lei, G'Sell, Rinaldo,
Tibshirani and Wasserman 2018, "Distribution-Free Predictive Inference for Regression", J. Am.
Statist. Assoc. 113), each of the two tails with its own, as errors are not symmetric. Groups have
quantiles of their own (Mondrian: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a
Random World", ch. 4), since pooled ones would be too wide for some and too narrow for others: the
values of a column and, within each, levels of the prediction, as large values often vary more.

What that guarantees: a new row that is exchangeable with the calibration rows lies in its interval
with at least the promised probability, whatever the model and the distribution, on average over
calibration sets, within each group. What it does not: rows of a network are not exchangeable over
time. Demand drifts, and rows of one hour fail together. Nor were the residuals made by the model
that is shipped, but by some that saw fewer rows, see `search.out_of_folds`: they tend to be larger.
So the coverage is a claim, tested on the holdout (`interval_scores`) and gated (`decisions`), and
never taken from theory.
"""

from math import ceil

import numpy as np
import pandas as pd

from rancast.documents import Document
from rancast.errors import EvidenceError
from rancast.fit_view import Calibration
from rancast.groups import group_labels
from rancast.metrics import FloatArray


class Quantiles(Document):
    """What is added to a forecast for its interval's ends, in units of y, from so many rows.

    They are for predictions up to `upto` and above that of the level before; None has no limit.
    """

    low: float
    high: float
    rows: int
    upto: float | None = None


Levels = tuple[Quantiles, ...]


class ConformalIntervals(Document):
    """The intervals of one model: levels of quantiles for each group by its value, and for all.

    `by` is the column of X, or the entity's own name, whose values are the groups.
    """

    coverage: float
    by: str | None = None
    pooled: Levels
    groups: dict[str, Levels] = {}


def least_rows(coverage: float) -> int:
    """Return how many residuals a finite interval needs: 19 for 90 %, 39 for 95 %."""
    return ceil(round(2 / (1 - coverage), 9)) - 1


def calibrate(
    y: "pd.Series[float]",
    prediction: "pd.Series[float]",
    group: "pd.Series[str] | None",
    wanted: Calibration,
) -> ConformalIntervals:
    """Return the quantiles of the residuals y - prediction, pooled and by `group`.

    All are (rows,) on one index, of rows that the predicting model was not fitted on. A group with
    fewer rows than `wanted.minimum_support`, or than its quantiles need, gets none of its own; a
    group is divided into at most `wanted.levels`, each with as many rows at least. Raises
    EvidenceError for too few rows in all, and for residuals that are not finite.
    """
    residual = y - prediction
    broken = int((~np.isfinite(residual)).sum())
    least = least_rows(wanted.coverage)
    if broken or len(residual) < least:
        raise EvidenceError(
            f"intervals of {wanted.coverage:.0%} need at least {least} finite residuals, and of "
            f"{len(residual):,} here {broken:,} are not finite; look for missing features or too "
            "short a history."
        )
    rows = pd.DataFrame({"residual": residual, "prediction": prediction})
    groups = {}
    if group is not None:
        for value, part in rows.groupby(group_labels(group.rename(wanted.by)), sort=True):
            if len(part) >= max(least, wanted.minimum_support):
                groups[str(value)] = _levels(part, wanted)
    return ConformalIntervals(
        coverage=wanted.coverage, by=wanted.by, pooled=_levels(rows, wanted), groups=groups
    )


def _levels(rows: pd.DataFrame, wanted: Calibration) -> Levels:
    """Return the quantiles of about equally many rows each, from the lowest predictions up."""
    edges = _edges(rows["prediction"].to_numpy(dtype=np.float64), wanted)
    level = np.searchsorted(edges, rows["prediction"].to_numpy(), side="left")
    return tuple(
        _quantiles(rows["residual"].to_numpy()[level == place], wanted.coverage, upto)
        for place, upto in enumerate([*edges, None])
    )


def _edges(prediction: FloatArray, wanted: Calibration) -> list[float]:
    """Return the predictions at which levels end, the last one left out.

    Equal predictions stay together; an edge that would leave too few rows on a side is left out.
    """
    least = max(least_rows(wanted.coverage), wanted.minimum_support)
    ordered, edges, start = np.sort(prediction), [], 0
    for share in np.arange(1, wanted.levels) / wanted.levels:
        edge = ordered[max(0, ceil(round(len(ordered) * share, 9)) - 1)]
        end = int(np.searchsorted(ordered, edge, side="right"))
        if end - start >= least and len(ordered) - end >= least:
            edges.append(float(edge))
            start = end
    return edges


def _quantiles(residual: FloatArray, coverage: float, upto: float | None) -> Quantiles:
    """Return the quantiles that leave half of the rest in each tail, corrected for finite samples.

    Of n residuals the ceil((n + 1) (1 - a / 2))-th smallest, and from the other end the same: a new
    one is as likely to fall into each of the n + 1 gaps between them.
    """
    ordered, n = np.sort(residual), len(residual)
    # rounded, or 0.95 * 20 would be a hair above 19
    rank = ceil(round((n + 1) * (1 + coverage) / 2, 9))
    return Quantiles(low=float(ordered[n - rank]), high=float(ordered[rank - 1]), rows=n, upto=upto)


def bounds(
    intervals: ConformalIntervals, prediction: FloatArray, group: "pd.Series[str] | None"
) -> tuple[FloatArray, FloatArray]:
    """Return each forecast's interval (low, high), both (rows,), ends included.

    `group` holds each row's value of the column `intervals.by`; one that has no quantiles of its
    own, being unknown or too small at the training, and all without `group`, take the pooled ones.
    """
    low, high = _ends(intervals.pooled, prediction)
    if group is not None:
        labels = group_labels(group.rename(intervals.by))
        for value, rows in labels.groupby(labels.to_numpy(), sort=False).indices.items():
            levels = intervals.groups.get(str(value))
            if levels is not None:
                low[rows], high[rows] = _ends(levels, prediction[rows])
    return low, high


def _ends(levels: Levels, prediction: FloatArray) -> tuple[FloatArray, FloatArray]:
    edges = [level.upto for level in levels if level.upto is not None]
    place = np.searchsorted(edges, prediction, side="left")
    low, high = (np.array([getattr(level, end) for level in levels]) for end in ("low", "high"))
    return prediction + low[place], prediction + high[place]

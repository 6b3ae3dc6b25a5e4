"""How far an improvement could be off by chance, from how much each cell and each day moves it.

Rows of one cell fail together, and so do those of one day. The variance is therefore the two-way
cluster-robust one of Cameron, Gelbach and Miller (2011), "Robust Inference with Multiway
Clustering", Journal of Business & Economic Statistics 29: that of cells, plus that of days, minus
that of cell-days, which both have counted. It is taken of the influence that each row has on the
improvement (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", ch. 6, the
infinitesimal jackknife). Nothing is drawn at random, and the work grows with rows only.

How single models' metrics are resampled is in `bootstrap`; what follows here, in `decisions`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rancast.errors import EvidenceError
from rancast.metrics import UP_TO_ONE, FloatArray, Metric

Codes = npt.NDArray[np.int64]

# a derivative is a difference of this relative width, exact to about its square
_STEP = 1e-5
# with positives in fewer clusters than these, no spread can be told
MINIMUM_INFORMATIVE = 3


class Precision(NamedTuple):
    """A standard error and its degrees of freedom, for Student's t."""

    standard_error: float
    degrees_of_freedom: float


def row_influence(metric: Metric, y: FloatArray, prediction: FloatArray) -> FloatArray:
    """Return how much `metric` changes per weight added to each row: (rows,), summing to zero.

    Raises TypeError for a metric that has neither terms nor a formula here.
    """
    if metric.terms is not None and metric.finish is not None:
        terms = metric.terms(y, prediction)
        total = terms.sum(axis=0)
        steps = np.diag(_STEP * np.abs(terms).sum(axis=0))
        wide = 2 * np.diag(steps)
        change = metric.finish(total + steps) - metric.finish(total - steps)
        return np.asarray(terms @ np.divide(change, wide, out=np.zeros(len(wide)), where=wide > 0))
    if metric.name in _RANKED:
        return _RANKED[metric.name](y, prediction)
    raise TypeError(f"metric {metric.name!r} has neither terms nor an influence")


def _groups(y: FloatArray, p: FloatArray) -> tuple[Codes, FloatArray, FloatArray]:
    """Return each row's group of equal predictions, from the highest down, and their counts."""
    _, ascending = np.unique(p, return_inverse=True)
    group = (ascending.max() - ascending).astype(np.int64)
    positives, negatives = (np.bincount(group, kind).astype(np.float64) for kind in (y, 1 - y))
    return group, positives, negatives


def _average_precision_influence(y: FloatArray, p: FloatArray) -> FloatArray:
    """Return the derivative of sum(positives x precision) / positives by the weight of each row."""
    group, positives, negatives = _groups(y, p)
    found = positives.cumsum()
    reached = found + negatives.cumsum()
    precision = found / reached
    total = found[-1]
    value = (positives * precision).sum() / total
    # a row counts in the precision of its own group and of all below
    gained = (positives / reached)[::-1].cumsum()[::-1]
    lost = (positives * found / reached**2)[::-1].cumsum()[::-1]
    return np.asarray((y * (precision - value + gained)[group] - lost[group]) / total)


def _roc_auc_influence(y: FloatArray, p: FloatArray) -> FloatArray:
    """Return the derivative of P(a positive ranks above a negative) by the weight of each row."""
    group, positives, negatives = _groups(y, p)
    below = negatives.sum() - negatives.cumsum() + negatives / 2
    above = positives.cumsum() - positives / 2
    value = (positives * below).sum() / (positives.sum() * negatives.sum())
    of_positive = (below / negatives.sum() - value) / positives.sum()
    of_negative = (above / positives.sum() - value) / negatives.sum()
    return np.asarray(np.where(y > 0, of_positive[group], of_negative[group]))


_RANKED = {
    "average_precision": _average_precision_influence,
    "roc_auc": _roc_auc_influence,
}


def improvement_influence(
    metric: Metric, y: FloatArray, candidate: FloatArray, other: FloatArray
) -> FloatArray:
    """Return how much the relative improvement over `other` changes per weight added to each row.

    The improvement is that of `decisions.relative_improvement`. Two perfect models are not moved.
    """
    values = [metric(y, each) for each in (candidate, other)]
    moved = [row_influence(metric, y, each) for each in (candidate, other)]
    if metric.name in UP_TO_ONE:  # its improvement is that of 1 - metric, a loss
        values, moved = [1 - value for value in values], [-each for each in moved]
    if values[1] <= 0:
        return np.zeros(len(y))
    sign = 1 if metric.greater_is_better and metric.name not in UP_TO_ONE else -1
    # of the ratio of the two values; exactly zero for equal predictions
    return np.asarray(sign * (moved[0] - values[0] / values[1] * moved[1]) / values[1])


def two_way(influence: FloatArray, clusters: Mapping[str, Codes], informative: Codes) -> Precision:
    """Return the precision of a sum of `influence` (rows,), clustered in each of two ways.

    `clusters` has two codes 0, 1, ... per row. `informative` are the positions of the rows that
    evidence is counted by: all of them, or the positives. The variance is never less than that of
    either way alone. Degrees of freedom by Satterthwaite (1946), Biometrics Bulletin 2: between the
    fewer clusters' and the sum of both, as either or both matter. Raises EvidenceError where fewer
    than MINIMUM_INFORMATIVE clusters hold an informative row, or 2 where all rows are.
    """
    parts, freedom = [], []
    for kind, codes in clusters.items():
        holding = len(np.unique(codes[informative]))
        # where every row is evidence, the gates' minimum of clusters has been asked already
        if holding < (2 if len(informative) == len(influence) else MINIMUM_INFORMATIVE):
            raise EvidenceError(
                f"all positive rows lie in {holding} of {int(codes.max()) + 1} clusters by {kind}, "
                "too few to tell a spread; take a longer holdout."
            )
        parts.append(variance(influence, codes))
        freedom.append(holding - 1)
    first, second = clusters.values()
    both = np.unique(first * (second.max() + 1) + second, return_inverse=True)[1]
    found = max(*parts, sum(parts) - variance(influence, both))
    return Precision(float(np.sqrt(found)), _satterthwaite(parts, freedom))


def _satterthwaite(parts: list[float], freedom: list[int]) -> float:
    """Return the degrees of freedom of a sum of variances, each with its own."""
    largest = max(parts)
    if not 0 < largest < np.inf:
        return float(min(freedom))
    # as shares, since the square of a variance may be beyond what a float holds
    shares = [part / largest for part in parts]
    squares = (share**2 / count for share, count in zip(shares, freedom, strict=True))
    return float(sum(shares) ** 2 / sum(squares))


def variance(influence: FloatArray, codes: Codes) -> float:
    """Return the variance of a sum of `influence` (rows,) over independent clusters (rows,)."""
    sums = np.bincount(codes, influence)
    # relative to next to nothing it may be infinite, and then nothing is promoted
    with np.errstate(over="ignore"):
        # n / (n - 1) as of any variance about an estimated mean
        return float((sums**2).sum() * len(sums) / (len(sums) - 1))

"""What "good" means: each metric by name, its direction, and its form under resampling weights.

A metric is computed by scikit-learn where one value is wanted. For the bootstrap, which wants
thousands, it also says how it follows from sums over rows (`terms`, `finish`) or from the ranking
of the rows (`finish_ranked`); a test holds the two against each other. How rows are resampled is
in `bootstrap`, what is done with the values in `evaluation` and `decisions`.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rancast.errors import ConfigurationError, EvidenceError
from rancast.problems import METRICS_OF_INTERVALS, Problem

FloatArray = npt.NDArray[np.float64]
Score = Callable[[FloatArray, FloatArray, FloatArray | None], float]
Terms = Callable[[FloatArray, FloatArray], FloatArray]
Finish = Callable[[FloatArray], FloatArray]
FinishRanked = Callable[[FloatArray, FloatArray], FloatArray]

# 1 at best, and zero or negative at worst: what is missing to 1 is a loss
UP_TO_ONE = ("r2", "silhouette")
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Metric:
    """One metric: `score(y, prediction, weight)` and what the bootstrap needs to repeat it fast.

    Either `terms(y, prediction)` gives a (rows, k) array and `finish` maps its weighted sums
    (..., k) to values, or `finish_ranked(positives, negatives)` maps two arrays (groups,
    replicates), weights per group of equal predictions from the highest down, to (replicates,).
    `scoring` is scikit-learn's own name for it, None where a search cannot use it. `column` is the
    column of a prediction frame that it is computed of: where rows have scores, it is their mean.
    """

    name: str
    problem: Problem
    greater_is_better: bool
    score: Score
    scoring: str | None = None
    terms: Terms | None = None
    finish: Finish | None = None
    finish_ranked: FinishRanked | None = None
    needs_both_classes: bool = True
    column: str = "prediction"

    def __call__(
        self, y: FloatArray, prediction: FloatArray, weight: FloatArray | None = None
    ) -> float:
        """Return the metric of `prediction` (rows,) against `y` (rows,).

        Raises EvidenceError for no rows, predictions that are not finite, and a single class.
        """
        check_rows(self, y, prediction)
        return float(self.score(y, prediction, weight))


def check_rows(metric: Metric, y: FloatArray, prediction: FloatArray) -> None:
    """Raise EvidenceError where `metric` has no meaning on these rows, with the numbers."""
    if len(y) == 0:
        raise EvidenceError(f"{metric.name} has no rows to be computed on.")
    broken = int((~np.isfinite(prediction)).sum())
    if broken:
        raise EvidenceError(
            f"{broken:,} of {len(y):,} predictions are not finite, so {metric.name} is undefined; "
            "look for missing or infinite features in those rows."
        )
    if metric.problem == "classification" and metric.needs_both_classes:
        positives = int(y.sum())
        if positives in (0, len(y)):
            raise EvidenceError(
                f"{metric.name} needs both classes, but {positives:,} of {len(y):,} rows are "
                "positive; take a longer holdout or another target."
            )
    if metric.name == "r2" and float(np.ptp(y)) == 0:
        raise EvidenceError(
            f"r2 needs values that vary, but all {len(y):,} rows have the same one."
        )


def find_metric(
    name: str,
    problem: Problem | None = None,
    threshold: float | None = None,
    days: int | None = None,
) -> Metric:
    """Return the metric called `name`.

    `precision`, `recall` and `alerts_per_day` count a row as an alert where its prediction is at
    least `threshold`; `alerts_per_day` divides by `days`, the UTC days that the rows cover. Of
    METRICS_OF_INTERVALS a row's "prediction" is what `interval_scores.scores` says of it.
    Raises ConfigurationError for an unknown name (with the known ones), for a metric of the other
    problem, and for a missing threshold.
    """
    if name not in METRICS | _OF_INTERVALS | _AT_THRESHOLD:
        close = difflib.get_close_matches(name, known_metrics(problem), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigurationError(
            f"metric {name!r} not found; {hint}known: {', '.join(known_metrics(problem))}."
        )
    if name in METRICS | _OF_INTERVALS:
        metric = (METRICS | _OF_INTERVALS)[name]
    elif threshold is None:
        raise ConfigurationError(
            f"metric {name!r} needs a decision threshold: it is evaluated where alerts.per_day is "
            f"stated, but cannot be what candidates are compared by; take {', '.join(METRICS)}."
        )
    else:
        metric = _AT_THRESHOLD[name](threshold, days or 1)
    if problem is not None and metric.problem != problem:
        raise ConfigurationError(
            f"metric {name!r} is for {metric.problem}, but the problem is {problem}; "
            f"known: {', '.join(known_metrics(problem))}."
        )
    return metric


def known_metrics(problem: Problem | None = None) -> list[str]:
    """Return the names of all metrics, or of those of one problem, sorted."""
    names = [name for name, metric in METRICS.items() if problem in (None, metric.problem)]
    names += list(_AT_THRESHOLD) if problem in (None, "classification") else []
    names += list(_OF_INTERVALS) if problem in (None, "regression") else []
    return sorted(names)


def greater_is_better(name: str) -> bool:
    """Tell the direction of a metric; raises ConfigurationError for an unknown name."""
    return find_metric(name, threshold=0.5).greater_is_better


# --- scikit-learn's definitions ---------------------------------------------------------------


def _average_precision(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, p, sample_weight=weight))


def _roc_auc(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, p, sample_weight=weight))


def _brier(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(y, p, sample_weight=weight))


def _log_loss(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(y, p, sample_weight=weight, labels=[0.0, 1.0]))


def _mae(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(y, p, sample_weight=weight))


def _rmse(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(y, p, sample_weight=weight))


def _r2(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, p, sample_weight=weight))


def _mean_score(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    """Return the mean of scores that each row has already."""
    return float(np.average(p, weights=weight))


# --- the same from sums over rows, or from the ranking ----------------------------------------


def _mean_of(loss: Terms) -> Terms:
    """Make terms (weight, weighted loss) of a loss per row; `_mean` finishes them."""

    def terms(y: FloatArray, p: FloatArray) -> FloatArray:
        return np.column_stack([np.ones(len(y)), loss(y, p)])

    return terms


def _ratio(above: FloatArray, below: FloatArray, empty: float = np.nan) -> FloatArray:
    return np.divide(above, below, out=np.full_like(above, empty), where=below > 0)


def _mean(sums: FloatArray) -> FloatArray:
    return _ratio(sums[..., 1], sums[..., 0])


def _root_mean(sums: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(_mean(sums)))


def _log_loss_rows(y: FloatArray, p: FloatArray) -> FloatArray:
    q = np.clip(p, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(-(y * np.log(q) + (1 - y) * np.log1p(-q)))


def _r2_terms(y: FloatArray, p: FloatArray) -> FloatArray:
    # centred first: the variance is a difference of sums, which loses digits far from zero
    centred = y - y.mean()
    return np.column_stack([np.ones(len(y)), (y - p) ** 2, centred, centred**2])


def _r2_finish(sums: FloatArray) -> FloatArray:
    weight, residual, first, second = np.moveaxis(sums, -1, 0)
    total = second - _ratio(first**2, weight)
    # a replicate of equal values leaves only rounding behind, which is no variance
    total = np.where(total > 1e-12 * np.maximum(second, 1e-300), total, 0.0)
    return 1 - _ratio(residual, total)


def _average_precision_ranked(positives: FloatArray, negatives: FloatArray) -> FloatArray:
    found = positives.cumsum(axis=0)
    precision = _ratio(found, found + negatives.cumsum(axis=0), empty=0.0)
    return _ratio((positives * precision).sum(axis=0), found[-1])


def _roc_auc_ranked(positives: FloatArray, negatives: FloatArray) -> FloatArray:
    """Return P(a positive ranks above a negative), ties counting half (Mann and Whitney 1947)."""
    total = negatives.sum(axis=0)
    below = total - negatives.cumsum(axis=0) + negatives / 2
    return _ratio((positives * below).sum(axis=0), positives.sum(axis=0) * total)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "average_precision",
            "classification",
            True,
            _average_precision,
            "average_precision",
            finish_ranked=_average_precision_ranked,
        ),
        Metric(
            "roc_auc", "classification", True, _roc_auc, "roc_auc", finish_ranked=_roc_auc_ranked
        ),
        Metric(
            "brier",
            "classification",
            False,
            _brier,
            "neg_brier_score",
            terms=_mean_of(lambda y, p: (y - p) ** 2),
            finish=_mean,
        ),
        Metric(
            "log_loss",
            "classification",
            False,
            _log_loss,
            "neg_log_loss",
            terms=_mean_of(_log_loss_rows),
            finish=_mean,
        ),
        Metric(
            "mae",
            "regression",
            False,
            _mae,
            "neg_mean_absolute_error",
            terms=_mean_of(lambda y, p: np.abs(y - p)),
            finish=_mean,
        ),
        Metric(
            "rmse",
            "regression",
            False,
            _rmse,
            "neg_root_mean_squared_error",
            terms=_mean_of(lambda y, p: (y - p) ** 2),
            finish=_root_mean,
        ),
        Metric("r2", "regression", True, _r2, "r2", terms=_r2_terms, finish=_r2_finish),
        *(
            Metric(
                name,
                "clustering",
                True,
                _mean_score,
                terms=_mean_of(lambda y, p: p),
                finish=_mean,
                column=name,
            )
            for name in ("silhouette", "stability")
        ),
    )
}


# --- of prediction intervals ------------------------------------------------------------------


def _average(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
    return float(np.average(p, weights=weight))


_OF_INTERVALS: dict[str, Metric] = {
    name: Metric(
        name,
        "regression",
        name == "coverage",
        _average,
        terms=_mean_of(lambda y, p: p),
        finish=_mean,
        needs_both_classes=False,
        column=name,
    )
    for name in METRICS_OF_INTERVALS
}


# --- at a decision threshold ------------------------------------------------------------------


def _precision_at(threshold: float, days: int) -> Metric:
    def score(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
        from sklearn.metrics import precision_score

        return float(precision_score(y, p >= threshold, sample_weight=weight, zero_division=0))

    def terms(y: FloatArray, p: FloatArray) -> FloatArray:
        alert = (p >= threshold).astype(np.float64)
        return np.column_stack([alert, alert * y])

    def finish(sums: FloatArray) -> FloatArray:
        return _ratio(sums[..., 1], sums[..., 0], empty=0.0)  # no alert at all: the worst value

    return Metric("precision", "classification", True, score, terms=terms, finish=finish)


def _recall_at(threshold: float, days: int) -> Metric:
    def score(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
        from sklearn.metrics import recall_score

        return float(recall_score(y, p >= threshold, sample_weight=weight, zero_division=0))

    def terms(y: FloatArray, p: FloatArray) -> FloatArray:
        return np.column_stack([y, y * (p >= threshold)])

    return Metric("recall", "classification", True, score, terms=terms, finish=_mean)


def _alerts_per_day_at(threshold: float, days: int) -> Metric:
    def terms(y: FloatArray, p: FloatArray) -> FloatArray:
        return (p >= threshold).astype(np.float64)[:, np.newaxis] / days

    def finish(sums: FloatArray) -> FloatArray:
        return sums[..., 0]

    def score(y: FloatArray, p: FloatArray, weight: FloatArray | None) -> float:
        rows = terms(y, p)[:, 0]
        return float(rows.sum() if weight is None else rows @ weight)

    return Metric(
        "alerts_per_day",
        "classification",
        False,
        score,
        terms=terms,
        finish=finish,
        needs_both_classes=False,
    )


_AT_THRESHOLD: dict[str, Callable[[float, int], Metric]] = {
    "precision": _precision_at,
    "recall": _recall_at,
    "alerts_per_day": _alerts_per_day_at,
}

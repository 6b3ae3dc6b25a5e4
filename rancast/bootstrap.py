"""How sure we are: metrics repeated on resampled clusters, for one model or several on equal rows.

Rows of one cell, or of one day, resemble each other, so whole clusters are drawn with replacement,
never rows (Field and Welsh 2007, "Bootstrapping clustered data", J. R. Statist. Soc. B 69). Which
metrics there are is in `metrics`; what follows from an interval is in `evaluation`, `decisions`.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from rancast.errors import EvidenceError
from rancast.metrics import FloatArray, Metric, check_rows

REPLICATES = 1000
UNDEFINED_LIMIT = 0.1
_CHUNK_CELLS = 4_000_000

ClusterCodes = npt.NDArray[np.int64]


def cluster_codes(
    predictions: pd.DataFrame, gap: timedelta = timedelta(0)
) -> dict[str, ClusterCodes]:
    """Return the two ways to cluster prediction rows: code per row, by `entity` and UTC `day`.

    Rows closer in time than `gap` share measurements: a label of seven days has six in common with
    the next day's. Where it is two days or longer, a `day` is a span of so many whole days, counted
    from the first; what is left over at the end belongs to the last one.
    """
    day = (predictions["time"].dt.floor("D") - predictions["time"].min().floor("D")).dt.days
    length = span_days(gap)
    last = max((int(day.max()) + 1) // length - 1, 0) if len(day) else 0
    return {
        "entity": pd.factorize(predictions["entity"], sort=True)[0].astype(np.int64),
        "day": pd.factorize((day // length).clip(upper=last), sort=True)[0].astype(np.int64),
    }


def span_days(gap: timedelta) -> int:
    """Return how many whole days one cluster by day has, at least one."""
    return max(gap // timedelta(days=1), 1)


def cluster_bootstrap(
    metric: Metric,
    y: FloatArray,
    predictions: Sequence[FloatArray],
    clusters: ClusterCodes,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> FloatArray:
    """Return `metric` on resampled clusters: (replicates, models), NaN where it is undefined.

    `predictions` holds one array (rows,) for each model, `clusters` a code 0, 1, ... per row. Each
    line resamples the same clusters for every model, so differences of columns are paired.
    Raises EvidenceError for fewer than two clusters, and for rows that `metric` refuses.
    """
    n_clusters = int(clusters.max(initial=-1)) + 1
    for prediction in predictions:
        check_rows(metric, y, prediction)
    if n_clusters < 2:
        raise EvidenceError(
            f"the spread of {metric.name} needs at least 2 clusters to resample, and there is "
            f"{n_clusters}; take a longer holdout."
        )
    counts = _draw_counts(n_clusters, replicates, seed)
    columns = [_repeat(metric, y, prediction, clusters, counts) for prediction in predictions]
    return np.column_stack(columns)


def percentile_interval(values: FloatArray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval (low, high) of bootstrap `values` (replicates,).

    Undefined values are left out. Raises EvidenceError where they are more than a tenth: too few
    clusters hold what the metric needs, and the rest would be a selection.
    """
    undefined = float(np.isnan(values).mean()) if len(values) else 1.0
    if undefined > UNDEFINED_LIMIT:
        raise EvidenceError(
            f"{undefined:.0%} of the resamples have no value, since too few clusters hold both "
            "classes or any spread; take a longer holdout."
        )
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _draw_counts(n_clusters: int, replicates: int, seed: int) -> FloatArray:
    """Return how often each cluster is drawn: (replicates, clusters), each line summing up."""
    random = np.random.default_rng(seed)
    shares = np.full(n_clusters, 1 / n_clusters)
    return random.multinomial(n_clusters, shares, size=replicates).astype(np.float64)


def _repeat(
    metric: Metric,
    y: FloatArray,
    prediction: FloatArray,
    clusters: ClusterCodes,
    counts: FloatArray,
) -> FloatArray:
    """Return the metric of one model under each line of `counts`, never touching rows twice."""
    if metric.terms is not None and metric.finish is not None:
        terms = metric.terms(y, prediction)
        sums = [np.bincount(clusters, column, counts.shape[1]) for column in terms.T]
        return metric.finish(counts @ np.column_stack(sums))
    if metric.finish_ranked is None:
        raise TypeError(f"metric {metric.name!r} has neither terms nor a ranked form")
    positives, negatives = _ranked_groups(y, prediction, clusters, counts.shape[1])
    chunk = max(1, _CHUNK_CELLS // positives.shape[0])
    parts = [counts[start : start + chunk].T for start in range(0, len(counts), chunk)]
    return np.concatenate([metric.finish_ranked(positives @ p, negatives @ p) for p in parts])


def _ranked_groups(
    y: FloatArray, prediction: FloatArray, clusters: ClusterCodes, n_clusters: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Count positive and negative rows of each cluster in each group of the ranking.

    Returns two sparse arrays (groups, clusters), from the highest prediction down. A group is the
    rows of one prediction; neighbouring groups without a positive are merged, since no metric can
    tell them apart. So a replicate costs work by positives and clusters instead of by rows.
    """
    order = np.argsort(-prediction, kind="stable")
    scores, labels = prediction[order], y[order]
    tie = np.concatenate([[0], np.cumsum(scores[1:] != scores[:-1])])
    has_positive = np.bincount(tie, labels) > 0
    starts_group = np.concatenate([[True], has_positive[1:] | has_positive[:-1]])
    group = (np.cumsum(starts_group) - 1)[tie]
    shape = (int(group[-1]) + 1, n_clusters)
    where = (group, clusters[order])
    positives = sparse.coo_array((labels, where), shape=shape).tocsr()
    negatives = sparse.coo_array((1 - labels, where), shape=shape).tocsr()
    return positives, negatives

"""How good one model was on the holdout: metrics with intervals, and the groups where it fails.

Nothing is decided here: `decisions` compares two models and applies the gates. A metric that
cannot be computed is listed under `missing` with the reason, so that a gate on it fails closed.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from rancast.bootstrap import (
    ClusterCodes,
    cluster_bootstrap,
    cluster_codes,
    percentile_interval,
    span_days,
)
from rancast.column_names import INTERVAL_COLUMNS
from rancast.documents import Document
from rancast.errors import EvidenceError
from rancast.groups import group_labels
from rancast.metrics import FloatArray, Metric, find_metric
from rancast.problems import Problem
from rancast.reliability import Reliability, reliability_of

KEY_COLUMNS = ("entity", "time", "y", "prediction")
# what rows of a clustering are scored by, see `silhouettes` and `stability`
SCORE_COLUMNS = ("silhouette", "stability")
MAXIMUM_SLICES = 100


class Interval(Document):
    """A value and its bootstrap interval; no bounds where there is one cluster of each kind."""

    value: float
    low: float | None = None
    high: float | None = None


class SliceScore(Document):
    """One group of the holdout: its rows and the first metric on them, or why there is none.

    A group with fewer rows than its support has no score: it would be read as one.
    """

    column: str
    value: str
    rows: int
    positives: int | None
    metric: str
    score: float | None
    reason: str | None = None


class Evaluation(Document):
    """What one model was worth on its holdout rows.

    `metrics` maps a name to its interval; `missing` maps the others that were asked for to the
    reason. `clusters` counts entities and UTC days. `positives` and `reliability` are None for
    regression.
    """

    problem: Problem
    metrics: dict[str, Interval]
    missing: dict[str, str] = {}
    rows: int
    positives: int | None
    clusters: dict[str, int]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    threshold: float | None = None
    slices: tuple[SliceScore, ...] = ()
    notes: tuple[str, ...] = ()
    reliability: Reliability | None = None


def evaluate(
    predictions: pd.DataFrame,
    problem: Problem,
    metrics: tuple[str, ...],
    seed: int,
    confidence: float = 0.95,
    threshold: float | None = None,
    support: Mapping[str, int] | None = None,
    gap: timedelta = timedelta(0),
) -> Evaluation:
    """Evaluate one model's `predictions` [entity, time, y, prediction, *scores, *slice columns].

    The first of `metrics` is also computed on each value of each slice column that has at least as
    many rows as `support` says of the column. Metrics at a
    threshold (precision, recall, alerts_per_day) need `threshold`. The bounds enclose both the
    interval from resampled entities and the one from resampled days, or spans of days where rows
    up to `gap` apart share measurements.

    Raises EvidenceError for no rows or missing columns, ConfigurationError for unknown metrics.
    """
    _check_columns(predictions)
    counts = {kind: int(codes.max()) + 1 for kind, codes in cluster_codes(predictions).items()}
    clusters, days = cluster_codes(predictions, gap), counts["day"]
    found = [find_metric(name, problem, threshold, days) for name in metrics]
    values, missing = intervals_of(found, predictions, clusters, seed, confidence)
    notes = [
        f"The rows lie in a single {clusters_of(kind, 1, gap)}: intervals leave its spread out."
        for kind, codes in clusters.items()
        if codes.max() < 1
    ]
    slices, slice_notes = _slices(predictions, found[0], support or {}) if found else ((), [])
    return Evaluation(
        problem=problem,
        metrics=values,
        missing=missing,
        rows=len(predictions),
        positives=_positives(predictions, problem),
        clusters=counts,
        confidence=confidence,
        threshold=threshold,
        slices=slices,
        notes=tuple(notes + slice_notes),
        reliability=_reliability(predictions, problem),
    )


def clusters_of(kind: str, count: int, gap: timedelta) -> str:
    """Return the noun of a number of clusters: entity, entities, day, spans of 7 days."""
    length = span_days(gap)
    if kind == "entity":
        return "entity" if count == 1 else "entities"
    if length == 1:
        return "day" if count == 1 else "days"
    return f"span{'' if count == 1 else 's'} of {length} days"


def seen_by(metric: Metric, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions in whose column `prediction` stands what `metric` is computed of.

    Raises EvidenceError where they lack that column.
    """
    if metric.column == "prediction":
        return predictions
    if metric.column not in predictions.columns:
        raise EvidenceError(f"these predictions have no {metric.name}: it was not measured.")
    return predictions.assign(prediction=predictions[metric.column])


def columns_of(predictions: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Return (y, prediction) of a prediction frame as float64 arrays (rows,)."""
    return (
        predictions["y"].to_numpy(dtype=np.float64),
        predictions["prediction"].to_numpy(dtype=np.float64),
    )


def _check_columns(predictions: pd.DataFrame) -> None:
    absent = [name for name in KEY_COLUMNS if name not in predictions.columns]
    if absent:
        raise EvidenceError(
            f"the predictions lack {', '.join(absent)}; they have {', '.join(predictions.columns)}."
        )
    if predictions.empty:
        raise EvidenceError(
            "the holdout has no rows to evaluate on; take a longer history or a longer holdout."
        )
    if predictions["y"].isna().any():
        raise EvidenceError(
            f"{int(predictions['y'].isna().sum()):,} of {len(predictions):,} holdout rows have no "
            "label; leave unlabelled rows out of the training table."
        )


def intervals_of(
    metrics: Sequence[Metric],
    predictions: pd.DataFrame,
    clusters: dict[str, ClusterCodes],
    seed: int,
    confidence: float,
) -> tuple[dict[str, Interval], dict[str, str]]:
    """Return the interval of each metric, and of those without a value why they have none."""
    values: dict[str, Interval] = {}
    missing: dict[str, str] = {}
    for metric in metrics:
        try:
            rows = seen_by(metric, predictions)
            values[metric.name] = _interval(metric, rows, clusters, seed, confidence)
        except EvidenceError as error:
            missing[metric.name] = str(error)
    return values, missing


def _interval(
    metric: Metric,
    predictions: pd.DataFrame,
    clusters: dict[str, ClusterCodes],
    seed: int,
    confidence: float,
) -> Interval:
    """Return the metric with bounds that enclose those of each way to cluster.

    Raises EvidenceError where the metric has no value on these rows.
    """
    y, prediction = columns_of(predictions)
    value = metric(y, prediction)
    bounds = []
    for codes in clusters.values():
        if codes.max() < 1:
            continue
        draws = cluster_bootstrap(metric, y, [prediction], codes, seed=seed)[:, 0]
        bounds.append(percentile_interval(draws, confidence))
    if not bounds:
        return Interval(value=value)
    return Interval(
        value=value, low=min(low for low, _ in bounds), high=max(high for _, high in bounds)
    )


def _positives(predictions: pd.DataFrame, problem: Problem) -> int | None:
    return int(predictions["y"].sum()) if problem == "classification" else None


def _reliability(predictions: pd.DataFrame, problem: Problem) -> Reliability | None:
    """Return the calibration of a classification's predictions, None where some are missing."""
    y, prediction = columns_of(predictions)
    if problem != "classification" or not np.isfinite(prediction).all():
        return None
    return reliability_of(y, prediction)


def _slices(
    predictions: pd.DataFrame, metric: Metric, support: Mapping[str, int]
) -> tuple[tuple[SliceScore, ...], list[str]]:
    """Score each value of each slice column; at most the largest `MAXIMUM_SLICES` of a column."""
    scores: list[SliceScore] = []
    notes: list[str] = []
    known = [*KEY_COLUMNS, *INTERVAL_COLUMNS, *SCORE_COLUMNS]
    for column in predictions.columns.drop(known, errors="ignore"):
        labels = group_labels(predictions[column])
        sizes = labels.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        if len(sizes) > MAXIMUM_SLICES:
            notes.append(
                f"{column} has {len(sizes):,} values; only the {MAXIMUM_SLICES} largest are slices."
            )
        groups = predictions.groupby(labels)
        for value in sorted(sizes.index[:MAXIMUM_SLICES]):
            group, least = groups.get_group(value), support.get(column, 1)
            scores.append(_slice_score(group, column, value, metric, least))
    return tuple(scores), notes


def _slice_score(
    rows: pd.DataFrame, column: str, value: str, metric: Metric, least: int
) -> SliceScore:
    score, reason = None, None
    try:
        if len(rows) < least:
            raise EvidenceError(f"too few rows: {len(rows):,}, needed are {least:,}")
        score = metric(*columns_of(seen_by(metric, rows)))
    except EvidenceError as error:
        reason = str(error)
    return SliceScore(
        column=column,
        value=value,
        rows=len(rows),
        positives=_positives(rows, metric.problem),
        metric=metric.name,
        score=score,
        reason=reason,
    )

"""Fit one candidate: choose its parameters, fit it on the training rows, and show its work.

What is evaluated was fitted on the training rows alone. Choosing parameters is in `search`,
building pipelines in `estimators`, storing and loading models in `models`.
"""

import threading
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import alerts, conformal, dependence, models, selection
from rancast.column_names import INTERVAL_COLUMNS, RESERVED
from rancast.conformal import ConformalIntervals
from rancast.cluster_profiles import Clusters, describe
from rancast.documents import sha256
from rancast.errors import ConfigurationError, EvidenceError
from rancast.fit_view import Candidate, FitView
from rancast.importance import permutation, spread
from rancast.metrics import FloatArray
from rancast.models import GOLDEN_ROWS, ModelCard
from rancast.search import (
    Rows,
    SearchResult,
    fit_rows,
    out_of_folds,
    search,
    stability_of,
)
from rancast.selection import Kept
from rancast.silhouettes import with_silhouettes
from rancast.stability import Stability

MINIMUM_TRAINING_ROWS = 20

# One fit at a time in a process: scikit-learn uses all cores itself, memory stays that of one
# fit, and limits of the process (BLAS threads, warning filters) cannot be undone half-way.
_ONE_FIT = threading.Lock()


class _Parts(NamedTuple):
    """A training table by time: all of it, and its training rows and holdout as models see them."""

    ordered: pd.DataFrame
    rows: Rows
    train: Rows
    holdout: Rows


class FittedCandidate(NamedTuple):
    """What fitting gave: the shipped model and the evidence about it.

    `model` is skops bytes; `predictions` [entity, time, y, prediction, *slice columns], with `low`
    and `high` where the use case asks for intervals, are of the holdout by the model fitted on the
    training rows alone; `golden` [*features, prediction] are of the shipped model; `trials` has one
    row per set of parameters; `importance` [feature, importance_mean, importance_std] is in units
    of the metric, largest first; `dependence` is the partial dependence on the first of them, see
    `dependence`.

    Of a clustering `prediction` is the cluster, beside it stand `silhouette` and `stability`,
    `importance` is the agreement that is lost with the clusters as they are, and `clusters` says
    what each of them is; it is None for other problems.
    """

    model: bytes
    card: ModelCard
    predictions: pd.DataFrame
    golden: pd.DataFrame
    trials: pd.DataFrame
    importance: pd.DataFrame
    dependence: pd.DataFrame
    clusters: Clusters | None = None


def fit(table: pd.DataFrame, candidate: Candidate, view: FitView) -> FittedCandidate:
    """Fit `candidate` on the training table [entity, time, *features, y, split, baseline_*].

    Equal input gives equal predictions, bit for bit, on one kind of machine and any number of
    cores. Raises EvidenceError for too few rows or a single class, ConfigurationError for an
    estimator, parameter, metric or slice that is unknown or does not fit the data, DataError for
    rows that the model cannot predict.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # BLAS splits its sums by the number of its threads, so only one thread gives equal bits;
    # OpenMP's threads do not change bits, see `estimators.ROWS_PER_THREAD`
    with _ONE_FIT, threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # stands in the trials, as has_converged
        return _fit(table, candidate, view)


def _fit(table: pd.DataFrame, candidate: Candidate, view: FitView) -> FittedCandidate:
    parts = _parts(table, view)
    train, holdout = parts.train, parts.holdout
    _check_evidence(train, holdout, view)
    found = search(candidate, train, view)
    evaluated = fit_rows(candidate, found.params, train, view, found.kept[-1])
    selected = _selected(evaluated, candidate, view)
    # what a refit keeps was selected without the holdout, too
    refit = view.refit_on_holdout
    shipped = fit_rows(candidate, found.params, parts.rows, view, selected) if refit else evaluated
    model = models.dump(shipped)
    card = _card(candidate, found, parts, view, selected, sha256(model))
    prediction = models.predict_prepared(evaluated, holdout.X, view.problem)
    importance = permutation(evaluated, holdout.X, holdout.y, view)
    predictions = _predictions(_holdout(parts.ordered), prediction, card, view)
    clusters = None
    if view.problem == "clustering":
        agreed = stability_of(candidate, found.params, train, holdout, prediction, view)
        predictions, clusters = _scored(parts.ordered, predictions, agreed)
    return FittedCandidate(
        model=model,
        card=card,
        predictions=predictions,
        golden=_golden(shipped, holdout, view),
        trials=found.trials,
        importance=importance,
        dependence=_dependence(evaluated, holdout.X, importance, view),
        clusters=clusters,
    )


def holdout_frame(
    holdout: pd.DataFrame,
    prediction: Any,
    slices: tuple[str, ...] = (),
    entity: str = "entity",
    others: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Return holdout rows as [entity, time, y, prediction, *others, *slices], by entity and time.

    `others` are columns of `holdout` to take along. A slice column is a column of the training
    table, or `entity`, the entity's own name. Raises ConfigurationError for a slice column that the
    table does not have.
    """
    frame = holdout[["entity", "time", "y", *others]].assign(prediction=prediction)
    frame = frame[["entity", "time", "y", "prediction", *others]]
    for name in slices:
        source = "entity" if name == entity else name
        if source not in holdout.columns:
            raise ConfigurationError(
                f"the slice column {name!r} is not in the training table; add it to "
                f"features.categories, or slice by one of: {', '.join(holdout.columns)}."
            )
        if name not in frame.columns:
            frame[name] = holdout[source]
    return frame.sort_values(["entity", "time"], kind="stable", ignore_index=True)


def _parts(table: pd.DataFrame, view: FitView) -> _Parts:
    ordered = table.sort_values(["time", "entity"], kind="stable", ignore_index=True)
    features = tuple(name for name in table.columns if name not in RESERVED)
    rows = _labelled_rows(ordered, features, view)
    train, holdout = (
        rows.at(np.flatnonzero(ordered["split"] == part)) for part in ("train", "holdout")
    )
    return _Parts(ordered, rows, train, holdout)


def _holdout(ordered: pd.DataFrame) -> pd.DataFrame:
    return ordered[ordered["split"] == "holdout"]


def _labelled_rows(ordered: pd.DataFrame, features: tuple[str, ...], view: FitView) -> Rows:
    categories = tuple(
        name
        for name in features
        if name in view.categories or not pd.api.types.is_numeric_dtype(ordered[name].dtype)
    )
    if view.problem == "clustering":
        # a technology has no distance to another: categories describe clusters, numbers make them
        features, categories = tuple(name for name in features if name not in categories), ()
    if not features:
        raise ConfigurationError("the training table has no features; state some in the use case.")
    y = ordered["y"].astype("int64" if view.problem == "classification" else "float64")
    X = models.inputs(ordered, features, categories)
    return Rows(X, y, ordered["time"], ordered["entity"])


def _categories(X: pd.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in X.columns if isinstance(X[name].dtype, pd.StringDtype))


def _check_evidence(train: Rows, holdout: Rows, view: FitView) -> None:
    """Raise EvidenceError where there is nothing to learn from or to be judged on."""
    if len(train.y) < MINIMUM_TRAINING_ROWS or holdout.y.empty:
        raise EvidenceError(
            f"there are {len(train.y):,} training rows ({MINIMUM_TRAINING_ROWS} needed) and "
            f"{len(holdout.y):,} holdout rows (1 needed); take a longer history or a shorter "
            "holdout."
        )
    positives = int(train.y.sum())
    if view.problem == "classification" and positives in (0, len(train.y)):
        raise EvidenceError(
            f"{positives:,} of {len(train.y):,} training rows are positive, a single class; take a "
            "longer history, or another target."
        )


def _scored(
    ordered: pd.DataFrame, predictions: pd.DataFrame, agreed: Stability
) -> tuple[pd.DataFrame, Clusters]:
    """Return a clustering's holdout rows with their scores, and what its clusters are."""
    by_row = _holdout(ordered)[["entity", "time"]].assign(stability=agreed.by_row)
    predictions = with_silhouettes(predictions, ordered).merge(by_row, validate="1:1")
    return predictions, describe(ordered, predictions, agreed.by_cluster)


def _card(
    candidate: Candidate,
    found: SearchResult,
    parts: _Parts,
    view: FitView,
    selected: Kept,
    model_sha256: str,
) -> ModelCard:
    refit = view.refit_on_holdout
    return ModelCard(
        candidate=candidate.name,
        estimator=candidate.estimator,
        params=candidate.params | found.params,
        features=tuple(parts.rows.X.columns),
        categories=_categories(parts.rows.X),
        problem=view.problem,
        threshold=_threshold(candidate, found, parts.train, view),
        alert_budget=view.alerts.per_day if view.alerts else None,
        fold_score=float(found.trials.loc[found.trials["is_chosen"], "score_mean"].iloc[0]),
        selected=selected,
        train_end=(parts.rows if refit else parts.train).time.max().isoformat(),
        refit=refit,
        model_sha256=model_sha256,
        intervals=_intervals(candidate, found, parts, view),
    )


def _selected(pipeline: Any, candidate: Candidate, view: FitView) -> Kept:
    """Return the features that a selection kept, None where there was none."""
    if selection.of(candidate, view) is None:
        return None
    return selection.kept_features(pipeline)


def _threshold(
    candidate: Candidate, found: SearchResult, train: Rows, view: FitView
) -> float | None:
    """Return the decision threshold from out-of-fold predictions, None without an alert budget."""
    if view.alerts is None:
        return None
    unseen = out_of_folds(candidate, found, train, view)
    return alerts.threshold(unseen, view.alerts.per_day, alerts.period_of(train.time))


def _intervals(
    candidate: Candidate, found: SearchResult, parts: _Parts, view: FitView
) -> ConformalIntervals | None:
    """Return the intervals from out-of-fold predictions, None where the use case wants none."""
    if view.intervals is None:
        return None
    unseen = out_of_folds(candidate, found, parts.train, view)
    group = _group(parts.ordered.loc[unseen.index], view)
    return conformal.calibrate(unseen["y"], unseen["prediction"], group, view.intervals)


def _group(rows: pd.DataFrame, view: FitView) -> "pd.Series[str] | None":
    """Return the column of the table by whose values the intervals differ."""
    by = view.intervals.by if view.intervals else None
    return None if by is None else rows["entity" if by == view.entity else by]


def _predictions(
    holdout: pd.DataFrame, prediction: FloatArray, card: ModelCard, view: FitView
) -> pd.DataFrame:
    ends = models.interval(card, prediction, _group(holdout, view))
    named = {} if ends is None else dict(zip(INTERVAL_COLUMNS, ends, strict=True))
    return holdout_frame(
        holdout.assign(**named), prediction, view.slices, view.entity, tuple(named)
    )


def _golden(shipped: Any, holdout: Rows, view: FitView) -> pd.DataFrame:
    X = holdout.X.iloc[spread(len(holdout.X), GOLDEN_ROWS)].reset_index(drop=True)
    return X.assign(prediction=models.predict_prepared(shipped, X, view.problem))


def _dependence(
    evaluated: Any, X: pd.DataFrame, importance: pd.DataFrame, view: FitView
) -> pd.DataFrame:
    # the mean of labels says nothing
    features = () if view.problem == "clustering" else dependence.top_features(importance)
    return dependence.partial(evaluated, X, features, _categories(X), view.seed)

"""Fit one candidate: choose its parameters, fit it on the training rows, and show its work.

What is evaluated was fitted on the training rows alone. Choosing parameters is in `search`,
building pipelines in `estimators`, storing and loading models in `models`.
"""

import threading
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import alerts, models
from rancast.documents import sha256
from rancast.errors import ConfigurationError, EvidenceError
from rancast.metrics import find_metric
from rancast.models import GOLDEN_ROWS, ModelCard
from rancast.search import Rows, fit_rows, out_of_fold, search
from rancast.use_cases import RESERVED, Candidate, FitView

IMPORTANCE_ROWS = 2_000
IMPORTANCE_REPEATS = 3
MINIMUM_TRAINING_ROWS = 20

# One fit at a time in a process: scikit-learn uses all cores itself, memory stays that of one
# fit, and limits of the process (BLAS threads, warning filters) cannot be undone half-way.
_ONE_FIT = threading.Lock()


class FittedCandidate(NamedTuple):
    """What fitting gave: the shipped model and the evidence about it.

    `model` is skops bytes; `predictions` [entity, time, y, prediction, *slice columns] are of the
    holdout by the model fitted on the training rows alone; `golden` [*features, prediction] are of
    the shipped model; `trials` has one row per set of parameters; `importance` [feature,
    importance_mean, importance_std] is in units of the metric, largest first.
    """

    model: bytes
    card: ModelCard
    predictions: pd.DataFrame
    golden: pd.DataFrame
    trials: pd.DataFrame
    importance: pd.DataFrame


def fit(table: pd.DataFrame, candidate: Candidate, view: FitView) -> FittedCandidate:
    """Fit `candidate` on the training table [entity, time, *features, y, split, baseline_*].

    Equal input gives equal predictions, bit for bit, on one kind of machine and any number of
    cores. Raises EvidenceError for too few rows or a single class, ConfigurationError for an
    estimator, parameter, metric or slice that is unknown or does not fit the data.
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
    ordered = table.sort_values(["time", "entity"], kind="stable", ignore_index=True)
    features = tuple(name for name in table.columns if name not in RESERVED)
    rows = _labelled_rows(ordered, features, view)
    is_train, is_holdout = ordered["split"] == "train", ordered["split"] == "holdout"
    train = rows.at(np.flatnonzero(is_train))
    holdout = rows.at(np.flatnonzero(is_holdout))
    _check_evidence(train, holdout, view)
    found = search(candidate, train, view)
    evaluated = fit_rows(candidate, found.params, train, view)
    shipped = fit_rows(candidate, found.params, rows, view) if view.refit_on_holdout else evaluated
    model = models.dump(shipped)
    fitted_on = rows if view.refit_on_holdout else train
    card = ModelCard(
        candidate=candidate.name,
        estimator=candidate.estimator,
        params=candidate.params | found.params,
        features=features,
        categories=_categories(rows.X),
        problem=view.problem,
        threshold=_threshold(candidate, found.params, train, view),
        fold_score=float(found.trials.loc[found.trials["is_chosen"], "score_mean"].iloc[0]),
        train_end=fitted_on.time.max().isoformat(),
        refit=view.refit_on_holdout,
        model_sha256=sha256(model),
    )
    prediction = models.predict_prepared(evaluated, holdout.X, view.problem)
    return FittedCandidate(
        model=model,
        card=card,
        predictions=holdout_frame(ordered[is_holdout], prediction, view.slices, view.entity),
        golden=_golden(shipped, holdout, view),
        trials=found.trials,
        importance=_importance(evaluated, holdout, view),
    )


def holdout_frame(
    holdout: pd.DataFrame, prediction: Any, slices: tuple[str, ...] = (), entity: str = "entity"
) -> pd.DataFrame:
    """Return holdout rows as [entity, time, y, prediction, *slices], sorted by entity and time.

    A slice column is a column of the training table, or `entity`, the entity's own name.
    Raises ConfigurationError for a slice column that the table does not have.
    """
    frame = holdout[["entity", "time", "y"]].assign(prediction=prediction)
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


def _labelled_rows(ordered: pd.DataFrame, features: tuple[str, ...], view: FitView) -> Rows:
    if not features:
        raise ConfigurationError("the training table has no features; state some in the use case.")
    categories = tuple(
        name
        for name in features
        if name in view.categories or not pd.api.types.is_numeric_dtype(ordered[name].dtype)
    )
    y = ordered["y"].astype("int64" if view.problem == "classification" else "float64")
    return Rows(models.inputs(ordered, features, categories), y, ordered["time"])


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


def _threshold(
    candidate: Candidate, params: dict[str, Any], train: Rows, view: FitView
) -> float | None:
    """Return the decision threshold from out-of-fold predictions, None without an alert budget."""
    if view.alerts is None:
        return None
    return alerts.threshold(out_of_fold(candidate, params, train, view), view.alerts.per_day)


def _spread(number: int, wanted: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return at most `wanted` positions, evenly spread over `number`, the ends included."""
    return np.unique(np.linspace(0, number - 1, min(number, wanted)).round().astype(np.int64))


def _golden(shipped: Any, holdout: Rows, view: FitView) -> pd.DataFrame:
    X = holdout.X.iloc[_spread(len(holdout.X), GOLDEN_ROWS)].reset_index(drop=True)
    return X.assign(prediction=models.predict_prepared(shipped, X, view.problem))


def _importance(evaluated: Any, holdout: Rows, view: FitView) -> pd.DataFrame:
    """Return how much the metric worsens when a feature is shuffled (Breiman 2001).

    Computed on a sample spread evenly over holdout rows in order of y, so that it holds all
    classes in proportion. Where the metric is undefined on the holdout, importances are missing.
    """
    from sklearn.inspection import permutation_importance

    order = np.argsort(holdout.y.to_numpy(), kind="stable")
    sample = holdout.at(np.sort(order[_spread(len(order), IMPORTANCE_ROWS)]))
    metric = find_metric(view.metric, view.problem)
    sign = 1 if metric.greater_is_better else -1

    def score(model: Any, X: pd.DataFrame, y: pd.Series) -> float:
        prediction = models.predict_prepared(model, X, view.problem)
        return sign * metric(y.to_numpy(dtype=np.float64), prediction)

    means = deviations = np.full(holdout.X.shape[1], np.nan)
    if _is_defined(sample, view):
        result = permutation_importance(
            evaluated,
            sample.X,
            sample.y,
            scoring=score,
            n_repeats=IMPORTANCE_REPEATS,
            random_state=view.seed,
        )
        means, deviations = result.importances_mean, result.importances_std
    frame = pd.DataFrame(
        {"feature": holdout.X.columns, "importance_mean": means, "importance_std": deviations}
    )
    return frame.sort_values(
        ["importance_mean", "feature"], ascending=[False, True], ignore_index=True
    )


def _is_defined(sample: Rows, view: FitView) -> bool:
    """Tell whether every metric has a value on these rows."""
    return sample.y.nunique() > 1 or (view.problem == "regression" and view.metric != "r2")

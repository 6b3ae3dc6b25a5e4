"""What a model's predictions rest on: how much worse the metric gets when a feature is shuffled."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rancast.fit_view import FitView
from rancast.metrics import find_metric
from rancast.models import predict_prepared

IMPORTANCE_ROWS = 2_000
IMPORTANCE_REPEATS = 3


def permutation(model: Any, X: pd.DataFrame, y: pd.Series, view: FitView) -> pd.DataFrame:
    """Return [feature, importance_mean, importance_std], largest first (Breiman 2001).

    Units are those of the metric; above zero the model needs the feature. Computed on a sample
    spread evenly over the rows in order of y, so that it holds all classes in proportion. Where the
    metric is undefined on the rows, importances are missing. Of a clustering they are what is lost
    of the adjusted Rand index with the clusters of the rows as they are.
    """
    from sklearn.inspection import permutation_importance

    if view.problem == "clustering":
        y = pd.Series(predict_prepared(model, X, view.problem), index=X.index)
    order = np.argsort(y.to_numpy(), kind="stable")
    sample = np.sort(order[spread(len(order), IMPORTANCE_ROWS)])
    score = _scorer(view)
    means = deviations = np.full(X.shape[1], np.nan)
    if _is_defined(y.iloc[sample], view):
        result = permutation_importance(
            model,
            X.iloc[sample],
            y.iloc[sample],
            scoring=score,
            n_repeats=IMPORTANCE_REPEATS,
            random_state=view.seed,
        )
        means, deviations = result.importances_mean, result.importances_std
    frame = pd.DataFrame(
        {"feature": X.columns, "importance_mean": means, "importance_std": deviations}
    )
    return frame.sort_values(
        ["importance_mean", "feature"], ascending=[False, True], ignore_index=True
    )


def _scorer(view: FitView) -> Callable[[Any, pd.DataFrame, pd.Series], float]:
    from sklearn.metrics import adjusted_rand_score

    metric = find_metric(view.metric, view.problem)
    sign = 1 if metric.greater_is_better else -1

    def score(model: Any, X: pd.DataFrame, y: pd.Series) -> float:
        prediction = predict_prepared(model, X, view.problem)
        if view.problem == "clustering":
            return float(adjusted_rand_score(y, prediction))
        return sign * metric(y.to_numpy(dtype=np.float64), prediction)

    return score


def spread(number: int, wanted: int) -> npt.NDArray[np.int64]:
    """Return at most `wanted` positions, evenly spread over `number`, the ends included."""
    return np.unique(np.linspace(0, number - 1, min(number, wanted)).round().astype(np.int64))


def _is_defined(y: pd.Series, view: FitView) -> bool:
    """Tell whether every metric has a value on these labels."""
    return y.nunique() > 1 or (
        view.problem != "classification" and view.metric != "r2" and len(y) > 0
    )

"""From a candidate's YAML to an unfitted scikit-learn pipeline, and what is wrong with the YAML.

The pipeline is made of scikit-learn's own classes only, so that it loads without this project.
Which hyperparameters are tried is in `search`, what is fitted on what in `candidates`.
"""

import difflib
import importlib
from typing import Any

import pandas as pd

from rancast.errors import ConfigurationError
from rancast.fit_view import Candidate
from rancast.problems import Problem

MAXIMUM_CATEGORIES = 64

# OpenMP's threads wait for each other after each tree node. On a busy two-core machine histogram
# boosting of 15,000 rows took 4.5 s with two threads, 0.4 s with one; 80,000 rows 1 s with either.
ROWS_PER_THREAD = 50_000

# searched first, since listing every estimator imports all of scikit-learn, which takes seconds
_USUAL_MODULES: dict[Problem, tuple[str, ...]] = {
    "classification": ("linear_model", "ensemble", "dummy", "tree"),
    "regression": ("linear_model", "ensemble", "dummy", "tree"),
    "clustering": ("cluster", "mixture"),
}

# scikit-learn's default stops early by a random validation split, in which neighbouring minutes of
# a cell fall on both sides, and it switches on with the number of rows
_DEFAULTS: dict[str, dict[str, Any]] = {
    "HistGradientBoostingClassifier": {"early_stopping": False},
    "HistGradientBoostingRegressor": {"early_stopping": False},
}


def build_pipeline(
    candidate: Candidate, params: dict[str, Any], X: pd.DataFrame, problem: Problem, seed: int
) -> Any:
    """Return the unfitted pipeline of `candidate` with `params` over its own, for columns of X.

    Numeric columns pass, or are imputed by the median and scaled where the candidate says so;
    text columns are one-hot encoded, where values unknown at the fit count as infrequent ones.
    Raises ConfigurationError for an unknown estimator or parameter, with the known ones.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    text = [name for name in X.columns if isinstance(X[name].dtype, pd.StringDtype)]
    numeric = [name for name in X.columns if name not in text]
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MAXIMUM_CATEGORIES, sparse_output=False
    )
    # boosting refuses a column without any value, such as a window over days not delivered; as
    # zeros it tells nothing, and X keeps its width
    unknown = [] if candidate.impute else [name for name in numeric if X[name].isna().all()]
    known = [name for name in numeric if name not in unknown]
    zeros = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    columns = [
        ("numeric", _numeric_steps(candidate), known),
        ("unknown", zeros, unknown),
        ("category", encoder, text),
    ]
    return Pipeline(
        [
            ("columns", ColumnTransformer([item for item in columns if item[2]])),
            ("estimator", make_estimator(candidate, params, problem, seed)),
        ]
    )


def _numeric_steps(candidate: Candidate) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps: list[tuple[str, Any]] = []
    if candidate.impute:
        # a column without any value stays, as zeros: X keeps its width in every fold
        steps.append(("impute", SimpleImputer(strategy="median", keep_empty_features=True)))
    if candidate.scale:
        steps.append(("scale", StandardScaler()))
    return Pipeline(steps) if steps else "passthrough"


def make_estimator(
    candidate: Candidate, params: dict[str, Any], problem: Problem, seed: int
) -> Any:
    """Return the candidate's unfitted estimator, seeded where it draws random numbers.

    Raises ConfigurationError for an unknown estimator or parameter, and for a classifier that
    gives no probabilities.
    """
    found = estimator_class(candidate, problem)
    known = sorted(found._get_param_names())
    settings = _DEFAULTS.get(candidate.estimator, {}) | candidate.params | params
    for name in sorted({*settings, *candidate.search}):
        if name not in known:
            raise ConfigurationError(
                f"candidate {candidate.name!r}: {candidate.estimator} has no parameter {name!r}; "
                f"known: {', '.join(known)}."
            )
    if "random_state" in known:
        settings = {"random_state": seed} | settings
    try:
        estimator = found(**settings)
    except TypeError as error:
        raise ConfigurationError(f"candidate {candidate.name!r} cannot be made: {error}") from error
    if problem == "classification" and not hasattr(estimator, "predict_proba"):
        raise ConfigurationError(
            f"candidate {candidate.name!r}: {candidate.estimator} with these parameters has no "
            "predict_proba; choose an estimator (or a loss, such as log_loss) that gives "
            "probabilities."
        )
    return estimator


def estimator_class(candidate: Candidate, problem: Problem) -> Any:
    """Return scikit-learn's class by name; raises ConfigurationError with the nearest names."""
    for module in _USUAL_MODULES[problem]:
        found = getattr(importlib.import_module(f"sklearn.{module}"), candidate.estimator, None)
        if isinstance(found, type) and _is_for(found, problem):
            return found
    known = known_estimators(problem)
    if candidate.estimator in known:
        return known[candidate.estimator]
    close = difflib.get_close_matches(candidate.estimator, known, n=3)
    hint = f"nearest: {', '.join(close)}" if close else f"known: {', '.join(known)}"
    raise ConfigurationError(
        f"candidate {candidate.name!r}: scikit-learn has no {problem} estimator "
        f"{candidate.estimator!r}; {hint}."
    )


def _is_for(found: type, problem: Problem) -> bool:
    """Tell whether a class solves a problem; one that cannot assign new rows makes no clusters."""
    from sklearn.base import ClassifierMixin, ClusterMixin, RegressorMixin

    if problem == "clustering":
        is_mixture = found.__module__.startswith("sklearn.mixture.")
        return (is_mixture or issubclass(found, ClusterMixin)) and hasattr(found, "predict")
    return issubclass(found, ClassifierMixin if problem == "classification" else RegressorMixin)


def known_estimators(problem: Problem) -> dict[str, Any]:
    """Return all of scikit-learn's estimators for a problem by name."""
    from sklearn.utils.discovery import all_estimators

    return {name: found for name, found in all_estimators() if _is_for(found, problem)}


def refuse_missing_values(candidate: Candidate, pipeline: Any, X: pd.DataFrame) -> None:
    """Raise ConfigurationError where X has missing values that the pipeline would stumble over."""
    from sklearn.utils import get_tags

    selects = "select" in pipeline.named_steps
    if candidate.impute or (get_tags(pipeline[-1]).input_tags.allow_nan and not selects):
        return
    missing = X.select_dtypes("number").isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        taker = "features.select" if selects else candidate.estimator
        instead = ", or 'select: false'" if selects else ""
        raise ConfigurationError(
            f"candidate {candidate.name!r}: {taker} takes no missing values, but "
            f"{missing.index[0]!r} has {int(missing.iloc[0]):,} of {len(X):,} and {len(missing)} "
            f"columns have some; set 'impute: true'{instead}."
        )


def fit_pipeline(candidate: Candidate, pipeline: Any, X: pd.DataFrame, y: pd.Series) -> Any:
    """Fit a pipeline and return it; raises ConfigurationError for values scikit-learn refuses.

    Forests fit on all cores: each tree has its own seed. They predict on one, since their threads
    would add up the trees in the order in which they end, and so would differ in the last bits.
    """
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    refuse_missing_values(candidate, pipeline, X)
    estimator = pipeline[-1]
    is_parallel = "n_jobs" in estimator.get_params() and "ensemble" in type(estimator).__module__
    if is_parallel and "n_jobs" not in candidate.params:
        estimator.set_params(n_jobs=-1)
    # threads of k-means add their parts of a centre up in the order in which they end
    most = 1 if "cluster" in type(estimator).__module__ else cpu_count()
    threads = max(1, min(most, len(X) // ROWS_PER_THREAD))
    try:
        with threadpool_limits(threads, "openmp"):
            pipeline.fit(X, y)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"candidate {candidate.name!r}: {candidate.estimator} could not be fitted on "
            f"{len(X):,} rows: {' '.join(str(error).split())[:500]}"
        ) from error
    if "n_jobs" in estimator.get_params():
        pipeline[-1].set_params(n_jobs=None)
    return pipeline


def has_converged(pipeline: Any) -> bool | None:
    """Tell whether an iterative fit ended before its limit; None where there is no such limit."""
    estimator = pipeline[-1]
    is_iterative = any(
        f".{name}." in type(estimator).__module__ for name in ("linear_model", "neural_network")
    )
    done, limit = getattr(estimator, "n_iter_", None), getattr(estimator, "max_iter", None)
    if not is_iterative or done is None or limit is None:
        return None
    return bool(max(done) < limit if hasattr(done, "__len__") else done < limit)

"""A fitted model at rest and back: skops bytes, a reviewed list of types, golden rows, a card.

The model is scikit-learn alone and loads without this project; what else is needed to use it is
in its card. Fitting is in `candidates`. Never pickle: a model file must not be able to run code.

Run `python -m rancast.models MODEL GOLDEN CARD` to check the three files in a clean process: it
prints OK and ends with 0, or one sentence on stderr and ends with 1.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rancast.conformal import ConformalIntervals, bounds
from rancast.documents import Document, sha256
from rancast.errors import DataError, ModelRefused, RancastError
from rancast.frames import from_parquet
from rancast.metrics import FloatArray
from rancast.problems import Problem

GOLDEN_ROWS = 50
GOLDEN_TOLERANCE = 1e-9

# What skops does not trust by itself and we do, each read in the versions that we lock. skops
# trusts scikit-learn's estimators, NumPy's and SciPy's ufuncs and Python's containers already.
TRUSTED_TYPES = frozenset(
    {
        # array metadata: holds no code, and object arrays are stored element by element
        "numpy.dtype",
        # fitted trees, of forests, gradient boosting, bagging and AdaBoost: arrays of nodes
        "sklearn.tree._tree.Tree",
        # fitted trees of histogram gradient boosting: arrays of nodes
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        # the F-test behind features.select: a function of X and y, called at a fit only
        "sklearn.feature_selection._univariate_selection.f_regression",
        # loss functions of the generalised linear models: formulas with one number as state
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        # optimiser state of multi-layer perceptrons: arrays and numbers
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        # search structures of nearest neighbours: arrays of points and bounds
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._ball_tree.BallTree",
    }
)

# what skops raises for files that are not its own, or were cut or edited
_UNREADABLE = (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, ImportError)


class ModelCard(Document):
    """What is needed to use a model apart from its bytes.

    `features` are the input columns in order, `categories` those of them that hold text. `params`
    are the estimator's as stated and as chosen by the search. `train_end` is the ISO time of the
    last row that the shipped model was fitted on; `refit` tells whether that includes the holdout.
    A classification alerts where its prediction is at least `threshold`, the lowest that kept to
    `alert_budget` alerts a day on the folds. `fold_score` is the mean of the metric over the folds
    with the chosen parameters. `selected` are the features that a selection kept, None where there
    was none. `intervals` are the quantiles that make prediction intervals of a regression, see
    `interval`.
    """

    candidate: str
    estimator: str
    params: dict[str, Any]
    features: tuple[str, ...]
    categories: tuple[str, ...]
    problem: Problem
    threshold: float | None
    alert_budget: float | None = None
    fold_score: float | None = None
    selected: tuple[str, ...] | None = None
    train_end: str
    refit: bool
    model_sha256: str
    intervals: ConformalIntervals | None = None


def dump(estimator: Any) -> bytes:
    """Serialise a fitted pipeline as skops; two dumps of one model differ in bytes.

    Raises ModelRefused for a pipeline that `load` would refuse, before anything is published.
    """
    from skops import io

    data: bytes = io.dumps(estimator)
    _refuse_unknown_types(data)
    return data


def load(data: bytes, sha256_recorded: str) -> Any:
    """Load a pipeline whose bytes have the recorded SHA-256 and hold only types that we reviewed.

    Raises ModelRefused for other bytes, types off `TRUSTED_TYPES` (named), and files that are not
    skops; nothing is constructed before the bytes and all types have been checked.
    """
    from sklearn.pipeline import Pipeline
    from skops import io

    found = sha256(data)
    if found != sha256_recorded:
        raise ModelRefused(
            f"the model's bytes have SHA-256 {found[:12]}…, recorded was {sha256_recorded[:12]}…; "
            "they were changed or damaged: restore the object, or train again."
        )
    _refuse_unknown_types(data)
    try:
        model = io.loads(data, trusted=sorted(TRUSTED_TYPES))
    except _UNREADABLE as error:
        raise ModelRefused(f"the model file cannot be loaded as skops: {error}") from error
    if not isinstance(model, Pipeline):
        raise ModelRefused(f"the model file holds a {type(model).__name__}, not a Pipeline.")
    return model


def _refuse_unknown_types(data: bytes) -> None:
    from skops import io

    try:
        unknown = sorted(set(io.get_untrusted_types(data=data)) - TRUSTED_TYPES)
    except _UNREADABLE as error:
        raise ModelRefused(
            f"the model file is not readable as skops ({type(error).__name__}: {error}); "
            "models are loaded from skops only."
        ) from error
    if unknown:
        raise ModelRefused(
            f"the model holds types that nobody reviewed: {', '.join(unknown)}; use another "
            "estimator, or review them and add them to rancast.models.TRUSTED_TYPES."
        )


def inputs(X: pd.DataFrame, features: tuple[str, ...], categories: tuple[str, ...]) -> pd.DataFrame:
    """Return the columns `features` of X in order: text for `categories`, float64 for the others.

    Raises DataError for missing columns, other types and infinite values, with their names.
    """
    absent = [name for name in features if name not in X.columns]
    if absent:
        raise DataError(
            f"the model needs the columns {', '.join(absent)}, which the features lack; build the "
            "features with the configuration that the model was trained with."
        )
    types = {name: "str" if name in categories else "float64" for name in features}
    try:
        prepared = X[list(features)].astype(types)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"the features no longer have the types that the model was trained with ({error}); "
            "build them with the configuration that it was trained with."
        ) from None
    numbers = prepared[[name for name in features if name not in categories]]
    infinite = numbers.columns[np.isinf(numbers.to_numpy()).any(axis=0)]
    if len(infinite):
        raise DataError(
            f"the features {', '.join(infinite)} hold infinite values; let an expectation bound "
            "the columns that they are made from."
        )
    return prepared


def predict(estimator: Any, X: pd.DataFrame, card: ModelCard) -> FloatArray:
    """Return predictions (rows,): the probability of a positive, the value, or the cluster.

    Further columns of X are ignored. Raises DataError where X does not fit the card, or holds
    values that the model does not take.
    """
    return predict_prepared(estimator, inputs(X, card.features, card.categories), card.problem)


def predict_prepared(estimator: Any, X: pd.DataFrame, problem: Problem) -> FloatArray:
    """Predict as `predict` does, from the columns that `inputs` has prepared.

    Raises DataError for values that the model does not take, such as missing ones.
    """
    if X.empty:
        return np.empty(0)
    is_classification = problem == "classification"
    try:
        found = estimator.predict_proba(X) if is_classification else estimator.predict(X)
    except ValueError as error:
        raise DataError(_why_not_predicted(estimator, X, error)) from error
    if is_classification:
        found = found[:, list(estimator.classes_).index(1)]
    return np.asarray(found, dtype=np.float64)


def _why_not_predicted(estimator: Any, X: pd.DataFrame, error: ValueError) -> str:
    model = f"the model ({type(estimator[-1]).__name__})"
    missing = X.select_dtypes("number").isna().sum()
    missing = missing[missing > 0]
    if missing.empty or "NaN" not in str(error):
        reason = " ".join(str(error).split())[:500]
        return f"{model} could not predict {len(X):,} rows: {reason}"
    return (
        f"{model} predicts no rows with missing values, but {missing.index[0]!r} has "
        f"{int(missing.iloc[0]):,} of {len(X):,} and {len(missing)} columns have some; set "
        "'impute: true' for its candidate and train again."
    )


def interval(
    card: ModelCard, prediction: FloatArray, group: "pd.Series[str] | None"
) -> tuple[FloatArray, FloatArray] | None:
    """Return each prediction's interval (low, high), both (rows,); None for a card without any.

    `group` holds each row's value of the column `card.intervals.by`, which is a column of X or the
    entity's; a value unknown to the card, or no group at all, takes the intervals of all rows.
    """
    return None if card.intervals is None else bounds(card.intervals, prediction, group)


def check_golden(estimator: Any, golden: pd.DataFrame, card: ModelCard) -> None:
    """Check that the model reproduces `golden` [*features, prediction] as at its training.

    Raises ModelRefused that names the worst row and its difference; the tolerance is relative.
    """
    if golden.empty:
        raise ModelRefused(f"the model of candidate {card.candidate!r} has no golden rows.")
    expected = golden["prediction"].to_numpy(dtype=np.float64)
    found = predict(estimator, golden, card)
    scale = np.maximum(np.abs(expected), 1e-3)
    with np.errstate(invalid="ignore"):  # an infinite golden value differs, by the next line
        difference = np.abs(found - expected) / scale
    difference = np.where(np.isfinite(difference), difference, np.inf)
    worst = int(difference.argmax())
    if difference[worst] > GOLDEN_TOLERANCE:
        raise ModelRefused(
            f"the model of candidate {card.candidate!r} gives {found[worst]!r} on golden row "
            f"{worst}, at its training it was {expected[worst]!r} (relative difference "
            f"{difference[worst]:.2g}); check the versions of scikit-learn and NumPy."
        )


def verify(model: bytes, golden: pd.DataFrame, card: ModelCard) -> Any:
    """Load a model by its card and check its golden rows; raises ModelRefused."""
    estimator = load(model, card.model_sha256)
    check_golden(estimator, golden, card)
    return estimator


def main(arguments: list[str]) -> int:
    """Verify the files MODEL GOLDEN CARD; return the exit code."""
    if len(arguments) != 3:
        print("usage: python -m rancast.models MODEL GOLDEN CARD", file=sys.stderr)
        return 2
    model, golden, card = (Path(name) for name in arguments)
    try:
        verify(
            model.read_bytes(),
            from_parquet(golden.read_bytes(), str(golden)),
            ModelCard.model_validate(json.loads(card.read_bytes())),
        )
    except (RancastError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print("OK")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

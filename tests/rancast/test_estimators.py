"""Estimators by name: what a use case may name, and what it is told when that does not work."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from rancast.errors import ConfigurationError
from rancast.estimators import (
    build_pipeline,
    estimator_class,
    fit_pipeline,
    has_converged,
    make_estimator,
)
from rancast.fit_view import Candidate

X = pd.DataFrame(
    {
        "latency_ms": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0],
        "technology": pd.Series(["4G", "5G", None, "4G", "5G", "4G"], dtype="str"),
    }
)
Y = pd.Series([0, 0, 0, 1, 1, 1])


def candidate(estimator: str, **more: Any) -> Candidate:
    """Return a candidate called 'some'."""
    return Candidate(name="some", estimator=estimator, **more)


def fitted(chosen: Candidate) -> Any:
    """Fit a candidate on the six rows."""
    return fit_pipeline(chosen, build_pipeline(chosen, {}, X, "classification", 1), X, Y)


def test_class_is_found_by_name() -> None:
    """A usual name and one from a seldom used module give scikit-learn's classes."""
    assert estimator_class(candidate("LogisticRegression"), "classification") is LogisticRegression
    assert estimator_class(candidate("GaussianNB"), "classification").__name__ == "GaussianNB"


@pytest.mark.parametrize("name", ["RandomForest", "RandomForestRegressor", "os", "Pipeline"])
def test_unknown_estimator_names_the_nearest(name: str) -> None:
    """A typo, a regressor for a classification and no estimator at all are refused alike."""
    with pytest.raises(ConfigurationError, match="scikit-learn has no classification estimator"):
        estimator_class(candidate(name), "classification")
    with pytest.raises(ConfigurationError, match="nearest: .*RandomForestClassifier"):
        estimator_class(candidate("RandomForrest"), "classification")


def test_unknown_parameter_lists_the_known() -> None:
    """A typo in params or in search is refused with the estimator's parameters."""
    for chosen in (
        candidate("LogisticRegression", params={"c": 1}),
        candidate("LogisticRegression", search={"c": [1]}),
    ):
        with pytest.raises(ConfigurationError, match="no parameter 'c'; known: C, class_weight"):
            make_estimator(chosen, {}, "classification", 1)


def test_classifier_without_probabilities_is_refused() -> None:
    """A hinge loss cannot be thresholded by an alert budget, so it says what would do."""
    with pytest.raises(ConfigurationError, match="no predict_proba; choose"):
        make_estimator(candidate("SGDClassifier"), {}, "classification", 1)
    log_loss = candidate("SGDClassifier", params={"loss": "log_loss"})
    assert make_estimator(log_loss, {}, "classification", 1).random_state == 1


def test_a_column_without_any_value_tells_nothing() -> None:
    """Boosting, which takes missing values, is fitted beside it, and predicts when values come."""
    chosen = candidate("HistGradientBoostingClassifier", params={"min_samples_leaf": 1})
    nothing = X.assign(load_sum_1d=np.nan)
    pipeline = build_pipeline(chosen, {}, nothing, "classification", 1)
    model = fit_pipeline(chosen, pipeline, nothing, Y)
    expected = fitted(chosen).predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X.assign(load_sum_1d=9.0)), expected)


def test_refused_values_are_explained() -> None:
    """A value that scikit-learn refuses becomes an error of the use case."""
    with pytest.raises(ConfigurationError, match="'some': LogisticRegression could not be.*'C'"):
        fitted(candidate("LogisticRegression", params={"C": "many"}, impute=True))


def test_meta_estimators_are_explained() -> None:
    """An estimator that needs another estimator cannot be written in YAML."""
    with pytest.raises(ConfigurationError, match="'some' cannot be made: .*estimator"):
        make_estimator(candidate("StackingClassifier"), {}, "classification", 1)


def test_missing_values_need_imputation() -> None:
    """A linear model on missing values names a column, counts, and the switch."""
    with pytest.raises(ConfigurationError, match="'latency_ms' has 1 of 6.*'impute: true'"):
        fitted(candidate("LogisticRegression"))
    fitted(candidate("HistGradientBoostingClassifier"))


def test_numbers_are_imputed_then_scaled() -> None:
    """The median fills the gap, and the result has mean 0 and standard deviation 1."""
    pipeline = fitted(candidate("LogisticRegression", impute=True, scale=True))
    numbers = pipeline[0].transform(X)[:, 0]
    assert numbers[2] == pytest.approx(numbers[3])  # the median of 1, 2, 4, 5, 6 is 4
    assert (numbers.mean(), numbers.std()) == pytest.approx((0, 1))


def test_pipeline_is_scikit_learn_alone() -> None:
    """No class of this project is part of a model, so that it loads without it."""
    pipeline = fitted(candidate("RandomForestClassifier", params={"n_estimators": 2}))
    parts = [pipeline, *pipeline, *(part for _, part, _ in pipeline[0].transformers_)]
    modules = {type(part).__module__.split(".")[0] for part in parts if not isinstance(part, str)}
    assert modules == {"sklearn"}


def test_cores_do_not_stay_in_the_model() -> None:
    """Whatever cores a forest was fitted with, it predicts on one, in one order of sums."""
    pipeline = fitted(candidate("RandomForestClassifier", params={"n_estimators": 2, "n_jobs": 2}))
    assert isinstance(pipeline[-1], RandomForestClassifier) and pipeline[-1].n_jobs is None


def test_boosting_does_not_stop_by_random_rows() -> None:
    """Early stopping draws a random validation set, so only a use case may switch it on."""
    name = "HistGradientBoostingClassifier"
    assert make_estimator(candidate(name), {}, "classification", 1).early_stopping is False
    stopping = candidate(name, params={"early_stopping": True})
    assert make_estimator(stopping, {}, "classification", 1).early_stopping is True


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_convergence_is_told() -> None:
    """One iteration does not converge, a hundred do, and a forest knows no such thing."""
    few = candidate("LogisticRegression", params={"max_iter": 1}, impute=True)
    assert has_converged(fitted(few)) is False
    assert has_converged(fitted(candidate("LogisticRegression", impute=True, scale=True))) is True
    assert has_converged(fitted(candidate("DecisionTreeClassifier"))) is None

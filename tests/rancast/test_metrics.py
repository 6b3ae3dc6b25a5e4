"""Metrics: scikit-learn's values, and the same from the bootstrap's sums and rankings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rancast.bootstrap import _repeat
from rancast.errors import ConfigurationError, EvidenceError
from rancast.metrics import METRICS, FloatArray, find_metric, greater_is_better, known_metrics

CLASSIFICATION = ["average_precision", "roc_auc", "brier", "log_loss", "precision", "recall"]


def weighted(name: str, y: FloatArray, p: FloatArray, codes: FloatArray, draw: FloatArray) -> None:
    """Assert that one resample by cluster counts equals scikit-learn with those weights."""
    metric = find_metric(name, threshold=0.5, days=2)
    weight = draw[codes]
    kept = weight > 0
    if not kept.any() or (metric.problem == "classification" and len(set(y[kept])) < 2):
        return
    if name == "r2" and np.ptp(y[kept]) < 1e-3:
        return
    expected = metric(y[kept], p[kept], weight[kept])
    repeated = _repeat(metric, y, p, codes, draw[np.newaxis])[0]
    assert repeated == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(4, 40))
def test_resampled_classification_metrics_equal_sklearns(data: st.DataObject, rows: int) -> None:
    """Cluster sums and merged ranks give what scikit-learn gives with the clusters as weights."""
    y = data.draw(hnp.arrays(np.float64, rows, elements=st.sampled_from([0.0, 1.0])))
    p = data.draw(hnp.arrays(np.float64, rows, elements=st.sampled_from(np.linspace(0, 1, 9))))
    codes = data.draw(hnp.arrays(np.int64, rows, elements=st.integers(0, 3)))
    draw = data.draw(hnp.arrays(np.float64, 4, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])))
    for name in CLASSIFICATION:
        if 0 < y.sum() < rows:
            weighted(name, y, p, codes, draw)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(4, 40))
def test_resampled_regression_metrics_equal_sklearns(data: st.DataObject, rows: int) -> None:
    """Cluster sums give what scikit-learn gives with the clusters as weights, far from zero too."""
    value = st.floats(-100, 100).map(lambda x: round(x, 3))
    y = data.draw(hnp.arrays(np.float64, rows, elements=value)) + 1000
    p = data.draw(hnp.arrays(np.float64, rows, elements=value)) + 1000
    codes = data.draw(hnp.arrays(np.int64, rows, elements=st.integers(0, 3)))
    draw = data.draw(hnp.arrays(np.float64, 4, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])))
    for name in ("mae", "rmse", "r2"):
        weighted(name, y, p, codes, draw)


def test_r2_far_from_zero_keeps_its_digits() -> None:
    """Bytes of a busy cluster vary little around 1e9; sums of their squares would hide that."""
    random = np.random.default_rng(1)
    y = 1e9 + random.normal(size=40)
    codes = np.repeat([0, 1, 2, 3], 10)
    weighted("r2", y, y + random.normal(0, 0.1, 40), codes, np.array([1.0, 0, 2, 1]))


def test_every_metric_has_a_form_for_the_bootstrap() -> None:
    """A metric without sums or ranks could be named in a gate but never get an interval."""
    for metric in METRICS.values():
        has_sums = metric.terms is not None and metric.finish is not None
        assert has_sums != (metric.finish_ranked is not None), metric.name


def test_alerts_per_day_divides_by_the_days() -> None:
    """Three alerts on two days are one and a half a day; the threshold itself is an alert."""
    metric = find_metric("alerts_per_day", "classification", threshold=0.5, days=2)
    assert metric(np.array([0.0, 1, 0, 1]), np.array([0.5, 0.9, 0.4, 0.6])) == 1.5


def test_no_alert_at_all_has_precision_zero() -> None:
    """A threshold that nothing reaches gets the worst precision instead of an undefined one."""
    metric = find_metric("precision", "classification", threshold=0.99)
    assert metric(np.array([0.0, 1.0]), np.array([0.1, 0.2])) == 0.0


def test_unknown_metric_lists_the_known_ones() -> None:
    """A typo is answered with the nearest name and with all names."""
    with pytest.raises(ConfigurationError, match="did you mean roc_auc.*average_precision, brier"):
        find_metric("roc_acu", "classification")


def test_metric_of_the_other_problem_is_refused() -> None:
    """MAE of a classifier is a mistake in the use case."""
    with pytest.raises(ConfigurationError, match="'mae' is for regression.*classification"):
        find_metric("mae", "classification")


def test_threshold_metric_needs_a_threshold() -> None:
    """Precision without a threshold says where one comes from, and what to take instead."""
    with pytest.raises(ConfigurationError, match="where alerts.per_day is stated, but cannot"):
        find_metric("precision", "classification")


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "brier", "log_loss", "recall"])
def test_single_class_is_too_little_evidence(name: str) -> None:
    """A holdout without a positive row supports no classification metric."""
    with pytest.raises(EvidenceError, match="needs both classes, but 0 of 3 rows"):
        find_metric(name, threshold=0.5)(np.zeros(3), np.array([0.1, 0.2, 0.3]))


def test_missing_prediction_is_no_evidence() -> None:
    """One NaN among the predictions voids the metric instead of being skipped."""
    with pytest.raises(EvidenceError, match="1 of 2 predictions are not finite"):
        find_metric("mae")(np.array([1.0, 2.0]), np.array([1.0, np.nan]))


def test_no_rows_and_constant_values_are_no_evidence() -> None:
    """An empty frame has no metric, and constant values have no R²."""
    with pytest.raises(EvidenceError, match="no rows"):
        find_metric("mae")(np.array([]), np.array([]))
    with pytest.raises(EvidenceError, match="all 2 rows have the same"):
        find_metric("r2")(np.ones(2), np.array([1.0, 2.0]))


def test_directions_follow_the_contract() -> None:
    """Scores and shares grow with quality, silhouettes and stability, too; the rest shrink."""
    better = {name for name in known_metrics() if greater_is_better(name)}
    scores = {"average_precision", "roc_auc", "r2", "precision", "recall"}
    assert better == scores | {"silhouette", "stability", "coverage"}

"""The cluster bootstrap: whole clusters, paired models, honest about too little."""

import numpy as np
import pandas as pd
import pytest

from rancast.bootstrap import cluster_bootstrap, cluster_codes, percentile_interval
from rancast.errors import EvidenceError
from rancast.metrics import find_metric

MAE = find_metric("mae")


def test_whole_clusters_are_drawn() -> None:
    """Rows of a cluster move together: two clusters can only give three means."""
    y = np.zeros(5)
    error = np.array([1.0, 1, 1, 3, 3])
    draws = cluster_bootstrap(MAE, y, [error], np.array([0, 0, 0, 1, 1]), seed=1)
    assert set(draws[:, 0].round(6)) == {1.0, 1.8, 3.0}


def test_models_are_resampled_together() -> None:
    """A model that is worse by one everywhere is worse by exactly one in every resample."""
    y = np.arange(6.0)
    codes = np.array([0, 0, 1, 1, 2, 2])
    error = np.array([1.0, 2, 3, 4, 5, 6])
    draws = cluster_bootstrap(MAE, y, [y + error, y + error + 1], codes, seed=1)
    assert draws.shape == (1000, 2)
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 1.0)


def test_seed_fixes_the_draws() -> None:
    """Equal seeds give equal draws, other seeds give others."""
    y, error, codes = np.zeros(4), np.array([1.0, 2, 3, 4]), np.array([0, 1, 2, 3])
    first = cluster_bootstrap(MAE, y, [error], codes, seed=7)
    np.testing.assert_array_equal(first, cluster_bootstrap(MAE, y, [error], codes, seed=7))
    assert not np.array_equal(first, cluster_bootstrap(MAE, y, [error], codes, seed=8))


def test_clustered_rows_widen_the_interval() -> None:
    """Copies of the same ten rows are no new evidence: the interval is that of the ten."""
    y, error = np.zeros(10), np.arange(10.0)
    alone = cluster_bootstrap(MAE, y, [error], np.arange(10), seed=3)
    copied = cluster_bootstrap(
        MAE, np.zeros(500), [np.repeat(error, 50)], np.repeat(np.arange(10), 50), seed=3
    )
    np.testing.assert_allclose(copied, alone)


def test_one_cluster_has_no_spread() -> None:
    """A single cluster is refused instead of giving an interval of width zero."""
    with pytest.raises(EvidenceError, match="at least 2 clusters.*there is 1"):
        cluster_bootstrap(MAE, np.zeros(2), [np.ones(2)], np.zeros(2, dtype=np.int64))


def test_mostly_undefined_resamples_are_no_interval() -> None:
    """With all positives in one of three clusters, too many resamples have none."""
    metric = find_metric("average_precision")
    y = np.array([1.0, 0, 0, 0, 0, 0])
    draws = cluster_bootstrap(metric, y, [np.linspace(1, 0, 6)], np.array([0, 0, 1, 1, 2, 2]))
    with pytest.raises(EvidenceError, match="of the resamples have no value"):
        percentile_interval(draws[:, 0], 0.95)


def test_interval_is_the_middle_share() -> None:
    """At confidence 0.9, a twentieth of the draws lies outside each bound."""
    assert percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))


def test_days_are_utc_days() -> None:
    """Rows at 23:55 and 00:05 UTC are two days; entities are coded by name."""
    frame = pd.DataFrame(
        {
            "entity": ["b", "a", "b"],
            "time": pd.to_datetime(["2024-03-01T23:55Z", "2024-03-02T00:05Z", "2024-03-02T10:00Z"]),
        }
    )
    codes = cluster_codes(frame)
    assert codes["entity"].tolist() == [1, 0, 1]
    assert codes["day"].tolist() == [0, 1, 1]

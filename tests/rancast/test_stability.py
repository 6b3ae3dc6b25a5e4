"""Clusters that are there are found in each half of the entities; others are not."""

import numpy as np
import pandas as pd

from rancast.fit_view import Candidate
from rancast.search import Rows, fit_rows, stability_of
from rancast.stability import Stability
from tests.rancast.cases import clustering, use_case

CELLS, DAYS = 24, 3
KMEANS = Candidate(name="k_means", estimator="KMeans", params={"n_clusters": 3, "n_init": 3})


def rows(distance: float) -> Rows:
    """Return rows of cells in three groups that far apart."""
    random = np.random.default_rng(5)
    group = np.tile(np.arange(CELLS) % 3, DAYS)
    centre = np.array([[0, 0], [distance, 0], [0, distance]])[group]
    cell = np.tile(random.normal(size=(CELLS, 2)), (DAYS, 1))
    X = pd.DataFrame(centre + cell + 0.01 * random.normal(size=centre.shape), columns=["a", "b"])
    day = pd.Series(pd.date_range("2024-03-04", periods=DAYS, tz="UTC").repeat(CELLS))
    names = pd.Series([f"C{number:02}" for number in range(CELLS)] * DAYS)
    return Rows(X, pd.Series(0.0, X.index), day, names)


def measured(distance: float, labels: np.ndarray | None = None) -> Stability:
    """Return the stability of three clusters, by default those of the very groups."""
    data, view = rows(distance), use_case(clustering()).fit_view()
    if labels is None:
        labels = fit_rows(KMEANS, {}, data, view).predict(data.X).astype("float64")
    return stability_of(KMEANS, {}, data, data, labels, view)


def test_clear_groups_are_found_again() -> None:
    """Groups far apart are the same in any half."""
    found = measured(distance=20.0)
    assert found.by_row.tolist() == [1.0] * CELLS * DAYS
    assert found.by_cluster == {0: 1.0, 1: 1.0, 2: 1.0}


def test_structureless_data_are_not() -> None:
    """Where there are no groups, what k-means makes depends on the half."""
    found = measured(distance=0.0)
    assert found.by_row.mean() < 0.5
    assert min(found.by_cluster.values()) < 0.75


def test_a_single_cluster_is_not_stable_but_empty() -> None:
    """A grouping of all in one agrees in nothing, so that its floor fails."""
    found = measured(distance=20.0, labels=np.zeros(CELLS * DAYS))
    assert found.by_row.tolist() == [0.0] * CELLS * DAYS


def test_a_refit_that_is_not_possible_agrees_in_nothing() -> None:
    """More clusters than rows of a half is no agreement, and no error of the training."""
    data = rows(20.0)
    many = Candidate(name="many", estimator="KMeans", params={"n_clusters": CELLS * DAYS + 1})
    view, labels = use_case(clustering()).fit_view(), np.arange(CELLS * DAYS) % 3 * 1.0
    assert stability_of(many, {}, data, data, labels, view).by_row.max() == 0.0

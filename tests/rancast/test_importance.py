"""What a model rests on is told from a sample that has every class in proportion."""

import numpy as np
import pandas as pd

from rancast.fit_view import FitView
from rancast.importance import IMPORTANCE_ROWS, permutation, spread
from rancast.use_cases import load_use_case
from tests.servers import CHECKOUT

ROWS = 5 * IMPORTANCE_ROWS


class Oracle:
    """A model that knows the risk, which is its first feature."""

    classes_ = np.array([0, 1])

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "Oracle":
        """Learn nothing."""
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return the risk as a probability."""
        risk = X["risk"].to_numpy()
        return np.column_stack([1 - risk, risk])


def view() -> FitView:
    """Return what fitting the shipped classification depends on."""
    return load_use_case(CHECKOUT, "network_degradation").fit_view()


def test_rare_breaches_are_in_the_sample() -> None:
    """Breaches between the rows that an even spread would take still show what tells them."""
    y = np.zeros(ROWS)
    between = np.setdiff1d(np.arange(ROWS), spread(ROWS, IMPORTANCE_ROWS))
    y[between[:: len(between) // 100]] = 1.0
    random = np.random.default_rng(1)
    X = pd.DataFrame({"risk": 0.1 + 0.8 * y, "noise": random.random(ROWS)})
    found = permutation(Oracle(), X, pd.Series(y), view()).set_index("feature")
    assert found["importance_mean"]["risk"] > 0.9
    assert found["importance_mean"]["noise"] == 0.0

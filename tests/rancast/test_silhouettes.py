"""Silhouettes are scikit-learn's, day by day, in a space that is neither model's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_samples

from rancast.silhouettes import FARTHEST, Space, silhouettes, space_of, with_silhouettes

DAY = pd.Timestamp("2024-03-04", tz="UTC")
UNIT = Space(pd.Series({"a": 0.0, "b": 0.0}), pd.Series({"a": 1.0, "b": 1.0}))


def table(**columns: list[object]) -> pd.DataFrame:
    """Return a training table of five training rows and four of the holdout."""
    split = ["train"] * 5 + ["holdout"] * 4
    entity = ["A", "B", "C", "D", "E", "A", "B", "C", "D"]
    time = [DAY] * 5 + [DAY + pd.Timedelta("1D")] * 4
    return pd.DataFrame({"entity": entity, "time": time, **columns, "y": 0.0, "split": split})


def test_one_day_is_what_scikit_learn_says() -> None:
    """With one row for each entity, silhouettes are those of scikit-learn, bit for bit."""
    X = pd.DataFrame(np.random.default_rng(1).normal(size=(30, 2)), columns=["a", "b"]).clip(-4, 4)
    labels = np.arange(30) % 3 * 1.0
    found = silhouettes(UNIT, X, pd.Series([DAY] * 30), labels)
    assert found.tolist() == silhouette_samples(X.to_numpy(), labels).tolist()


def test_other_days_of_an_entity_are_no_neighbours() -> None:
    """A cluster of one entity on many days is a cluster of one, whose silhouette is 0."""
    X = pd.DataFrame({"a": [0.0, 3.0, 4.0] * 2, "b": [0.0] * 6})
    time = pd.Series([DAY] * 3 + [DAY + pd.Timedelta("1D")] * 3)
    found = silhouettes(UNIT, X, time, np.array([0.0, 1.0, 1.0] * 2))
    assert found.tolist() == pytest.approx([0.0, 2 / 3, 0.75] * 2)


@pytest.mark.parametrize("labels", [[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
def test_one_cluster_and_one_for_each_separate_nothing(labels: list[float]) -> None:
    """Where all rows of a time are in one cluster, or each in its own, silhouettes are 0."""
    X = pd.DataFrame({"a": [0.0, 1.0, 4.0], "b": [0.0] * 3})
    found = silhouettes(UNIT, X, pd.Series([DAY] * 3), np.array(labels))
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_the_space_is_that_of_the_training_rows() -> None:
    """Centre and scale are the training rows' median and quartiles; text and y are no part."""
    found = space_of(table(a=[1.0, 2, 3, 4, 5, 99, 99, 99, 99], kind=["x"] * 9))
    assert found.centre.to_dict() == {"a": 3.0}
    assert found.scale["a"] == pytest.approx(2.0 / 1.349)


def test_a_wild_value_an_unknown_one_and_a_constant_weigh_little() -> None:
    """Values end four units out, unknown ones lie in the centre, constants count nothing."""
    space = Space(pd.Series({"a": 10.0, "b": 1.0}), pd.Series({"a": 2.0, "b": 0.0}))
    X = pd.DataFrame({"a": [12.0, 1e9, np.nan], "b": [5.0, 1.0, 1.0]})
    assert space.place(X).to_numpy().tolist() == [[1.0, 0.0], [FARTHEST, 0.0], [0.0, 0.0]]


def test_predictions_get_the_silhouettes_of_their_own_rows() -> None:
    """Rows are matched by entity and time, in whatever order the predictions are."""
    data = table(a=[-2.0, -1, 0, 1, 2, 0.0, 0.1, 5.0, 5.1])
    time = data["time"].iloc[-1]
    labels = {"A": 0.0, "B": 0.0, "C": 1.0, "D": 1.0}
    given = pd.DataFrame({"entity": ["D", "A", "C", "B"], "time": time, "y": 0.0})
    found = with_silhouettes(given.assign(prediction=given["entity"].map(labels)), data)
    assert found["entity"].tolist() == ["D", "A", "C", "B"]
    assert (found["silhouette"] > 0.9).all()

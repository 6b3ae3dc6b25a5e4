"""Partial dependence: of known models it is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from rancast import dependence


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Six rows of which load and band matter."""
    return pd.DataFrame(
        {
            "load": [0.0, 1.0, 2.0, 3.0, 4.0, 4.0],
            "users": [5.0, 1.0, 4.0, 2.0, 9.0, 6.0],
            "band": pd.Series(["n78", "b20", "b20", "n78", "b20", "n78"], dtype="str"),
        }
    )


@pytest.fixture(scope="module")
def model(rows: pd.DataFrame) -> Pipeline:
    """10 + 2 * load + 3 for n78, fitted from these rows."""
    encoding = ColumnTransformer(
        [("numeric", "passthrough", ["load"]), ("category", OneHotEncoder(), ["band"])]
    )
    y = 10 + 2 * rows["load"] + 3 * (rows["band"] == "n78")
    return Pipeline([("columns", encoding), ("estimator", LinearRegression())]).fit(rows, y)


def test_a_linear_model_gives_its_lines(rows: pd.DataFrame, model: Pipeline) -> None:
    """The mean follows the coefficient, the spread is that of the other features' part."""
    found = dependence.partial(model, rows, ("load", "band", "users"), ("band",), seed=1)
    expected = pd.DataFrame(
        {
            "feature": ["load"] * 5 + ["band"] * 2 + ["users"] * 6,
            "value": ["0.0", "1.0", "2.0", "3.0", "4.0", "b20", "n78"]
            + ["1.0", "2.0", "4.0", "5.0", "6.0", "9.0"],
            "number": [0.0, 1, 2, 3, 4, np.nan, np.nan, 1, 2, 4, 5, 6, 9],
            # half of the rows are n78; the mean load is 14 / 6
            "average": [11.5, 13.5, 15.5, 17.5, 19.5, 10 + 14 / 3, 13 + 14 / 3]
            + [11.5 + 14 / 3] * 6,
        }
    ).astype({"feature": "str", "value": "str"})
    pd.testing.assert_frame_equal(found[list(expected.columns)], expected)
    assert found["high"][:5].to_numpy() - found["low"][:5].to_numpy() == pytest.approx(3.0)


def test_missing_values_are_not_tried_and_many_are_thinned(
    rows: pd.DataFrame, model: Pipeline
) -> None:
    """A feature of a thousand values is tried at twelve that occur; one without any is left out."""
    many = pd.concat([rows] * 200, ignore_index=True)
    many["users"] = np.arange(1200.0)
    many.loc[:9, "users"] = np.nan
    many["empty"] = np.nan
    found = dependence.partial(model, many, ("users", "empty"), ("band",), seed=1)
    assert found["feature"].tolist() == ["users"] * 12
    assert found["number"].is_monotonic_increasing and found["number"].isin(many["users"]).all()
    again = dependence.partial(model, many, ("users", "empty"), ("band",), seed=1)
    pd.testing.assert_frame_equal(again, found)


def test_only_what_the_model_needs_is_shown() -> None:
    """The first six of positive importance; without any there is an empty frame."""
    importance = pd.DataFrame(
        {
            "feature": list("abcdefgh"),
            "importance_mean": [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, -0.1],
        }
    )
    assert dependence.top_features(importance) == tuple("abcdef")
    assert dependence.top_features(importance.tail(1)) == ()
    empty = dependence.partial(None, importance, (), (), seed=1)
    assert list(empty.columns) == list(dependence.COLUMNS) and empty.empty

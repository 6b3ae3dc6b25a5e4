"""Selection: what is informative stays, and the holdout has no say."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast import models, selection
from rancast.candidates import FittedCandidate, fit
from rancast.errors import ConfigurationError
from rancast.feature_set import Select
from rancast.fit_view import Candidate, FitView, Search
from rancast.search import Rows, kept_by_fold, usable_folds
from tests.rancast import cases

METHODS = ("filter", "l1", "permutation")
LOGISTIC = Candidate(name="logistic", estimator="LogisticRegression", impute=True, scale=True)


def view(method: Any = "filter", keep: int = 2, **changes: Any) -> FitView:
    """Return what a fit depends on, with a selection of two columns."""
    values: dict[str, Any] = {
        "problem": "classification",
        "entity": "cell_id",
        "metric": "average_precision",
        "folds": 3,
        "embargo": timedelta(hours=1),
        "search": Search(iterations=1, rows=500),
        "seed": 5,
        "alerts": None,
        "refit_on_holdout": False,
        "categories": ("band",),
        "slices": (),
        "select": Select(method=method, keep=keep),
    }
    return FitView(**values | changes)


def table() -> pd.DataFrame:
    """Return two cells, hourly: load and users drive y, copy is load blurred, noise is nothing."""
    random = np.random.default_rng(3)
    time = pd.date_range("2024-03-01", periods=240, freq="h", tz="UTC").as_unit("us")
    load, users, noise = random.random((3, 480))
    frame = pd.DataFrame(
        {
            "entity": np.repeat(["a", "b"], 240),
            "time": np.tile(time, 2),
            "noise": noise,
            "load": load,
            "copy": load + 0.5 * random.random(480),
            "users": users,
            "band": pd.Series(random.choice(["low", "high"], 480), dtype="str"),
        }
    )
    frame["y"] = (2 * load + users + 0.3 * random.random(480) > 2.1).astype(float)
    frame["split"] = np.where(frame["time"] < time[192], "train", "holdout")
    return frame.assign(baseline_last_value=0.0, baseline_seasonal=0.0)


@pytest.fixture(scope="module", params=METHODS)
def fitted(request: pytest.FixtureRequest) -> tuple[str, FittedCandidate]:
    """Return one fit for each method."""
    return request.param, fit(table(), LOGISTIC, view(request.param))


def test_what_drives_y_is_kept_and_the_card_says_so(fitted: tuple[str, FittedCandidate]) -> None:
    """Of five features each method keeps two. The F-test looks at each alone and so takes the copy;
    the path of the lasso and the shuffling see that it adds nothing."""
    method, found = fitted
    expected = {"filter": ("load", "copy"), "l1": ("load", "users")}
    assert found.card.selected == expected.get(method, ("load", "users"))
    assert found.card.features == ("noise", "load", "copy", "users", "band")


def test_the_model_is_scikit_learn_alone_and_ignores_what_was_left_out(
    fitted: tuple[str, FittedCandidate],
) -> None:
    """It loads by our list of types, and other noise changes no prediction."""
    _, found = fitted
    model = models.verify(found.model, found.golden, found.card)
    other = found.golden.assign(noise=9.0, band="neither")
    assert models.predict(model, other, found.card).tolist() == found.golden["prediction"].tolist()


def test_the_holdout_has_no_say_in_the_selection(fitted: tuple[str, FittedCandidate]) -> None:
    """A shuffled holdout, features and labels, leaves the kept features and the model as they are,
    also where the model that is shipped is refitted with it."""
    method, found = fitted
    changed = table()
    is_holdout = changed["split"] == "holdout"
    random = np.random.default_rng(8)
    for name in ("noise", "load", "copy", "users", "y"):
        changed.loc[is_holdout, name] = random.permutation(changed.loc[is_holdout, name])
    again = fit(changed, LOGISTIC, view(method))
    assert again.card.selected == found.card.selected
    model = models.load(again.model, again.card.model_sha256)
    golden = found.golden["prediction"].to_numpy()
    np.testing.assert_array_equal(models.predict(model, found.golden, again.card), golden)
    refitted = fit(changed, LOGISTIC, view(method, refit_on_holdout=True))
    assert refitted.card.selected == found.card.selected


def test_two_selections_agree_bit_for_bit(fitted: tuple[str, FittedCandidate]) -> None:
    """The same table gives the same kept features and the same predictions."""
    method, found = fitted
    again = fit(table(), LOGISTIC, view(method))
    assert again.card.selected == found.card.selected
    pd.testing.assert_frame_equal(again.predictions, found.predictions)


def test_a_fold_selects_by_the_folds_before_it() -> None:
    """The first fold keeps everything; labels of a later fold change nothing that an earlier one
    keeps."""
    rows = table().sort_values("time", kind="stable", ignore_index=True)
    X = rows[["noise", "load", "copy", "users"]]
    given = Rows(X, rows["y"].astype("int64"), rows["time"])
    by = view("permutation", keep=1)
    cut = usable_folds(given, by)
    kept = kept_by_fold(LOGISTIC, given, cut, by)
    assert kept == (None, ("load",), ("load",), ("load",))
    y = given.y.copy()
    last = cut[-1].all_test
    y.iloc[last] = (given.X["noise"].iloc[last] > 0.5).astype("int64")
    assert kept_by_fold(LOGISTIC, given._replace(y=y), cut, by)[:3] == kept[:3]


def test_rare_values_of_a_category_lead_back_to_it() -> None:
    """Values that the encoder puts together count as one column, of the same feature."""
    rows = table().assign(band=[f"b{index % 99}" for index in range(480)])
    rows["band"] = rows["band"].astype("str").where(rows["load"] < 0.5, "hot")
    found = fit(rows, LOGISTIC, view("filter", keep=3))
    assert found.card.selected == ("load", "copy", "band")


def test_a_candidate_may_do_without() -> None:
    """`select: false` keeps every feature, and the card has no list."""
    found = fit(table(), LOGISTIC.model_copy(update={"select": False}), view())
    assert found.card.selected is None
    assert selection.kept_features(models.load(found.model, found.card.model_sha256)) == (
        found.card.features
    )


def test_a_selector_that_takes_no_missing_values_says_what_to_do() -> None:
    """Boosting takes missing values, the F-test before it does not."""
    boosting = Candidate(name="boosting", estimator="HistGradientBoostingClassifier")
    rows = table()
    rows.loc[3, "load"] = np.nan
    with pytest.raises(
        ConfigurationError, match="features.select takes no missing values.*'select"
    ):
        fit(rows, boosting, view())


def test_features_and_table_do_not_depend_on_the_selection() -> None:
    """Another selection refits, but makes no feature anew; keeping all of them is refused."""
    plain = cases.use_case_with({"current": ["load", "users"]})
    select = {"method": "l1", "keep": 1}
    chosen = cases.use_case_with({"current": ["load", "users"], "select": select})
    assert chosen.feature_view() == plain.feature_view()
    assert chosen.table_view() == plain.table_view()
    assert chosen.fit_view() != plain.fit_view()
    with pytest.raises(ValueError, match="select.keep is 2, but there are only 2 features"):
        cases.use_case_with({"current": ["load", "users"], "select": select | {"keep": 2}})

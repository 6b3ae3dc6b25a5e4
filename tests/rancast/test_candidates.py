"""Fitting a candidate: only on the past, bit for bit again, with its evidence beside it."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from rancast import alerts, candidates, estimators, models
from rancast.candidates import FittedCandidate, fit
from rancast.column_names import BASELINES
from rancast.errors import ConfigurationError, DataError, EvidenceError
from rancast.feature_set import Select
from rancast.fit_view import Alerts, Calibration, Candidate, FitView, Search

VIEW = FitView(
    problem="classification",
    entity="cell_id",
    metric="average_precision",
    folds=2,
    embargo=timedelta(hours=1),
    search=Search(iterations=2, rows=300),
    seed=5,
    alerts=Alerts(per_day=3),
    refit_on_holdout=False,
    categories=("technology",),
    slices=("technology", "cell_id"),
)
LOGISTIC = Candidate(
    name="logistic",
    estimator="LogisticRegression",
    search={"C": [0.01, 1.0]},
    impute=True,
    scale=True,
)
FOREST = Candidate(name="forest", estimator="RandomForestClassifier", params={"n_estimators": 8})
BOOSTING = Candidate(
    name="boosting", estimator="HistGradientBoostingClassifier", params={"max_iter": 8}
)


def table(days: int = 10, problem: str = "classification") -> pd.DataFrame:
    """Return four cells, hourly, of which load drives y; the last three days are the holdout."""
    random = np.random.default_rng(11)
    time = pd.date_range("2024-03-01", periods=24 * days, freq="h", tz="UTC").as_unit("us")
    frame = pd.DataFrame(
        {
            "entity": np.repeat(["a", "b", "c", "d"], len(time)),
            "time": np.tile(time, 4),
            "load": random.random(4 * len(time)),
            "noise": random.random(4 * len(time)),
            "technology": pd.Series(np.repeat(["4G", "5G", "4G", "LTE"], len(time)), dtype="str"),
        }
    )
    breach = random.random(len(frame)) < frame["load"] ** 4
    frame["y"] = breach.astype(float) if problem == "classification" else 10 * frame["load"]
    start = time[-1] - pd.Timedelta(days=3)
    frame["split"] = np.where(frame["time"] > start, "holdout", "train")
    frame.loc[frame["time"] == start, "split"] = "embargo"
    frame.loc[5, "load"] = np.nan
    return frame.assign(**dict.fromkeys(BASELINES, 0.0))


@pytest.fixture(scope="module")
def fitted() -> FittedCandidate:
    """Return one fitted candidate for the tests that only look at it."""
    return fit(table(), LOGISTIC, VIEW)


def test_predictions_are_of_the_holdout(fitted: FittedCandidate) -> None:
    """Every holdout row is predicted, with its label and the columns to slice by."""
    expected = table().query("split == 'holdout'").reset_index(drop=True)
    found = fitted.predictions
    assert list(found.columns) == ["entity", "time", "y", "prediction", "technology", "cell_id"]
    for column in ("entity", "time", "technology"):
        assert found[column].tolist() == expected[column].tolist()
    assert found["cell_id"].tolist() == found["entity"].tolist()
    assert found["prediction"].between(0, 1).all()


def test_card_says_how_to_use_the_model(fitted: FittedCandidate) -> None:
    """The card names features in order, chosen parameters, the threshold and the training's end."""
    card = fitted.card
    assert (card.features, card.categories) == (("load", "noise", "technology"), ("technology",))
    assert card.params.keys() == {"C"} and card.threshold is not None
    last = table().query("split == 'train'")["time"].max()
    assert (card.train_end, card.refit) == (last.isoformat(), False)
    chosen = fitted.trials.loc[fitted.trials["is_chosen"], "score_mean"].item()
    assert card.fold_score == chosen


def test_threshold_keeps_the_alert_budget_on_rows_not_fitted_on() -> None:
    """Ten alerts a day are allowed, and about as many come on the holdout, which is not used."""
    found = fit(table(days=20), LOGISTIC, VIEW.model_copy(update={"alerts": Alerts(per_day=10)}))
    assert found.card.threshold is not None
    count = (found.predictions["prediction"] >= found.card.threshold).sum()
    assert 6 <= count / 3 <= 14 and found.card.alert_budget == 10


def test_threshold_rests_on_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last fold that is quieter than those before would alone have given a lower threshold."""
    rows = table(days=20)
    is_late = rows["time"].between(pd.Timestamp("2024-03-13", tz="UTC"), rows["time"].iloc[-73])
    rows.loc[is_late, "load"] *= 0.7
    seen = []
    whole = alerts.threshold

    def spy(*given: Any) -> float:
        seen.append(given)
        return whole(*given)

    monkeypatch.setattr(alerts, "threshold", spy)
    found = fit(rows, LOGISTIC, VIEW.model_copy(update={"alerts": Alerts(per_day=10)})).card
    ((unseen, per_day, period),) = seen
    assert (unseen["fold"].nunique(), per_day, period) == (2, 10, alerts.DAY // 24)
    assert found.threshold == whole(unseen, 10, period)
    assert found.threshold > whole(unseen.query("fold == 1"), 10, period)
    count = (unseen["prediction"] >= found.threshold).sum()
    assert count <= 10 * alerts.covered_days(unseen, period) < count + 2


def test_linear_algebra_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS on several threads adds up in another order, which would change the last bits."""
    monkeypatch.setattr(candidates, "_fit", lambda *_: threadpool_info())
    with threadpool_limits(3):
        pools: Any = fit(table(), LOGISTIC, VIEW)
    assert {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"} == {1}


def test_model_reproduces_its_golden_rows(fitted: FittedCandidate) -> None:
    """The stored model loads by our type list and gives the fifty golden predictions."""
    assert len(fitted.golden) == 50
    models.verify(fitted.model, fitted.golden, fitted.card)


def test_importance_finds_what_drives_y(fitted: FittedCandidate) -> None:
    """Load matters most, and every feature has its line."""
    assert fitted.importance["feature"].iloc[0] == "load"
    assert set(fitted.importance["feature"]) == {"load", "noise", "technology"}
    assert fitted.importance["importance_mean"].iloc[0] > 0.1


def test_dependence_rises_with_what_drives_y(fitted: FittedCandidate) -> None:
    """The prediction rises along load, and its grid is within what the holdout has."""
    load = fitted.dependence.query("feature == 'load'")
    assert load["average"].is_monotonic_increasing and len(load) == 12
    assert (load["low"] <= load["average"]).all() and (load["average"] <= load["high"]).all()


def test_nothing_of_the_holdout_reaches_the_model(fitted: FittedCandidate) -> None:
    """Other labels in holdout and embargo change no trial, prediction, parameter or threshold."""
    assert_same_model(fit(other_holdout(), LOGISTIC, VIEW), fitted)


def test_nothing_of_the_holdout_reaches_a_selection_by_permutation() -> None:
    """The same holds where features are kept by what shuffling them costs on later folds."""
    view = VIEW.model_copy(update={"select": Select(method="permutation", keep=1)})
    first = fit(table(), LOGISTIC, view)
    assert first.card.selected == ("load",)
    assert_same_model(fit(other_holdout(), LOGISTIC, view), first)


def other_holdout() -> pd.DataFrame:
    """Return the table with all labels of holdout and embargo turned around."""
    changed = table()
    return changed.assign(y=changed["y"].where(changed["split"] == "train", 1 - changed["y"]))


def assert_same_model(one: FittedCandidate, other: FittedCandidate) -> None:
    """Check that two fits searched, chose and predict alike, whatever their holdouts' labels."""
    pd.testing.assert_frame_equal(one.trials, other.trials, check_exact=True)
    assert one.predictions["prediction"].equals(other.predictions["prediction"])
    assert one.card.params == other.card.params
    assert one.card.threshold == other.card.threshold
    assert one.card.selected == other.card.selected


def test_the_order_of_rows_does_not_matter(fitted: FittedCandidate) -> None:
    """The table is put into time order first, so shuffled rows give the same fit."""
    shuffled = table().sample(frac=1, random_state=3, ignore_index=True)
    again = fit(shuffled, LOGISTIC, VIEW)
    pd.testing.assert_frame_equal(again.predictions, fitted.predictions)
    pd.testing.assert_frame_equal(again.golden, fitted.golden)


@pytest.mark.parametrize("candidate", [LOGISTIC, FOREST, BOOSTING], ids=lambda item: item.name)
def test_two_fits_agree_bit_for_bit(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not show in the result: one core and all of them give the same bits."""
    candidate = candidate.model_copy(update={"impute": True})
    one = fit(table(), candidate.model_copy(update={"params": serial(candidate)}), VIEW)
    monkeypatch.setattr(estimators, "ROWS_PER_THREAD", 1)
    with threadpool_limits(4):
        many = fit(table(), candidate, VIEW)
    for name in ("predictions", "golden", "trials", "importance"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(many, name), check_exact=True)


def serial(candidate: Candidate) -> dict[str, Any]:
    """Return the candidate's parameters, with one job where it has jobs."""
    return candidate.params | ({"n_jobs": 1} if candidate.name == "forest" else {})


def test_refit_ships_another_model_and_evaluates_the_same(fitted: FittedCandidate) -> None:
    """With refit_on_holdout the shipped model has seen all rows, the evaluated one has not."""
    refit = fit(table(), LOGISTIC, VIEW.model_copy(update={"refit_on_holdout": True}))
    pd.testing.assert_frame_equal(refit.predictions, fitted.predictions)
    assert refit.card.refit and refit.card.train_end == table()["time"].max().isoformat()
    assert not np.allclose(refit.golden["prediction"], fitted.golden["prediction"])
    models.verify(refit.model, refit.golden, refit.card)


def test_intervals_rest_on_training_rows_that_the_model_had_not_seen() -> None:
    """The card holds quantiles by group from rows that a fold tests, not from its first ones, and
    the holdout gets its ends; other labels in the holdout change none of it."""
    wanted = Calibration(coverage=0.8, by="technology", minimum_support=50)
    view = VIEW.model_copy(
        update={"problem": "regression", "metric": "mae", "alerts": None, "intervals": wanted}
    )
    frame = table(problem="regression").dropna()
    random = np.random.default_rng(7)
    frame["y"] += random.normal(size=len(frame)) * np.where(frame["technology"] == "5G", 5, 1)
    ridge = Candidate(name="ridge", estimator="Ridge")
    found = fit(frame, ridge, view)
    intervals = found.card.intervals
    assert intervals is not None and set(intervals.groups) == {"4G", "5G", "LTE"}
    (wide,), (narrow,) = intervals.groups["5G"], intervals.groups["4G"]
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    train = frame[frame["split"] == "train"]
    assert intervals.pooled[0].rows == pytest.approx(len(train) * 2 / 3, abs=4)
    shown = found.predictions
    assert list(shown)[:6] == ["entity", "time", "y", "prediction", "low", "high"]
    inside = shown["y"].between(shown["low"], shown["high"])
    assert inside.groupby(shown["technology"]).mean().tolist() == pytest.approx([0.8] * 3, abs=0.15)
    ends = models.interval(found.card, shown["prediction"].to_numpy(), shown["technology"])
    assert ends is not None
    assert [end.tolist() for end in ends] == [shown["low"].tolist(), shown["high"].tolist()]
    changed = frame.assign(y=frame["y"].where(frame["split"] == "train", -1.0))
    assert fit(changed, ridge, view).card.intervals == intervals


def test_intervals_can_be_by_entity() -> None:
    """The entity is called by its own name, as in slices."""
    wanted = Calibration(coverage=0.8, by="cell_id", minimum_support=10)
    view = VIEW.model_copy(
        update={"problem": "regression", "metric": "mae", "alerts": None, "intervals": wanted}
    )
    frame = table(problem="regression").dropna()
    found = fit(frame, Candidate(name="ridge", estimator="Ridge"), view).card.intervals
    assert found is not None and set(found.groups) == {"a", "b", "c", "d"}


def test_regression_is_fitted_without_a_threshold() -> None:
    """A regression predicts values, and has no alerts."""
    view = VIEW.model_copy(update={"problem": "regression", "metric": "mae", "alerts": None})
    ridge = Candidate(name="ridge", estimator="Ridge", impute=True)
    found = fit(table(problem="regression").dropna(), ridge, view)
    error = (found.predictions["y"] - found.predictions["prediction"]).abs().mean()
    assert found.card.threshold is None and error < 0.2
    models.verify(found.model, found.golden, found.card)


@pytest.mark.filterwarnings("error")
def test_a_fit_that_does_not_converge_says_so_in_its_trials() -> None:
    """The warning becomes a fact beside the score instead of noise on stderr."""
    hasty = LOGISTIC.model_copy(update={"params": {"max_iter": 1}})
    assert fit(table(), hasty, VIEW).trials["has_converged"].tolist() == [False, False]


def test_a_single_class_is_too_little_evidence() -> None:
    """Training rows without any positive give the numbers and the next step."""
    with pytest.raises(EvidenceError, match="0 of 668 training rows are positive.*longer history"):
        fit(table().assign(y=0.0), LOGISTIC, VIEW)


def test_too_few_rows_are_too_little_evidence() -> None:
    """Eleven training rows, and a table without a holdout, are refused with both counts."""
    few = pd.concat([table().head(11), table().query("split == 'holdout'")])
    with pytest.raises(EvidenceError, match="11 training rows .20 needed."):
        fit(few, LOGISTIC, VIEW)
    with pytest.raises(EvidenceError, match="0 holdout rows"):
        fit(table().query("split == 'train'"), LOGISTIC, VIEW)


def test_missing_values_that_only_the_holdout_has_say_what_to_do() -> None:
    """A model that never met a missing value is no surprise on its holdout, but a sentence."""
    frame = table().fillna({"load": 0.5})
    frame.loc[frame["split"].eq("holdout").idxmax(), "load"] = np.nan
    bare = LOGISTIC.model_copy(update={"impute": False, "search": {}})
    with pytest.raises(
        DataError,
        match=r"LogisticRegression\) predicts no rows with missing values, but 'load' has 1 of 288 "
        "and 1 columns have some; set 'impute: true'",
    ):
        fit(frame, bare, VIEW)


def test_a_holdout_of_one_class_has_no_importance() -> None:
    """Where the metric is undefined, importances are missing, and evaluation will say why."""
    changed = table()
    changed.loc[changed["split"] == "holdout", "y"] = 0.0
    assert fit(changed, LOGISTIC, VIEW).importance["importance_mean"].isna().all()


def test_slice_columns_must_exist() -> None:
    """A slice that is no column of the table says where to add it."""
    with pytest.raises(ConfigurationError, match="'vendor' is not in the training table; add it"):
        fit(table(), LOGISTIC, VIEW.model_copy(update={"slices": ("vendor",)}))

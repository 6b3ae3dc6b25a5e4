"""The search: bounded, seeded, and always on folds that follow time."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from rancast.errors import EvidenceError
from rancast.fit_view import Candidate, FitView, Search
from rancast.search import Rows, out_of_folds, search, usable_folds

VIEW = FitView(
    problem="regression",
    entity="cell_id",
    metric="mae",
    folds=3,
    embargo=timedelta(minutes=30),
    search=Search(iterations=2, rows=100),
    seed=5,
    alerts=None,
    refit_on_holdout=False,
    categories=(),
    slices=(),
)
RIDGE = Candidate(name="ridge", estimator="Ridge", search={"alpha": [0.001, 1000.0]})


def rows(number: int = 160) -> Rows:
    """Return rows every ten minutes whose y follows one of two features."""
    random = np.random.default_rng(2)
    X = pd.DataFrame({"a": random.normal(size=number), "b": random.normal(size=number)})
    time = pd.Series(pd.date_range("2024-03-01", periods=number, freq="10min", tz="UTC"))
    return Rows(X, X["a"] * 3 + random.normal(0, 0.1, number), time)


def test_the_better_parameters_are_chosen() -> None:
    """A ridge that shrinks everything away loses to one that does not."""
    found = search(RIDGE, rows(), VIEW)
    assert found.params == {"alpha": 0.001}
    chosen = found.trials.loc[found.trials["is_chosen"], "params"].tolist()
    assert chosen == ['{"alpha":0.001}'] and len(found.trials) == 2


def test_trials_are_bounded_by_iterations_and_by_the_grid() -> None:
    """Two iterations over six values are two trials; eight over two values are two as well."""
    many = RIDGE.model_copy(update={"search": {"alpha": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}})
    assert len(search(many, rows(), VIEW).trials) == 2
    generous = VIEW.model_copy(update={"search": Search(iterations=8, rows=100)})
    assert len(search(RIDGE, rows(), generous).trials) == 2


def test_without_a_search_space_the_candidate_is_still_scored() -> None:
    """One trial with no parameters of its own tells how the candidate did on the folds."""
    found = search(RIDGE.model_copy(update={"search": {}}), rows(), VIEW)
    assert found.params == {} and found.trials["score_mean"].notna().all()


def test_folds_follow_time_with_embargo_on_a_sample() -> None:
    """Each fold fits before it scores, an embargo apart, on the same hundred sampled rows."""
    data = rows()
    cut = usable_folds(data, VIEW)
    sampled = set(np.concatenate([np.concatenate([fold.train, fold.test]) for fold in cut]))
    assert len(cut) == 3 and len(sampled) <= 100
    for fold in cut:
        gap = data.time.iloc[fold.test].min() - data.time.iloc[fold.train].max()
        assert gap >= VIEW.embargo
        assert set(fold.test) <= set(fold.all_test)


def test_out_of_fold_predictions_are_of_every_fold() -> None:
    """Every row of each fold is predicted, sampled or not, and its own labels do not matter."""
    data = rows()
    chosen = search(RIDGE, data, VIEW)
    found = out_of_folds(RIDGE, chosen, data, VIEW)
    assert found["time"].tolist() == data.time.tail(120).tolist()
    assert found["fold"].tolist() == [0] * 40 + [1] * 40 + [2] * 40
    last = found.query("fold == 2")
    other = data._replace(y=data.y.where(data.time < last["time"].min(), -1000.0))
    again = out_of_folds(RIDGE, chosen, other, VIEW).query("fold == 2")
    pd.testing.assert_series_equal(again["prediction"], last["prediction"])


def test_same_seed_same_trials() -> None:
    """Two searches are equal in every score; another seed samples other rows."""
    first = search(RIDGE, rows(), VIEW).trials
    pd.testing.assert_frame_equal(first, search(RIDGE, rows(), VIEW).trials)
    other = search(RIDGE, rows(), VIEW.model_copy(update={"seed": 6})).trials
    assert first["score_mean"].tolist() != other["score_mean"].tolist()


def test_folds_without_both_classes_are_left_out() -> None:
    """A fold whose later rows hold no positive is not scored; without any such fold, an error."""
    classes = VIEW.model_copy(
        update={"problem": "classification", "metric": "roc_auc", "search": Search(rows=1000)}
    )
    data = rows()
    early = data._replace(y=pd.Series([1, 0] * 30 + [0] * 100))
    assert len(usable_folds(early, classes)) == 1
    with pytest.raises(EvidenceError, match="160 training rows .160 sampled, 1 positive"):
        usable_folds(data._replace(y=pd.Series([1] + [0] * 159)), classes)

"""A clustering on the common road: its YAML, its table, its estimators, its search, its gates."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from rancast import models
from rancast.candidates import FittedCandidate, fit
from rancast.decisions import Vacancy, compare, decide
from rancast.errors import ConfigurationError, EvidenceError
from rancast.estimators import estimator_class
from rancast.fit_view import Candidate
from rancast.judging import evaluate_predictions, judge_view, score_baselines, score_champion
from rancast.search import Rows, search, usable_folds
from rancast.tables import assemble
from rancast.targets import label
from rancast.use_cases import UseCase
from tests.rancast.cases import clustering, dataset, rows, spec, use_case

DAYS, CELLS, START = 9, 12, pd.Timestamp("2024-03-04", tz="UTC")
SEARCHED = [
    {
        "name": "k_means",
        "estimator": "KMeans",
        "scale": True,
        "params": {"n_init": 3},
        "search": {"n_clusters": [2, 3, 4]},
    }
]
SPLIT = {"holdout": "4d", "embargo": "0s", "folds": 2}


def table(distance: float) -> pd.DataFrame:
    """Return a training table of cells in three groups that far apart."""
    random = np.random.default_rng(3)
    group, day = np.tile(np.arange(CELLS) % 3, DAYS), np.arange(DAYS).repeat(CELLS)
    cell = np.tile(random.normal(size=(CELLS, 2)), (DAYS, 1))
    place = distance * np.array([[0, 0], [1, 0], [0, 1]])[group] + cell
    place += 0.01 * random.normal(size=place.shape)
    return pd.DataFrame(
        {
            "entity": pd.Series([f"C{n % CELLS:02}" for n in range(len(day))], dtype="str"),
            "time": START + pd.to_timedelta(day, unit="D"),
            "load": place[:, 0],
            "users": place[:, 1],
            "band": pd.Series(np.where(group > 0, "low", "high"), dtype="str"),
            "y": 0.0,
            "split": pd.Series(np.where(day < DAYS - 4, "train", "holdout"), dtype="str"),
        }
    )


def case(**changes: Any) -> UseCase:
    """Return a use case that chooses among two to four clusters."""
    features = {"current": ["load", "users"], "categories": ["band"]}
    given = {"features": features, "candidates": SEARCHED, "split": SPLIT}
    return use_case(clustering(**given | changes))


def fitted(distance: float) -> FittedCandidate:
    """Return what fitting gives on groups that far apart."""
    return fit(table(distance), case().candidates[0], case().fit_view())


@pytest.fixture(scope="module")
def clear() -> FittedCandidate:
    """Clusters of groups that are far apart."""
    return fitted(distance=20.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": {"within": "20min", "any": "load > 9"}}, "a clustering foretells nothing"),
        ({"gates": {"floors": {"silhouette": 0.3}}}, "gates.floors needs stability"),
        ({"metric": "stability"}, "compared by silhouette"),
        ({"metric": "mae"}, "not one for clustering; known: silhouette, stability"),
        ({"refit_on_holdout": True}, "clusters that were not evaluated"),
        ({"features": {"current": ["load", "users"], "select": {"method": "l1", "keep": 1}}}, "y"),
    ],
)
def test_what_makes_no_sense_of_clusters_is_refused(changes: dict[str, Any], reason: str) -> None:
    """A clustering without a stability floor, or with what only labels have, is no use case."""
    with pytest.raises(ValidationError, match=reason):
        use_case(clustering(**changes))


def test_everything_else_needs_a_target() -> None:
    """A classification without a target is refused, and says so."""
    given = {name: value for name, value in spec().items() if name != "target"}
    with pytest.raises(ValidationError, match="a classification needs a target"):
        use_case(given)


def test_the_table_has_no_labels_to_wait_for() -> None:
    """Every row is kept, to the last day, with y = 0 and without forecasts of it."""
    days = [date(2024, 3, 1) + timedelta(days=n) for n in range(2)]
    X = [
        pd.DataFrame({"cell": ["a"], "at": [pd.Timestamp(d, tz="UTC")], "load": [1.0]})
        for d in days
    ]
    given = use_case(clustering(split={"holdout": "1d", "embargo": "0s"}))
    found = assemble(X, [], given.table_view(), dataset(), date(2024, 3, 3))
    assert list(found.table) == ["entity", "time", "load", "y", "split"]
    assert found.table["y"].tolist() == [0.0, 0.0]
    assert found.table["split"].tolist() == ["train", "holdout"]
    assert (found.summary.too_recent, found.summary.unlabelled) == (0, 0)
    with pytest.raises(ConfigurationError, match="a clustering has no target"):
        label(found.table[["entity", "time"]], [rows()], given.table_view(), dataset())


def test_models_are_stored_without_this_code(clear: FittedCandidate) -> None:
    """Clusterers and mixtures are scikit-learn alone, and give their golden rows' labels again."""
    mixture = Candidate(name="some", estimator="GaussianMixture", params={"n_components": 2})
    for found in (clear, fit(table(20.0), mixture, case().fit_view())):
        model = models.load(found.model, found.card.model_sha256)
        models.check_golden(model, found.golden, found.card)
        assert found.card.features == ("load", "users") and found.card.categories == ()


@pytest.mark.parametrize("name", ["DBSCAN", "LogisticRegression"])
def test_what_does_not_is_none(name: str) -> None:
    """One that cannot assign new rows, or is no clusterer, is refused by name."""
    with pytest.raises(ConfigurationError, match=f"no clustering estimator '{name}'"):
        estimator_class(Candidate(name="some", estimator=name), "clustering")


def test_the_number_of_clusters_is_chosen(clear: FittedCandidate) -> None:
    """Three groups far apart are three clusters, whole, stable, and far from each other."""
    assert clear.card.params["n_clusters"] == 3
    assert clear.predictions.groupby("entity")["prediction"].nunique().max() == 1
    assert clear.predictions["silhouette"].min() > 0.8
    assert clear.clusters is not None
    assert [one.entities for one in clear.clusters.clusters] == [4, 4, 4]
    assert min(one.jaccard or 0.0 for one in clear.clusters.clusters) > 0.9


def test_of_equal_ones_the_most_stable_is_taken() -> None:
    """Of trials that folds cannot tell from the best, the most stable one is chosen."""
    given = training_rows(table(0.0))
    trials = search(case().candidates[0], given, case().fit_view()).trials
    best = trials.loc[trials["score_mean"].idxmax()]
    # of two folds, the sample's standard error is the standard deviation of the population
    tied = trials["score_mean"] >= best["score_mean"] - best["score_std"] - 1e-12
    assert trials["stability"].notna().tolist() == tied.tolist()
    assert trials.loc[trials["is_chosen"], "stability"].item() == trials["stability"].max()


def training_rows(data: pd.DataFrame) -> Rows:
    """Return the training rows of a table, as a search is given them."""
    train = data[data["split"] == "train"].reset_index(drop=True)
    return Rows(train[["load", "users"]], train["y"], train["time"], train["entity"])


def test_folds_are_scored_in_the_space_of_their_past() -> None:
    """A feature that never varied in the past has no scale, so that it moves no score of a fold,
    however wild it is in the rows that the fold tests."""
    given, view = training_rows(table(20.0)), case().fit_view()
    still = given._replace(X=given.X.assign(wild=1.0))
    last = usable_folds(still, view)[-1].all_test
    wild = still._replace(X=still.X.copy())
    wild.X.iloc[last, wild.X.columns.get_loc("wild")] = np.arange(len(last)) % 5.0
    candidate = case().candidates[0]
    found, expected = (search(candidate, each, view).trials for each in (wild, still))
    assert found["fold_scores"].tolist() == expected["fold_scores"].tolist()


def test_a_clear_grouping_is_promoted(clear: FittedCandidate) -> None:
    """It passes its floors and beats the groupings that need no model, in an operator's words."""
    decision = decided(clear)
    assert decision.promote, decision.reasons
    said = " ".join(decision.reasons)
    assert "Stability is 0.9" in said and "; at least 0.6 is required." in said
    assert "closer to the ideal 1 than the baseline chance" in said


def test_a_structureless_one_is_not() -> None:
    """Where there are no groups the floor of stability fails, and says so."""
    decision = decided(fitted(distance=0.0))
    assert not decision.promote
    assert any(reason.startswith("Stability is 0.") for reason in decision.reasons)


def test_what_was_not_measured_keeps_the_gate_closed(clear: FittedCandidate) -> None:
    """Without stability there is no promotion, whatever the silhouettes are."""
    unmeasured = clear._replace(predictions=clear.predictions.drop(columns="stability"))
    decision = decided(unmeasured)
    assert not decision.promote
    assert "The floor of stability cannot be judged: these predictions have no stability" in str(
        decision.reasons
    )


def test_the_champion_is_scored_in_the_same_space(clear: FittedCandidate) -> None:
    """The champion's labels on the same rows give the same silhouettes as at its training."""
    found = score_champion(clear.model, table(20.0), clear.card, ("band",), "cell")
    assert found.predictions is not None and found.clusters is not None
    expected = clear.predictions["silhouette"].tolist()
    assert found.predictions["silhouette"].tolist() == expected
    assert [one.members for one in found.clusters.clusters] == [
        one.members for one in (clear.clusters.clusters if clear.clusters else ())
    ]


def test_frames_without_silhouettes_are_no_evidence(clear: FittedCandidate) -> None:
    """A comparison with predictions that have no silhouettes is insufficient, not an error."""
    bare = clear.predictions.drop(columns="silhouette")
    found = compare(clear.predictions, bare, "silhouette", case().gates, START)
    assert not found.is_sufficient and "have no silhouette" in found.reason


def decided(found: FittedCandidate) -> Any:
    """Decide on a first candidate, by the gates of the use case."""
    from rancast.decisions import Contender

    gates = {"floors": {"stability": 0.6}, "minimum_clusters": {"entity": 8, "day": 4}}
    view = judge_view(case(gates=gates))
    baselines = score_baselines(table(20.0), "clustering", (), "cell")._asdict()
    known = {name: frame for name, frame in baselines.items() if frame is not None}
    compared = {
        name: compare(found.predictions, frame, "silhouette", view.gates, START)
        for name, frame in known.items()
    }
    evaluation = evaluate_predictions(found.predictions, view, None)
    contender = Contender(candidate="k_means", fingerprint="f", evaluation=evaluation)
    return decide(contender, Vacancy(has_registry_answered=True), compared, view.gates)


def test_too_few_rows_are_refused() -> None:
    """A table without enough training rows says so, as for every other problem."""
    few = table(20.0).groupby("split").head(12)
    with pytest.raises(EvidenceError, match="there are 12 training rows"):
        fit(few, case().candidates[0], case().fit_view())

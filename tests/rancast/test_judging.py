"""Judging a training: whom to judge, on which rows, and who has the last word."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rancast import models
from rancast.decisions import Contender, Decision
from rancast.documents import sha256
from rancast.evaluation import Evaluation, Interval
from rancast.gates import Gates, Intervals
from rancast.judging import (
    ChampionState,
    Entry,
    JudgeView,
    choose,
    evaluate_predictions,
    judge,
    judge_view,
    score_champion,
)
from rancast.models import ModelCard
from rancast.use_cases import load_use_case

HOME = Path(__file__).parents[2]
TRAIN_END = "2024-03-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def view() -> JudgeView:
    """The shipped use case's rules, without its slices."""
    found = judge_view(load_use_case(HOME, "network_degradation"))
    return found.model_copy(update={"gates": found.gates.model_copy(update={"slices": ()})})


def predictions(error: float, seed: int = 1) -> pd.DataFrame:
    """Return predictions of 12 cells on 7 days whose ranking is as good as `error` is small."""
    hours = pd.date_range("2024-03-02", periods=7 * 24, freq="h", tz="UTC").as_unit("us")
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(
        [(f"C{cell:02}", hour) for cell in range(12) for hour in hours],
        columns=["entity", "time"],
    ).astype({"entity": "str"})
    risk = np.random.default_rng(0).random(len(rows))
    rows["y"] = (risk > 0.9).astype(float)
    rows["prediction"] = 1 / (1 + np.exp(-(risk - 0.9 + random.normal(0, error, len(rows))) * 9))
    return rows


def contender(frame: pd.DataFrame, view: JudgeView) -> Contender:
    """Return a candidate with its evaluation on these predictions."""
    evaluation = evaluate_predictions(frame, view, None)
    return Contender(candidate="good", fingerprint="f2", evaluation=evaluation)


def decide(view: JudgeView, state: ChampionState, champion: pd.DataFrame | None = None) -> Decision:
    """Judge a good candidate against poor baselines."""
    good = predictions(0.05)
    poor = [predictions(9.0, seed) for seed in (2, 3, 4, 6)]
    names = ("last_value", "majority", "seasonal", "weekly")
    return judge(good, poor, names, champion, contender(good, view), TRAIN_END, state, view)


VACANT = ChampionState(has_registry_answered=True)


def test_a_good_first_candidate_is_promoted(view: JudgeView) -> None:
    """Every gate passed and nobody there: it becomes champion."""
    assert decide(view, VACANT).promote


def test_manual_promotion_leaves_it_to_people(view: JudgeView) -> None:
    """The same candidate is not promoted where promotion is manual, which is the first reason; one
    that failed a gate needs no approval either."""
    manual = view.model_copy(update={"promotion": "manual"})
    decision = decide(manual, VACANT)
    assert not decision.promote and "promotion is manual" in decision.reasons[0]
    assert decision.needs_approval and not decide(view, VACANT).needs_approval
    assert not decide(manual, ChampionState(has_registry_answered=False)).needs_approval


@pytest.mark.parametrize(
    "state",
    [
        ChampionState(has_registry_answered=False),
        ChampionState(has_registry_answered=True, reason="the model file is gone"),
        ChampionState(version=1, fingerprint="f1", train_end=TRAIN_END, has_registry_answered=True),
    ],
    ids=["registry silent", "champion unreadable", "champion not scored"],
)
def test_what_is_not_known_keeps_the_champion(view: JudgeView, state: ChampionState) -> None:
    """A silent registry, an unreadable champion and one without predictions promote nobody."""
    assert not decide(view, state).promote


def trained_until(day: str) -> ChampionState:
    """Return a champion whose training rows end as that day begins."""
    return ChampionState(
        version=1,
        fingerprint="f1",
        train_end=f"{day}T00:00:00+00:00",
        has_registry_answered=True,
    )


def test_rows_that_the_champion_was_trained_on_do_not_count(view: JudgeView) -> None:
    """A champion whose training ends after the holdout leaves no row to compare on."""
    decision = decide(view, trained_until("2024-03-20"), predictions(9.0, 5))
    assert not decision.promote and decision.comparisons["version 1"].rows == 0


def test_rows_within_the_embargo_of_the_champions_training_do_not_count(view: JudgeView) -> None:
    """A champion trained to 4 March 00:00, embargo 2 h: of 168 hours the first 51 tell nothing."""
    asked = view.model_copy(update={"embargo": timedelta(hours=2)})
    found = decide(asked, trained_until("2024-03-04"), predictions(9.0, 5)).comparisons
    champion, baseline = found["version 1"], found["last_value"]
    assert (champion.rows, champion.dropped) == (12 * 117, 12 * 51)
    assert (baseline.rows, baseline.dropped) == (12 * 168, 0)


def test_days_are_judged_in_spans_of_the_embargo(view: JudgeView) -> None:
    """With an embargo of two days six days are three observations, too few against baselines and
    champion alike; with one of a week the holdout is a single one, and its interval says so."""
    asked = view.model_copy(update={"embargo": timedelta(days=2)})
    decision = decide(asked, trained_until("2024-02-20"), predictions(9.0, 5))
    assert {one.clusters["day"] for one in decision.comparisons.values()} == {3}
    assert not decision.promote and "3 spans of 2 days" in " ".join(decision.reasons)
    week = view.model_copy(update={"embargo": timedelta(days=7)})
    assert evaluate_predictions(predictions(0.05), view, None).notes == ()
    (note,) = evaluate_predictions(predictions(0.05), week, None).notes
    assert "single span of 7 days" in note


def entry(name: str, fold_score: float | None, kind: str = "candidate") -> Entry:
    """Return a line of the leaderboard."""
    evaluation = Evaluation(
        problem="classification",
        metrics={"average_precision": Interval(value=0.5)},
        rows=1,
        positives=1,
        clusters={},
        confidence=0.95,
    )
    return Entry(name=name, kind=kind, fold_score=fold_score, evaluation=evaluation)


def test_the_best_of_the_folds_is_judged() -> None:
    """The highest fold score wins, the first of equal ones; baselines and unscored ones never."""
    entries = [
        entry("none", None),
        entry("low", 0.2),
        entry("first", 0.7),
        entry("second", 0.7),
        entry("trivial", 0.9, "baseline"),
    ]
    assert choose(entries, "average_precision").name == "first"
    assert choose(entries, "brier").name == "low"


def test_a_champion_without_its_features_is_a_reason() -> None:
    """A table that lost a feature of the champion gives no predictions and says which feature."""
    card = ModelCard(
        candidate="ridge",
        estimator="Ridge",
        params={},
        features=("gone", "there"),
        categories=(),
        problem="regression",
        threshold=None,
        train_end=TRAIN_END,
        refit=False,
        model_sha256="s",
    )
    table = pd.DataFrame({"there": [1.0], "split": ["holdout"]})
    score = score_champion(b"", table, card, (), "cell_id")
    assert score.predictions is None and "features gone" in str(score.verdict.reason)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "LinearRegression) predicts no rows with missing values, but 'load' has 1 of 2 "),
        (np.inf, "the features load hold infinite values"),
    ],
)
def test_a_champion_that_cannot_predict_these_rows_is_a_reason(value: float, reason: str) -> None:
    """What the champion never met in its training gives no predictions, and says why."""
    table = pd.DataFrame({"load": [1.0, 2.0], "split": "holdout"})
    model, card = champion_of(table, pd.Series([1.0, 2.0]))
    newer = table.assign(load=[1.0, value])
    score = score_champion(model, newer, card, (), "cell_id")
    assert score.predictions is None and reason in str(score.verdict.reason)


def champion_of(table: pd.DataFrame, y: "pd.Series[float]") -> tuple[bytes, ModelCard]:
    """Return a line through `load` as a champion, with a card from before there were intervals."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    model = models.dump(Pipeline([("fit", LinearRegression())]).fit(table[["load"]], y))
    written = {
        "candidate": "ridge",
        "estimator": "LinearRegression",
        "params": {},
        "features": ["load"],
        "categories": [],
        "problem": "regression",
        "threshold": None,
        "train_end": TRAIN_END,
        "refit": False,
        "model_sha256": sha256(model),
    }
    return model, ModelCard.model_validate_json(json.dumps(written))


def test_a_champion_without_intervals_is_compared(view: JudgeView) -> None:
    """A card from before there were intervals still loads; its model is compared by the metric, and
    the promise is asked of the candidate alone."""
    table = predictions(0.0).assign(load=lambda rows: rows["prediction"], split="holdout")
    table["y"] = 10 * table["load"]
    model, card = champion_of(table, table["y"])
    champion = score_champion(model, table, card, (), "cell_id").predictions
    assert card.intervals is None and champion is not None and "low" not in champion
    changes = {"problem": "regression", "metric": "mae", "intervals": Intervals(coverage=0.9)}
    wanted = view.model_copy(update=changes | {"gates": Gates()})
    candidate = champion.assign(
        prediction=champion["y"] + 1e-12, low=champion["y"] - 1, high=champion["y"] + 1
    )
    champion["prediction"] += np.random.default_rng(1).normal(size=len(champion))
    known = ChampionState(
        version=1, fingerprint="f1", train_end=TRAIN_END, has_registry_answered=True
    )
    contending = contender(candidate, wanted)
    assert contending.evaluation.metrics["coverage"].value == 1.0
    baseline, names = [champion, champion], ("last_value", "majority")
    decision = judge(candidate, baseline, names, champion, contending, TRAIN_END, known, wanted)
    assert decision.promote and decision.comparisons["version 1"].is_sufficient


def test_entities_are_sliced_by_what_their_names_say(view: JudgeView) -> None:
    """Cells of one site are a group of the evaluation; a name without a site is missing."""
    frame = predictions(0.05)
    levels = {"site": "^C0(?P<value>[0-4])"}
    asked = view.model_copy(update={"levels": levels, "slice_support": {"site": 100}})
    found = evaluate_predictions(frame, asked, None).slices
    groups = [(part.column, part.value, part.rows) for part in found]
    sites = [("site", str(place), 168) for place in range(5)]
    assert groups == [*sites, ("site", "missing", 7 * 168)]
    assert all(part.score is not None for part in found)

"""Pictures: the same bytes again, no shared state, and nothing drawn that is not there."""

import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast import plots
from rancast.conformal import ConformalIntervals, Quantiles
from rancast.errors import EvidenceError
from rancast.evaluation import Evaluation, Interval, evaluate
from rancast.gates import Intervals
from rancast.interval_scores import with_intervals
from rancast.models import ModelCard
from rancast.problems import Problem

IMPORTANCE = pd.DataFrame(
    {
        "feature": ["load", "hour"],
        "importance_mean": [0.2, -0.01],
        "importance_std": [0.02, 0.01],
    }
)


def predictions(problem: Problem = "classification", rows: int = 240) -> pd.DataFrame:
    """Return two entities over a few days."""
    random = np.random.default_rng(4)
    time = pd.Timestamp("2024-03-01", tz="UTC") + pd.to_timedelta(np.arange(rows) // 2, unit="h")
    value = random.random(rows)
    y = (random.random(rows) < value**2).astype(float) if problem == "classification" else value
    prediction = np.clip(value + random.normal(0, 0.1, rows), 0, 1)
    return pd.DataFrame(
        {"entity": ["a", "b"] * (rows // 2), "time": time, "y": y, "prediction": prediction}
    )


def card(problem: Problem, **changes: Any) -> ModelCard:
    """Return a card for these predictions."""
    values: dict[str, Any] = {
        "candidate": "boosting",
        "estimator": "HistGradientBoostingClassifier",
        "params": {},
        "features": ("load", "hour"),
        "categories": (),
        "problem": problem,
        "threshold": 0.6 if problem == "classification" else None,
        "train_end": "2024-02-29T00:00:00+00:00",
        "refit": False,
        "model_sha256": "0" * 64,
    }
    return ModelCard(**values | changes)


def draw(problem: Problem, frame: pd.DataFrame | None = None) -> dict[str, bytes]:
    """Draw all pictures of one candidate."""
    shown = predictions(problem) if frame is None else frame
    metrics = ("average_precision",) if problem == "classification" else ("mae",)
    baselines = {
        "last_value": shown.assign(prediction=shown["y"].shift(2, fill_value=0.0)),
        "seasonal": shown.assign(prediction=0.3 + 0.1 * (shown.index % 3)),
        "weekly": shown.assign(prediction=0.3 + 0.1 * (shown.index % 5)),
        "majority": shown.assign(prediction=0.5),
    }
    found = evaluate(shown, problem, metrics, seed=1)
    return plots.for_candidate(shown, card(problem), found, IMPORTANCE, baselines)


def size(png: bytes) -> tuple[int, int]:
    """Return width and height from a PNG's header."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


@pytest.mark.parametrize(
    ("problem", "special"),
    [
        ("classification", {"precision_recall.png", "calibration.png"}),
        ("regression", {"predicted_against_actual.png", "residuals.png"}),
    ],
)
def test_each_problem_has_its_pictures(problem: Problem, special: set[str]) -> None:
    """Both problems show importance and time; curves or residuals come as they fit."""
    drawn = draw(problem)
    assert set(drawn) == special | {"importance.png", "predicted_over_time.png"}
    for png in drawn.values():
        assert size(png) > (800, 300)


def test_intervals_have_two_pictures_more() -> None:
    """The band over time and the coverage by group are drawn for a model with intervals."""
    frame = predictions("regression")
    ends = {"low": frame["prediction"] - 0.15, "high": frame["prediction"] + 0.15}
    frame = frame.assign(**ends, technology=pd.Series(["4G", "5G"] * 120, dtype="str"))
    wanted = Intervals(coverage=0.9, by="technology")
    found = evaluate(frame, "regression", ("mae",), seed=1)
    quantiles = Quantiles(low=-0.15, high=0.15, rows=50)
    made = ConformalIntervals(coverage=0.9, by="technology", pooled=(quantiles,))
    drawn = plots.for_candidate(
        frame,
        card("regression", intervals=made),
        with_intervals(found, frame, wanted, seed=1),
        IMPORTANCE,
        {},
    )
    for name in ("intervals_over_time.png", "interval_coverage.png"):
        assert size(drawn[name]) > (800, 300)


def test_pictures_are_the_same_bytes_in_any_thread() -> None:
    """Three threads drawing at the same time draw what one draws alone, byte for byte."""
    alone = draw("classification")
    with ThreadPoolExecutor(3) as pool:
        for together in pool.map(draw, ["classification"] * 3):
            assert together == alone


def test_no_figure_stays_behind() -> None:
    """Nothing is registered with pyplot, whose figures would never be freed."""
    from matplotlib import pyplot

    draw("regression")
    assert pyplot.get_fignums() == []


def test_bytes_hold_no_version_and_no_date() -> None:
    """A PNG of ours carries no text that changes with the library or the clock."""
    for png in draw("regression").values():
        assert b"tEXt" not in png and b"Software" not in png and b"tIME" not in png


def test_a_single_class_has_no_curves() -> None:
    """Without a positive row there is no precision-recall curve; the rest is drawn."""
    drawn = draw("classification", predictions().assign(y=0.0))
    assert set(drawn) == {"importance.png", "predicted_over_time.png"}


def test_residuals_stand_beside_the_hardest_baseline() -> None:
    """It is the best by the metric; one without finite predictions is none."""
    frame = predictions("regression")
    given = {
        "last_value": frame.assign(prediction=frame["y"] + 0.3),
        "seasonal": frame.assign(prediction=frame["y"] + 0.1),
        "weekly": frame.assign(prediction=float("nan")),
    }
    assert list(plots.hardest(given, "mae")) == ["seasonal"]
    assert list(plots.hardest(given, "r2")) == ["seasonal"]
    assert not plots.hardest({}, "mae")


def test_what_selection_left_out_has_no_importance_to_show() -> None:
    """Only features that the model has are drawn; without a selection it has all."""
    assert plots.shown_features(IMPORTANCE, ("hour",))["feature"].tolist() == ["hour"]
    assert len(plots.shown_features(IMPORTANCE, None)) == 2


@pytest.mark.parametrize(
    ("every", "days", "step", "words"),
    [("1D", 60, "1D", "day"), ("6h", 30, "6h", "6 hours"), ("15min", 2, "15min", "15 minutes")],
)
def test_lines_have_a_point_for_each_row(every: str, days: int, step: str, words: str) -> None:
    """Means are of the grid's own period where it leaves few points, so that no line breaks."""
    start = pd.Timestamp("2024-03-01", tz="UTC")
    time = pd.Series(pd.date_range(start, start + pd.Timedelta(days=days), freq=every))
    assert (plots._step(time), plots._words(step)) == (step, words)
    means = pd.Series(1.0, time.dt.floor(step)).asfreq(step)
    assert means.notna().all()


def test_one_time_and_many_have_a_step() -> None:
    """A single time is drawn by the second, three years of hours by weeks."""
    at = pd.Series(pd.date_range("2024-03-01", periods=3 * 365 * 24, freq="h", tz="UTC"))
    assert (plots._step(at.head(1)), plots._step(at)) == ("1s", "7D")
    assert plots._step(at.head(24 * 300)) == "1D"


def test_few_rows_with_gaps_are_drawn() -> None:
    """A trace of a minute, and one of a single row a day later, do not break a picture."""
    frame = predictions("regression", rows=60)
    frame["time"] = pd.Timestamp("2020-02-14", tz="UTC") + pd.to_timedelta(frame.index, unit="s")
    frame["entity"] = "trace_1"
    last = frame.tail(1).assign(entity="trace_2", time=frame["time"].max() + pd.Timedelta("1D"))
    drawn = draw("regression", pd.concat([frame, last], ignore_index=True))
    assert len(drawn) == 4


def test_undefined_importance_says_so_instead_of_drawing_bars() -> None:
    """Importances that are all missing give a picture with a sentence."""
    undefined = IMPORTANCE.assign(importance_mean=np.nan)
    assert size(plots.feature_importance(undefined, card("classification"), "roc_auc"))[0] > 800


def evaluation(value: float | None) -> Evaluation:
    """Return an evaluation with or without an average precision."""
    return Evaluation(
        problem="classification",
        metrics={} if value is None else {"average_precision": Interval(value=value)},
        rows=10,
        positives=2,
        clusters={"entity": 2, "day": 2},
        confidence=0.95,
    )


def test_leaderboard_lists_whoever_has_no_metric() -> None:
    """A candidate without the metric gets its line; nobody with it is an error."""
    board = plots.leaderboard(
        {"forest": evaluation(0.4), "broken": evaluation(None)},
        {"majority": evaluation(0.1)},
        "average_precision",
    )
    assert size(board)[1] > 300
    with pytest.raises(EvidenceError, match="nobody has average_precision"):
        plots.leaderboard({"broken": evaluation(None)}, {}, "average_precision")


def test_coverage_shows_a_day_and_a_year() -> None:
    """One day, many days with refused and missing ones, and missing days alone are drawn; without
    any day there is nothing to draw."""
    first = date(2024, 3, 1)
    days = {first + timedelta(days=index): 0.9 for index in range(365)}
    missing = [first + timedelta(days=365)]
    one = plots.coverage_by_day({first: 1.0}, (), (), "kpis")
    assert size(one) == size(plots.coverage_by_day(days, [first], missing, "kpis"))
    assert plots.coverage_by_day({}, (), missing, "kpis") != one
    with pytest.raises(EvidenceError, match="kpis has no day"):
        plots.coverage_by_day({}, (), (), "kpis")

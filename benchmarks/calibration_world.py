"""Simulated operators as rows of features, labels and the network's true state, for calibration.

Features and labels are made here on whole arrays (periods, cells), in the shipped ones' manner and
a hundred times as fast: what is calibrated is the rule, on models as they are.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast.estimators import build_pipeline, fit_pipeline
from rancast.fit_view import Candidate
from rancast.metrics import FloatArray
from rancast.models import predict_prepared
from rancast.problems import Problem
from rancast.simulation_network import (
    DAY_PERIODS,
    LATENCY_LIMIT_MS,
    LOSS_LIMIT,
    TECHNOLOGIES,
    THROUGHPUT_LIMIT_MBPS,
    Network,
)
from rancast.simulation_scale import Scale
from rancast.use_cases import UseCase, load_use_case

ROOT = Path(__file__).parents[1]
USE_CASE = "network_degradation"
START = date(2024, 3, 1)
HORIZON = 6  # periods: 30 minutes
ENOUGH = 5  # of them must have been seen for "no breach", or for a mean
HISTORY_DAYS = 3
WINDOWS = {"30min": 6, "2h": 24}
MEASURED = ("latency_ms", "packet_loss", "throughput_mbps")
CALENDAR = ("hour", "is_weekend", "minute_of_day_sin", "minute_of_day_cos")
FEATURES = (
    *MEASURED,
    "signal_strength_dbm",
    *(f"{name}_lag_1" for name in MEASURED),
    *(f"{name}_mean_{window}" for window in WINDOWS for name in MEASURED),
    *(f"{name}_mean_3d_{at}" for name in MEASURED for at in ("same_hour", "any_hour")),
    *CALENDAR,
    "connection_type",
)
# what only the simulator knows, for models that are truly better informed
STATE = ("true_load", "true_load_due", "true_backlog", "true_latency", "true_throughput")


class Question(NamedTuple):
    """What models are compared on: a metric, its label's column and how models of it learn."""

    metric: str
    problem: Problem
    label: str
    boosting: Candidate
    linear: Candidate


def _candidate(estimator: str, **given: Any) -> Candidate:
    return Candidate.model_validate({"name": "model", "estimator": estimator, **given})


_TREES = {"learning_rate": 0.2, "max_iter": 30, "max_leaf_nodes": 15, "min_samples_leaf": 50}
_PREPARED = {"scale": True, "impute": True}
DEGRADED = Question(
    "average_precision",
    "classification",
    "is_degraded",
    _candidate("HistGradientBoostingClassifier", params=_TREES),
    _candidate("LogisticRegression", params={"max_iter": 300}, **_PREPARED),
)
THROUGHPUT = Question(
    "mae",
    "regression",
    "throughput_mbps_next",
    _candidate("HistGradientBoostingRegressor", params=_TREES | {"loss": "absolute_error"}),
    _candidate("Ridge", params={"alpha": 1.0}, **_PREPARED),
)


@lru_cache(maxsize=1)
def use_case() -> UseCase:
    """Return the shipped use case, whose gates, split and metric are calibrated."""
    return load_use_case(ROOT, USE_CASE)


def simulate(scale: Scale, first: date, days: int, stride: int = 1) -> pd.DataFrame:
    """Return the rows of `days` days from `first` on of one simulated operator.

    Columns: entity, time, FEATURES, STATE, is_busy_hour, and per question the label (NaN where too
    little of the horizon was seen) and what was last known of it. Of each cell every `stride`-th
    period is kept, another one for each cell and day: 7 visits all minutes of the hour.
    """
    network = Network(scale)
    dates = [first + timedelta(days=number) for number in range(-HISTORY_DAYS, days)]
    seen = _stack([_reported(network, day) for day in dates])
    state = _stack([_state(network, day) for day in dates])
    columns = {**seen, **dict(_features(seen)), **state, **dict(_labels(seen))}
    columns["is_busy_hour"] = _is_busy_hour(state["true_load"])
    is_kept = _is_kept(seen["latency_ms"], stride)
    period, cell = np.nonzero(is_kept)
    found = pd.DataFrame({name: values[is_kept] for name, values in columns.items()})
    stamps = pd.Timestamp(dates[0], tz="UTC") + pd.to_timedelta(np.arange(len(is_kept)) * 5, "min")
    found["time"] = stamps.as_unit("us")[period]
    found["entity"] = pd.Series(np.char.add(f"{scale.seed}/", network.cells.names)[cell]).astype(
        "str"
    )
    kind = np.array(TECHNOLOGIES)[network.cells.technology]
    found["connection_type"] = pd.Series(kind[cell]).astype("str")
    hour = (period % DAY_PERIODS) // 12
    angle = 2 * np.pi * (period % DAY_PERIODS) / DAY_PERIODS
    weekend = (found["time"].dt.dayofweek >= 5).astype("float64")
    return found.assign(
        hour=hour.astype(np.float64),
        is_weekend=weekend,
        minute_of_day_sin=np.sin(angle),
        minute_of_day_cos=np.cos(angle),
    )


def _stack(days: list[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    return {name: np.concatenate([day[name] for day in days]) for name in days[0]}


def _reported(network: Network, day: date) -> dict[str, FloatArray]:
    """Return what the cells reported on a day, (periods, cells), NaN where they did not."""
    frame = network.reports(day)
    cell = pd.Index(network.cells.names).get_indexer(pd.Index(frame["cell_id"]))
    found = {}
    for name in (*MEASURED, "signal_strength_dbm"):
        found[name] = np.full((DAY_PERIODS, len(network.cells.names)), np.nan)
        found[name][frame["period"], cell] = frame[name]
    return found


def _state(network: Network, day: date) -> dict[str, FloatArray]:
    state = network.day(day)
    due = network.expected_load(day, DAY_PERIODS + HORIZON)[HORIZON:]
    medians = network.medians(state.utilisation, state.backlog)
    known = (state.utilisation, due, state.backlog, medians.latency, medians.throughput)
    return dict(zip(STATE, known, strict=True))


def _features(seen: dict[str, FloatArray]) -> Iterator[tuple[str, FloatArray]]:
    for name in MEASURED:
        values = seen[name]
        yield f"{name}_lag_1", np.concatenate([values[:1] * np.nan, values[:-1]])
        for window, periods in WINDOWS.items():
            yield f"{name}_mean_{window}", _mean(*_sums(values, periods))
        by_hour = values.reshape(-1, 24, 12, values.shape[1])
        parts = np.nansum(by_hour, axis=2), np.isfinite(by_hour).sum(axis=2)
        of_hour = _mean(*(_earlier_days(part) for part in parts))
        yield f"{name}_mean_3d_same_hour", np.repeat(of_hour, 12, axis=1).reshape(values.shape)
        of_day = _mean(*(_earlier_days(part.sum(axis=1)) for part in parts))
        yield f"{name}_mean_3d_any_hour", np.repeat(of_day, DAY_PERIODS, axis=0)


def _is_busy_hour(load: FloatArray) -> FloatArray:
    """Return 1 in the hour of each day in which a cell's load is largest, for the slices."""
    of_hour = load.reshape(-1, 24, 12, load.shape[1]).mean(axis=2)
    is_largest = of_hour == of_hour.max(axis=1, keepdims=True)
    return np.repeat(is_largest.astype(np.float64), 12, axis=1).reshape(load.shape)


def _sums(values: FloatArray, periods: int) -> tuple[FloatArray, FloatArray]:
    """Return sum and number of the known values of the `periods` up to each period."""
    parts = []
    for each in (np.nan_to_num(values), np.isfinite(values).astype(np.float64)):
        total = np.concatenate([np.zeros((periods, values.shape[1])), each]).cumsum(axis=0)
        parts.append(total[periods:] - total[:-periods])
    return parts[0], parts[1]


def _mean(total: FloatArray, number: FloatArray) -> FloatArray:
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0.5)


def _earlier_days(values: FloatArray) -> FloatArray:
    """Return the sum over the HISTORY_DAYS before each day, the first axis."""
    padded = np.concatenate([np.zeros((HISTORY_DAYS, *values.shape[1:])), values])
    return np.asarray(sum(padded[n : n + len(values)] for n in range(HISTORY_DAYS)))


def _labels(seen: dict[str, FloatArray]) -> Iterator[tuple[str, FloatArray]]:
    latency, loss, throughput = (seen[name] for name in MEASURED)
    is_breach = (latency > LATENCY_LIMIT_MS) | (loss > LOSS_LIMIT)
    is_breach |= throughput < THROUGHPUT_LIMIT_MBPS
    breach = np.where(np.isfinite(latency), is_breach, np.nan)
    breaches, number = _ahead(breach)
    quiet = np.where(number > ENOUGH - 0.5, 0.0, np.nan)
    yield DEGRADED.label, np.where(breaches > 0.5, 1.0, quiet)
    yield f"{DEGRADED.label}_last_value", breach
    total, number = _ahead(throughput)
    yield THROUGHPUT.label, np.where(number > ENOUGH - 0.5, _mean(total, number), np.nan)
    yield f"{THROUGHPUT.label}_last_value", throughput


def _ahead(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sum and number of the known values of the HORIZON after each period."""
    absent = np.full((HORIZON, values.shape[1]), np.nan)
    total, number = _sums(np.concatenate([values, absent]), HORIZON)
    return total[HORIZON:], number[HORIZON:]


def _is_kept(seen: FloatArray, stride: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which rows there are: reported, with a history behind and the whole horizon ahead."""
    period, cell = np.indices(seen.shape)
    is_kept = np.isfinite(seen) & ((period + cell + period // DAY_PERIODS) % stride == 0)
    return np.asarray(
        is_kept & (period >= HISTORY_DAYS * DAY_PERIODS) & (period < len(seen) - HORIZON)
    )


class Model(NamedTuple):
    """A fitted pipeline and the columns that it reads."""

    pipeline: Any
    columns: tuple[str, ...]
    problem: Problem

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return one prediction per row."""
        return predict_prepared(self.pipeline, rows[list(self.columns)], self.problem)


def names(without: Iterable[str] = (), extra: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the features that contain none of the words `without`, and then `extra`."""
    return (*(n for n in FEATURES if not any(word in n for word in without)), *extra)


def fit(
    rows: pd.DataFrame,
    question: Question,
    columns: tuple[str, ...],
    seed: int,
    linear: bool = False,
) -> Model:
    """Fit a model of `question` on the labelled ones of `rows`."""
    candidate = question.linear if linear else question.boosting
    known = rows[rows[question.label].notna()]
    X = known[list(columns)]
    y = known[question.label].astype("int64" if question.problem == "classification" else "float64")
    pipeline = build_pipeline(candidate, {}, X, question.problem, seed)
    return Model(fit_pipeline(candidate, pipeline, X, y), columns, question.problem)

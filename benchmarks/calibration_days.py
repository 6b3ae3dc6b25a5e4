"""One operator's hundred nights: a challenger retrained on each, held against the champion then."""

from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from benchmarks.calibration_trials import Challenger, Sample, decided
from benchmarks.calibration_world import (
    START,
    STATE,
    Model,
    Question,
    fit,
    names,
    simulate,
    use_case,
)
from rancast.simulation_scale import Scale

HISTORY = timedelta(days=30)
STRIDE = 7  # of training rows: every 35 minutes of a cell
FRESH_START = START + timedelta(days=730)
FRESH_DAYS, FRESH_STRIDE = 120, 18
PATIENCE = 20  # nights


class Nights(NamedTuple):
    """What came of one operator's nights.

    `changes` are the nights on which a challenger that is truly no better was promoted, and `worth`
    is the last champion's true improvement over the first one. `waited` holds for each start how
    many nights in a row a truly better challenger took, None where PATIENCE ended first.
    """

    seed: int
    nights: int
    changes: tuple[int, ...]
    worth: float
    waited: tuple[int | None, ...]


class _Operator:
    """The rows of one operator, the models of its nights, and its own cells' fresh sample."""

    def __init__(self, seed: int, question: Question, nights: int) -> None:
        scale = Scale(cells=20, seed=seed)
        self.question = question
        rows = simulate(scale, START, HISTORY.days + nights)
        self.rows = rows[rows[question.label].notna()].reset_index(drop=True)
        self.fresh = Sample.of(simulate(scale, FRESH_START, FRESH_DAYS, FRESH_STRIDE), question)
        first = self._train_rows(0)
        self.worse = fit(first, question, names(without=("latency", "loss", "throughput")), 0)
        self.better = fit(first, question, names(extra=STATE), 0)
        self.model = lru_cache(maxsize=None)(self._fitted)

    def _fitted(self, night: int) -> Model:
        return fit(self._train_rows(night), self.question, names(), night)

    def _end(self, night: int) -> pd.Timestamp:
        return pd.Timestamp(START + HISTORY + timedelta(days=night), tz="UTC")

    def _train_rows(self, night: int) -> pd.DataFrame:
        split = use_case().split
        end = self._end(night)
        time = self.rows["time"]
        is_train = (time >= end - HISTORY) & (time < end - split.holdout - split.embargo)
        return self.rows[is_train].iloc[night % STRIDE :: STRIDE]

    def holdout(self, night: int) -> pd.DataFrame:
        """Return the rows of the latest week as of a night."""
        end, time = self._end(night), self.rows["time"]
        return self.rows[(time >= end - use_case().split.holdout) & (time < end)]

    def is_promoted(self, night: int, challenger: Challenger, champion: Challenger) -> bool:
        """Tell what the shipped rule decides on a night."""
        holdout = Sample.of(self.holdout(night), self.question)
        after = self._end(night) - use_case().split.holdout - timedelta(microseconds=1)
        return decided(holdout, challenger, champion, after)[1].promote

    def challenger(self, night: int, champion: Challenger, target: float) -> Challenger:
        """Return the night's model, truly better than `champion` by `target`."""
        return self.fresh.tuned(self.model(night), champion, target, self.worse, self.better)

    def plain(self, night: int) -> Challenger:
        """Return the night's model as it is."""
        return Challenger(self.model(night), self.worse, 0.0)


def live_through(seed: int, question: Question, nights: int, every: int = 10) -> Nights:
    """Let one operator live through its nights, once without and once with better challengers."""
    operator = _Operator(seed, question, nights)
    champion = first = operator.plain(0)
    changes: list[int] = []
    waited: list[int | None] = []
    for night in range(1, nights + 1):
        challenger = operator.plain(night)
        if operator.fresh.improvement(challenger, champion) > 0:
            challenger = operator.challenger(night, champion, 0.0)
        if operator.is_promoted(night, challenger, champion):
            champion = challenger
            changes.append(night)
        if night % every == 0 and night + PATIENCE <= nights:
            waited.append(_wait(operator, night))
    worth = operator.fresh.improvement(champion, first)
    return Nights(seed, nights, tuple(changes), worth, tuple(waited))


def _wait(operator: _Operator, start: int) -> int | None:
    """Return after how many nights a challenger that is truly 5 % better is promoted."""
    champion = operator.fresh.weakened(operator.plain(start), operator.plain(start + 1), 0.05)
    for waited in range(1, PATIENCE + 1):
        challenger = operator.challenger(start + waited, champion, 0.05)
        if operator.is_promoted(start + waited, challenger, champion):
            return waited
    return None

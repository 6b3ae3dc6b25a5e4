"""Challengers whose true worth is set, and what each rule makes of them on one holdout."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, logit

from benchmarks.calibration_world import (
    DEGRADED,
    START,
    STATE,
    Model,
    Question,
    fit,
    names,
    simulate,
    use_case,
)
from rancast.decisions import (
    Comparison,
    Contender,
    Decision,
    Incumbent,
    compare,
    decide,
    relative_improvement,
)
from rancast.evaluation import Evaluation, Interval
from rancast.gates import Gates
from rancast.influence import improvement_influence, variance
from rancast.metrics import FloatArray, Metric, find_metric
from rancast.problems import Problem
from rancast.simulation_scale import Scale

SLICES = ("connection_type", "is_busy_hour")
KINDS = ("retrained", "other algorithm", "fewer features")
SMALLEST = 1e-6
CLOSE = 5e-4  # an improvement is set to
NORMAL = 1.96  # two-sided 95 %, as if there were many independent clusters
OURS = "this rule"


class Zoo(NamedTuple):
    """Fitted models of one question, and what each says of the fresh sample.

    `plain` holds the champions and challengers by kind. `worse` sees neither latency, loss nor
    throughput, `better` also sees the true load and backlog; challengers are mixed with them.
    """

    question: Question
    plain: dict[str, list[Model]]
    worse: Model
    better: Model


class Challenger(NamedTuple):
    """A model mixed with a worse or a better informed one, so that it is worth what it should."""

    model: Model
    other: Model
    weight: float


def on_scale(prediction: FloatArray, problem: Problem) -> FloatArray:
    """Return predictions on the scale on which they are mixed."""
    if problem == "regression":
        return prediction
    return np.asarray(logit(np.clip(prediction, SMALLEST, 1 - SMALLEST)))


def average_precision(y: FloatArray, score: FloatArray) -> float:
    """Return scikit-learn's average precision, several times as fast."""
    order = np.argsort(-score)
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = y[order].cumsum()[last]
    return float((np.diff(found, prepend=0) * found / (last + 1)).sum() / found[-1])


def train(rows: pd.DataFrame, question: Question, each: tuple[int, int, int]) -> Zoo:
    """Fit `each` many models per kind, each on 20 cells and 23 days drawn from `rows`."""
    random = np.random.default_rng(20240301)
    cells, day = rows["entity"].unique(), rows["time"].dt.floor("D")
    days = day.unique()

    def drawn(number: int = 20) -> pd.DataFrame:
        some = random.choice(cells, min(number, len(cells)), replace=False)
        when = random.choice(days, min(23, len(days)), replace=False)
        found: pd.DataFrame = rows[rows["entity"].isin(some) & day.isin(when)]
        return found

    lists = dict(zip(KINDS, each, strict=True))
    few = names(without=("3d", "2h"))
    plain = {
        "retrained": [fit(drawn(), question, names(), n) for n in range(lists["retrained"])],
        "other algorithm": [
            fit(drawn(), question, names(), n, linear=True) for n in range(lists["other algorithm"])
        ],
        "fewer features": [fit(drawn(), question, few, n) for n in range(lists["fewer features"])],
    }
    blind = names(without=("latency", "loss", "throughput"))
    worse = fit(drawn(), question, blind, 0)
    return Zoo(question, plain, worse, fit(drawn(100), question, names(extra=STATE), 0))


class Sample(NamedTuple):
    """Labelled rows, and what models say of them, by model; a large fresh one is the truth."""

    question: Question
    metric: Metric
    y: FloatArray
    rows: pd.DataFrame
    said: dict[int, FloatArray]

    @classmethod
    def of(cls, rows: pd.DataFrame, question: Question) -> "Sample":
        """Return the labelled ones of `rows`."""
        known = rows[rows[question.label].notna()].reset_index(drop=True)
        y = known[question.label].to_numpy(dtype=np.float64)
        return cls(question, find_metric(question.metric), y, known, {})

    def says(self, model: Model) -> FloatArray:
        """Return what `model` predicts on the scale of mixtures, asking it once."""
        if id(model) not in self.said:
            self.said[id(model)] = on_scale(model.predict(self.rows), model.problem)
        return self.said[id(model)]

    def mixed(self, challenger: Challenger) -> FloatArray:
        """Return what a mixture predicts, on that scale."""
        one = self.says(challenger.model)
        if not challenger.weight:
            return one
        other = self.says(challenger.other)
        return np.asarray((1 - challenger.weight) * one + challenger.weight * other)

    def predict(self, challenger: Challenger) -> FloatArray:
        """Return what a mixture predicts."""
        mixed = self.mixed(challenger)
        return mixed if self.question.problem == "regression" else np.asarray(expit(mixed))

    def worth(self, challenger: Challenger) -> float:
        """Return the value of the metric, which for classes depends on ranks alone."""
        ours = average_precision if self.metric.name == "average_precision" else self.metric
        return float(ours(self.y, self.mixed(challenger)))

    def improvement(self, challenger: Challenger, champion: Challenger) -> float:
        """Return the true relative improvement."""
        pair = self.worth(challenger), self.worth(champion)
        return relative_improvement(*pair, self.metric.name)

    def tuned(
        self, model: Model, champion: Challenger, target: float, worse: Model, better: Model
    ) -> Challenger:
        """Mix `model` so that it is truly better than `champion` by `target`, to 0.05 %.

        Half of the mixture at most is better informed: where that does not do, that half it is.
        """
        value = self.worth(champion)

        def excess(weight: float, other: Model) -> float:
            found = self.worth(Challenger(model, other, weight))
            return relative_improvement(found, value, self.metric.name) - target

        plain = excess(0.0, worse)
        if abs(plain) < CLOSE:
            return Challenger(model, worse, 0.0)
        other, most = (worse, 1.0) if plain > 0 else (better, 0.5)
        if excess(most, other) * plain > 0:
            return Challenger(model, other, most)
        return Challenger(model, other, float(brentq(excess, 0.0, most, args=(other,), xtol=1e-3)))

    def weakened(self, champion: Challenger, challenger: Challenger, target: float) -> Challenger:
        """Mix a plain champion with the worse model until `challenger` is better by `target`."""

        value = self.worth(challenger)

        def excess(weight: float) -> float:
            found = self.worth(champion._replace(weight=weight))
            return relative_improvement(value, found, self.metric.name) - target

        if excess(0.0) > -CLOSE:
            return champion
        return champion._replace(weight=float(brentq(excess, 0.0, 1.0, xtol=1e-3)))


class Trial(NamedTuple):
    """A champion and a challenger, what the latter should be worth, and what it truly is."""

    question: Question
    kind: str
    champion: Challenger
    challenger: Challenger
    target: float
    truth: float


class Size(NamedTuple):
    """How large a holdout is."""

    cells: int = 20
    days: int = 7


def draw(zoo: Zoo, fresh: Sample, number: int, targets: tuple[float, ...]) -> list[Trial]:
    """Return one trial per target: the same two models, mixed to be worth just that."""
    random = np.random.default_rng([20240302, number])
    kind = KINDS[number % len(KINDS)]
    first = int(random.integers(len(zoo.plain[KINDS[0]])))
    others = [model for n, model in enumerate(zoo.plain[kind]) if kind != KINDS[0] or n != first]
    champion = Challenger(zoo.plain[KINDS[0]][first], zoo.worse, 0.0)
    model = others[int(random.integers(len(others)))]
    trials = []
    for target in targets:
        challenger = fresh.tuned(model, champion, target, zoo.worse, zoo.better)
        held = fresh.weakened(champion, challenger, target)
        truth = fresh.improvement(challenger, held)
        trials.append(Trial(zoo.question, kind, held, challenger, target, truth))
    return trials


def gates_of(question: Question) -> Gates:
    """Return the shipped gates of network_degradation; for MAE without its floors."""
    gates = use_case().gates
    return gates if question is DEGRADED else gates.model_copy(update={"floors": {}})


class Verdict(NamedTuple):
    """What each rule makes of one challenger, what was seen, and which shipped gates failed."""

    metric: str
    kind: str
    target: float
    truth: float
    promoted: dict[str, bool]
    comparison: Comparison
    failed: tuple[str, ...]


def judged(
    trials: list[Trial], seed: int, size: Size = Size(), with_naive: bool = True
) -> list[Verdict]:
    """Let the rules judge trials on the latest days of an operator whom no model has seen."""
    back = size.days if with_naive else 0
    scale = Scale(cells=size.cells, seed=seed)
    rows = simulate(scale, START - timedelta(days=back), size.days + back)
    is_holdout = rows["time"] >= pd.Timestamp(START, tz="UTC")
    questions = {trial.question.metric: trial.question for trial in trials}
    parts = {
        name: (Sample.of(rows[is_holdout], one), Sample.of(rows[~is_holdout], one))
        for name, one in questions.items()
    }
    return [_verdict(trial, *parts[trial.question.metric], with_naive) for trial in trials]


def _verdict(trial: Trial, holdout: Sample, earlier: Sample, with_naive: bool) -> Verdict:
    after = pd.Timestamp(START, tz="UTC") - timedelta(microseconds=1)
    comparison, decision = decided(holdout, trial.challenger, trial.champion, after)
    promoted = {OURS: decision.promote}
    if with_naive:
        promoted |= naive(holdout, trial, earlier.worth(trial.champion))
    failed = tuple(gate.name for gate in decision.gates if not gate.passed)
    seen = comparison.model_copy(update={"slices": ()})
    metric = trial.question.metric
    return Verdict(metric, trial.kind, trial.target, trial.truth, promoted, seen, failed)


def decided(
    holdout: Sample, challenger: Challenger, champion: Challenger, after: datetime
) -> tuple[Comparison, Decision]:
    """Compare and decide as a training does: champion, last value, floors and slices."""
    question, y = holdout.question, holdout.y
    gates = gates_of(question)
    keys = holdout.rows[["entity", "time", *SLICES]].assign(y=y)
    said = holdout.predict(challenger)
    others = holdout.predict(champion), holdout.rows[f"{question.label}_last_value"]
    against = [
        compare(
            keys.assign(prediction=said),
            keys.assign(prediction=other),
            question.metric,
            gates,
            after=after,
        )
        for other in others
    ]
    evaluation = Evaluation(
        problem=question.problem,
        metrics={name: Interval(value=find_metric(name)(y, said)) for name in gates.floors},
        rows=len(y),
        positives=None,
        clusters=against[0].clusters,
        confidence=gates.confidence,
    )
    contender = Contender(candidate="challenger", fingerprint="challenger", evaluation=evaluation)
    incumbent = Incumbent(version=1, fingerprint="champion", comparison=against[0])
    return against[0], decide(contender, incumbent, {"last_value": against[1]}, gates)


def naive(holdout: Sample, trial: Trial, stored: float) -> dict[str, bool]:
    """Return what rules make of it that ignore chance, or that rows depend on each other."""
    metric, y = holdout.metric, holdout.y
    pair = holdout.predict(trial.challenger), holdout.predict(trial.champion)
    values = [metric(y, one) for one in pair]
    improvement = relative_improvement(values[0], values[1], metric.name)
    influence = improvement_influence(metric, y, *pair)
    cell = pd.factorize(holdout.rows["entity"])[0]
    hour = pd.factorize(holdout.rows["time"].dt.floor("h"))[0]
    above = {
        name: improvement - NORMAL * np.sqrt(variance(influence, codes)) > 0
        for name, codes in (("hours", cell * 10_000 + hour), ("cells", cell))
    }
    return {
        "newest wins": True,
        "better than the champion's stored metric": bool(
            relative_improvement(values[0], stored, metric.name) > 0
        ),
        ">= on the same rows": bool(improvement >= 0),
        "interval over hours of a cell above 0": bool(above["hours"]),
        "interval over whole cells above 0": bool(above["cells"]),
        "the same, and at least 2 % better": bool(above["cells"] and improvement >= 0.02),
    }

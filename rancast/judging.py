"""Judge one training: choose its best candidate, hold it against baselines and champion, decide.

The best candidate is chosen by its folds, inside the training rows, so that the holdout that then
speaks for or against it has not been used to choose it. The rules are in `decisions`.
"""

import math
from datetime import timedelta
from typing import Literal, NamedTuple

import pandas as pd

from rancast import baselines, groupings, models
from rancast.cluster_profiles import Clusters, describe
from rancast.decisions import Contender, Decision, Incumbent, Vacancy, compare, decide
from rancast.documents import Document, Duration
from rancast.errors import DataError, ModelRefused
from rancast.evaluation import Evaluation, evaluate
from rancast.gates import Gates, Intervals
from rancast.interval_scores import with_intervals
from rancast.levels import read_level
from rancast.metrics import greater_is_better
from rancast.models import ModelCard
from rancast.problems import METRICS, METRICS_AT_THRESHOLD, Problem
from rancast.silhouettes import with_silhouettes
from rancast.use_cases import UseCase


class JudgeView(Document):
    """The part of a use case that judging depends on."""

    problem: Problem
    metric: str
    gates: Gates
    embargo: Duration
    seed: int
    promotion: Literal["automatic", "manual"] = "automatic"
    slice_support: dict[str, int] = {}
    levels: dict[str, str] = {}
    intervals: Intervals | None = None


class Entry(Document):
    """One line of the leaderboard: who, what its folds said, what its holdout says."""

    name: str
    kind: str
    fold_score: float | None = None
    evaluation: Evaluation


class ChampionState(Document):
    """What ledger and registry together say about the present champion.

    `version` is None where the ledger names none; `reason` says why a named one cannot be read.
    """

    version: int | None = None
    fingerprint: str | None = None
    train_end: str | None = None
    has_registry_answered: bool
    reason: str | None = None


class BaselinePredictions(NamedTuple):
    """Holdout predictions of each trivial forecast; of a clustering, of each trivial grouping.

    Those that a problem does not have are None.
    """

    last_value: pd.DataFrame | None = None
    seasonal: pd.DataFrame | None = None
    weekly: pd.DataFrame | None = None
    majority: pd.DataFrame | None = None
    category: pd.DataFrame | None = None
    thirds: pd.DataFrame | None = None
    chance: pd.DataFrame | None = None


class Readable(Document):
    """Whether the champion could be scored; `reason` says why not."""

    reason: str | None


class ChampionScore(NamedTuple):
    """The champion's predictions on the holdout, or none, with the reason.

    Of a clustering, also what its clusters are there, by the model's own labels.
    """

    predictions: pd.DataFrame | None
    verdict: Readable
    clusters: Clusters | None = None


def judge_view(use_case: UseCase) -> JudgeView:
    """Return what judging a training of `use_case` depends on."""
    levels = dict.fromkeys(use_case.report.levels, use_case.report.minimum_support)
    return JudgeView(
        problem=use_case.problem,
        metric=use_case.metric,
        gates=use_case.gates,
        embargo=use_case.split.embargo,
        seed=use_case.seed,
        promotion=use_case.promotion,
        slice_support=use_case.slice_support() | levels,
        levels=use_case.report.levels,
        intervals=use_case.intervals,
    )


def score_baselines(
    table: pd.DataFrame, problem: Problem, slices: tuple[str, ...], entity: str
) -> BaselinePredictions:
    """Return what each trivial forecast or grouping says on the holdout of the training table.

    `entity` is the entity column's own name, by which a slice may call it.
    """
    if problem == "clustering":
        return BaselinePredictions(**groupings.groupings(table, slices, entity))
    return BaselinePredictions(**baselines.predictions(table, problem, slices, entity))


def score_champion(
    model: bytes, table: pd.DataFrame, card: ModelCard, slices: tuple[str, ...], entity: str
) -> ChampionScore:
    """Return the champion's predictions on the holdout rows of a newer training table.

    A champion that cannot be loaded, that cannot predict these rows, or whose features the table no
    longer has, gives a reason in their place, which keeps it champion.
    """
    from rancast.candidates import holdout_frame

    absent = [name for name in card.features if name not in table.columns]
    if absent:
        reason = (
            f"it needs the features {', '.join(absent)}, which the use case no longer makes; keep "
            "them until a new champion is in place, or promote by hand"
        )
        return ChampionScore(None, Readable(reason=reason))
    holdout = table[table["split"] == "holdout"]
    try:
        prediction = models.predict(models.load(model, card.model_sha256), holdout, card)
    except (ModelRefused, DataError) as error:
        return ChampionScore(None, Readable(reason=str(error)))
    predictions, clusters = holdout_frame(holdout, prediction, slices, entity), None
    if card.problem == "clustering":
        predictions = with_silhouettes(predictions, table)
        clusters = describe(table, predictions)
    return ChampionScore(predictions, Readable(reason=None), clusters)


def evaluate_predictions(
    predictions: pd.DataFrame, view: JudgeView, threshold: float | None
) -> Evaluation:
    """Evaluate one model's holdout predictions with the metrics of its kind of problem.

    Of a model with prediction intervals these are evaluated, too, if the use case asks for them.
    """
    groups = {name: read_level(predictions["entity"], text) for name, text in view.levels.items()}
    predictions = predictions.assign(**groups)
    others = [name for name in METRICS[view.problem] if name != view.metric]
    names = (view.metric, *others, *(METRICS_AT_THRESHOLD if threshold is not None else ()))
    found = evaluate(
        predictions,
        view.problem,
        names,
        view.seed,
        view.gates.confidence,
        threshold,
        view.slice_support,
        view.embargo,
    )
    return with_intervals(found, predictions, view.intervals, view.seed, view.embargo)


def choose(entries: list[Entry], metric: str) -> Entry:
    """Return the candidate whose folds scored best; the first of equal ones."""
    sign = 1.0 if greater_is_better(metric) else -1.0
    candidates = [entry for entry in entries if entry.kind == "candidate"]
    return max(
        candidates,
        key=lambda entry: -math.inf if entry.fold_score is None else sign * entry.fold_score,
    )


def judge(
    candidate: pd.DataFrame,
    baseline: list[pd.DataFrame],
    names: tuple[str, ...],
    champion: pd.DataFrame | None,
    contender: Contender,
    train_end: str,
    state: ChampionState,
    view: JudgeView,
) -> Decision:
    """Decide on `candidate`, whose training rows end at `train_end`, by its holdout predictions.

    `baseline` holds the frames of the baselines called `names`; `champion` the present champion's
    predictions on the same rows, None where there is none or it cannot be read.
    """
    gap = view.embargo
    comparisons = {
        name: compare(candidate, frame, view.metric, view.gates, _after(gap, train_end), gap)
        for name, frame in zip(names, baseline, strict=True)
    }
    incumbent: Incumbent | Vacancy | str
    if state.reason is not None:
        incumbent = state.reason
    elif state.version is None:
        incumbent = Vacancy(has_registry_answered=state.has_registry_answered)
    elif champion is None or state.fingerprint is None or state.train_end is None:
        incumbent = f"version {state.version} could not be scored on the holdout"
    else:
        after = _after(gap, train_end, state.train_end)
        incumbent = Incumbent(
            version=state.version,
            fingerprint=state.fingerprint,
            comparison=compare(candidate, champion, view.metric, view.gates, after, gap),
        )
    decision = decide(contender, incumbent, comparisons, view.gates, view.intervals)
    return _left_to_people(decision) if view.promotion == "manual" else decision


def _left_to_people(decision: Decision) -> Decision:
    """Return a decision that promotes nothing by itself, as `promotion: manual` asks for."""
    if not decision.promote:
        return decision
    reason = "Every gate passed; promotion is manual for this use case, so a person has to decide."
    left = {"promote": False, "needs_approval": True, "reasons": (reason, *decision.reasons)}
    return decision.model_copy(update=left)


def _after(gap: timedelta, *train_ends: str) -> str:
    """Return the time after which rows are later than every model's training, embargo included."""
    latest = max(pd.Timestamp(end) for end in train_ends)
    return (latest + gap).isoformat()

"""training: curated days become a table, candidates, a leaderboard and a decision."""

from datetime import date

from prefect import flow

from rancast.datasets import Dataset, load_dataset
from rancast.decisions import Decision
from rancast.evaluation import Evaluation
from rancast.features import lookback_days
from rancast.judging import BaselinePredictions, Entry, Readable, judge_view
from rancast.manifests import PartitionManifest
from rancast.models import ModelCard
from rancast.references import Reference
from rancast.settings import load_settings
from rancast.steps import Made
from rancast.tables import TableSummary
from rancast.trainings import Fit, FoundChampion, Training, TrainingOutcome, conclude
from rancast.use_cases import UseCase, load_use_case
from rancast.windows import days_between, history_start, looking_back, usable_days, window_start
from tasks.artifacts import show_training
from tasks.catalogue import (
    assemble_table,
    build_features,
    evaluate_predictions,
    fit_candidate,
    judge,
    score_baselines,
    score_champion,
)
from tasks.clock import scheduled_day
from tasks.ingestion import find_partitions
from tasks.promotion import apply_decision, find_champion, register_candidate, track_training
from tasks.runners import configured_task_runner


@flow(
    name="training",
    flow_run_name="training {use_case}",
    task_runner=configured_task_runner(),
)
def training(use_case: str, end: date | None = None) -> TrainingOutcome:
    """Train each candidate of `use_case` on the days before `end`; promote one that earned it."""
    end = end or scheduled_day()
    home = load_settings().home
    case = load_use_case(home, use_case)
    dataset = load_dataset(home, case.dataset)
    case.check(dataset)

    features, table = _prepare(case, dataset, end)
    fits = _fit(case, table["table"])
    baselines, baseline_entries = _baselines(case, table["table"])
    this = Training(
        use_case=case,
        end=end,
        features=tuple(features),
        table=table,
        fits=fits,
        baselines=baselines,
        baseline_entries=baseline_entries,
    )
    champion = find_champion(case.name)
    best = this.best
    decision = None if champion.is_already(best) else _judge(this, best, champion)

    tracked = track_training(this)
    version = register_candidate(this, best, tracked)
    pointer = apply_decision(this, best, version, champion, decision)
    outcome = conclude(this, best, decision, pointer, tracked, version)
    show_training(outcome)
    return outcome


def _prepare(case: UseCase, dataset: Dataset, end: date) -> tuple[list[Made], Made]:
    """Build the features of each usable day, and of all of them the training table."""
    found = find_partitions(dataset.name, days_between(window_start(case, dataset, end), end))
    partitions = {date.fromisoformat(day): manifest for day, manifest in found.items()}
    days = usable_days(partitions, days_between(history_start(case, end), end), case, dataset)
    view = case.feature_view()
    futures = [
        build_features.submit(
            curated=_curated(looking_back(partitions, day, lookback_days(view, dataset))),
            view=view,
            dataset=dataset,
            day=day,
            place=case.name,
        )
        for day in days
    ]
    features = [future.result() for future in futures]
    table = assemble_table(
        features=[made["data"] for made in features],
        curated=_curated([partitions[day] for day in days]),
        view=case.table_view(),
        dataset=dataset,
        end=end,
        place=case.name,
    )
    return features, table


def _curated(partitions: list[PartitionManifest]) -> list[Reference]:
    return [partition.curated for partition in partitions]


def _fit(case: UseCase, table: Reference) -> tuple[Fit, ...]:
    """Fit every candidate and evaluate each on the holdout."""
    futures = [
        fit_candidate.submit(
            table=table, candidate=candidate, view=case.fit_view(), place=case.name
        )
        for candidate in case.candidates
    ]
    made = [future.result() for future in futures]
    cards = [one.fact("card", ModelCard) for one in made]
    return tuple(
        Fit.of(one, _evaluate(case, one["predictions"], card.threshold))
        for one, card in zip(made, cards, strict=True)
    )


def _baselines(case: UseCase, table: Reference) -> tuple[Made, tuple[Entry, ...]]:
    """Evaluate the trivial forecasts on the same holdout."""
    made = score_baselines(
        table=table,
        problem=case.problem,
        slices=case.fit_view().slices,
        entity=case.entity,
        place=case.name,
    )
    entries = tuple(
        Entry(name=name, kind="baseline", evaluation=_evaluate(case, predictions, None))
        for name, predictions in made.outputs.items()
    )
    return made, entries


def _evaluate(case: UseCase, predictions: Reference, threshold: float | None) -> Evaluation:
    made = evaluate_predictions(
        predictions=predictions, view=judge_view(case), threshold=threshold, place=case.name
    )
    return made.fact("data", Evaluation)


def _judge(this: Training, best: Fit, champion: FoundChampion) -> Decision:
    """Hold the best candidate against the baselines, and against the champion on the same rows."""
    case = this.use_case
    scored = None
    if champion.model is not None and champion.card is not None:
        scored = score_champion(
            model=champion.model,
            table=this.table["table"],
            card=champion.card,
            slices=case.fit_view().slices,
            entity=case.entity,
            place=case.name,
        )
        champion = champion.scored(scored.fact("verdict", Readable))
    made = judge(
        candidate=best.made["predictions"],
        baseline=[this.baselines[name] for name in BaselinePredictions._fields],
        champion=scored.outputs.get("predictions") if scored else None,
        contender=best.contender,
        # of the model that was evaluated; the shipped one may be refitted on the holdout
        train_end=this.table.fact("summary", TableSummary).train.last.isoformat(),
        state=champion.state,
        view=judge_view(case),
        place=case.name,
    )
    return made.fact("data", Decision)

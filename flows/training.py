"""training: curated days become a table, candidates, a leaderboard and a decision."""

from datetime import date

from prefect import flow

from rancast.audit_findings import Audit
from rancast.calls import (
    audit_call,
    baselines_call,
    evaluate_call,
    features_call,
    fit_call,
    report_call,
    table_call,
)
from rancast.datasets import Dataset, load_dataset
from rancast.decisions import Decision
from rancast.evaluation import Evaluation
from rancast.judging import Entry, judge_view
from rancast.models import ModelCard
from rancast.references import Reference
from rancast.reruns import Stage, is_forced
from rancast.settings import load_settings
from rancast.steps import Made
from rancast.summaries import decision_word
from rancast.tables import TableSummary
from rancast.trainings import Fit, FoundChampion, Training, TrainingOutcome, conclude
from rancast.use_cases import UseCase, load_use_case
from rancast.windows import Delivered, days_between, history_start, usable_days, window_start
from tasks.approvals import ask_for_approval
from tasks.artifacts import completed, explain, follow, show_audit, show_history, show_training
from tasks.catalogue import (
    assemble_table,
    audit_table,
    build_features,
    evaluate_predictions,
    fit_candidate,
    judge,
    report_training,
    score_baselines,
    score_champion,
)
from tasks.clock import scheduled_day
from tasks.forms import UseCaseName
from tasks.ingestion import find_partitions
from tasks.metrics import record_training
from tasks.names import training_name
from tasks.plans import plan_training, remember_training
from tasks.promotion import apply_decision, find_champion
from tasks.redaction import redacted
from tasks.runners import configured_task_runner
from tasks.tracking import register_candidate, track_training


# a retry of `daily` runs it anew, on the data of that moment: its steps are in the ledger
@flow(
    name="training",
    flow_run_name=training_name,
    task_runner=configured_task_runner(),
    persist_result=False,
    on_failure=[explain],
    on_crashed=[explain],
)
@redacted
def training(
    use_case: UseCaseName, end: date | None = None, rerun_from: Stage | None = None
) -> TrainingOutcome:
    """Train each candidate of a use case on the days before `end`; promote one that earned it.

    Args:
        use_case: what to predict.
        end: the day after the last one to train on (UTC); by default the day of the schedule.
        rerun_from: compute again from this step on, although nothing changed.
    """
    end = end or scheduled_day()
    home = load_settings().home
    case = load_use_case(home, use_case)
    datasets = {name: load_dataset(home, name) for name in case.datasets}
    case.check(datasets[case.dataset], datasets)

    delivered = _delivered(case, datasets, end)
    days = _usable(case, delivered, end)
    plan_training(case, delivered, days, end, rerun_from)
    features = _features(case, delivered, days, rerun_from)
    table = _table(case, delivered[case.dataset], features, end, rerun_from)
    audit = _audit(case, delivered, list(features), table["table"], rerun_from)
    fits = _fit(case, table["table"], rerun_from)
    baselines, baseline_entries = _baselines(case, table["table"], rerun_from)
    remember_training(case, delivered, days, end)
    this = Training(
        use_case=case,
        end=end,
        features=tuple(features.values()),
        table=table,
        audit=audit,
        fits=fits,
        baselines=baselines,
        baseline_entries=baseline_entries,
    )
    outcome = _settle(this)
    return completed(outcome, decision_word(outcome))


def _settle(this: Training) -> TrainingOutcome:
    """Judge the best candidate, track and register it, and carry the decision out."""
    champion = find_champion(this.use_case.name)
    best = this.best
    decision = None
    if not champion.is_already(best):
        champion = _score(this, champion)
        decision = champion.respected(_judge(this, best, champion))

    tracked = track_training(this, _report(this, decision))
    version = register_candidate(this, best, tracked)
    pointer = apply_decision(this, best, version, champion, decision)
    outcome = conclude(this, best, decision, pointer, tracked, version)
    outcome = outcome.describing(best, champion, pointer)
    if decision is not None and decision.needs_approval:
        outcome = ask_for_approval(outcome, champion.pointer)
    show_training(outcome)
    if pointer is not None:
        show_history(pointer)
    record_training(outcome)
    return outcome


def _delivered(case: UseCase, datasets: dict[str, Dataset], end: date) -> dict[str, Delivered]:
    """Find the partitions of each dataset that the window can use."""
    found = {
        name: find_partitions(name, days_between(window_start(case, dataset, end), end))
        for name, dataset in datasets.items()
    }
    return {
        name: Delivered(dataset=datasets[name], partitions=partitions)
        for name, partitions in found.items()
    }


def _usable(case: UseCase, delivered: dict[str, Delivered], end: date) -> list[date]:
    """Find the days of the history that can be learned from; each dataset needs enough of them."""
    history = days_between(history_start(case, end), end)
    usable = {
        name: usable_days(one.partitions, history, case, one.dataset)
        for name, one in delivered.items()
    }
    return usable[case.dataset]


def _features(
    case: UseCase,
    delivered: dict[str, Delivered],
    days: list[date],
    rerun_from: Stage | None,
) -> dict[date, Made]:
    """Build the features of each day."""
    futures = {
        day: build_features.submit(
            **features_call(case, delivered, day),
            place=case.name,
            is_forced=is_forced("features", rerun_from),
        )
        for day in days
    }
    return follow(f"features {case.name}", futures)


def _table(
    case: UseCase,
    own: Delivered,
    features: dict[date, Made],
    end: date,
    rerun_from: Stage | None,
) -> Made:
    """Assemble the training table of all days."""
    used = [own.partitions[day] for day in features]
    made = [one["data"] for one in features.values()]
    return assemble_table(
        **table_call(case, own.dataset, used, made, end),
        place=case.name,
        is_forced=is_forced("table", rerun_from),
    )


def _audit(
    case: UseCase,
    delivered: dict[str, Delivered],
    days: list[date],
    table: Reference,
    rerun_from: Stage | None,
) -> Made:
    """Ask whether the table knows what it must not; go on only if it does not, or is accepted."""
    made = audit_table(
        **audit_call(case, delivered, days, table),
        place=case.name,
        is_forced=is_forced("audit", rerun_from),
    )
    audit = made.fact("data", Audit)
    show_audit(case, audit)
    audit.expect_acceptable(case.name, case.audit.accept)
    return made


def _fit(case: UseCase, table: Reference, rerun_from: Stage | None) -> tuple[Fit, ...]:
    """Fit every candidate and evaluate each on the holdout."""
    futures = [
        fit_candidate.submit(
            **fit_call(case, candidate, table),
            place=case.name,
            is_forced=is_forced("fit", rerun_from),
        )
        for candidate in case.candidates
    ]
    made = [future.result() for future in futures]
    cards = [one.fact("card", ModelCard) for one in made]
    return tuple(
        Fit.of(one, _evaluate(case, one["predictions"], card.threshold, rerun_from))
        for one, card in zip(made, cards, strict=True)
    )


def _baselines(
    case: UseCase, table: Reference, rerun_from: Stage | None
) -> tuple[Made, tuple[Entry, ...]]:
    """Evaluate the trivial forecasts on the same holdout."""
    made = score_baselines(
        **baselines_call(case, table),
        place=case.name,
        is_forced=is_forced("evaluate", rerun_from),
    )
    entries = tuple(
        Entry(name=name, kind="baseline", evaluation=_evaluate(case, predictions, None, rerun_from))
        for name, predictions in made.outputs.items()
    )
    return made, entries


def _evaluate(
    case: UseCase, predictions: Reference, threshold: float | None, rerun_from: Stage | None
) -> Evaluation:
    made = evaluate_predictions(
        **evaluate_call(case, predictions, threshold),
        place=case.name,
        is_forced=is_forced("evaluate", rerun_from),
    )
    return made.fact("data", Evaluation)


def _score(this: Training, champion: FoundChampion) -> FoundChampion:
    """Have the champion predict the holdout, where there is one that can be read."""
    if champion.model is None or champion.card is None:
        return champion
    made = score_champion(
        model=champion.model,
        table=this.table["table"],
        card=champion.card,
        slices=this.use_case.fit_view().slices,
        entity=this.use_case.entity,
        place=this.use_case.name,
    )
    return champion.scored(made)


def _judge(this: Training, best: Fit, champion: FoundChampion) -> Decision:
    """Hold the best candidate against the baselines, and against the champion on the same rows."""
    case = this.use_case
    made = judge(
        candidate=best.made["predictions"],
        baseline=[this.baselines[name] for name in sorted(this.baselines.outputs)],
        names=tuple(sorted(this.baselines.outputs)),
        champion=champion.predictions,
        contender=best.contender,
        # of the model that was evaluated; the shipped one may be refitted on the holdout
        train_end=this.table.fact("summary", TableSummary).train.last.isoformat(),
        state=champion.state,
        view=judge_view(case),
        place=case.name,
    )
    return made.fact("data", Decision)


def _report(this: Training, decision: Decision | None) -> Reference | None:
    """Make the interactive report; a rerun that decides nothing keeps the one there is."""
    if decision is None:
        return None
    made = report_training(**report_call(this, decision), place=this.use_case.name)
    return made["data"]

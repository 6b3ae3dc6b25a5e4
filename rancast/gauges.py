"""Numbers that a monitoring system reads: what ran, how long, rows by their fate, decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested

DECISIONS = ("promoted", "left_to_people", "not_promoted", "nothing_to_decide")


class Gauge(NamedTuple):
    """One number under a name; units are suffixes, and labels tell apart what shares the name."""

    name: str
    help: str
    labels: Mapping[str, str]
    value: float


def of_ingest(ingested: Ingested, seconds: float, at: datetime) -> list[Gauge]:
    """Return the numbers of one ingest that took `seconds` and ended `at`."""
    dataset = {"dataset": ingested.dataset}
    partitions = ingested.partitions
    days = {
        "present": len(partitions),
        "missing": len(ingested.missing),
        "refused": sum(facts.is_refused for facts in partitions),
        "computed": ingested.computed,
    }
    rows = {
        fate: sum(getattr(facts.rows, fate) for facts in partitions)
        for fate in ("raw", "curated", "quarantined", "duplicates")
    }
    newest = max((facts.date for facts in partitions if not facts.is_refused), default=None)
    found = [
        *_ended("ingest", dataset, seconds, at),
        *[_days(dataset, state, count) for state, count in days.items()],
        *[_rows(dataset, fate, count) for fate, count in rows.items()],
    ]
    return found if newest is None else [*found, _newest(dataset, newest)]


def of_training(outcome: TrainingOutcome, seconds: float, at: datetime) -> list[Gauge]:
    """Return the numbers of one training that took `seconds` and ended `at`."""
    case = {"use_case": outcome.use_case}
    decided = _decision(outcome)
    decisions = [
        Gauge(
            "rancast_training_decision",
            "1 for how the last training ended, 0 for the other ways",
            {**case, "decision": name},
            float(name == decided),
        )
        for name in DECISIONS
    ]
    scores = [
        Gauge(
            "rancast_training_score",
            "The use case's metric on the holdout of the last training",
            {**case, "metric": outcome.metric, "model": entry.name, "kind": entry.kind},
            entry.evaluation.metrics[outcome.metric].value,
        )
        for entry in outcome.leaderboard
        if outcome.metric in entry.evaluation.metrics
    ]
    return [
        *_ended("training", case, seconds, at),
        *decisions,
        *scores,
        _labelled(case, "train", outcome.table.train.rows),
        _labelled(case, "holdout", outcome.table.holdout.rows),
        Gauge(
            "rancast_champion_version",
            "Registered version of the champion, 0 where there is none",
            case,
            outcome.champion or 0,
        ),
    ]


def of_runs(states: Iterable[tuple[str, str]], at: datetime) -> list[Gauge]:
    """Return how many runs each flow has in each state, given as (flow, state) for each run."""
    counted = Counter(states)
    looked = Gauge(
        "rancast_supervision_last_success_timestamp_seconds",
        "When the last supervision ended; an old one means that nobody looks",
        {},
        at.timestamp(),
    )
    return [looked] + [
        Gauge(
            "rancast_runs",
            "Runs that were due in the last 24 hours, by flow and state",
            {"flow": flow, "state": state},
            count,
        )
        for (flow, state), count in sorted(counted.items())
    ]


def _decision(outcome: TrainingOutcome) -> str:
    if outcome.is_new_champion:
        return "promoted"
    if outcome.decision is None:
        return "nothing_to_decide"
    return "not_promoted" if outcome.asked is None else "left_to_people"


def _ended(flow: str, labels: Mapping[str, str], seconds: float, at: datetime) -> list[Gauge]:
    return [
        Gauge(
            f"rancast_{flow}_duration_seconds", f"How long the last {flow} took", labels, seconds
        ),
        Gauge(
            f"rancast_{flow}_last_success_timestamp_seconds",
            f"When the last {flow} completed",
            labels,
            at.timestamp(),
        ),
    ]


def _days(labels: Mapping[str, str], state: str, count: int) -> Gauge:
    text = "Days of the last ingest: with a file, without, refused, validated anew"
    return Gauge("rancast_ingest_days", text, {**labels, "state": state}, count)


def _rows(labels: Mapping[str, str], fate: str, count: int) -> Gauge:
    text = "Rows of the last ingest; raw = curated + quarantined + duplicates"
    return Gauge("rancast_ingest_rows", text, {**labels, "fate": fate}, count)


def _newest(labels: Mapping[str, str], day: date) -> Gauge:
    text = "Midnight (UTC) of the newest day with an accepted partition"
    midnight = datetime.combine(day, time(), UTC)
    return Gauge("rancast_ingest_newest_day_timestamp_seconds", text, labels, midnight.timestamp())


def _labelled(labels: Mapping[str, str], split: str, count: int) -> Gauge:
    text = "Labelled rows of the last training table"
    return Gauge("rancast_training_rows", text, {**labels, "split": split}, count)

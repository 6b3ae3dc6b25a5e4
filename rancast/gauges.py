"""Numbers that a monitoring system reads: what ran, how long, rows by their fate, decisions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
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


def of_ingest(ingested: Ingested, flow: str, seconds: float, at: datetime) -> list[Gauge]:
    """Return the numbers of one ingest that took `seconds` and ended `at`.

    `flow` is what it was a part of: `daily` reads a whole history, `ingest` days of late files and
    `backfill` a week of the past, so that their numbers cannot be compared.
    """
    dataset = {"dataset": ingested.dataset, "flow": flow}
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
    return [
        *_ended("ingest", dataset, seconds, at),
        *[_days(dataset, state, count) for state, count in days.items()],
        *[_rows(dataset, fate, count) for fate, count in rows.items()],
    ]


def newest_day(ingested: Ingested) -> Gauge | None:
    """Return the newest day of which an ingest accepted a partition, None where it accepted none.

    An ingest of past days knows of none that came later: the higher number is the true one.
    """
    newest = max((one.date for one in ingested.partitions if not one.is_refused), default=None)
    if newest is None:
        return None
    return Gauge(
        "rancast_ingest_newest_day_timestamp_seconds",
        "Midnight (UTC) of the newest day of which any ingest has accepted a partition",
        {"dataset": ingested.dataset},
        datetime.combine(newest, time(), UTC).timestamp(),
    )


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
    text = "Days of the last ingest by a flow: with a file, without, refused, validated anew"
    return Gauge("rancast_ingest_days", text, {**labels, "state": state}, count)


def _rows(labels: Mapping[str, str], fate: str, count: int) -> Gauge:
    text = "Rows of the last ingest by a flow; raw = curated + quarantined + duplicates"
    return Gauge("rancast_ingest_rows", text, {**labels, "fate": fate}, count)


def _labelled(labels: Mapping[str, str], split: str, count: int) -> Gauge:
    text = "Labelled rows of the last training table"
    return Gauge("rancast_training_rows", text, {**labels, "split": split}, count)

"""A run in rows and words: what tables, pages and the terminal show of ingests and trainings."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rancast.alerts import beside_budget
from rancast.evaluation import Interval
from rancast.judging import Entry
from rancast.manifests import PartitionFacts
from rancast.metrics import greater_is_better
from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested

Row = dict[str, Any]

SHOWN_DAYS = 3


def ingest_rows(ingested: Ingested) -> list[Row]:
    """Return one row per day with its counts, coverage, and what was refused; newest first."""
    rows = [_day_row(partition) for partition in ingested.partitions]
    missing = [{"day": day.isoformat(), "state": "no file"} for day in ingested.missing]
    return sorted(rows + missing, key=lambda row: str(row["day"]), reverse=True)


def ingest_sentence(ingested: Ingested) -> str:
    """Return what an ingest came to, as one line for the run's state."""
    days = len(ingested.partitions) + len(ingested.missing)
    refused = [facts.date.isoformat() for facts in ingested.partitions if facts.is_refused]
    parts = [f"{days} day{'' if days == 1 else 's'}, {ingested.computed} validated in this run"]
    if refused:
        parts.append(f"{len(refused)} refused ({_some(refused)})")
    if ingested.missing:
        missing = [day.isoformat() for day in ingested.missing]
        parts.append(f"{len(missing)} without a file ({_some(missing)})")
    rows = sum(facts.rows.curated for facts in ingested.partitions)
    aside = sum(facts.rows.quarantined for facts in ingested.partitions)
    return f"{', '.join(parts)}; {rows:,} rows curated, {aside:,} quarantined."


def _some(days: list[str]) -> str:
    """Name the newest of some days, so that a line stays a line."""
    newest = sorted(days, reverse=True)[:SHOWN_DAYS]
    return ", ".join(newest) + (", …" if len(days) > SHOWN_DAYS else "")


def night_sentence(
    ingested: Sequence[Ingested], trained: Sequence[TrainingOutcome], superseded_by: str | None
) -> str:
    """Return what a run of the main job came to, as one line for its state."""
    parts = [f"{one.dataset}: {ingest_sentence(one)}" for one in ingested]
    parts += [f"{one.use_case}: {decision_word(one)}" for one in trained]
    if superseded_by is not None:
        parts.append(f"The training is left to {superseded_by}.")
    return " ".join(parts)


def _day_row(partition: PartitionFacts) -> Row:
    return {
        "day": partition.date.isoformat(),
        "state": "refused" if partition.is_refused else "curated",
        **partition.rows.model_dump(),
        "coverage": "" if partition.coverage is None else f"{partition.coverage:.1%}",
        "why": " ".join(partition.reasons),
    }


def quarantine_reasons(ingested: Ingested) -> list[tuple[str, int]]:
    """Return the rules that set rows aside and how many each, most first."""
    counts: Counter[str] = Counter()
    for partition in ingested.partitions:
        counts.update(partition.quarantined_by_rule)
    return counts.most_common()


def leaderboard_rows(outcome: TrainingOutcome) -> list[Row]:
    """Return one row per candidate and baseline, best first by the use case's metric."""
    sign = -1 if greater_is_better(outcome.metric) else 1

    def order(entry: Entry) -> float:
        interval = entry.evaluation.metrics.get(outcome.metric)
        return float("inf") if interval is None else sign * interval.value

    return [_entry_row(entry, outcome) for entry in sorted(outcome.leaderboard, key=order)]


def _entry_row(entry: Entry, outcome: TrainingOutcome) -> Row:
    metrics = entry.evaluation.metrics
    row: Row = {
        "model": entry.name,
        "kind": entry.kind,
        "chosen": "best of its folds" if entry.name == outcome.best else "",
        outcome.metric: interval_text(metrics.get(outcome.metric)),
    }
    others = {name: interval_text(value) for name, value in metrics.items() if name not in row}
    return row | others


def interval_text(interval: Interval | None) -> str:
    """Return 'value (low to high)', to four significant digits."""
    if interval is None:
        return "not computed"
    if interval.low is None or interval.high is None:
        return f"{interval.value:.4g}"
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def alerts_sentence(outcome: TrainingOutcome) -> str:
    """Return how many alerts a day who is judged gives, beside the budget; '' without a budget."""
    best = next(entry for entry in outcome.leaderboard if entry.name == outcome.best)
    found = best.evaluation.metrics.get("alerts_per_day")
    text = beside_budget(found, outcome.alert_budget)
    return f"{outcome.best}: {text}." if text else ""


def decision_word(outcome: TrainingOutcome) -> str:
    """Return the outcome of a training as one sentence."""
    if outcome.is_new_champion:
        return f"Promoted: {outcome.best} is version {outcome.version}, and champion now."
    if outcome.decision is None:
        return (
            f"Nothing to decide: {outcome.best} is the champion already, version {outcome.version}."
        )
    if outcome.asked is not None:
        return (
            f"Left to people: {outcome.best} is registered as version {outcome.version} and passed "
            f"every gate. {outcome.asked}"
        )
    kept = (
        f"version {outcome.champion} stays champion"
        if outcome.champion is not None
        else "there is still no champion"
    )
    return f"Not promoted: {outcome.best} is registered as version {outcome.version}; {kept}."

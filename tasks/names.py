"""What a flow run is called in the Prefect UI: what it is about, and for which day."""

from datetime import date, timedelta
from typing import Any

from prefect.runtime import flow_run

from tasks.clock import ingest_days, scheduled_day


def daily_name() -> str:
    """Return 'daily 2024-03-20 · network_degradation'."""
    given = flow_run.parameters
    return night_name(given.get("as_of") or scheduled_day(), given.get("use_cases"))


def night_name(as_of: date | str, use_cases: list[str] | None) -> str:
    """Return what a night is called, or will be: Prefect names a run when it begins."""
    return f"daily {as_of} · {', '.join(use_cases or ['all use cases'])}"


def ingest_name() -> str:
    """Return 'ingest 2024-03-19 · network_performance', for more days the first and the last."""
    given = flow_run.parameters
    start, end = ingest_days(_day(given.get("start")), _day(given.get("end")))
    last = end - timedelta(days=1)
    days = f"{last}" if start == last else f"{start} to {last}"
    return f"ingest {days} · {given['dataset']}"


def training_name() -> str:
    """Return 'training 2024-03-20 · network_degradation'."""
    given = flow_run.parameters
    return f"training {given.get('end') or scheduled_day()} · {given['use_case']}"


def backfill_name() -> str:
    """Return 'backfill 2024-02-01 to 2024-02-29', the first and the last day."""
    given = flow_run.parameters
    start, end = ingest_days(_day(given["start"]), _day(given["end"]))
    return f"backfill {start} to {end - timedelta(days=1)}"


def promotion_name() -> str:
    """Return 'promotion network_degradation · version 3'."""
    given = flow_run.parameters
    return name_of_promotion(given["use_case"], given["version"])


def name_of_promotion(use_case: str, version: int) -> str:
    """Return what a run of promotion is called, also before it starts."""
    return f"promotion {use_case} · version {version}"


def rollback_name() -> str:
    """Return 'rollback network_degradation'."""
    return f"rollback {flow_run.parameters['use_case']}"


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value

"""ingest: the raw blobs of one dataset, day by day, become curated and quarantined rows."""

from datetime import date

from prefect import flow

from rancast.datasets import Dataset, load_dataset
from rancast.expectations import load_suite
from rancast.reading import Inventory
from rancast.references import RawBlob
from rancast.reruns import Stage, is_forced
from rancast.settings import load_settings
from rancast.steps import Made
from rancast.summaries import ingest_sentence
from rancast.windows import Ingested, listed_days, register_of, summarise
from tasks.artifacts import completed, explain, follow, show_ingest
from tasks.catalogue import validate_partition
from tasks.clock import ingest_days
from tasks.events import announce_refused
from tasks.forms import DatasetName
from tasks.ingestion import list_raw, pull_partition
from tasks.metrics import record_ingest
from tasks.names import ingest_name
from tasks.plans import plan_ingest, remember_ingest
from tasks.redaction import redacted
from tasks.runners import configured_task_runner


# a retry of `daily` runs it anew, so that a blob that was replaced meanwhile is read: no result
@flow(
    name="ingest",
    flow_run_name=ingest_name,
    task_runner=configured_task_runner(),
    persist_result=False,
    on_failure=[explain],
    on_crashed=[explain],
)
@redacted
def ingest(
    dataset: DatasetName,
    start: date | None = None,
    end: date | None = None,
    rerun_from: Stage | None = None,
) -> Ingested:
    """Pull, read and validate each UTC day of a dataset.

    A refused partition does not fail the run: its rows are counted and quarantined, and whether
    the remaining days suffice is for `training` to say.

    Args:
        dataset: which stream of raw files.
        start: the first UTC day; by default three days before `end`.
        end: the day after the last one; by default the day of the schedule.
        rerun_from: compute again from this step on, although nothing changed.
    """
    start, end = ingest_days(start, end)
    home = load_settings().home
    # what is derived is no part of it: a changed KPI reads nothing again
    config, suite = load_dataset(home, dataset).as_delivered(), load_suite(home, dataset)
    listed = list_raw(config.name, listed_days(config, start, end))
    plan_ingest(config, suite, listed, start, rerun_from)

    pulled = _pull(config, listed, rerun_from)
    inventories = {day: made.fact("inventory", Inventory) for day, made in pulled.items()}
    validated = {
        day: validate_partition.submit(
            typed=made["typed"],
            rejected=made["rejected"],
            inventory=inventories[day],
            dataset=config,
            suite=suite,
            day=day,
            register=register_of(config, day, inventories),
            is_forced=is_forced("validate", rerun_from),
        )
        for day, made in pulled.items()
        if day >= start
    }
    made = follow(f"validate {config.name}", validated)
    result = summarise(config, start, end, made)
    remember_ingest(config, suite, listed, start)
    announce_refused(result)
    show_ingest(result)
    record_ingest(result)
    return completed(result, ingest_sentence(result))


def _pull(
    dataset: Dataset, listed: dict[str, list[RawBlob]], rerun_from: Stage | None
) -> dict[date, Made]:
    pulls = {
        date.fromisoformat(day): pull_partition.submit(
            dataset, date.fromisoformat(day), blobs, is_forced("pull", rerun_from)
        )
        for day, blobs in listed.items()
    }
    return follow(f"pull {dataset.name}", pulls)

"""ingest: the raw blobs of one dataset, day by day, become curated and quarantined rows."""

from datetime import date, timedelta

from prefect import flow

from rancast.datasets import Dataset, load_dataset
from rancast.expectations import load_suite
from rancast.windows import Ingested, days_between, register_of, summarise
from rancast.reading import Inventory
from rancast.settings import load_settings
from rancast.steps import Made
from tasks.artifacts import show_ingest
from tasks.catalogue import validate_partition
from tasks.ingestion import list_raw, pull_partition
from tasks.runners import configured_task_runner


@flow(
    name="ingest",
    flow_run_name="ingest {dataset} {start} to {end}",
    task_runner=configured_task_runner(),
)
def ingest(dataset: str, start: date, end: date) -> Ingested:
    """Pull, read and validate each UTC day of `dataset` from `start` up to, and without, `end`.

    A refused partition does not fail the run: its rows are counted and quarantined, and whether
    the remaining days suffice is for `training` to say.
    """
    home = load_settings().home
    config, suite = load_dataset(home, dataset), load_suite(home, dataset)
    pulled = _pull(config, start, end)
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
        )
        for day, made in pulled.items()
        if day >= start
    }
    made = {day: future.result() for day, future in validated.items()}
    result = summarise(config, start, end, made)
    show_ingest(result)
    return result


def _pull(dataset: Dataset, start: date, end: date) -> dict[date, Made]:
    """Pull the days asked for, and before them those whose entities are still expected."""
    earlier = dataset.register_days - 1 if dataset.kind == "periodic" else 0
    days = days_between(start - timedelta(days=earlier), end)
    listed = list_raw(dataset.name, days)
    pulls = {
        day: pull_partition.submit(dataset, day, listed[day.isoformat()])
        for day in days
        if day.isoformat() in listed
    }
    return {day: pull.result() for day, pull in pulls.items()}

"""ingest: raw blobs of one dataset, day by day, into curated and quarantined rows."""

from datetime import date, timedelta

from prefect import flow

from rancast.datasets import Dataset, load_dataset
from rancast.documents import Document
from rancast.expectations import load_suite
from rancast.manifests import PartitionFacts, days_between
from rancast.settings import load_settings
from rancast.steps import Made
from tasks.artifacts import show_ingest
from tasks.catalogue import validate_partition
from tasks.ingestion import list_raw, pull_partition
from tasks.runners import ConfiguredTaskRunner


class Ingested(Document):
    """What one ingest found: the facts of each partition, and how many were computed just now."""

    dataset: str
    start: date
    end: date
    partitions: tuple[PartitionFacts, ...]
    computed: int
    missing: tuple[date, ...]


@flow(
    name="ingest",
    flow_run_name="ingest {dataset} {start} to {end}",
    task_runner=ConfiguredTaskRunner(),
)
def ingest(dataset: str, start: date, end: date) -> Ingested:
    """Pull, read and validate each UTC day of `dataset` from `start` up to, and without, `end`.

    A refused partition does not fail the run: its rows are counted and quarantined, and whether
    the remaining days suffice is for `training` to say.
    """
    home = load_settings().home
    config, suite = load_dataset(home, dataset), load_suite(home, dataset)
    pulled = pull_days(config, start - timedelta(days=config.register_days - 1), end)
    made = {
        day: validate_partition.submit(
            typed=pulled[day]["typed"],
            rejected=pulled[day]["rejected"],
            inventory=pulled[day].facts["inventory"],
            dataset=config,
            suite=suite,
            day=day,
            register=register(config, day, pulled),
        )
        for day in days_between(start, end)
        if day in pulled
    }
    partitions = {day: future.result() for day, future in made.items()}
    show_ingest(config, partitions)
    return summarise(config, start, end, partitions)

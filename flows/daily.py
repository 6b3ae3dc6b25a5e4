"""daily: the night's work, which is to ingest what arrived and to train on it."""

from datetime import date

from prefect import flow

from rancast.datasets import load_dataset
from rancast.documents import Document
from rancast.settings import load_settings
from rancast.trainings import TrainingOutcome
from rancast.use_cases import known_use_cases, load_use_case
from rancast.windows import Ingested, ingest_windows
from tasks.clock import scheduled_day
from tasks.runners import configured_task_runner

from flows.ingest import ingest
from flows.training import training


class Night(Document):
    """What one daily run did: every ingest and every training."""

    as_of: date
    ingested: tuple[Ingested, ...]
    trained: tuple[TrainingOutcome, ...]


@flow(name="daily", flow_run_name="daily", task_runner=configured_task_runner())
def daily(use_cases: list[str] | None = None, as_of: date | None = None) -> Night:
    """Ingest the days before `as_of` that the use cases need, then train each of them.

    Without arguments it takes all use cases and the day of its schedule. A typo in a YAML file
    stops the night before it begins. A dataset or use case that fails later does not keep the
    others from their turn; the run fails afterwards, with the first error.
    """
    as_of = as_of or scheduled_day()
    home = load_settings().home
    cases = [load_use_case(home, name) for name in use_cases or known_use_cases(home)]
    datasets = {case.dataset: load_dataset(home, case.dataset) for case in cases}
    windows = ingest_windows(cases, datasets, as_of)
    ingests = {
        name: ingest(name, start, as_of, return_state=True) for name, start in windows.items()
    }
    trainings = [
        training(case.name, as_of, return_state=True)
        for case in cases
        if ingests[case.dataset].is_completed()
    ]
    return Night(
        as_of=as_of,
        ingested=tuple(state.result() for state in ingests.values()),
        trained=tuple(state.result() for state in trainings),
    )

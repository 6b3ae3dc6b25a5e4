"""daily: the night's work, which is to ingest what arrived and to train on it."""

from collections.abc import Mapping
from datetime import date

from prefect import State, flow

from rancast.datasets import Dataset, load_dataset
from rancast.documents import Document
from rancast.readiness import waiting_for
from rancast.reruns import Stage
from rancast.settings import load_settings
from rancast.summaries import night_sentence
from rancast.trainings import TrainingOutcome
from rancast.use_cases import known_use_cases, load_use_case
from rancast.windows import Ingested, ingest_windows
from tasks.artifacts import completed, explain, show_night
from tasks.clock import now, scheduled_day
from tasks.forms import UseCaseName
from tasks.names import daily_name
from tasks.nights import find_newer_night, wait_for_data
from tasks.redaction import redacted
from tasks.runners import configured_task_runner

from flows.ingest import ingest
from flows.training import training


class Night(Document):
    """What one daily run did: every ingest and every training.

    `superseded_by` names the newer night that trains instead of this one, which only ingested.
    """

    as_of: date
    ingested: tuple[Ingested, ...]
    trained: tuple[TrainingOutcome, ...]
    superseded_by: str | None = None


@flow(
    name="daily",
    flow_run_name=daily_name,
    task_runner=configured_task_runner(),
    on_failure=[explain],
    on_crashed=[explain],
)
@redacted
def daily(
    use_cases: list[UseCaseName] | None = None,
    as_of: date | None = None,
    rerun_from: Stage | None = None,
) -> Night:
    """Ingest the days before `as_of` that the use cases need, then train each of them.

    A typo in a YAML file stops the night before it begins. A dataset or use case that fails later
    does not keep the others from their turn; the run fails afterwards, with the first error. A
    scheduled night whose newest day is not complete yet runs again later, and one that is older
    than another that is due leaves the training to that one.

    Args:
        use_cases: what to train; by default every use case.
        as_of: the day after the last one to use (UTC); by default the day of the schedule.
        rerun_from: compute again from this step on, although nothing changed.
    """
    is_scheduled, as_of = as_of is None, as_of or scheduled_day()
    home = load_settings().home
    cases = [load_use_case(home, name) for name in use_cases or known_use_cases(home)]
    datasets = {name: load_dataset(home, name) for case in cases for name in case.datasets}
    windows = ingest_windows(cases, datasets, as_of)
    ingests = {
        name: ingest(name, start, as_of, rerun_from, return_state=True)
        for name, start in windows.items()
    }
    newer = find_newer_night(as_of, use_cases) if is_scheduled else None
    if newer is None and is_scheduled:
        _wait_until_ready(datasets, ingests)
    trainings = [
        training(case.name, as_of, rerun_from, return_state=True)
        for case in cases
        if newer is None and all(ingests[name].is_completed() for name in case.datasets)
    ]
    ingested = tuple(state.result() for state in ingests.values())
    trained = tuple(state.result() for state in trainings)
    show_night(as_of, ingested, trained, newer)
    night = Night(as_of=as_of, ingested=ingested, trained=trained, superseded_by=newer)
    return completed(night, night_sentence(ingested, trained, newer))


def _wait_until_ready(
    datasets: Mapping[str, Dataset], ingests: Mapping[str, State[Ingested]]
) -> None:
    """Go on where the newest day of every dataset that was ingested is ready; else run later."""
    found = [
        waiting_for(datasets[name], state.result(), now())
        for name, state in ingests.items()
        if state.is_completed()
    ]
    wait_for_data(waiting for waiting in found if waiting is not None)

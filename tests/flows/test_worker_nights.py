"""Nights as a worker runs them: picked up elsewhere after a failure, late, and waiting for data."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.storage.blob import ContainerClient

from deployments.results import BLOCK, ensure_results
from rancast.champions import Pointer
from rancast.settings import load_settings
from tests import proxies
from tests import servers as real
from tests.faults import tiny
from tests.flows import homes
from tests.workers import Deployed, environment_of

pytestmark = pytest.mark.xdist_group("worker")

AS_OF = tiny.START + timedelta(days=tiny.DAYS)
# nights of the past, whatever day it is now; they step back before any newer night on the server,
# so no other test has these use cases
LATE, LATE_CASE, WAITING_CASE = date(2024, 6, 5), "late", "waiting"


@pytest.fixture()
def home(tmp_path: Path, mlflow_template: Path) -> Path:
    """The smallest complete home, on which nothing ran yet."""
    folder = tmp_path / "home"
    homes.write_home(folder, mlflow_template)
    return folder


class Mlflow:
    """An MLflow server of the test's own, that can be killed and started again."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.port = folder, real.free_port()
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(template.read_bytes())
        self.launch()

    def launch(self) -> None:
        """Start it; who needs it waits."""
        store = ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        artifacts = ["--artifacts-destination", str(self.folder / "artifacts")]
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command = [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *address]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", real.__file__, str(os.getpid()), *command],
                env=real.minimal_environment(self.folder)
                | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + real.START_SECONDS
        while not real.answers(f"http://127.0.0.1:{self.port}/health"):
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture()
def mlflow(tmp_path: Path, mlflow_template: Path) -> Iterator[Mlflow]:
    """A server that the test may kill."""
    server = Mlflow(tmp_path / "mlflow", mlflow_template)
    yield server
    server.kill()


def test_a_night_that_failed_to_promote_is_finished_on_another_machine(
    deployed: Deployed,
    home: Path,
    mlflow: Mlflow,
    mlflow_template: Path,
    azurite: real.Azurite,
    tmp_path: Path,
) -> None:
    """MLflow dies while the champion is being promoted, and the run fails. When it is back, a
    second worker with another home and folder picks the retry up, and has the results of the first
    one from Azure: no step is computed again, each candidate has one run, and there is one version
    and one champion."""
    results = results_in_azure(deployed, azurite, home)
    mlflow.wait()
    with proxies.proxy(f"http://127.0.0.1:{mlflow.port}") as proxy:

        def die_at_the_alias(exchange: proxies.Exchange) -> None:
            # the decision's tag is what promotion asks for first
            if exchange.path.endswith("/model-versions/set-tag"):
                mlflow.kill()
                exchange.is_lost = True

        proxy.fault = die_at_the_alias
        env = environment_of(
            home,
            MLFLOW_TRACKING_URI=f"http://{proxy.address}",
            PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK=BLOCK,
        )
        # each worker has its own
        del env["RANCAST_HOME"], env["PREFECT_LOCAL_STORAGE_PATH"]
        run_id = deployed.run("daily", {"use_cases": ["tiny"], "as_of": str(AS_OF)}, env)
        deployed.wait(run_id, ["Failed"])
        steps = homes.count_steps(home)
        assert steps["fit_candidate"] == 2
        kept = written(results)
        assert len(kept) > 10

        proxy.fault = None
        mlflow.launch()
        other = tmp_path / "other"
        homes.write_home(other, mlflow_template)
        with deployed.second_worker(
            tmp_path / "b", tmp_path / "b-cwd", {"RANCAST_HOME": str(other)}
        ):
            spoil(home)
            mlflow.wait()
            retry(deployed, run_id)
            deployed.wait(run_id, ["Completed"])
    assert homes.count_steps(home) == steps
    after = written(results)
    assert kept.items() <= after.items() and all(map(json.loads, after.values()))
    assert not list((other / ".local").glob("lake"))
    again = states_of_retry(deployed, run_id, "training")
    assert again["features"] == again["fit"] == again["table"] == {"Cached"}
    again = states_of_retry(deployed, run_id, "ingest")
    # a look at the listing, and no more: see `spoil`
    assert again["validate"] == {"Cached"} and again["pull"] == {"Completed"}
    pointer = Pointer.model_validate_json(homes.pointer(home) or b"")
    assert (pointer.sequence, pointer.champion.version) == (1, 1)
    assert runs_and_versions(mlflow) == (3, 1, {"champion": 1})


def results_in_azure(deployed: Deployed, azurite: real.Azurite, home: Path) -> ContainerClient:
    """Make the block of RANCAST_RESULTS_URL on the server, as `make deploy` does."""
    url = azurite.container()
    with pytest.MonkeyPatch.context() as patch, deployed.client():
        patch.setenv("RANCAST_HOME", str(home))
        patch.setenv("RANCAST_RESULTS_URL", url)
        patch.setenv("RANCAST_RESULTS_CONNECTION_STRING", azurite.connection_string)
        ensure_results(load_settings())
    name = url.rsplit("/", 1)[1]
    return ContainerClient.from_connection_string(azurite.connection_string, name)


def written(results: ContainerClient) -> dict[str, bytes]:
    """Return the results that lie in Azure, name -> content."""
    names = list(results.list_blob_names())
    return {name: results.download_blob(name).readall() for name in names}


def retry(deployed: Deployed, run_id: UUID) -> None:
    """Do what the button Retry of the UI does."""
    from prefect.states import AwaitingRetry

    with deployed.client() as client:
        client.set_flow_run_state(
            run_id, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True
        )


def spoil(home: Path) -> None:
    """Change the raw files without a trace in their listing: who reads one again fails."""
    for path in (home / ".local" / "raw").rglob("*.csv"):
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        with path.open("r+b") as file:
            file.write(b"x")
        os.utime(path, ns=times)


def states_of_retry(deployed: Deployed, run_id: UUID, part: str) -> dict[str, set[str]]:
    """Return the states of the tasks in the last subflow of a run, by their names' first words."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
    from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort

    parent = FlowRunFilterParentFlowRunId(any_=[run_id])
    with deployed.client() as client:
        subflows = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=parent),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=200,
        )
        last = [run for run in subflows if run.name.startswith(part)][-1]
        wanted = FlowRunFilter.model_validate({"id": {"any_": [last.id]}})
        found: dict[str, set[str]] = {}
        for task_run in client.read_task_runs(
            flow_run_filter=wanted, sort=TaskRunSort.END_TIME_DESC, limit=200
        ):
            found.setdefault(task_run.name.split()[0], set()).add(task_run.state_name)
    return found


def runs_and_versions(mlflow: Mlflow) -> tuple[int, int, dict[str, int]]:
    """Return how many runs and versions of `tiny` a server has, and its aliases."""
    from mlflow import MlflowClient

    uri = f"http://127.0.0.1:{mlflow.port}"
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    versions = client.search_model_versions("name = 'tiny'")
    aliases = client.get_registered_model("tiny").aliases
    return len(runs), len(versions), {name: int(version) for name, version in aliases.items()}


def test_of_three_late_nights_only_the_newest_trains(deployed: Deployed, home: Path) -> None:
    """After an outage every late night ingests its own day; the older ones name the newest."""
    homes.write_use_case(home, LATE_CASE)
    for back in range(1, 7):
        tiny.write_day(home, LATE - timedelta(days=back))
    days = [LATE - timedelta(days=back) for back in (2, 1, 0)]
    nights = {day: scheduled(deployed, home, LATE_CASE, day) for day in days}
    results = {day: night(deployed, home, run_id) for day, run_id in nights.items()}
    newest = f"daily {LATE} · {LATE_CASE}"
    assert [results[day]["superseded_by"] for day in days] == [newest, newest, None]
    assert [len(results[day]["trained"]) for day in days] == [0, 0, 1]
    for day in days:
        (ingested,) = results[day]["ingested"]
        assert ingested["end"] == str(day)
    assert Counter(entry["step"] for entry in homes.steps(home))["fit_candidate"] == 2


def scheduled(deployed: Deployed, home: Path, use_case: str, day: date) -> UUID:
    """Schedule a night for a day in the past, as a cron line did while no worker was there."""
    at = datetime(day.year, day.month, day.day, 2, 0, tzinfo=UTC)
    return deployed.run("daily", {"use_cases": [use_case]}, environment_of(home), at)


def night(deployed: Deployed, home: Path, run_id: UUID) -> dict[str, Any]:
    """Wait for a night and return its result, which lies as JSON in the test's own storage."""
    run = deployed.wait(run_id, ["Completed"])
    record = json.loads((home / "results" / run.state.data.storage_key).read_text())
    return dict(record["data"])


def test_a_night_waits_for_its_data_and_reads_what_replaced_it(
    deployed: Deployed, home: Path
) -> None:
    """The newest day is refused: the night holds no worker, says what it waits for, and when it
    runs again it reads the file that was delivered instead, and trains."""
    homes.write_use_case(home, WAITING_CASE)
    path = home / "datasets" / "kpis.yaml"
    # a hundred years, so that the day is still waited for
    path.write_text(path.read_text() + "ready: {coverage: 0.9, deadline: 36500d, every: 10min}\n")
    for back in range(1, 5):
        tiny.write_day(home, LATE - timedelta(days=back))
    newest = next((home / ".local" / "raw").rglob(f"day={LATE - timedelta(days=1):%d}/kpis.csv"))
    good = newest.read_bytes()
    newest.write_bytes(good.replace(b"load_ratio", b"lod_ratio"))
    run_id = scheduled(deployed, home, WAITING_CASE, LATE)
    run = deployed.wait(run_id, ["Waiting"])
    assert "is refused as it is" in run.state.message and "kpis.csv" in run.state.message
    wait = run.state.state_details.scheduled_time - datetime.now(UTC)
    assert timedelta(minutes=8) < wait <= timedelta(minutes=10)
    assert homes.pointer(home, WAITING_CASE) is None

    newest.write_bytes(good)
    retry(deployed, run_id)
    found = night(deployed, home, run_id)
    assert len(found["trained"]) == 1 and found["superseded_by"] is None
    (ingested,) = found["ingested"]
    assert not any(facts["is_refused"] for facts in ingested["partitions"])

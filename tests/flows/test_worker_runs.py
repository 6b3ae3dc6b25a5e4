"""Every deployment runs through a worker; a backfill goes on after a kill, and code is upgraded."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.declared import read_declared
from rancast.champions import Pointer
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF
from tests.workers import Deployed, environment_of

pytestmark = pytest.mark.xdist_group("worker")

NEXT = AS_OF + timedelta(days=1)


@pytest.fixture()
def home(settled_home: Path, tmp_path: Path) -> Path:
    """A home of the test's own that has a champion, version 1, and one more day of files."""
    folder = tmp_path / "home"
    homes.copy_home(settled_home, folder)
    tiny.write_day(folder, AS_OF)
    return folder


def champion(home: Path) -> int:
    """Return the champion's version by the ledger."""
    return Pointer.model_validate_json(homes.pointer(home) or b"").champion.version


def test_each_deployment_runs_through_a_worker(deployed: Deployed, home: Path) -> None:
    """From an empty folder, on nothing but its environment, each does its work; and each run is
    named for what it is about."""
    env = environment_of(home)
    days = {"start": str(tiny.START), "end": str(NEXT)}
    named = {
        deployed.run("daily", {"use_cases": ["tiny"], "as_of": str(NEXT)}, env): (
            "daily 2024-03-06 · tiny"
        ),
        deployed.run("ingest", {"dataset": "kpis", **days}, env): (
            "ingest 2024-03-01 to 2024-03-05 · kpis"
        ),
        deployed.run("backfill", days, env): "backfill 2024-03-01 to 2024-03-05",
        deployed.run("supervision", {}, env): "supervision",
    }
    ended = {name: deployed.wait(run, seconds=240) for run, name in named.items()}
    assert {name: run.name for name, run in ended.items()} == {name: name for name in ended}
    assert champion(home) == 1 and len(homes.registry(home)["versions"]) == 2
    training = deployed.run("training", {"use_case": "tiny", "end": str(NEXT)}, env)
    given = {"use_case": "tiny", "reason": "a test", "declared_by": "Ada"}
    by_hand = deployed.run("promotion", {**given, "version": 2}, env)
    assert deployed.wait(training).name == "training 2024-03-06 · tiny"
    deployed.wait(by_hand, ["Promoted"])
    assert champion(home) == 2
    deployed.wait(deployed.run("rollback", given, env), ["Rolled back"])
    assert champion(home) == 1
    tried = {*(name.split()[0] for name in ended), "training", "promotion", "rollback"}
    assert tried == {one.name for one in read_declared()}


def test_a_killed_backfill_goes_on_where_it_was(
    deployed: Deployed, tmp_path: Path, mlflow_template: Path
) -> None:
    """A retry computes no day again that was finished, and finishes the others. While it runs, a
    second backfill waits for it, and what is scheduled does not."""
    from prefect.states import AwaitingRetry, Crashed

    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    days = [tiny.START + timedelta(days=offset) for offset in range(10)]
    for day in days[tiny.DAYS :]:
        tiny.write_day(home, day)
    env = environment_of(home)
    parameters = {"start": str(days[0]), "end": str(days[-1] + timedelta(days=1))}
    with deployed.second_worker(tmp_path / "worker", tmp_path / "cwd") as worker:
        run = deployed.run("backfill", parameters, env)
        until(lambda: len(homes.manifests(home)) >= 3)
        worker.kill()
    done = finished(home)
    assert 3 <= len(homes.manifests(home)) < 7
    with deployed.client() as client:
        # as supervision leaves it, and a person then presses Retry
        client.set_flow_run_state(run, Crashed(), force=True)
        client.set_flow_run_state(run, AwaitingRetry(), force=True)
    deployed.wait(run, ["Submitting", "Pending", "Running"])
    other = deployed.run("backfill", parameters, env)
    behind = deployed.run("ingest", {"dataset": "kpis", "end": str(AS_OF)}, env)
    ended = deployed.wait(run, seconds=240)
    assert deployed.wait(behind).start_time < ended.end_time < deployed.wait(other).start_time
    assert len(homes.manifests(home)) == len(days)
    assert {name: time for name, time in finished(home).items() if name in done} == done
    assert homes.count_steps(home)["validate_partition"] == len(days)
    assert ended.state.message.startswith("10 days of files, ")


def finished(home: Path) -> dict[str, int]:
    """Return when each entry of a step was written."""
    folder = home / ".local" / "lake" / "ledger" / "steps"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_a_run_of_the_older_deployment_runs_on_the_newer_code(
    deployed: Deployed, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was scheduled before an upgrade, with the parameters of that time, is executed by
    the code that is installed when it is due; the upgrade neither loses nor repeats it."""
    from prefect.client.schemas.actions import DeploymentUpdate
    from prefect.states import Scheduled

    from deployments.deploy import deploy

    monkeypatch.setenv("PREFECT_API_URL", deployed.api_url)
    monkeypatch.setenv("RANCAST_HOME", str(deployed.servers.folder / "deployed-home"))
    parameters = {"dataset": "kpis", "start": str(AS_OF), "end": str(NEXT)}
    with deployed.client() as client:
        newer = client.read_deployment_by_name("ingest/ingest")
        older = older_schema(newer.parameter_openapi_schema)
        change = DeploymentUpdate(version="0.0.1", parameter_openapi_schema=older)
        client.update_deployment(newer.id, change)
        run = client.create_flow_run_from_deployment(
            newer.id,
            parameters=parameters,
            state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1)),
            job_variables={"env": environment_of(home)},
        )
        assert "deployment ingest" in list(deploy())
        assert client.read_deployment_by_name("ingest/ingest").version == newer.version
        # its hour has come
        client.set_flow_run_state(run.id, Scheduled(), force=True)
    ended = deployed.wait(run.id)
    assert ended.deployment_version == "0.0.1"
    assert ended.parameters == parameters
    assert str(AS_OF) in homes.manifests(home)


def older_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a form as it was before `rerun_from` came."""
    kept = {name: field for name, field in schema["properties"].items() if name != "rerun_from"}
    return {**schema, "properties": kept}

"""Every deployment runs through a worker; a backfill goes on after a kill, and code is upgraded."""

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.states import AwaitingRetry, Crashed, Scheduled

from deployments.declared import read_declared
from rancast.champions import Pointer
from tests import servers as real
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF
from tests.workers import Deployed, deploy, environment_of

pytestmark = pytest.mark.xdist_group("other-worker")

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
    ended = {name: deployed.wait(run) for run, name in named.items()}
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
    done, first = finished(home), validations(home, run)
    validated = homes.count_steps(home)["validate_partition"]
    assert 3 <= len(homes.manifests(home)) < 7
    with deployed.client() as client:
        # as supervision leaves it, and a person then presses Retry
        client.set_flow_run_state(run, Crashed(), force=True)
        client.set_flow_run_state(run, AwaitingRetry(), force=True)
    deployed.wait(run, ["Submitting", "Pending", "Running"])
    other = deployed.run("backfill", parameters, env)
    # days that are done, so that it takes none from the backfill
    two = {"dataset": "kpis", "start": str(days[0]), "end": str(days[2])}
    behind = deployed.run("ingest", two, env)
    ended, again = deployed.wait(run), deployed.wait(other, seconds=240)
    assert deployed.wait(behind).start_time < ended.end_time < again.start_time
    assert len(homes.manifests(home)) == len(days)
    assert {name: time for name, time in finished(home).items() if name in done} == done
    assert homes.count_steps(home)["validate_partition"] == len(days)
    # what the second try computed is what the first had not, and the state counts both
    both = validations(home, run)
    assert first and first.items() <= both.items() and all(first.values())
    assert sum(both[name] for name in both.keys() - first.keys()) == len(days) - validated
    said = f"10 days of files, {sum(both.values())} validated in this run, 0 refused, "
    assert ended.state.message.startswith(said)
    assert again.state.message.startswith("10 days of files, 0 validated in this run, 0 refused, ")


def validations(home: Path, run: UUID) -> dict[str, bool]:
    """Return for each day that a run validated whether it was computed, or found in the ledger."""
    found = {}
    for path in (home / "results").glob(f"{run}-*"):
        record = json.loads(path.read_bytes() or b"{}")
        made = json.loads(record["result"]) if "metadata" in record else None
        if isinstance(made, dict) and made.get("__class__") == "rancast.steps.Made":
            if made["data"]["step"] == "validate_partition":
                found[path.name] = not made["data"]["is_reused"]
    return found


def finished(home: Path) -> dict[str, int]:
    """Return when each entry of a step was written."""
    folder = home / ".local" / "lake" / "ledger" / "steps"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def until(is_so: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_runs_that_are_pending_at_an_upgrade_run_on_the_newer_code(
    deployed: Deployed, home: Path, older: Path, tmp_path: Path
) -> None:
    """An older version deploys, its worker works, and two runs are scheduled by its form. Then the
    newer one deploys, and a worker with its code takes over: a run whose parameters it still has is
    executed, and reuses what the older one made; one with a parameter that is gone crashes
    before it does anything, and its log names the parameter."""
    settings, env = deployed.home, environment_of(home)
    days = {"dataset": "kpis", "start": str(tiny.START)}
    assert "deployment ingest" in deploy(settings, deployed.api_url, older)
    with deployed.second_worker(
        tmp_path / "a", tmp_path / "cwd", {"PYTHONPATH": f"{older}:{real.LEAN}"}
    ):
        before = {**days, "end": str(AS_OF), "is_quick": True}
        assert deployed.wait(deployed.run("ingest", before, env)).deployment_version == "0.0.1"
        kept = plan(deployed, {**days, "end": str(NEXT)}, env)
        gone = plan(deployed, {**days, "end": str(NEXT), "is_quick": True}, env)
    steps = homes.count_steps(home)["validate_partition"]
    assert "deployment ingest" in deploy(settings, deployed.api_url)

    ended = come(deployed, kept, "Completed")
    assert (ended.deployment_version, deployment(deployed).version) == ("0.0.1", version("rancast"))
    assert ended.state.message.startswith("5 days, 1 validated in this run")
    assert str(AS_OF) in homes.manifests(home)
    assert homes.count_steps(home)["validate_partition"] == steps + 1
    # Prefect says it in the log alone
    come(deployed, gone, "Crashed")
    until(lambda: "SignatureMismatchError" in deployed.log(gone))
    assert "'is_quick'" in deployed.log(gone)


@pytest.fixture()
def older(tmp_path: Path) -> Path:
    """This checkout as it might have been at version 0.0.1: its `ingest` has no `rerun_from` yet,
    and a parameter that is gone since."""
    folder = tmp_path / "older"
    for name in ("flows", "tasks", "rancast", "deployments"):
        shutil.copytree(
            real.CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    metadata = folder / "rancast-0.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: rancast\nVersion: 0.0.1\n")
    flow = folder / "flows" / "ingest.py"
    text = flow.read_text()
    for new, old in (
        (
            "    rerun_from: Stage | None = None,\n) -> Ingested:",
            "    is_quick: bool = False,\n) -> Ingested:",
        ),
        (
            "        rerun_from: compute again from this step on, although nothing changed.",
            "        is_quick: whether to hurry.",
        ),
        (
            "    start, end = ingest_days(start, end)\n",
            "    start, end = ingest_days(start, end)\n    rerun_from = None\n",
        ),
    ):
        assert text.count(new) == 1, new
        text = text.replace(new, old)
    flow.write_text(text)
    return folder


def plan(deployed: Deployed, parameters: dict[str, Any], env: dict[str, str]) -> UUID:
    """Have `ingest` run in an hour; its parameters are held against the form of now."""
    later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    with deployed.client() as client:
        run = client.create_flow_run_from_deployment(
            deployment(deployed).id,
            parameters=parameters,
            state=later,
            job_variables={"env": env},
        )
    return UUID(str(run.id))


def come(deployed: Deployed, run: UUID, end: str) -> Any:
    """Have the hour of a run come; return it at its end."""
    with deployed.client() as client:
        client.set_flow_run_state(run, Scheduled(), force=True)
    return deployed.wait(run, [end])


def deployment(deployed: Deployed) -> Any:
    """Return the deployment of `ingest`."""
    with deployed.client() as client:
        return client.read_deployment_by_name("ingest/ingest")

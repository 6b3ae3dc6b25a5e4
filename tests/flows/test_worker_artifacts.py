"""A run whose process is killed under a worker still tells its operator, and what to do."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from tests.flows import homes
from tests.sinks import Sink
from tests.workers import Deployed, environment_of

pytestmark = pytest.mark.xdist_group("worker")

SECONDS = 180


def test_a_killed_run_gets_its_page_and_an_alert(
    deployed: Deployed, mlflow_template: Path, tmp_path: Path, sink: Sink
) -> None:
    """Killed by force, a run becomes Crashed, has the page with cause and next action under the
    name that it had got, and the webhook hears of it."""
    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    run = deployed.run("daily", {"as_of": "2024-03-05"}, environment_of(home))
    deployed.wait(run, ["Running"])
    process_of(deployed, run).kill()
    deployed.wait(run, ["Crashed"])
    page = page_of(deployed, run, "what-to-do-daily-2024-03-05-all-use-cases")
    assert "## daily 2024-03-05 · all use cases: crashed" in page
    assert "Process exited with status code: -9" in page and "Its process is gone" in page
    assert "docs/operations.md#crashed" in page
    alert = alert_of(sink, run)
    assert (alert["event"], alert["automation"]) == (
        "prefect.flow-run.Crashed",
        "rancast: a run failed",
    )
    assert "Process exited with status code: -9" in alert["sentence"]
    assert alert["about"] == "daily 2024-03-05 · all use cases"


def alert_of(sink: Sink, run: UUID) -> dict[str, Any]:
    """Return what the webhook heard of a run, once it has."""
    deadline = time.monotonic() + SECONDS
    while not (found := [body for body, _ in sink.got if body["run"] == str(run)]):
        assert time.monotonic() < deadline, f"no alert within {SECONDS} s: {sink.got}"
        time.sleep(0.1)
    return found[0]


def process_of(deployed: Deployed, run: UUID) -> psutil.Process:
    """Return the process in which the worker executes a run."""
    (found,) = [
        child
        for child in deployed.worker().children(recursive=True)
        if child.environ().get("PREFECT__FLOW_RUN_ID") == str(run)
    ]
    return found


def page_of(deployed: Deployed, run: UUID, key: str) -> str:
    """Return a page of a run once it is there."""
    wanted = {"flow_runs": {"id": {"any_": [str(run)]}}, "artifacts": {"key": {"any_": [key]}}}
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with deployed.client() as client:
            found: list[Any] = client.request("POST", "/artifacts/filter", json=wanted).json()
        if found:
            return str(found[0]["data"])
        time.sleep(0.2)
    raise AssertionError(f"{key} was not published within {SECONDS} s")

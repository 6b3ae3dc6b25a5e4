"""A run whose process is killed under a worker still tells its operator what to do."""

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from tests.flows import homes
from tests.workers import Deployed, environment_of

pytestmark = pytest.mark.xdist_group("worker")

SECONDS = 60


def test_a_killed_run_gets_its_page(
    deployed: Deployed, mlflow_template: Path, tmp_path: Path
) -> None:
    """Killed by force, a run becomes Crashed and has the page with cause and next action, under the
    name that it had got."""
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

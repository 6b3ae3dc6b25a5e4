"""Every deployment runs through a worker, from an empty folder, on nothing but its environment."""

from pathlib import Path

import pytest

from tests.flows import homes
from tests.workers import Deployed, environment_of

pytestmark = pytest.mark.xdist_group("worker")


def test_daily_runs_through_the_worker(
    deployed: Deployed, tmp_path: Path, mlflow_template: Path
) -> None:
    """A worker runs daily on a home that it did not know before, and there is a champion."""
    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    parameters = {"use_cases": ["tiny"], "as_of": "2024-03-05"}
    run = deployed.run("daily", parameters, environment_of(home))
    deployed.wait(run)
    assert homes.pointer(home) is not None

"""Two copies of the main job at the same time end as one."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import tiny
from tests.faults.test_kill import ROOT
from tests.servers import LEAN


@pytest.mark.timeout(900)
def test_two_copies_started_at_once_end_as_one(
    tmp_path: Path, mlflow_template: Path, prefect_server: str
) -> None:
    """Two processes that run the same night on one home leave what one alone leaves: one version,
    one champion, one run per candidate, and digest for digest the same lake and ledger."""
    home = tmp_path / "template"
    tiny.write_home(home)
    (home / ".local" / "mlflow").mkdir(parents=True)
    shutil.copy(mlflow_template, home / ".local" / "mlflow" / "mlflow.db")
    env = os.environ | {
        "RANCAST_HOME": str(home),
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PYTHONPATH": f"{LEAN}:{ROOT}",
    }
    command = [sys.executable, str(ROOT / "tests/faults/driver.py"), str(home), str(tmp_path)]
    done = subprocess.run(
        [*command, "copies"], env=env, capture_output=True, text=True, timeout=880, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    alone, *pairs = (json.loads(line) for line in done.stdout.splitlines())
    for pair in pairs:
        assert pair["statuses"] == [0, 0], pair["log"]
        assert json.loads(pair["content"]["mlflow versions"]) == [["tiny", 1, "None"]]
        names = alone["content"].keys() | pair["content"].keys()
        differing = {n for n in names if alone["content"].get(n) != pair["content"].get(n)}
        assert not differing

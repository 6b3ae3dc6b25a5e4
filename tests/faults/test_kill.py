"""A main job killed at any effect, and run again, ends as if nothing had happened."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import tiny
from tests.servers import LEAN

ROOT = Path(__file__).parents[2]
SHARDS = 2


@pytest.fixture()
def template(tmp_path: Path, mlflow_template: Path) -> Path:
    """A home with raw files, configuration and a migrated MLflow database."""
    home = tmp_path / "template"
    tiny.write_home(home)
    database = home / ".local" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copy(mlflow_template, database)
    return home


def attempts(template: Path, work: Path, api_url: str, *mode: str) -> Iterator[dict[str, Any]]:
    """Run the driver in a mode; yield what it says of each point, as it says it."""
    env = os.environ | {
        "RANCAST_HOME": str(template),
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(work / "prefect"),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        # a third of the work of the server, and nothing that a killed run leaves behind
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PYTHONPATH": f"{LEAN}:{ROOT}",
    }
    command = [sys.executable, str(ROOT / "tests/faults/driver.py"), str(template), str(work)]
    command += mode
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None and driver.stderr is not None
        for line in driver.stdout:
            yield json.loads(line)
        errors = driver.stderr.read()
    assert driver.returncode == 0, errors[-3000:]


@pytest.mark.longest
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_anywhere_and_run_again_it_ends_the_same(
    shard: int,
    template: Path,
    tmp_path: Path,
    prefect_server: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Killed before its n-th effect, for every n, a second run leaves lake, ledger, registry and
    history as an undisturbed run does: digest for digest, one version, one champion."""
    points = attempts(template, tmp_path, prefect_server, str(shard + 1), str(SHARDS))
    undisturbed = next(points)
    assert undisturbed["status"] == 0, undisturbed["error"] + undisturbed["log"]
    assert json.loads(undisturbed["content"]["mlflow aliases"]) == [["tiny", "champion", 1]]
    assert json.loads(undisturbed["content"]["mlflow versions"]) == [["tiny", 1, "None"]]
    tried = expect_the_same(undisturbed, points)
    assert tried == len(range(shard, undisturbed["effects"], SHARDS))
    record_property(f"main job killed and run again, shard {shard}", f"{tried} points")


@pytest.mark.timeout(1200)
def test_changes_by_people_killed_anywhere_and_retried_end_the_same(
    template: Path,
    tmp_path: Path,
    prefect_server: str,
    record_property: Callable[[str, object], None],
) -> None:
    """A promotion by hand and its rollback, killed before any effect and retried, leave each entry
    of the history once, the same aliases, and the same of everything else."""
    points = attempts(template, tmp_path, prefect_server, "changes")
    undisturbed = next(points)
    assert undisturbed["status"] == 0, undisturbed["error"] + undisturbed["log"]
    aliases = json.loads(undisturbed["content"]["mlflow aliases"])
    assert aliases == [["tiny", "champion", 1], ["tiny", "previous", 2]]
    tried = expect_the_same(undisturbed, points)
    assert tried == undisturbed["effects"] > 5
    record_property("promotion and rollback killed and retried", f"{tried} points")


def expect_the_same(undisturbed: dict[str, Any], points: Iterator[dict[str, Any]]) -> int:
    """Hold what each killed and repeated run left against an undisturbed one; count the killed."""
    tried, passed_through = 0, False
    for result in points:
        assert result["status"] == 0, (result["kill_at"], result["error"], result["log"])
        differing = {
            name
            for name in result["content"].keys() | undisturbed["content"].keys()
            if result["content"].get(name) != undisturbed["content"].get(name)
        }
        assert not differing, f"killed before effect {result['kill_at']}: {sorted(differing)}"
        passed_through = not result["was_killed"]
        tried += result["was_killed"]
    assert passed_through
    return tried

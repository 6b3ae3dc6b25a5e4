"""With nothing configured but RANCAST_HOME, everything runs embedded below it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.flows import homes
from tests.servers import CHECKOUT, LEAN, minimal_environment

DAILY = """
from datetime import date
from flows.daily import daily
print(daily(["tiny"], date(2024, 3, 5)).model_dump_json())
"""


@pytest.fixture()
def elsewhere(tmp_path: Path) -> Path:
    """A working directory that has nothing to do with the project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_the_main_job_runs_embedded_from_any_directory(
    tmp_path: Path, elsewhere: Path, mlflow_template: Path
) -> None:
    """Without a server started by hand it promotes a first champion, and leaves every file below
    RANCAST_HOME/.local."""
    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    environment = minimal_environment(tmp_path) | {"RANCAST_HOME": str(home)}
    # the installed distribution is found without a path of ours, and Prefect's home is the default
    del environment["PREFECT_HOME"]
    ran = subprocess.run(
        [sys.executable, "-c", DAILY],
        env=environment,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    (trained,) = json.loads(ran.stdout.splitlines()[-1])["trained"]
    assert (trained["version"], trained["champion"], trained["is_new_champion"]) == (1, 1, True)
    assert {path.name for path in (home / ".local").iterdir()} >= {"lake", "mlflow", "prefect"}
    assert not list(elsewhere.iterdir())
    assert not (tmp_path / ".prefect").exists()


def test_the_demo_tells_what_it_did_and_then_does_nothing_twice(
    tmp_path: Path, prefect_template: Path
) -> None:
    """`make demo` ends with rows, leaderboard, decision and places; again, it computes nothing."""
    # the test above sees Prefect make its database, this one MLflow
    database = tmp_path / "home" / ".local" / "prefect" / "prefect.db"
    database.parent.mkdir(parents=True)
    shutil.copy(prefect_template, database)
    first, second = (_demo(tmp_path) for _ in range(2))
    for said in (first, second):
        for part in (
            "rows in = ",
            "hist_gradient_boosting",
            "last_value",
            "MLflow: experiment and model network_degradation, run ",
            "Look at all of it: make ui",
        ):
            assert part in said, said
    assert "network_performance: 6 days (6 computed now, 7 without a file, 0 refused)" in first
    assert "network_performance: 6 days (0 computed now, 7 without a file, 0 refused)" in second
    assert "(0 steps computed now)" in second


def _demo(folder: Path) -> str:
    """Run the demo on few cells and days in a home of its own; return what it prints."""
    home = folder / "home"
    if not (home / "datasets").exists():
        for name in ("datasets", "expectations"):
            _link(CHECKOUT / name, home / name)
        _write_small(home / "use_cases" / "network_degradation.yaml")
    path = f"{LEAN}:{CHECKOUT}"
    ran = subprocess.run(
        [sys.executable, "-m", "deployments.demo", "--cells", "3", "--days", "6"]
        + ["--use-cases", "network_degradation"],
        env=minimal_environment(folder) | {"RANCAST_HOME": str(home), "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-3000:]
    return ran.stdout


def _write_small(path: Path) -> None:
    """Write the shipped use case on one dataset, a short history and one candidate."""
    text = yaml.safe_load((CHECKOUT / "use_cases" / path.name).read_text())
    text["history"] = "6d"
    text["split"] = {"holdout": "2d", "embargo": "30min", "folds": 2}
    del text["features"]["joins"], text["features"]["busy_hour"]
    text["gates"]["slices"] = text["gates"]["slices"][:1]
    text["search"] = {"iterations": 1, "rows": 1000}
    text["candidates"] = [
        named for named in text["candidates"] if named["name"] == "hist_gradient_boosting"
    ]
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(text, sort_keys=False))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)

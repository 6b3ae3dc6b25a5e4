"""Homes for the flows' tests: a copy of one that has a champion, and what lies in its lake."""

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tests.faults import tiny

# as one declares it: all cells on one site
SLEEPING = """
levels: {site: {from: cell_id, pattern: '^(?P<value>C)'}}
sleeping: {traffic: load_ratio, level: site, for: 2h}
"""


def write_home(home: Path, mlflow_template: Path) -> None:
    """Write the smallest complete home, with a migrated MLflow database."""
    tiny.write_home(home)
    database = home / ".local" / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    shutil.copy(mlflow_template, database)


def copy_home(source: Path, home: Path) -> None:
    """Copy a home, so that nothing in the copy leads back to where it was."""
    shutil.copytree(source, home)
    with sqlite3.connect(home / ".local" / "mlflow" / "mlflow.db") as database:
        for table, column in _texts(database):
            database.execute(
                f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?)',
                (str(source), str(home)),
            )


def _texts(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        (table, column)
        for (table,) in tables
        for _, column, kind, *_ in database.execute(f'PRAGMA table_info("{table}")')
        if kind.startswith(("VARCHAR", "TEXT"))
    ]


def write_use_case(home: Path, name: str, text: str = tiny.USE_CASE, **changes: str) -> None:
    """Write a use case like the tiny one, with a name of its own and some lines replaced.

    `changes` gives a key's new line: target="target: {within: 1h, any: latency_ms > 5}".
    """
    lines = text.replace("name: tiny\n", f"name: {name}\n").splitlines()
    for key, line in changes.items():
        found = [index for index, old in enumerate(lines) if old.startswith(f"{key}:")]
        assert found, f"the tiny use case has no key {key}"
        lines[found[0]] = line
    (home / "use_cases" / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def declare(home: Path, text: str) -> None:
    """Add keys to the tiny dataset of a home."""
    with (home / "datasets" / "kpis.yaml").open("a") as file:
        file.write(text)


def lake_files(home: Path) -> dict[str, bytes]:
    """Return what is in a home's lake, name -> content, locks and leftovers included.

    The numbers for Prometheus are left out: they say when a run was, and how long it took.
    """
    found = files_below(home / ".local" / "lake")
    return {name: data for name, data in found.items() if not name.startswith("reports/metrics/")}


def files_below(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, its name relative to it -> content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def steps(home: Path) -> Iterator[dict[str, Any]]:
    """Yield the ledger's entries of steps, in the order of their keys."""
    for name, data in lake_files(home).items():
        if name.startswith("ledger/steps/") and not name.split("/")[-1].startswith("."):
            yield json.loads(data)


def count_steps(home: Path) -> Counter[str]:
    """Return how many entries each step has in the ledger."""
    return Counter(entry["step"] for entry in steps(home))


def manifests(home: Path) -> dict[str, bytes]:
    """Return the manifests of the curated partitions, day -> content."""
    return {
        name.split("/")[2].removeprefix("date="): data
        for name, data in lake_files(home).items()
        if name.startswith("curated/") and name.endswith("/manifest.json")
    }


def pointer(home: Path, use_case: str = "tiny") -> bytes | None:
    """Return the champion's pointer as the ledger has it, None where there is none."""
    return lake_files(home).get(f"ledger/promotions/{use_case}.json")


def registry(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return MLflow's active runs, its versions and its aliases."""
    queries = {
        "runs": "SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' ORDER BY 1",
        "versions": "SELECT name, version FROM model_versions"
        " WHERE current_stage != 'Deleted_Internal' ORDER BY 1, 2",
        "aliases": "SELECT name, alias, version FROM registered_model_aliases ORDER BY 1, 2",
    }
    with sqlite3.connect(home / ".local" / "mlflow" / "mlflow.db") as database:
        return {name: database.execute(query).fetchall() for name, query in queries.items()}


def model_file(home: Path, version: int, use_case: str = "tiny") -> Path:
    """Return where MLflow keeps the model of a version."""
    query = "SELECT source FROM model_versions WHERE name = ? AND version = ?"
    with sqlite3.connect(home / ".local" / "mlflow" / "mlflow.db") as database:
        (source,) = database.execute(query, (use_case, version)).fetchone()
    return Path(source.removeprefix("file://")) / "model.skops"


def half_written(home: Path) -> list[str]:
    """Return the lake's data files whose name is not the SHA-256 of their content."""
    return [
        name
        for name, data in lake_files(home).items()
        if name.endswith((".parquet", ".html", ".skops"))
        and name.split("/")[-1].split(".")[0] != hashlib.sha256(data).hexdigest()
    ]


def load(home: Path, reference: dict[str, Any]) -> pd.DataFrame:
    """Return the frame that a manifest or a ledger entry refers to."""
    return pd.read_parquet(home / ".local" / "lake" / reference["uri"])

"""make bench: the main job beside a plain script that does the same work, on the same data.

Prints, for each stage, seconds, raw rows per second and peak memory of both, and the ratios.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.local import environment, prefect_server
from rancast.settings import URL_SETTINGS, load_settings
from rancast.simulation import Scale, raw_files

ROOT = Path(__file__).parents[1]
SCALE = Scale(cells=20, days=30)
STAGES = (
    "imports",
    "pull",
    "validate",
    "features",
    "table",
    "audit",
    "fit",
    "evaluate",
    "track",
    "tell",
    "between",
)


def main() -> None:
    """Prepare a home with simulated files, run both, print the table."""
    with tempfile.TemporaryDirectory(prefix="rancast-bench-") as folder:
        home = Path(folder)
        prepare(home)
        os.environ["RANCAST_HOME"] = str(home)
        as_of = (SCALE.start + timedelta(days=SCALE.days)).isoformat()
        for name in (*URL_SETTINGS, "PREFECT_API_URL"):
            os.environ.pop(name, None)
        settings = load_settings()
        plain = run("benchmarks.plain", home, as_of, dict(os.environ))
        with prefect_server(settings) as api_url:
            job = run("benchmarks.rancast_job", home, as_of, environment(settings, api_url))
    print(table(plain, job))


def prepare(home: Path) -> None:
    """Copy the configuration and write the raw files."""
    for name in ("datasets", "expectations", "use_cases"):
        shutil.copytree(ROOT / name, home / name)
    for name, data in raw_files(SCALE, ("network_performance", "call_detail_records")):
        path = home / ".local" / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def run(module: str, home: Path, as_of: str, env: dict[str, str]) -> dict[str, Any]:
    """Run one of the two in a process of its own; return its last line, which is JSON."""
    print(f"running {module} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", module, str(home), as_of]
    env = env | {"PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=home, check=False)
    if done.returncode:
        raise SystemExit(f"{module} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(plain: dict[str, Any], job: dict[str, Any]) -> str:
    """Return both runs as a markdown table."""
    lines = [
        f"{SCALE.cells} cells, {SCALE.days} days, {plain['rows']:,} raw rows",
        "",
        "| stage | plain s | rancast s | ratio | plain rows/s | rancast rows/s "
        "| plain peak MB | rancast peak MB | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = plain["rows"]
    for stage in STAGES:
        seconds = [one["seconds"].get(stage) for one in (plain, job)]
        lines.append(
            line(stage, seconds, [one["peaks_mb"].get(stage) for one in (plain, job)], rows)
        )
    totals = [one["total"] for one in (plain, job)]
    lines.append(line("total", totals, [one["peak_mb"] for one in (plain, job)], rows))
    return "\n".join(lines)


def line(stage: str, seconds: list[float | None], peaks_mb: list[float | None], rows: int) -> str:
    """Return one stage's row; a stage that one of the two does not have stays empty there."""
    rates = [rows / value if value else None for value in seconds]
    cells = (
        stage,
        *(text(value, ".1f") for value in seconds),
        text(ratio(seconds), ".1f"),
        *(text(value, ",.0f") for value in (*rates, *peaks_mb)),
        text(ratio(peaks_mb), ".1f"),
    )
    return f"| {' | '.join(cells)} |"


def ratio(pair: list[float | None]) -> float | None:
    """Return rancast's value over the plain script's, None where one of them is missing."""
    plain, job = pair
    return job / plain if plain and job is not None else None


def text(value: float | None, form: str) -> str:
    """Return a number as a table's cell, empty where there is none."""
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()

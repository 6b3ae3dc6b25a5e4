"""make bench: the main job beside a plain script that does the same work, on the same data.

Prints, for each stage, seconds, raw rows per second and the ratio, and the peak memory of both.
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
STAGES = ("imports", "pull", "validate", "features", "table", "fit", "evaluate", "track", "between")


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
    for name, data in raw_files(SCALE, ("network_performance",)):
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
        "| stage | plain s | rancast s | plain rows/s | rancast rows/s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for stage in STAGES:
        lines.append(line(stage, plain["seconds"].get(stage), job["seconds"].get(stage), plain))
    lines.append(line("total", plain["total"], job["total"], plain))
    peak = plain["peak_mb"], job["peak_mb"]
    lines.append(
        f"| peak memory, MB | {peak[0]:,.0f} | {peak[1]:,.0f} | | | {peak[1] / peak[0]:.1f} |"
    )
    return "\n".join(lines)


def line(stage: str, plain: float | None, job: float | None, found: dict[str, Any]) -> str:
    """Return one stage's row; a stage that one of the two does not have stays empty there."""
    rows = found["rows"]

    def cells(seconds: float | None) -> tuple[str, str]:
        return ("", "") if seconds is None else (f"{seconds:.1f}", f"{rows / seconds:,.0f}")

    (plain_s, plain_rate), (job_s, job_rate) = cells(plain), cells(job)
    ratio = f"{job / plain:.1f}" if plain and job else ""
    return f"| {stage} | {plain_s} | {job_s} | {plain_rate} | {job_rate} | {ratio} |"


if __name__ == "__main__":
    main()

"""The main job as it is, timed by what the Prefect server recorded of its tasks.

Usage: python -m benchmarks.rancast_job HOME AS_OF, with the environment of a stack; prints one
JSON line with seconds per stage.
"""

import json
import resource
import sys
import time
from datetime import date
from typing import Any

STARTED = time.perf_counter()
USE_CASE = "network_degradation"

# by the first word of a task run's name
STAGE_OF = {
    "list": "pull",
    "pull": "pull",
    "validate": "validate",
    "find": "features",
    "features": "features",
    "table": "table",
    "fit": "fit",
    "evaluate": "evaluate",
    "baselines": "evaluate",
    "score": "evaluate",
    "judge": "evaluate",
    "champion": "track",
    "track": "track",
    "register": "track",
    "apply": "track",
    "show": "track",
}


def main() -> None:
    """Run `daily` once, and add up the wall time during which each stage had a task running."""
    start = time.perf_counter()
    from flows.daily import daily

    imports = time.perf_counter() - start
    start = time.perf_counter()
    night = daily([USE_CASE], date.fromisoformat(sys.argv[2]))
    wall = time.perf_counter() - start
    seconds = {"imports": imports, **stage_seconds()}
    seconds["between"] = wall - sum(seconds.values()) + imports
    print(
        json.dumps(
            {
                "seconds": seconds,
                "total": time.perf_counter() - STARTED,
                "rows": sum(one.rows.raw for part in night.ingested for one in part.partitions),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def stage_seconds() -> dict[str, float]:
    """Return for each stage how long at least one of its tasks was running."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for run in task_runs():
        stage = STAGE_OF[run.name.split()[0]]
        spans.setdefault(stage, []).append((run.start_time.timestamp(), run.end_time.timestamp()))
    return {stage: covered(found) for stage, found in spans.items()}


def covered(spans: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reach = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return total


def task_runs() -> list[Any]:
    """Return all task runs of the server once it has recorded them all as finished."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import TaskRunSort

    with get_client(sync_client=True) as client:
        known: list[Any] = []
        for _ in range(60):
            found: list[Any] = []
            while page := client.read_task_runs(
                sort=TaskRunSort.END_TIME_DESC, limit=200, offset=len(found)
            ):
                found += page
            if found and len(found) == len(known) and all(run.end_time for run in found):
                return found
            known = found
            time.sleep(1)
        raise SystemExit("the Prefect server did not record all task runs within a minute")


if __name__ == "__main__":
    main()

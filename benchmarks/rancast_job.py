"""The main job as it is, timed by what the Prefect server recorded of its tasks.

Usage: python -m benchmarks.rancast_job HOME AS_OF, with the environment of a stack; prints one
JSON line with seconds and peak memory of each stage.
"""

import json
import sys
import time
from datetime import date
from typing import Any

from benchmarks.memory import MemoryTrace, Span

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
    "audit": "audit",
    "fit": "fit",
    "evaluate": "evaluate",
    "baselines": "evaluate",
    "score": "evaluate",
    "judge": "evaluate",
    "champion": "track",
    "track": "track",
    "register": "track",
    "apply": "track",
    "report": "track",
}
# what is told to people and kept for the next night: plans, pages, numbers
OTHER = "tell"

# a subflow is a task run of its flow, too, and spans those of its own
SUBFLOWS = ("ingest-", "training-")


def main() -> None:
    """Run `daily` once, and add up the wall time during which each stage had a task running."""
    trace = MemoryTrace().start()
    start = time.time()
    from flows.daily import daily

    imported = time.time()
    night = daily([USE_CASE], date.fromisoformat(sys.argv[2]))
    wall, total = time.time() - imported, time.perf_counter() - STARTED
    trace.stop()
    spans = stage_spans()
    seconds = {stage: covered(found) for stage, found in spans.items()}
    seconds["between"] = wall - covered([span for found in spans.values() for span in found])
    seconds["imports"] = imported - start
    spans["imports"] = [(start, imported)]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peaks_mb": {stage: trace.peak_mb(found) for stage, found in spans.items()},
                "total": total,
                "rows": sum(one.rows.raw for part in night.ingested for one in part.partitions),
                "peak_mb": trace.peak_mb(),
            }
        )
    )


def stage_spans() -> dict[str, list[Span]]:
    """Return for each stage when its tasks were running."""
    spans: dict[str, list[Span]] = {}
    for run in task_runs():
        if run.name.startswith(SUBFLOWS):
            continue
        stage = STAGE_OF.get(run.name.split()[0], OTHER)
        spans.setdefault(stage, []).append((run.start_time.timestamp(), run.end_time.timestamp()))
    return spans


def covered(spans: list[Span]) -> float:
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

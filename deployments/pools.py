"""Work pools and queues on a Prefect server, made and kept as this module and its templates say."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

FOLDER = Path(__file__).parent


class Queue(NamedTuple):
    """A work queue; of two waiting runs the one whose queue has the lower number goes first."""

    name: str
    priority: int
    concurrency_limit: int
    description: str


# A pool has a queue `default` of priority 1 from its beginning. What takes hours waits in one of
# its own: one run of it at a time, and behind all others where workers or the pool are limited.
BACKFILL = Queue("backfill", 10, 1, "Days of the past: one run at a time, behind everything else")
DESCRIPTIONS = {
    "process": "Runs of rancast as processes of the worker",
    "docker": "Runs of rancast as containers of its image; the worker needs prefect-docker",
}


def ensure_pool(client: SyncPrefectClient, name: str, kind: str) -> bool:
    """Have the work pool `name` of kind "process" or "docker"; tell whether anything changed.

    Limits and pauses are the operator's: they are left as they are.
    """
    template = json.loads((FOLDER / f"work-pool-{kind}.json").read_text())
    wanted = {"description": DESCRIPTIONS[kind], "base_job_template": template}
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, **wanted))
        is_changed = True
    else:
        is_changed = _differs(pool, wanted)
        if is_changed:
            client.update_work_pool(name, WorkPoolUpdate.model_validate(wanted))
    return _ensure_queue(client, name, BACKFILL) or is_changed


def _ensure_queue(client: SyncPrefectClient, pool: str, queue: Queue) -> bool:
    wanted = queue._asdict()
    try:
        found = client.read_work_queue_by_name(queue.name, pool)
    except ObjectNotFound:
        client.create_work_queue(work_pool_name=pool, **wanted)
        return True
    if not _differs(found, wanted):
        return False
    wanted.pop("name")
    client.update_work_queue(found.id, **wanted)
    return True


def _differs(found: Any, wanted: dict[str, Any]) -> bool:
    return any(getattr(found, name) != value for name, value in wanted.items())

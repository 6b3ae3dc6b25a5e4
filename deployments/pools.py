"""Work pools and queues on a Prefect server, made and kept as this module and its templates say."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

FOLDER = Path(__file__).parent

# What a run has, whatever its worker has: heartbeats, patience with the API, results as JSON for a
# retry elsewhere, and nobody told.
FIXED = {
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
# What a run takes from its worker. A process inherits all of it; into a container each name is
# copied when the run starts, so that no secret lies in Prefect's database. Prefect itself copies
# what a worker has set of PREFECT_*, among it PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK, which Prefect
# would not take for unset if it came empty.
TAKEN = (
    "RANCAST_DOCS_URL",
    "RANCAST_MLFLOW_UI_URL",
    "RANCAST_RAW_URL",
    "RANCAST_LAKE_URL",
    "RANCAST_RAW_CONNECTION_STRING",
    "RANCAST_LAKE_CONNECTION_STRING",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "RANCAST_PSEUDONYM_KEY",
    "RANCAST_TASK_RUNNER",
    "RANCAST_WORKERS",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION",
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
)


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


def base_template(kind: str) -> dict[str, Any]:
    """Return the base job template of a pool of kind "process" or "docker".

    It is the file `work-pool-KIND.json` with the environment that this module gives to runs.
    """
    template: dict[str, Any] = json.loads((FOLDER / f"work-pool-{kind}.json").read_text())
    given = dict(FIXED)
    if kind == "docker":
        given["RANCAST_HOME"] = "/srv/home"
        given |= {name: f"{{{{ ${name} }}}}" for name in TAKEN}
    template["variables"]["properties"]["env"]["default"] = given
    return template


def ensure_pool(client: SyncPrefectClient, name: str, kind: str) -> bool:
    """Have the work pool `name` of kind "process" or "docker"; tell whether anything changed.

    Limits and pauses are the operator's: they are left as they are.
    """
    wanted = {"description": DESCRIPTIONS[kind], "base_job_template": base_template(kind)}
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

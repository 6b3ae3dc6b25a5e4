"""Defaults for the libraries that read their own settings at import, put in place before it.

Prefect, MLflow and azure read environment variables as soon as they are imported, so these cannot
wait for a flow to start as `rancast.settings` can; why is in docs/adr/0003-environment.md.
"""

import os
from contextlib import suppress

from dotenv import dotenv_values

from rancast.settings import find_home

# Of RANCAST_HOME/.env, only what other libraries read by themselves; the settings read the rest
FOREIGN_PREFIXES = ("PREFECT_", "MLFLOW_", "AZURE_", "DASK_", "DO_NOT_TRACK", "GX_")

DEFAULTS = {
    # threads of histogram boosting that wait by spinning made it 4 times slower on busy cores;
    # read when scikit-learn's OpenMP library is loaded
    "OMP_WAIT_POLICY": "PASSIVE",
    # nobody is told that rancast runs: measured, each library has a switch of its own
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    # a stalled MLflow server would hold a run for 20 minutes by default, a dead one for four
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # the default of 62 s is shorter than a restart of the Prefect server
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    # measured: larger batches cut the server's work for many short tasks about threefold
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
}


def prepare() -> None:
    """Set each default that neither the environment nor RANCAST_HOME/.env has set."""
    home = find_home()
    for name, value in dotenv_values(home / ".env").items():
        if value and name.startswith(FOREIGN_PREFIXES):
            os.environ.setdefault(name, value)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_API_URL" not in os.environ:
        # embedded: Prefect's database and results lie with everything else, below .local
        os.environ.setdefault("PREFECT_HOME", str(home / ".local" / "prefect"))
        # prefect makes its home at import, but no parent of it; where neither can, it says so
        with suppress(OSError):
            (home / ".local").mkdir(parents=True, exist_ok=True)

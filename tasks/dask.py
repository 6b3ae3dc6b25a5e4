"""Dask: tasks on an embedded cluster, or on one whose scheduler is reached over mutual TLS.

Dask sends code, and runs whatever a peer sends. So nobody takes part without a certificate of the
cluster's authority: the embedded cluster makes its own for the time that it runs, and for another
one Dask reads them from its own settings (DASK_DISTRIBUTED__COMM__TLS__…). What travels is
pickled; nothing of it is kept.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from distributed import LocalCluster, Security
from prefect.client.orchestration import get_client
from prefect_dask.task_runners import DaskTaskRunner

from rancast.errors import ConfigurationError
from rancast.settings import Settings
from tasks.runners import KeepsResults

CONNECT_S = 20
TLS = {
    "tls_ca_file": "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "tls_client_cert": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "tls_client_key": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
}


class Runner(KeepsResults, DaskTaskRunner):
    """Prefect's runner of tasks on Dask, whose error says which setting led to the address."""

    @property
    def client(self) -> Any:
        """The connection to the scheduler, made at the first task.

        Raises ConfigurationError where nobody answers, or the other side refuses our certificate.
        """
        try:
            return super().client
        except (OSError, TimeoutError) as error:
            raise ConfigurationError(
                f"RANCAST_TASK_RUNNER is {self.address}, and no Dask scheduler took our connection "
                f"within {CONNECT_S} s: {error}. See that it runs, and that its certificate and "
                "ours are of one authority."
            ) from None


def dask_runner(settings: Settings) -> DaskTaskRunner:
    """Return the runner of RANCAST_TASK_RUNNER=dask or tls://HOST:PORT.

    Raises ConfigurationError where a certificate is not configured or not there.
    """
    if settings.task_runner == "dask":
        # any callable that gives a context of a cluster will do, though its type says less
        shared = cast(Callable[[], Any], _shared)
        return Runner(cluster_class=shared, cluster_kwargs={"workers": settings.workers})
    security = Security(require_encryption=True)
    for field, name in TLS.items():
        path = getattr(security, field)
        if not path or not Path(path).is_file():
            raise ConfigurationError(
                f"RANCAST_TASK_RUNNER is {settings.task_runner}, and {name} is {path or 'unset'}: "
                "set it to a file of the cluster's certificates, which "
                "`python deployments/certificates.py make FOLDER` writes."
            )
    given = {"security": security, "timeout": CONNECT_S}
    return Runner(address=settings.task_runner, client_kwargs=given)


@contextmanager
def _shared(workers: int) -> Iterator[LocalCluster]:
    """Give the embedded cluster, which outlives the flow that needs it first.

    Nothing is started before a task is submitted: on a Dask worker, too, Prefect duplicates the
    runner of the task's flow.
    """
    yield _embedded(workers)


@lru_cache(maxsize=1)
def _embedded(workers: int) -> LocalCluster:
    """Start a cluster on loopback that serves all flows of this process, and ends with it."""
    with get_client(sync_client=True) as client:
        # without it each worker would start an embedded Prefect server of its own
        environment = {**os.environ, "PREFECT_API_URL": str(client.api_url)}
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        # encrypted, with a certificate that only this cluster has: a scheduler on loopback would
        # otherwise run the code of anybody on this machine
        security=Security.temporary(),
        dashboard_address=None,
        env=environment,
    )

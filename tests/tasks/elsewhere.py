"""A flow whose tasks say where they run; run as a script, in a process that is set up by variables.

Prints a line of JSON: its own process, those of the tasks, and, of an embedded Dask cluster,
whether its scheduler refused a stranger.
"""

import json
import os
import socket
import ssl

import tasks  # noqa: F401 - puts Prefect's defaults in place before it is imported
from prefect import flow, task

from tasks.runners import configured_task_runner


@task(persist_result=True, result_serializer="json")
def where(number: int) -> tuple[int, int]:
    """Return which task this is, and the process that it runs in."""
    return number, os.getpid()


@flow(name="elsewhere", task_runner=configured_task_runner())
def elsewhere() -> list[tuple[int, int]]:
    """Return what two tasks said."""
    return [future.result() for future in [where.submit(1), where.submit(2)]]


def is_closed_to_strangers() -> bool:
    """Tell whether the embedded scheduler drops a connection that shows no certificate."""
    from tasks import dask

    host, port = dask._embedded(1).scheduler_address.removeprefix("tls://").split(":")
    try:
        with socket.create_connection((host, int(port)), 5) as plain:
            with ssl._create_unverified_context().wrap_socket(plain) as encrypted:
                encrypted.settimeout(5)
                return not encrypted.recv(1)
    except OSError:
        return True


if __name__ == "__main__":
    said = elsewhere()
    is_dask = os.environ["RANCAST_TASK_RUNNER"] == "dask"
    is_closed = is_closed_to_strangers() if is_dask else None
    print(json.dumps({"own": os.getpid(), "said": said, "is_closed": is_closed}), flush=True)

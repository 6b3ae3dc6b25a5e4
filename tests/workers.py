"""A Prefect server with everything of `make deploy` on it, and a worker, shared by many tests.

A test has a home of its own, and creates runs with that home's environment as job variables; so one
worker serves all tests of a process of pytest-xdist, which has a server of its own: the limits of
deployments are of a server. Tests that use it carry `pytest.mark.xdist_group`, one of two groups,
so that one process has a group at a time, and no more servers are started than are needed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil

from tests import servers as real
from tests.faults import tiny

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

WORK_POOL = "rancast"
TERMINAL = ("Completed", "Failed", "Crashed", "Cancelled")
# the server's own clock work, in seconds; no run is made of a cron line behind a test's back
SERVER = real.PREFECT_BATCHES | {
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
    # how long a run that found the deployment's limit taken waits before it asks again
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "5",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
}
WORKER = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
}


@dataclass(frozen=True)
class Deployed:
    """A deployed Prefect server: `api_url` for clients, `ui_url` for browsers, `name` for us."""

    api_url: str
    servers: real.Servers
    name: str

    @property
    def ui_url(self) -> str:
        """Where a browser finds the UI."""
        return self.api_url.removesuffix("/api")

    @property
    def home(self) -> Path:
        """The home from which it was deployed."""
        return _home_of(self.servers, self.name)

    def run(
        self,
        flow: str,
        parameters: dict[str, Any],
        env: dict[str, str],
        at: datetime | None = None,
    ) -> UUID:
        """Create a run of a deployment that starts now with `env`; see `environment_of`.

        One that is due `at` a time in the past is late, as after an outage. The parameters are not
        held against the form, which offers what the home of the deployment has, and not the home of
        the test.
        """
        given: dict[str, Any] = {
            "parameters": parameters,
            "job_variables": {"env": env},
            "enforce_parameter_schema": False,
        }
        if at is not None:
            details = {"scheduled_time": at.isoformat()}
            given["state"] = {"type": "SCHEDULED", "state_details": details}
        with self.client() as client:
            deployment = client.read_deployment_by_name(f"{flow}/{flow}")
            reply = client.request(
                "POST",
                "/deployments/{id}/create_flow_run",
                path_params={"id": deployment.id},
                json=given,
            )
            return UUID(reply.json()["id"])

    def wait(
        self, run_id: UUID, states: Collection[str] = ("Completed",), seconds: float = 300
    ) -> "FlowRun":
        """Return the flow run once its state is named in `states`.

        Raises AssertionError with its messages and the end of its log where it ends otherwise, or
        does not get there within `seconds`.
        """
        deadline = time.monotonic() + seconds
        with self.client() as client:
            while True:
                run = client.read_flow_run(run_id)
                if run.state_name in states:
                    return run
                is_over = run.state_name in TERMINAL or time.monotonic() > deadline
                if is_over:
                    break
                time.sleep(0.2)
        message = run.state.message if run.state else ""
        raise AssertionError(
            f"{run.name!r} is {run.state_name}, not {' or '.join(states)}: {message}\n"
            f"{self.log(run_id)[-4000:]}"
        )

    def wait_until_idle(self) -> None:
        """Wait until the worker has no process of a run any more.

        A run that suspends is called so a moment before its form is stored; its process ends after.
        """
        deadline = time.monotonic() + 120
        while self.worker().children():
            assert time.monotonic() < deadline, "a process of a run is still there"
            time.sleep(0.1)

    def log(self, run_id: UUID) -> str:
        """Return what a run has logged to the server so far, one message a line."""
        from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
        from prefect.client.schemas.sorting import LogSort

        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
        with self.client() as client:
            logs = client.read_logs(wanted, limit=200, offset=0, sort=LogSort.TIMESTAMP_ASC)
        return "\n".join(entry.message for entry in logs)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Give a synchronous client of this server."""
        import tasks  # noqa: F401 - puts Prefect's defaults in place before it is imported
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.api_url}):
            with get_client(sync_client=True) as client:
                yield client

    @contextmanager
    def second_worker(
        self, home: Path, cwd: Path, env: dict[str, str] | None = None
    ) -> Iterator["Worker"]:
        """Run a worker with another PREFECT_HOME and working directory in place of the first one.

        The first worker sleeps meanwhile, so that it is the second that takes what is due.
        """
        self.worker().send_signal(signal.SIGSTOP)
        try:
            with started_worker(self.servers, self.api_url, home, cwd, env) as worker:
                yield worker
        finally:
            self.worker().send_signal(signal.SIGCONT)

    def worker(self) -> psutil.Process:
        """Return the process of the first worker, which the guard of the test run holds."""
        guard = psutil.Process(self.servers.group(f"{self.name}-worker"))
        return guard.children()[0]


@dataclass(frozen=True)
class Worker:
    """A second worker and the processes of the runs that it has started."""

    process: psutil.Process

    def kill(self) -> None:
        """Kill the worker and every run that it executes, at once, as a lost machine would."""
        family = [self.process, *self.process.children(recursive=True)]
        for one in family:
            with _gone():
                one.suspend()
        for one in family:
            with _gone():
                one.kill()
        psutil.wait_procs(family, timeout=10)


def start_deployed(servers: real.Servers) -> Deployed:
    """Start the server, deploy to it, start its worker; each once in a process of the test run."""
    name = _name()
    template = real.prefect_template(servers)
    database = servers.folder / f"{name}.db"

    def serve(port: int) -> list[str]:
        shutil.copyfile(template, database)
        address = ["--host", "127.0.0.1", "--port", str(port)]
        # the browser asks the API where the page says it is, and alerts link to the page
        api = f"PREFECT_SERVER_UI_API_URL=http://127.0.0.1:{port}/api"
        ui = f"PREFECT_UI_URL=http://127.0.0.1:{port}"
        return ["env", api, ui, sys.executable, "-m", "prefect", "server", "start", *address]

    url = f"sqlite+aiosqlite:///{database}"
    environment = SERVER | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}
    port = servers.start(
        name, serve, lambda port: f"http://127.0.0.1:{port}/api/health", environment
    )
    here = Deployed(f"http://127.0.0.1:{port}/api", servers, name)
    servers.once(f"{name}-deploy", lambda: deploy(_write_home(here.home), here.api_url))

    def work(port: int) -> list[str]:
        # the port that answers when the worker does
        return ["env", f"PREFECT_WORKER_WEBSERVER_PORT={port}", *WORKER_COMMAND]

    servers.start(
        f"{name}-worker",
        work,
        lambda port: f"http://127.0.0.1:{port}/health",
        # for runs that bring no home of their own
        WORKER | {"PREFECT_API_URL": here.api_url, "RANCAST_HOME": str(here.home)},
    )
    return here


def api_url_of_some(servers: real.Servers) -> str:
    """Return the API of a Prefect server for what asks nothing of deployments.

    It is the deployed one where this process has it, so that no second one is started.
    """
    record = servers.folder / f"{_name()}.json"
    if record.exists():
        return f"http://127.0.0.1:{json.loads(record.read_text())['port']}/api"
    return real.start_prefect(servers)


def _name() -> str:
    """Return what the server of this process of pytest-xdist is called."""
    return f"deployed-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


WORKER_COMMAND = [
    *(sys.executable, "-m", "prefect", "worker", "start"),
    *("--pool", WORK_POOL, "--type", "process", "--with-healthcheck"),
]


def _home_of(servers: real.Servers, name: str) -> Path:
    return servers.folder / f"{name}-home"


def _write_home(home: Path) -> Path:
    """Write a home for the forms of the deployments: what the checkout has, and the tiny one."""
    for name in ("datasets", "expectations", "use_cases"):
        shutil.copytree(real.CHECKOUT / name, home / name)
    tiny.write_home(home)
    return home


def deploy(home: Path, api_url: str, checkout: Path = real.CHECKOUT) -> str:
    """Do what `make deploy` does, from this checkout or another; return what it printed."""
    settings = {"RANCAST_HOME": str(home), "PREFECT_API_URL": api_url}
    done = subprocess.run(
        [sys.executable, "-m", "deployments.deploy"],
        env=real.minimal_environment(home) | settings,
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"make deploy failed: {done.stdout}\n{done.stderr}")
    return done.stdout


@contextmanager
def started_worker(
    servers: real.Servers, api_url: str, home: Path, cwd: Path, env: dict[str, str] | None = None
) -> Iterator[Worker]:
    """Run a worker on the pool for as long as the block lasts, and whatever it has started."""
    cwd.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    port = real.free_port()
    settings = {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    log = home / "worker.log"
    with log.open("ab") as sink:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", real.__file__, str(os.getpid()), *WORKER_COMMAND],
            env=real.minimal_environment(home) | WORKER | settings | (env or {}),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + real.START_SECONDS
        while not real.answers(f"http://127.0.0.1:{port}/health"):
            if guard.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a worker did not start: {log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield Worker(psutil.Process(guard.pid).children()[0])
    finally:
        _end_family(guard.pid)


def _end_family(guard: int) -> None:
    """End a guard, its worker, and the runs of that, which are groups of their own."""
    with _gone():
        family = [psutil.Process(guard), *psutil.Process(guard).children(recursive=True)]
        for one in family:
            with _gone():
                one.kill()
        psutil.wait_procs(family, timeout=10)


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        pass


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a run on a test's home, every place in it spelled out.

    Results go to the home, too, so that any worker can pick a retry up.
    """
    return {
        "RANCAST_HOME": str(home),
        "RANCAST_RAW_URL": (home / ".local" / "raw").as_uri(),
        "RANCAST_LAKE_URL": (home / ".local" / "lake").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / '.local' / 'mlflow' / 'mlflow.db'}",
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "results"),
        **more,
    }

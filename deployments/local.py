"""An embedded stack on loopback: Prefect server, MLflow UI, worker, below RANCAST_HOME/.local."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout

from rancast.errors import ConfigurationError, RancastError
from rancast.settings import URL_SETTINGS, Settings, load_settings

WORK_POOL = "local"
START_SECONDS = 180


def refuse_configured(settings: Settings) -> None:
    """Raise ConfigurationError where a setting leads away from this folder.

    What runs on simulated data promotes a model made of them, which must never reach a registry
    that somebody relies on.
    """
    given = (settings.raw_url, settings.lake_url, settings.tracking_uri)
    named = [name for name, value in zip(URL_SETTINGS, given, strict=True) if value]
    if named:
        raise ConfigurationError(
            f"This runs on simulated data and promotes a model made of it, and {', '.join(named)} "
            "is set: unset it here and in .env, or set RANCAST_HOME to a copy without it."
        )


class StackError(RancastError):
    """A server of the embedded stack did not come up."""


def free_port(preferred: int) -> int:
    """Return `preferred` if nobody listens there on loopback, else a port that is free now."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError("no loopback port is free; end some other servers")


def environment(settings: Settings, api_url: str) -> dict[str, str]:
    """Return the environment of a process of this stack, every place in it spelled out."""
    return {
        **os.environ,
        "RANCAST_HOME": str(settings.home),
        "RANCAST_RAW_URL": settings.raw,
        "RANCAST_LAKE_URL": settings.lake,
        "MLFLOW_TRACKING_URI": settings.tracking,
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(settings.local / "prefect"),
    }


def empty_folder() -> Path:
    """Return the folder to start processes in.

    Prefect copies the working directory for each flow run that it executes; from the checkout that
    is every installed library, which took minutes.
    """
    folder = load_settings().local / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def running(
    name: str, command: list[str], env: Mapping[str, str], health: str | None = None
) -> Iterator[None]:
    """Run a server as a process group of its own for as long as the block lasts.

    `health` is a URL that answers 200 once it is up. Raises StackError with the end of its log.
    """
    log = load_settings().local / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=empty_folder(),
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        if health is not None:
            _wait(name, process, health, log)
        yield
    finally:
        _end(process)


def _wait(name: str, process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise StackError(
        f"The {name} did not come up within {START_SECONDS} s; {log} ends with\n{tail}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a whole process group: some servers fork, and their children would stay."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


@contextmanager
def prefect_server(settings: Settings, port: int = 4200) -> Iterator[str]:
    """Run a Prefect server on the embedded database; yields its API URL."""
    with _alone(settings):
        chosen = free_port(port)
        api_url = f"http://127.0.0.1:{chosen}/api"
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        env = environment(settings, api_url)
        with running("prefect-server", [*command, "--port", str(chosen)], env, f"{api_url}/health"):
            yield api_url


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let one stack at a time use a folder: two servers on one database would share its runs."""
    settings.local.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.local / "stack.lock", timeout=0):
            yield
    except Timeout:
        raise StackError(
            f"Another `make demo` or `make ui` is running on {settings.local}; end it first."
        ) from None


@contextmanager
def mlflow_ui(settings: Settings, port: int = 5000) -> Iterator[str]:
    """Run the MLflow UI on the tracking store of the settings; yields its URL."""
    chosen = free_port(port)
    url = f"http://127.0.0.1:{chosen}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(chosen), "--backend-store-uri", settings.tracking, "--workers", "1"]
    with running("mlflow", command, dict(os.environ), f"{url}/health"):
        yield url


@contextmanager
def worker(settings: Settings, api_url: str) -> Iterator[None]:
    """Run a process worker, so that runs can be started and retried from the UI."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL]
    with running("worker", command, environment(settings, api_url)):
        yield


def deploy() -> dict[str, UUID]:
    """Put what prefect.yaml declares on the Prefect server of PREFECT_API_URL; ids by name.

    Nothing is scheduled here: the schedules are there to be looked at, and switched on by hand.
    """
    from prefect.client.orchestration import get_client

    from deployments.declared import apply, read_declared
    from deployments.pools import ensure_pool

    with get_client(sync_client=True) as client:
        ensure_pool(client, WORK_POOL, "process")
        declared = read_declared(load_settings().timezone, WORK_POOL)
        return {one.name: apply(client, one, is_active=False)[0] for one in declared}

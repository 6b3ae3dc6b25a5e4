"""Real servers for tests: each is started once for a test run, when a test first needs it.

The workers of pytest-xdist share one folder, where a lock lets the first of them start a server
and a record tells the others its port. Each server runs in a process group of its own under a
guard (this file, run as a script), which ends the group when the test run is gone, even by kill -9.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
AZURITE = CHECKOUT / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNT = "devstoreaccount1"
# Azurite's well-known key, printed in its README
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LEAN = CHECKOUT / "tests" / "lean"
START_SECONDS = 180
PREFIX = "rancast-servers-"
QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
}
# measured in FACTS.md, "What things cost": these cut the server's work about threefold
PREFECT_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
}
MIGRATE_MLFLOW = (
    "import sys; from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore; "
    "SqlAlchemyStore(f'sqlite:///{sys.argv[1]}', 'mlflow-artifacts:/')"
)


@dataclass
class Servers:
    """The servers of one test run: `folder` is the run's own, `templates` outlive it.

    `owner` is the process whose end ends the servers: pytest's, or that which controls its workers.
    """

    folder: Path
    templates: Path
    owner: int
    _guards: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Callable[[int], list[str]],
        health: Callable[[int], str],
        environment: dict[str, str] | None = None,
    ) -> int:
        """Return the port of the server `name`; start `command(port)` if nobody has yet.

        Raises RuntimeError, with the end of its log, for a server that ends at once or does not
        answer at `health(port)` within 180 s.
        """
        from filelock import FileLock

        record = self.folder / f"{name}.json"
        with FileLock(self.folder / f"{name}.lock", timeout=2 * START_SECONDS):
            if record.exists():
                return int(json.loads(record.read_text())["port"])
            port = free_port()
            guard = self._launch(name, command(port), environment or {})
            record.write_text(json.dumps({"port": port, "group": guard.pid}))
            try:
                self._wait(name, guard, health(port))
            except BaseException:
                end_group(guard.pid)
                record.unlink()
                raise
            return port

    def once(self, name: str, action: Callable[[], object]) -> None:
        """Do something to the servers once for a test run, whichever process comes first."""
        from filelock import FileLock

        mark = self.folder / f"{name}.done"
        with FileLock(self.folder / f"{name}.lock", timeout=2 * START_SECONDS):
            if not mark.exists():
                action()
                mark.touch()

    def group(self, name: str) -> int:
        """Return the process group of a server that was started, which is its guard's id."""
        return int(json.loads((self.folder / f"{name}.json").read_text())["group"])

    def _launch(
        self, name: str, command: list[str], environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        with open(self.folder / f"{name}.log", "ab") as log:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(self.owner), *command],
                env=minimal_environment(home) | environment,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guards.append(guard)
        return guard

    def _wait(self, name: str, guard: subprocess.Popen[bytes], url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while guard.poll() is None and time.monotonic() < deadline:
            if answers(url):
                return
            time.sleep(0.1)
        why = "ended at once" if guard.poll() is not None else f"is silent after {START_SECONDS} s"
        log = (self.folder / f"{name}.log").read_text(errors="replace")
        raise RuntimeError(f"the test server {name!r} {why} ({url}); its log ends:\n{log[-3000:]}")

    def template(self, name: str, command: Callable[[Path], list[str]]) -> Path:
        """Return a file that `command(path)` makes, once for all test runs with these versions."""
        from filelock import FileLock

        target = self.templates / f"{name}.db"
        with FileLock(self.templates / f"{name}.lock", timeout=2 * START_SECONDS):
            if not target.exists():
                fresh = self.templates / f"{name}-{uuid.uuid4().hex}.db"
                made = subprocess.run(
                    command(fresh),
                    env=minimal_environment(self.folder)
                    | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{fresh}"},
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                )
                if made.returncode != 0:
                    raise RuntimeError(f"no template {name!r}: {made.stdout}\n{made.stderr}")
                os.replace(fresh, target)
        return target

    def stop(self) -> None:
        """End every server that any worker of this test run started, and remove their folder."""
        for record in self.folder.glob("*.json"):
            end_group(json.loads(record.read_text())["group"])
        for guard in self._guards:
            guard.wait(timeout=30)
        for _ in range(20):  # a server that is ending may still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                return
            time.sleep(0.1)


@dataclass(frozen=True)
class Azurite:
    """A running Azurite: one account, to which `container` adds empty containers."""

    endpoint_url: str

    @property
    def connection_string(self) -> str:
        """The connection string of Azurite's one account."""
        scheme = self.endpoint_url.split(":")[0]
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.endpoint_url};"
        )

    def container(self) -> str:
        """Create an empty container and return its URL."""
        from azure.storage.blob import ContainerClient

        name = f"test-{uuid.uuid4().hex}"
        with ContainerClient.from_connection_string(self.connection_string, name) as client:
            client.create_container()
        return f"{self.endpoint_url}/{name}"


def start_azurite(
    servers: Servers, name: str = "azurite", options: tuple[str, ...] = ()
) -> Azurite:
    """Start Azurite, over https where `options` bring a certificate; blobs are kept in memory."""
    if not AZURITE.exists():
        raise RuntimeError(f"{AZURITE} is missing; run `make install`, which calls `npm ci`.")

    def command(port: int) -> list[str]:
        node = str(Path(sys.executable).parent / "node")
        flags = ["--skipApiVersionCheck", "--inMemoryPersistence", "--silent", "--disableTelemetry"]
        address = ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
        return [node, str(AZURITE), *address, *flags, *options]

    scheme = "https" if "--cert" in options else "http"
    port = servers.start(name, command, lambda port: f"{scheme}://127.0.0.1:{port}/")
    return Azurite(f"{scheme}://127.0.0.1:{port}/{ACCOUNT}")


def mlflow_template(servers: Servers) -> Path:
    """Return a migrated, empty SQLite database of MLflow's tracking store and registry."""
    return servers.template(
        f"mlflow-{version('mlflow')}",
        lambda path: [sys.executable, "-c", MIGRATE_MLFLOW, str(path)],
    )


def prefect_template(servers: Servers) -> Path:
    """Return a migrated, empty SQLite database of a Prefect server."""
    return servers.template(
        f"prefect-{version('prefect')}",
        lambda _: [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
    )


def start_mlflow(servers: Servers) -> str:
    """Start an MLflow server and return its tracking URI; it proxies artifacts to a folder."""
    template = mlflow_template(servers)

    def command(port: int) -> list[str]:
        database = servers.folder / "mlflow.db"
        shutil.copyfile(template, database)
        store = ["--backend-store-uri", f"sqlite:///{database}"]
        artifacts = ["--artifacts-destination", str(servers.folder / "mlflow-artifacts")]
        address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        return [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *address]

    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    port = servers.start("mlflow", command, lambda p: f"http://127.0.0.1:{p}/health", environment)
    return f"http://127.0.0.1:{port}"


def start_prefect(servers: Servers) -> str:
    """Start this process' Prefect server and return the URL of its API.

    Where two processes write at once to its SQLite, it answers 503, and clients wait for seconds.
    """
    name = f"prefect-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    template = prefect_template(servers)
    database = servers.folder / f"{name}.db"

    def command(port: int) -> list[str]:
        shutil.copyfile(template, database)
        address = ["--host", "127.0.0.1", "--port", str(port), "--no-ui"]
        return [sys.executable, "-m", "prefect", "server", "start", *address]

    environment = PREFECT_BATCHES | {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
    }
    port = servers.start(
        name, command, lambda port: f"http://127.0.0.1:{port}/api/health", environment
    )
    return f"http://127.0.0.1:{port}/api"


def minimal_environment(home: Path) -> dict[str, str]:
    """Return all that a server needs to know: nothing of the person or machine that runs tests."""
    return QUIET | {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": str(LEAN),
    }


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(url: str) -> bool:
    """Tell whether a server gives any answer at `url` but a fault of its own."""
    import ssl

    handlers = [
        urllib.request.ProxyHandler({}),
        # any certificate will do for the question whether somebody is there
        urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),
    ]
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def end_group(group: int) -> None:
    """End a process group, which need not be there any more."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def guard(owner: int, command: list[str]) -> None:
    """Run `command` until it ends or its owner does; in the second case leave nothing behind."""
    server = subprocess.Popen(command)
    while True:
        try:
            sys.exit(server.wait(timeout=1))
        except subprocess.TimeoutExpired:
            pass
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            folder = Path.cwd().parent
            if folder.name.startswith(PREFIX):
                shutil.rmtree(folder, ignore_errors=True)
            end_group(os.getpgrp())


if __name__ == "__main__":
    guard(int(sys.argv[1]), sys.argv[2:])

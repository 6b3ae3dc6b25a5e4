"""The stack that docker-compose.yml declares comes up, works a night, and refuses strangers."""

import hashlib
import json
import re
import socket
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient

from deployments import certificates, stack
from rancast.champions import Pointer
from rancast.datasets import known_datasets
from tests.faults import tiny
from tests.stack import compose

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.xdist_group("stack")

AS_OF = "2024-03-05"
ENDS = ("Completed", "Failed", "Crashed", "Cancelled")
# what a quiet machine does in one; every wait ends as soon as what it waits for is there
PATIENCE_S = 600
TIMEZONE = "Europe/Dublin"


@dataclass
class Running:
    """The stack, up, and what a client on the host needs to know of it."""

    services: compose.Stack
    secrets: dict[str, str]
    folder: Path

    def url(self, service: str, port: int) -> str:
        """Return the address of a server as a browser on this machine has it."""
        return f"http://{self.services.address(service, port)}"

    @cached_property
    def blobs(self) -> BlobServiceClient:
        """Azurite, with the account's key."""
        key, endpoint = self.secrets["STACK_AZURITE_KEY"], self.url("azurite", 10000)
        return BlobServiceClient(
            f"{endpoint}/rancast", {"account_name": "rancast", "account_key": key}
        )

    def read(self, container: str, name: str) -> bytes:
        """Return a blob."""
        return self.blobs.get_blob_client(container, name).download_blob().readall()

    def names(self, container: str, prefix: str = "") -> list[str]:
        """Return the names of blobs."""
        return list(
            self.blobs.get_container_client(container).list_blob_names(name_starts_with=prefix)
        )

    def rows(self, database: str, user: str, password: str, query: str) -> list[tuple[Any, ...]]:
        """Return what Postgres answers to a role of one of the servers."""
        host, port = self.services.address("postgres", 5432).split(":")
        given = {"host": host, "port": port, "user": user, "password": self.secrets[password]}
        with psycopg.connect(dbname=database, **given) as connection:
            return connection.execute(query.encode()).fetchall()

    @contextmanager
    def prefect(self) -> Iterator[Any]:
        """Give a client of Prefect that knows the log-in."""
        import tasks  # noqa: F401 - puts Prefect's defaults in place before it is imported
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

        known = {
            PREFECT_API_URL: f"{self.url('prefect', 4200)}/api",
            PREFECT_API_AUTH_STRING: self.secrets["STACK_PREFECT_AUTH_STRING"],
        }
        with temporary_settings(known), get_client(sync_client=True) as client:
            yield client

    def run(self, flow: str, parameters: dict[str, Any], **environment: str) -> "FlowRun":
        """Have the worker run a deployment; return the run when it is over.

        Its parameters are not held against the form, which offers what was there at deploying.
        """
        with self.prefect() as client:
            deployment = client.read_deployment_by_name(f"{flow}/{flow}")
            created = client.create_flow_run_from_deployment(
                deployment.id, parameters=parameters, job_variables={"env": environment}
            )
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                run: FlowRun = client.read_flow_run(created.id)
                if run.state_name in ENDS:
                    return run
                time.sleep(0.3)
        raise AssertionError(f"{run.name} is {run.state_name}:\n{self.log('worker')[-4000:]}")

    def log(self, service: str) -> str:
        """Return what a service wrote."""
        return self.services.services[service].log.read_text(errors="replace")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """The whole stack with its profile `scale`, on a tiny home, with secrets of its own."""
    with tempfile.TemporaryDirectory(prefix="rancast-stack-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres is not the one who runs the tests
        write_home(folder / "home")
        secrets = {name: stack.new_value(name) for name in stack.missing(folder / ".env")}
        lines = [f"{name}={value}" for name, value in secrets.items()]
        lines += [f"STACK_HOME={folder / 'home'}", "STACK_TASK_RUNNER=tls://dask-scheduler:8786"]
        lines.append(f"RANCAST_TIMEZONE={TIMEZONE}")
        (folder / ".env").write_text("\n".join(lines))
        with compose.stack(folder / ".env", ["scale"], folder / "run") as services:
            hosts = ",".join(one.address for one in services.services.values())
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("NO_PROXY", f"{hosts},127.0.0.1,localhost")
                services.up(PATIENCE_S)
                yield Running(services, secrets, folder)


def write_home(home: Path) -> None:
    """Write the tiny home, and where its cells are: every folder that a home can have."""
    tiny.write_home(home)
    stays = [f"C{cell},S{cell // 2},2024-01-01," for cell in range(tiny.CELLS)]
    (home / "hierarchies").mkdir()
    (home / "hierarchies" / "radio.csv").write_text(
        "\n".join(["entity,site,valid_from,valid_to", *stays, ""])
    )
    dataset = home / "datasets" / "kpis.yaml"
    dataset.write_text(f"{dataset.read_text()}hierarchy: radio\n")


@pytest.fixture(scope="module")
def planned(running: Running) -> list["FlowRun"]:
    """The runs of `daily` that the scheduler has planned; then every schedule is paused.

    Otherwise a cron line whose minute comes would start a run beside those of the tests.
    """
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter

    wanted = DeploymentFilter.model_validate({"name": {"any_": ["daily"]}})
    state = FlowRunFilter.model_validate({"state": {"name": {"any_": ["Scheduled"]}}})
    deadline = time.monotonic() + PATIENCE_S
    with running.prefect() as client:
        while True:
            due: list[FlowRun] = client.read_flow_runs(
                deployment_filter=wanted, flow_run_filter=state
            )
            if due or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for deployment in client.read_deployments(limit=50):
            for schedule in deployment.schedules:
                # said again, since Prefect forgets parameters that such a change does not name
                client.update_deployment_schedule(
                    deployment.id, schedule.id, active=False, parameters=schedule.parameters
                )
    return due


@pytest.fixture(scope="module")
def night(running: Running, planned: list["FlowRun"]) -> "FlowRun":
    """A night's run of `daily` on the raw files that lie in Azurite, and no other run beside it."""
    raw = running.folder / "home" / ".local" / "raw"
    for path in raw.rglob("*.csv"):
        name = path.relative_to(raw).as_posix()
        running.blobs.get_blob_client("raw", name).upload_blob(path.read_bytes())
    return running.run("daily", {"use_cases": ["tiny"], "as_of": AS_OF})


def test_the_worker_completes_a_night(running: Running, night: "FlowRun") -> None:
    """A run that was asked for over the API is taken from the pool, and completes."""
    assert night.state_name == "Completed", f"{night.state}\n{running.log('worker')[-4000:]}"
    assert night.work_pool_name == "rancast"
    assert "tiny" in night.name


@pytest.mark.usefixtures("night")
def test_the_champions_model_lies_in_azure(running: Running) -> None:
    """The registry has a champion, and the blob of its model is the one that was judged."""
    status, version = mlflow(running, "registered-models/alias?name=tiny&alias=champion")
    assert status == 200, version
    found = version["model_version"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    (name,) = [
        name
        for name in running.names("mlflow")
        if f"/{found['run_id']}/" in f"/{name}" and name.endswith("model/model.skops")
    ]
    model = running.read("mlflow", name)
    assert hashlib.sha256(model).hexdigest() == tags["rancast.model_sha256"]
    pointer = Pointer.model_validate_json(running.read("lake", "ledger/promotions/tiny.json"))
    assert str(pointer.champion.version) == found["version"]


@pytest.mark.usefixtures("night")
def test_each_server_keeps_its_tables_in_postgres(running: Running) -> None:
    """Runs, versions and users are rows of three databases, each of them its owner's alone."""
    prefect = ("prefect", "prefect", "STACK_PREFECT_DATABASE_PASSWORD")
    as_mlflow = ("mlflow", "STACK_MLFLOW_DATABASE_PASSWORD")
    runs = running.rows(*prefect, "SELECT state_name FROM flow_run WHERE name LIKE 'daily %tiny%'")
    assert ("Completed",) in runs
    versions = running.rows("mlflow", *as_mlflow, "SELECT name, version FROM model_versions")
    assert ("tiny", 1) in versions
    users = running.rows("mlflow_users", *as_mlflow, "SELECT username, is_admin FROM users")
    assert sorted(users) == [("admin", True), ("rancast", False)]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        running.rows("prefect", *as_mlflow, "SELECT 1")


@pytest.mark.usefixtures("night")
def test_results_of_tasks_are_json_in_azure(running: Running) -> None:
    """What a retry on any worker would look for lies in the container of results, and no pickle."""
    contents = [json.loads(running.read("results", name)) for name in running.names("results")]
    serializers = [one["metadata"]["serializer"]["type"] for one in contents if "metadata" in one]
    assert len(serializers) > 10 and set(serializers) == {"json"}


def test_strangers_are_refused(running: Running) -> None:
    """Without a log-in, or with a wrong one, neither server says or does anything."""
    prefect = f"{running.url('prefect', 4200)}/api/admin/version"
    tracking = f"{running.url('mlflow', 5000)}/api/2.0/mlflow/experiments/search?max_results=1"
    for wrong in (None, "rancast:wrong", "admin:password1234"):
        assert ask(prefect, wrong)[0] == 401
        assert ask(tracking, wrong)[0] == 401
    assert ask(prefect, running.secrets["STACK_PREFECT_AUTH_STRING"])[0] == 200
    assert ask(f"{running.url('prefect', 4200)}/api/ready", None)[0] == 200


def test_mlflow_answers_to_its_own_names_only(running: Running) -> None:
    """A page that reached the server under a foreign name learns nothing (DNS rebinding)."""
    tracking = f"{running.url('mlflow', 5000)}/api/2.0/mlflow/experiments/search?max_results=1"
    login = f"rancast:{running.secrets['STACK_MLFLOW_PASSWORD']}"
    assert ask(tracking, login)[0] == 200
    assert ask(tracking, login, headers={"Host": "evil.example"})[0] == 403


def test_flows_are_no_administrator_of_mlflow(running: Running) -> None:
    """The log-in that runs have cannot make users, nor give itself more."""
    body = {"username": "second", "password": "a-password-of-length"}
    status, _ = mlflow(running, "users/create", body)
    assert status == 403


def test_a_browser_elsewhere_cannot_post_to_prefect(running: Running) -> None:
    """A request that changes something needs a token that only its own pages ask for."""
    login = running.secrets["STACK_PREFECT_AUTH_STRING"]
    status, body = ask(
        f"{running.url('prefect', 4200)}/api/variables/", login, {"name": "a", "value": "b"}, "POST"
    )
    assert status == 403 and "CSRF" in str(body)


def test_prefects_pages_are_served_with_a_log_in(running: Running) -> None:
    """The UI lies in a folder that may be written, and is told to ask for the password."""
    with urllib.request.urlopen(running.url("prefect", 4200), timeout=20) as reply:
        assert "<html" in reply.read().decode()
    status, settings = ask(f"{running.url('prefect', 4200)}/ui-settings", None)
    assert status == 200 and settings["auth"] == "BASIC" and settings["csrf_enabled"] is True
    assert settings["api_url"] == f"{running.url('prefect', 4200)}/api"


def test_schedules_make_runs(planned: list["FlowRun"]) -> None:
    """The nightly cron line of `daily` is runs that wait for their time, two in the morning by the
    clock of RANCAST_TIMEZONE, in summer as in winter."""
    assert planned
    for run in planned:
        due = run.expected_start_time
        assert due is not None and due > datetime.now(UTC) - timedelta(seconds=2 * PATIENCE_S)
        assert due.astimezone(ZoneInfo(TIMEZONE)).strftime("%H:%M") == "02:00"
        assert run.parameters == {}


@pytest.mark.usefixtures("planned")
def test_starting_again_changes_nothing(running: Running) -> None:
    """The one-shots, which run at every start, leave what they find, paused schedules included."""
    with ThreadPoolExecutor() as pool:
        names = ("provision", "registry-user", "certificates", "deploy")
        said = dict(zip(names, pool.map(running.services.again, names), strict=True))
    assert said["provision"] == said["registry-user"] == ""
    assert said["certificates"].startswith("valid")
    assert said["deploy"].startswith("Nothing had to be changed")
    with running.prefect() as client:
        schedules = [one for found in client.read_deployments(limit=50) for one in found.schedules]
    assert len(schedules) == 2 + len(known_datasets(running.folder / "home"))
    assert not any(schedule.active for schedule in schedules)


@pytest.mark.usefixtures("night")
def test_the_exporter_serves_numbers_of_the_night(running: Running) -> None:
    """Prometheus reads what the run left in the lake."""
    with urllib.request.urlopen(f"{running.url('exporter', 9464)}/metrics", timeout=20) as reply:
        text = reply.read().decode()
    assert "rancast_" in text and "kpis" in text


@pytest.mark.usefixtures("night")
def test_no_secret_reaches_a_log_or_a_result(running: Running) -> None:
    """Nothing that .env keeps to itself is in what the services write."""
    names = running.names("results")
    written = {name: running.read("results", name).decode() for name in names}
    written |= {name: running.log(name) for name in running.services.services}
    for name, text in written.items():
        assert not [secret for secret, value in running.secrets.items() if value in text], name


# --- profile "scale" ----------------------------------------------------------------------------


@pytest.mark.usefixtures("night")
def test_tasks_run_on_dask(running: Running) -> None:
    """With the scheduler's address as task runner, what a flow submits runs on a Dask worker."""
    log = running.log("dask-worker")
    for name in ("pull kpis 2024-03-04", "validate kpis 2024-03-04", "fit"):
        assert re.search(rf"Task run '{name}.*' - Finished in state Completed", log), name


def test_dask_takes_nobody_without_a_certificate(running: Running, tmp_path: Path) -> None:
    """Neither a client without a certificate nor one of another authority gets a word in."""
    address = running.services.address("dask-scheduler", 8786)
    own = Path(running.services.services["dask-scheduler"].paths["/certificates"])
    assert certificates.ask(address, own).startswith("TLS")
    certificates.make(tmp_path)
    (tmp_path / "ca.pem").write_bytes((own / "ca.pem").read_bytes())
    with pytest.raises(OSError, match="(?i)unknown ca|decrypt|alert|reset|signature"):
        certificates.ask(address, tmp_path)
    host, port = address.split(":")
    context = ssl.create_default_context(cafile=str(own / "ca.pem"))
    context.check_hostname = False
    with pytest.raises(OSError):
        with socket.create_connection((host, int(port)), 5) as plain:
            with context.wrap_socket(plain) as encrypted:
                encrypted.settimeout(5)
                if not encrypted.recv(1):
                    raise ConnectionResetError("closed without a word")


# --- asking -------------------------------------------------------------------------------------


def mlflow(running: Running, call: str, body: Any = None) -> tuple[int, Any]:
    """Call MLflow's API with the log-in of the flows."""
    login = f"rancast:{running.secrets['STACK_MLFLOW_PASSWORD']}"
    url = f"{running.url('mlflow', 5000)}/api/2.0/mlflow/{call}"
    return ask(url, login, body, method="GET" if body is None else "POST")


def ask(
    url: str,
    login: str | None,
    body: Any = None,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and body of a request, with a log-in USER:PASSWORD or none."""
    given = {"Content-Type": "application/json", **(headers or {})}
    if login is not None:
        given["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, given, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")

"""What all tests share: servers that are started once, a home of their own, and no environment."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import servers as real
from tests import workers

# settings of the person or machine that runs the tests, of which no test may know
FOREIGN = ("RANCAST_", "MLFLOW_", "AZURE_", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
NEEDS_REAL_DATA = "RANCAST_REQUIRE_REAL_DATA"
SERVERS = pytest.StashKey[real.Servers]()
OWNED = pytest.StashKey[list[Path]]()


def pytest_configure(config: pytest.Config) -> None:
    """Agree on the folder of the servers: the controller's, if a pytest-xdist worker has one."""
    given = getattr(config, "workerinput", {})
    config.stash[OWNED] = []
    if "servers" in given:
        paths = Path(given["servers"]), Path(given["templates"])
        config.stash[SERVERS] = real.Servers(*paths, owner=given["owner"])
    else:
        folder = Path(tempfile.mkdtemp(prefix=real.PREFIX))
        cache = getattr(config, "cache", None)
        templates = folder if cache is None else cache.mkdir("rancast-templates")
        config.stash[SERVERS] = real.Servers(folder, templates, owner=os.getpid())
        config.stash[OWNED].append(folder)
    _hide_environment(config.stash[SERVERS].folder)


def _hide_environment(folder: Path) -> None:
    """Hide the machine from libraries that read the environment at import."""
    for name in _foreign():
        del os.environ[name]
    os.environ.update(real.QUIET | {"PREFECT_HOME": str(folder / "prefect-home")})
    local = "127.0.0.1,localhost"
    os.environ.update(NO_PROXY=local, no_proxy=local, PYTHONPATH=str(real.LEAN))
    sys.path.insert(0, str(real.LEAN))


def _foreign() -> list[str]:
    return [name for name in os.environ if name.startswith(FOREIGN) and name != NEEDS_REAL_DATA]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the servers of this test run are."""
    shared = node.config.stash[SERVERS]
    node.workerinput.update(
        servers=str(shared.folder), templates=str(shared.templates), owner=shared.owner
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, and mark for make test-operators what needs a worker or the stack."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)
    stack = Path(__file__).parent / "stack"
    for item in items:
        if "deployed" in getattr(item, "fixturenames", ()) or stack in item.path.parents:
            item.add_marker(pytest.mark.operators)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers after the last test of the last worker, and after an interruption."""
    if config.stash.get(OWNED, []):
        config.stash[SERVERS].stop()


@pytest.fixture(autouse=True)
def isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test depend on the machine's settings, or on those that an earlier test left."""
    for name in _foreign():
        monkeypatch.delenv(name)
    for name, value in real.QUIET.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> real.Servers:
    """The servers of this test run, for fixtures that start one more."""
    return pytestconfig.stash[SERVERS]


@pytest.fixture(scope="session")
def azurite(servers: real.Servers) -> real.Azurite:
    """A real Azurite; `container()` gives the URL of a fresh container in it."""
    return real.start_azurite(servers)


@pytest.fixture(scope="session")
def mlflow_template(servers: real.Servers) -> Path:
    """A migrated SQLite database of MLflow; copy it, never open it."""
    return real.mlflow_template(servers)


@pytest.fixture(scope="session")
def mlflow_server(servers: real.Servers) -> str:
    """The tracking URI of a real MLflow server that proxies artifacts."""
    return real.start_mlflow(servers)


@pytest.fixture(scope="session")
def prefect_template(servers: real.Servers) -> Path:
    """A migrated SQLite database of a Prefect server; copy it, never open it."""
    return real.prefect_template(servers)


@pytest.fixture(scope="session")
def prefect_server(servers: real.Servers) -> str:
    """The API URL of a real Prefect server, one for each process of the test run."""
    return real.start_prefect(servers)


@pytest.fixture(scope="session")
def deployed(servers: real.Servers) -> workers.Deployed:
    """A second Prefect server, with everything of `make deploy` on it, and a running worker.

    Its tests carry `pytest.mark.xdist_group`; see tests/workers.py.
    """
    return workers.start_deployed(servers)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A RANCAST_HOME of the test's own, with copies of the checkout's configuration."""
    folder = tmp_path / "home"
    for name in ("datasets", "expectations", "use_cases"):
        shutil.copytree(real.CHECKOUT / name, folder / name)
    monkeypatch.setenv("RANCAST_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the public data sets; skips where it is absent, unless they are required."""
    folder = real.CHECKOUT.parent / "shared" / "data"
    if not (folder / "lay_out.py").is_file():
        reason = f"the public data sets are not at {folder}"
        (pytest.fail if os.environ.get(NEEDS_REAL_DATA) == "1" else pytest.skip)(reason)
    return folder


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests recorded about themselves, such as how many points they tried."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")

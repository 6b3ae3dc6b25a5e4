"""Azure, MLflow or Prefect that nobody answers for: an error in time, and never a promotion."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from flows.daily import daily
from rancast.errors import RegistryError, StorageUnreachable
from tests import proxies, servers
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against, in_a_hurry

BOUND_S = 30
NEXT = AS_OF + timedelta(days=1)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check that the block does not take longer."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    print("TOOK", took)


@pytest.fixture()
def dead() -> str:
    """HOST:PORT at which nobody listens."""
    return f"127.0.0.1:{servers.free_port()}"


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("setting", ["RANCAST_RAW_URL", "RANCAST_LAKE_URL"])
def test_an_unreachable_storage_is_named_in_time(
    setting: str, champion_home: Path, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of raw container or lake where nobody answers ends the run within 30 s."""
    nobody = servers.Azurite(f"http://{dead}/{servers.ACCOUNT}")
    monkeypatch.setenv(setting, f"{nobody.endpoint_url}/container")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", nobody.connection_string)
    before = homes.lake_files(champion_home), homes.registry(champion_home)
    with within(BOUND_S), pytest.raises(StorageUnreachable, match=setting):
        daily(["tiny"], AS_OF)
    assert (homes.lake_files(champion_home), homes.registry(champion_home)) == before


@pytest.mark.usefixtures("hurry")
def test_an_unreachable_mlflow_is_named_in_time(
    champion_home: Path, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server where nobody answers ends the run in time, and the champion stays."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{dead}")
    before = homes.pointer(champion_home)
    with within(BOUND_S), pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        daily(["tiny"], AS_OF)
    assert homes.pointer(champion_home) == before


def test_an_unreachable_prefect_is_named_in_time(
    champion_home: Path, dead: str, storage: Path
) -> None:
    before = homes.lake_files(champion_home)
    with against(f"http://{dead}/api", storage), within(BOUND_S):
        try:
            daily(["tiny"], AS_OF)
        except BaseException as e:
            print("RAISED", type(e), e)
    assert homes.lake_files(champion_home) == before

"""Azure, MLflow or Prefect that nobody answers for: an error in time, and never a promotion."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.daily import daily
from rancast.champions import Pointer
from rancast.errors import (
    DataError,
    ModelRefused,
    RegistryError,
    StorageError,
    StorageUnreachable,
    WriteConflict,
)
from tasks.retrying import may_pass
from tests import proxies, servers
from tests.flows import homes
from tests.flows.conftest import AS_OF, against

BOUND_S = 30


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check that the block does not take longer."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


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
    with within(BOUND_S), pytest.raises(StorageUnreachable, match=f"{dead}.*{setting}"):
        daily(["tiny"], AS_OF)
    assert (homes.lake_files(champion_home), homes.registry(champion_home)) == before


@pytest.mark.usefixtures("hurry")
def test_an_unreachable_mlflow_is_named_in_time(
    champion_home: Path, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracking server where nobody answers ends the run in time, and the champion stays."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{dead}")
    before = homes.pointer(champion_home)
    with within(BOUND_S), pytest.raises(RegistryError, match=f"{dead}.*MLFLOW_TRACKING_URI"):
        daily(["tiny"], AS_OF)
    assert homes.pointer(champion_home) == before


@pytest.mark.parametrize(
    "error, expected",
    [
        (StorageError("busy"), True),
        (RegistryError("busy"), True),
        (ConnectionResetError(), True),
        (StorageUnreachable("silent"), False),
        (WriteConflict("lost"), False),
        (ModelRefused("other bytes"), False),
        (DataError("refused"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, expected: bool) -> None:
    """Faults of the network are retried; a silent address, on which the client has spent its own
    half minute, a lost race, bad data and bugs are not."""
    assert may_pass(None, None, SimpleNamespace(data=error)) is expected


def test_an_unreachable_prefect_is_named_in_time(
    champion_home: Path, dead: str, storage: Path
) -> None:
    """Where Prefect's server does not answer, nothing begins, and its address is in the error."""
    before = homes.lake_files(champion_home), homes.registry(champion_home)
    with against(f"http://{dead}/api", storage), within(BOUND_S):
        with pytest.raises(RuntimeError, match=f"Failed to reach API at http://{dead}/api"):
            daily(["tiny"], AS_OF)
    assert (homes.lake_files(champion_home), homes.registry(champion_home)) == before


@pytest.fixture()
def mlflow_proxy(
    mlflow_server: str, champion_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[proxies.Proxy]:
    """A proxy in front of the MLflow server, to which the settings lead; nobody waits for it."""
    with proxies.proxy(mlflow_server) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{proxy.address}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for task in ("tracking.track_training", "tracking.register_candidate"):
            monkeypatch.setattr(f"tasks.{task}.retry_delay_seconds", 0)
        monkeypatch.setattr("tasks.promotion.apply_decision.retry_delay_seconds", 0)
        yield proxy


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(
    "last_call, promoted",
    [("runs/create", 0), ("model-versions/create", 0), ("model-versions/set-tag", 1)],
)
def test_mlflow_down_midway_never_promotes_what_it_does_not_hold(
    last_call: str, promoted: int, champion_home: Path, mlflow_proxy: proxies.Proxy, dead: str
) -> None:
    """Wherever MLflow goes away, the run fails; run again with MLflow back, it ends with one
    version, one promotion and the alias on it."""
    name = f"tiny_down_{last_call.translate(str.maketrans('/-', '__'))}"
    homes.write_use_case(champion_home, name)
    alive = mlflow_proxy.target
    mlflow_proxy.fault = after(last_call, lambda: setattr(mlflow_proxy, "target", dead))
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        daily([name], AS_OF)
    assert len(history(champion_home, name)) == promoted
    mlflow_proxy.fault, mlflow_proxy.target = None, alive
    (trained,) = daily([name], AS_OF).trained
    assert (trained.version, trained.champion) == (1, 1)
    assert len(history(champion_home, name)) == 1
    assert registered(alive, name) == {"versions": [1], "aliases": {"champion": "1"}, "runs": 3}


@pytest.mark.usefixtures("hurry")
def test_a_registry_that_does_not_answer_is_no_vacancy(
    champion_home: Path, mlflow_proxy: proxies.Proxy
) -> None:
    """Without an answer to who is champion nobody is promoted; once there is one, the same
    version is."""
    name = "tiny_no_vacancy"
    homes.write_use_case(champion_home, name)
    mlflow_proxy.fault = lose_first("registered-models/get")
    (kept,) = daily([name], AS_OF).trained
    assert kept.decision is not None and not kept.decision.promote
    assert any("MLFLOW_TRACKING_URI" in reason for reason in kept.reasons)
    assert (kept.champion, history(champion_home, name)) == (None, [])
    mlflow_proxy.fault = None
    (trained,) = daily([name], AS_OF).trained
    assert (kept.version, trained.version, trained.champion) == (1, 1, 1)


def after(call: str, happen: Callable[[], None]) -> proxies.Fault:
    """Return what lets something happen once a call was answered for the first time."""

    def watch(exchange: proxies.Exchange) -> None:
        if exchange.path.endswith(call):
            happen()

    return watch


def lose_first(call: str) -> proxies.Fault:
    """Return what loses the first reply to a call."""
    return proxies.Once(
        lambda exchange: call in exchange.path,
        lambda exchange: setattr(exchange, "is_lost", True),
    )


def history(home: Path, use_case: str) -> list[Any]:
    """Return the promotions of a use case as the ledger has them."""
    data = homes.pointer(home, use_case)
    return [] if data is None else list(Pointer.model_validate_json(data).history)


def registered(address: str, use_case: str) -> dict[str, Any]:
    """Return what an MLflow server holds of a use case."""
    from mlflow import MlflowClient

    client = MlflowClient(f"http://{address}", f"http://{address}")
    experiment = client.get_experiment_by_name(use_case)
    versions = client.search_model_versions(f"name = '{use_case}'")
    return {
        "versions": [int(version.version) for version in versions],
        "aliases": client.get_registered_model(use_case).aliases,
        "runs": len(client.search_runs([experiment.experiment_id])),
    }

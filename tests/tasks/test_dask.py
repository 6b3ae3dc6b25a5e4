"""Tasks in other processes: on Dask, behind certificates, with their results where they belong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

import deployments.results
from deployments import certificates
from deployments.results import ensure_results
from rancast.errors import ConfigurationError
from rancast.settings import load_settings
from tasks import dask
from tasks.runners import configured_task_runner
from tests import servers as real


@pytest.fixture()
def results(
    prefect_server: str, azurite: real.Azurite, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ContainerClient]:
    """A container for results, whose block is on the server and named in Prefect's settings.

    The block is named after the container: the tests of the other process share the server.
    """
    monkeypatch.setenv("RANCAST_RESULTS_URL", f"{azurite.container()}/of/tasks")
    name = os.environ["RANCAST_RESULTS_URL"].split("/")[-3]
    monkeypatch.setattr(deployments.results, "NAME", name)
    monkeypatch.setenv("RANCAST_RESULTS_CONNECTION_STRING", azurite.connection_string)
    monkeypatch.setenv("RANCAST_WORKERS", "1")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv(
        "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK", f"azure-blob-storage-container/{name}"
    )
    with (
        temporary_settings({PREFECT_API_URL: prefect_server}),
        ContainerClient.from_connection_string(azurite.connection_string, name) as client,
    ):
        ensure_results(load_settings())
        yield client


@pytest.mark.parametrize("runner", ["thread", "process", "dask"])
def test_results_lie_in_azure_whatever_runs_the_tasks(
    runner: str, results: ContainerClient, tmp_path: Path
) -> None:
    """Each task's result is a JSON record in the container of the block, below the prefix."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.elsewhere"],
        env=real.minimal_environment(tmp_path) | set_here() | {"RANCAST_TASK_RUNNER": runner},
        cwd=real.CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    processes = {process for _, process in outcome["said"]}
    assert (processes == {outcome["own"]}) is (runner == "thread")
    assert outcome["is_closed"] is (True if runner == "dask" else None)
    names = list(results.list_blob_names())
    assert all(name.startswith("of/tasks/") for name in names)
    records = [json.loads(results.download_blob(name).readall()) for name in names]
    kept = [json.loads(record["result"]) for record in records if "metadata" in record]
    assert sorted(one for one in kept if len(one) == 2 and one[0] in (1, 2)) == outcome["said"]


def set_here() -> dict[str, str]:
    """Return the settings that a test has made, for a process of its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("RANCAST_") or name.startswith(("PREFECT_API", "PREFECT_RESULTS"))
    }


def test_the_block_is_made_once(results: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second deploy leaves the block as it is; another credential or prefix changes it."""
    assert ensure_results(load_settings()) is False
    monkeypatch.setenv("RANCAST_RESULTS_URL", f"{os.environ['RANCAST_RESULTS_URL']}/deeper")
    assert ensure_results(load_settings()) is True
    assert ensure_results(load_settings()) is False


def test_no_block_is_needed_without_a_url(home: Path) -> None:
    """Where no container is named, results stay in a folder of the worker."""
    assert ensure_results(load_settings()) is False


@pytest.mark.parametrize("url", ["file:///tmp/results", "https://blob.example/only-a-container-"])
def test_a_url_that_cannot_be_is_refused(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the setting, before anything is asked of Prefect."""
    monkeypatch.setenv("RANCAST_RESULTS_URL", url)
    with pytest.raises(ConfigurationError, match="RANCAST_RESULTS_URL"):
        ensure_results(load_settings())


@pytest.mark.parametrize("address", ["tcp://dask:8786", "tls://dask", "tls://me@dask:1", "dusk"])
def test_only_an_encrypted_scheduler_is_taken(
    address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address without TLS, port or sense is refused by the name of the setting."""
    monkeypatch.setenv("RANCAST_TASK_RUNNER", address)
    with pytest.raises(ConfigurationError, match="RANCAST_TASK_RUNNER"):
        configured_task_runner().duplicate()


def test_a_scheduler_needs_certificates(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that is not configured, or not there, is named before anybody is called."""
    monkeypatch.setenv("RANCAST_TASK_RUNNER", f"tls://127.0.0.1:{real.free_port()}")
    with pytest.raises(ConfigurationError, match="TLS__CA_FILE is unset"):
        configured_task_runner().duplicate()
    certificates.make(tmp_path / "certificates")
    (tmp_path / "certificates" / "client.key").unlink()
    with configured(tmp_path / "certificates"):
        with pytest.raises(ConfigurationError, match="CLIENT__KEY is .*client.key"):
            configured_task_runner().duplicate()


def test_a_scheduler_that_is_not_there_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody answers, the error has the setting and its address, not only a timeout."""
    address = f"tls://127.0.0.1:{real.free_port()}"
    monkeypatch.setenv("RANCAST_TASK_RUNNER", address)
    monkeypatch.setattr(dask, "CONNECT_S", 1)
    certificates.make(tmp_path / "certificates")
    with configured(tmp_path / "certificates"), configured_task_runner().duplicate() as runner:
        with pytest.raises(ConfigurationError, match=f"RANCAST_TASK_RUNNER is {address}"):
            assert runner.client  # type: ignore[attr-defined]


def configured(folder: Path) -> "object":
    """Set what Dask reads from DASK_DISTRIBUTED__COMM__TLS__… when it is imported."""
    from dask import config

    names = {"ca-file": "ca.pem", "client.cert": "client.pem", "client.key": "client.key"}
    return config.set(
        {f"distributed.comm.tls.{key}": str(folder / name) for key, name in names.items()}
    )


def test_certificates_are_their_owners_and_stay(tmp_path: Path) -> None:
    """Keys can be read by their owner alone, and what is valid is not made again."""
    assert certificates.make(tmp_path) is True
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == sorted(
        ["ca.pem", *(f"{side}.{end}" for side in certificates.SIDES for end in ("key", "pem"))]
    )
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert certificates.make(tmp_path) is False
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_certificates_that_run_out_are_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less than two months left, all of them are made anew, by a new authority."""
    monkeypatch.setattr(certificates, "VALID", certificates.RENEWED_BEFORE)
    certificates.make(tmp_path)
    before = (tmp_path / "ca.pem").read_bytes()
    monkeypatch.undo()
    assert certificates.make(tmp_path) is True
    assert (tmp_path / "ca.pem").read_bytes() != before


def test_the_credential_of_results_is_their_own_or_the_shared_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the other two containers."""
    monkeypatch.setenv("RANCAST_RESULTS_URL", "https://account.blob.core.windows.net/results")
    assert load_settings().credential("results") is None
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "shared")
    assert load_settings().credential("results") == SecretStr("shared")
    monkeypatch.setenv("RANCAST_RESULTS_CONNECTION_STRING", "own")
    assert load_settings().credential("results") == SecretStr("own")

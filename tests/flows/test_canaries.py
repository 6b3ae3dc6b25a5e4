"""Canaries through a real Prefect server: no secret and no subscriber in anything it can return."""

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.logging import get_run_logger

from flows.ingest import ingest
from rancast.errors import DataError
from tasks.artifacts import completed, explain, publish
from tasks.redaction import redacted
from tests.flows import homes
from tests.flows.conftest import flush
from tests.servers import CHECKOUT, Servers

CANARY = "c4nary0Xq"
PASSWORD = f"{CANARY}-password"
CONNECTION = (
    "DefaultEndpointsProtocol=https;AccountName=operator;"
    f"AccountKey={CANARY}+/a1==;EndpointSuffix=core.windows.net"
)
NUMBER = "+353875550199"
DAY, NEXT = date(2024, 3, 1), date(2024, 3, 2)


@task
@redacted
def open_with(connection: str) -> None:
    """A task of a library that tells what it was given, in logs and in errors."""
    get_run_logger().warning("opening %s", connection)
    logging.getLogger("prefect.azure").error(f"tried {PASSWORD}")
    print(f"printed {connection}")
    try:
        raise OSError(f"https://operator/raw?sig={CANARY}")
    except OSError as error:
        get_run_logger().exception("not opened")
        raise ValueError(f"cannot open {connection}, {{'pwd': '{PASSWORD}'}}") from error


@flow(name="canary", log_prints=True, on_failure=[explain], on_crashed=[explain])
@redacted
def canary(is_failing: bool) -> dict[str, int]:
    """Show, log, return and raise what must not be seen."""
    publish("canary", f"| a |\n|---|\n| {CONNECTION} |", f"made with {PASSWORD}")
    state = open_with(_CONNECTION[0], return_state=True)
    if is_failing:
        state.result()
    return completed({"rows": 1}, f"done with {CONNECTION}")


# a parameter of a task is stored as it is given, so the task takes it from here
_CONNECTION = [CONNECTION]


@pytest.fixture()
def secret_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker that was given a password."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    yield


def returned(flow_run_id: UUID) -> dict[str, str]:
    """Return all that Prefect's API tells of a run and its tasks, as text."""
    from prefect.client.orchestration import get_client

    run = {"flow_runs": {"id": {"any_": [str(flow_run_id)]}}}
    asked = {
        "flow run": ("GET", f"/flow_runs/{flow_run_id}", None),
        "states": ("GET", f"/flow_run_states/?flow_run_id={flow_run_id}", None),
        "task runs": ("POST", "/task_runs/filter", run),
        "artifacts": ("POST", "/artifacts/filter", run),
        "logs": ("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [str(flow_run_id)]}}}),
        "events": (
            "POST",
            "/events/filter",
            {"filter": {"any_resource": {"id": [f"prefect.flow-run.{flow_run_id}"]}}},
        ),
    }
    with get_client(sync_client=True) as client:
        return {
            name: json.dumps(client.request(method, path, json=body).json())
            for name, (method, path, body) in asked.items()
        }


def everywhere(flow_run_id: UUID, servers: Servers, storage: Path) -> dict[str, str]:
    """Return what the API tells, what is persisted as results, and the server's whole database."""
    results = {f"result {name}": str(data) for name, data in homes.files_below(storage).items()}
    database = {path.name: str(path.read_bytes()) for path in servers.folder.glob("prefect*.db*")}
    assert database
    return returned(flow_run_id) | results | database


@pytest.mark.usefixtures("prefect_api", "secret_settings")
@pytest.mark.parametrize("is_failing", [True, False])
def test_a_connection_string_is_nowhere(is_failing: bool, servers: Servers, storage: Path) -> None:
    """Logged, printed, raised, shown and put in a state's message, it reaches neither logs, states,
    events, artifacts, nor results."""
    state: Any = canary(is_failing, return_state=True)
    flush()
    run_id = state.state_details.flow_run_id
    told = everywhere(run_id, servers, storage)
    assert [place for place, text in told.items() if CANARY in text] == []
    # what was looked through does hold the rest of it
    assert "AccountName=operator" in told["logs"] and "not opened" in told["logs"]
    assert "AccountName=operator" in told["artifacts"] and "made with ***" in told["artifacts"]
    assert "AccountName=operator" in told["flow run"]
    assert ("what-to-do" in told["artifacts"]) is is_failing
    if is_failing:
        assert "cannot open" in "".join(told[name] for name in told if name.startswith("result"))
        assert state.is_failed() and "ValueError" in state.message


@pytest.mark.usefixtures("prefect_api")
def test_a_cell_of_a_subscriber_is_nowhere(
    new_home: Path, servers: Servers, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of pandas that quotes a number does not get out; its place does, and what to do."""
    for folder, ending in (("datasets", "yaml"), ("expectations", "json")):
        name = f"{folder}/call_detail_records.{ending}"
        shutil.copy(CHECKOUT / name, new_home / name)
    folder = new_home / ".local/raw/call_detail_records/year=2024/month=03/day=01"
    folder.mkdir(parents=True)
    (folder / "calls.csv").write_text(f"caller_id\n{NUMBER}\n")

    def fail(*given: Any) -> None:
        import pandas as pd

        pd.Series([NUMBER + "x"]).astype(float)

    monkeypatch.setattr("rancast.reading.read_partition", fail)
    state: Any = ingest("call_detail_records", DAY, NEXT, return_state=True)
    flush()
    told = everywhere(state.state_details.flow_run_id, servers, storage)
    assert [place for place, text in told.items() if NUMBER[1:] in text] == []
    with pytest.raises(DataError, match="ValueError in .* withheld"):
        state.result()
    assert "withheld" in told["logs"] and "withheld" in told["artifacts"]
    assert "operations.md#dataerror" in told["flow run"]

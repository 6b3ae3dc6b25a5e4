"""The main job, night after night: what it computes, what it leaves, and what it leaves alone."""

import json
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from flows.daily import Night, daily
from flows.ingest import ingest
from rancast.champions import Pointer
from rancast.documents import sha256
from rancast.errors import RegistryError
from tasks.storage import open_store
from tasks.stores import open_lake
from tests import servers
from tests.faults import tiny
from tests.flows import homes
from tests.markdown import rows_of

AS_OF = date(2024, 3, 5)
NEXT = AS_OF + timedelta(days=1)
REMOTE = "tiny_remote"
DAYS = [f"2024-03-0{day}" for day in (1, 2, 3, 4)]


@pytest.mark.usefixtures("hurry")
def test_a_night_with_nothing_new_computes_nothing(champion_home: Path) -> None:
    """Run again on the same files, the main job reuses everything: lake and registry stay."""
    before = homes.lake_files(champion_home), homes.registry(champion_home)
    night = daily(["tiny"], AS_OF)
    (ingested,), (trained,) = night.ingested, night.trained
    assert (ingested.computed, trained.computed) == (0, 0)
    assert (homes.lake_files(champion_home), homes.registry(champion_home)) == before
    assert trained.decision is None and (trained.version, trained.champion) == (1, 1)


@pytest.mark.usefixtures("hurry")
def test_a_new_day_is_ingested_and_featured_once_and_trained_on(champion_home: Path) -> None:
    """One more raw day costs its own pull, validation and features, and one training."""
    before = homes.count_steps(champion_home)
    old = homes.manifests(champion_home)
    tiny.write_day(champion_home, AS_OF)
    night = daily(["tiny"], NEXT)
    added = homes.count_steps(champion_home) - before
    (ingested,), (trained,) = night.ingested, night.trained
    assert [facts.date for facts in ingested.partitions] == tiny_days(AS_OF)
    assert ingested.computed == 1
    assert added["pull_partition"] == added["validate_partition"] == added["build_features"] == 1
    assert added["assemble_table"] == added["audit_table"] == 1
    assert added["score_champion"] == added["judge"] == 1
    assert added["fit_candidate"] == 2
    # its features, the table, its audit, two fits, the baselines
    assert trained.computed == 6
    assert homes.manifests(champion_home) == old | {
        str(AS_OF): homes.manifests(champion_home)[str(AS_OF)]
    }


def tiny_days(last: date) -> list[date]:
    """Return the four days of the tiny use case's history that end with `last`."""
    return [last - timedelta(days=back) for back in (3, 2, 1, 0)]


@pytest.mark.usefixtures("hurry")
def test_candidate_and_champion_are_compared_on_the_same_rows(champion_home: Path) -> None:
    """The champion is scored anew on the holdout of the candidate, row for row."""
    tiny.write_day(champion_home, AS_OF)
    (trained,) = daily(["tiny"], NEXT).trained
    (judged,) = [
        entry
        for entry in homes.steps(champion_home)
        if entry["step"] == "judge" and entry["inputs"].get("champion")
    ]
    frames = {
        name: homes.load(champion_home, judged["inputs"][name])
        for name in ("candidate", "champion")
    }
    rows = {name: frame[["entity", "time", "y"]] for name, frame in frames.items()}
    assert rows["candidate"].equals(rows["champion"])
    assert len(rows["candidate"]) == trained.table.holdout.rows > 0
    assert not frames["candidate"]["prediction"].equals(frames["champion"]["prediction"])
    assert trained.decision is not None and trained.decision.promote is False
    assert (trained.version, trained.champion) == (2, 1)


@pytest.mark.usefixtures("hurry")
def test_a_replaced_blob_is_read_anew(champion_home: Path) -> None:
    """A raw file with other content changes its own partition's manifest, and no other."""
    before = homes.manifests(champion_home)
    path = next((champion_home / ".local" / "raw").rglob("day=02/kpis.csv"))
    path.write_bytes(path.read_bytes().replace(b",-5.0\n", b",5.0\n"))
    ingested = ingest("kpis", tiny.START, AS_OF)
    after = homes.manifests(champion_home)
    assert ingested.computed == 1
    assert {day for day in before if before[day] != after[day]} == {"2024-03-02"}
    old, new = json.loads(before["2024-03-02"]), json.loads(after["2024-03-02"])
    assert old["sources"] != new["sources"] and old["digest"] != new["digest"]
    assert (old["rows"]["quarantined"], new["rows"]["quarantined"]) == (1, 0)


@pytest.mark.usefixtures("hurry")
def test_a_blob_that_was_only_touched_is_no_new_input(champion_home: Path) -> None:
    """What a listing says of a blob only tells that it may have changed; its content decides."""
    path = next((champion_home / ".local" / "raw").rglob("day=02/kpis.csv"))
    before = homes.count_steps(champion_home), homes.manifests(champion_home)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert ingest("kpis", tiny.START, AS_OF).computed == 0
    assert (homes.count_steps(champion_home), homes.manifests(champion_home)) == before


@pytest.mark.usefixtures("hurry")
def test_a_registry_without_the_champion_is_an_error(
    champion_home: Path, mlflow_template: Path
) -> None:
    """A ledger whose champion an empty registry does not know stops the training before anything
    is registered under the champion's number."""
    before = homes.pointer(champion_home)
    tiny.write_day(champion_home, AS_OF)
    shutil.copy(mlflow_template, champion_home / ".local" / "mlflow" / "mlflow.db")
    with pytest.raises(RegistryError, match=r"version 1 .* MLFLOW_TRACKING_URI"):
        daily(["tiny"], NEXT)
    assert homes.pointer(champion_home) == before
    assert homes.registry(champion_home) == {"runs": [], "versions": [], "aliases": []}


@pytest.mark.usefixtures("hurry")
def test_results_at_rest_are_json(champion_home: Path, storage: Path) -> None:
    """What Prefect keeps of tasks and flows is JSON, and no pickle."""
    tiny.write_day(champion_home, AS_OF)
    daily(["tiny"], NEXT)
    records = [json.loads(data) for data in homes.files_below(storage).values()]
    of_tasks = [record for record in records if "metadata" in record]
    assert {record["metadata"]["serializer"]["type"] for record in of_tasks} == {"json"}
    steps = {json.loads(record["result"])["data"]["step"] for record in of_tasks}
    assert steps >= {"validate_partition", "build_features", "fit_candidate", "judge"}


IN_PROCESSES = """
import tasks.steps
from datetime import date
from flows.ingest import ingest

# a process of its own does not see what is broken in this one
tasks.steps.Step.make = None
print(ingest("kpis", date(2024, 3, 1), date(2024, 3, 5)).computed)
"""


def test_the_task_runner_is_that_of_the_settings_when_a_flow_starts(
    champion_home: Path, prefect_server: str, tmp_path: Path
) -> None:
    """With RANCAST_TASK_RUNNER=process tasks run in other processes, give what threads give, and
    leave no pickle behind."""
    before = homes.manifests(champion_home)
    shutil.rmtree(champion_home / ".local" / "lake" / "curated")
    settings = {
        "RANCAST_HOME": str(champion_home),
        "RANCAST_TASK_RUNNER": "process",
        "RANCAST_WORKERS": "1",
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PYTHONPATH": f"{servers.LEAN}:{servers.CHECKOUT}",
    }
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESSES],
        env=servers.minimal_environment(tmp_path) | settings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["4"], done.stderr[-3000:]
    assert homes.manifests(champion_home) == before
    stored = homes.files_below(tmp_path / "prefect" / "storage")
    assert stored and all(json.loads(data) for data in stored.values())


@pytest.fixture()
def remote_home(
    tmp_path: Path,
    azurite: servers.Azurite,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A home with configuration only: raw files, lake and registry are on servers."""
    home = tmp_path / "home"
    tiny.write_home(home)
    homes.write_use_case(home, REMOTE)
    (home / "use_cases" / "tiny.yaml").unlink()
    urls = {"RANCAST_RAW_URL": azurite.container(), "RANCAST_LAKE_URL": azurite.container()}
    monkeypatch.setenv("RANCAST_HOME", str(home))
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    for name, url in urls.items():
        monkeypatch.setenv(name, url)
    raw = open_store(
        urls["RANCAST_RAW_URL"], SecretStr(azurite.connection_string), setting="RANCAST_RAW_URL"
    )
    for name, data in homes.files_below(home / ".local" / "raw").items():
        raw.write(name, data)
    shutil.rmtree(home / ".local")
    return home


@pytest.mark.usefixtures("prefect_api")
def test_by_settings_alone_it_runs_on_azure_and_an_mlflow_server(
    remote_home: Path, settled_home: Path, mlflow_server: str
) -> None:
    """Against blob storage and servers, the main job ends with one version that is champion and
    whose bytes the ledger pins, with manifests equal to those of a run on files."""
    state = daily(as_of=AS_OF, return_state=True)
    night: Night = state.result()
    (trained,) = night.trained
    assert (trained.use_case, trained.version, trained.is_new_champion) == (REMOTE, 1, True)
    lake = open_lake()
    pointer = Pointer.model_validate_json(lake.read(f"ledger/promotions/{REMOTE}.json"))
    held = registered(mlflow_server)
    assert held == {"champion": [pointer.champion.version, pointer.champion.model_sha256]}
    assert sha256(lake.read(trained.model.uri)) == pointer.champion.model_sha256
    for day, manifest in homes.manifests(settled_home).items():
        assert lake.read(f"curated/kpis/date={day}/manifest.json") == manifest
        assert_listed_fields(json.loads(manifest))
    shown = artifacts_of(state.state_details.flow_run_id)
    assert [row["day"] for row in rows_of(shown["ingest-kpis"])] == sorted(DAYS, reverse=True)
    assert {f"validation-kpis-{day}" for day in DAYS} <= set(shown)
    ranked = rows_of(shown["leaderboard-tiny-remote"])
    assert {row["model"] for row in ranked} > {"ridge", "last_value"}
    assert "Promoted: ridge is version 1" in shown["decision-tiny-remote"]
    # nothing was written beside the servers
    assert not (remote_home / ".local").exists()


def registered(tracking_uri: str) -> dict[str, list[Any]]:
    """Return alias -> version and SHA-256 of its model's bytes, by MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri, tracking_uri)
    found = {}
    for alias in client.get_registered_model(REMOTE).aliases:
        version = client.get_model_version_by_alias(REMOTE, alias)
        path = client.download_artifacts(version.run_id, "model/model.skops")
        found[alias] = [int(version.version), sha256(Path(path).read_bytes())]
    return found


def assert_listed_fields(manifest: dict[str, Any]) -> None:
    """Check the fields that a partition's manifest has at least, and what they hold of the day."""
    rows = manifest["rows"]
    assert manifest["schema_version"] == 1
    assert rows == {"raw": 144, "curated": 143, "quarantined": 1, "duplicates": 0}
    (source,) = manifest["sources"]
    assert source["blob"].startswith("kpis/year=2024/") and source["rows"] == 144
    assert len(source["sha256"]) == len(manifest["digest"]) == 64
    assert manifest["coverage"] == pytest.approx(143 / 144)


def artifacts_of(flow_run_id: UUID) -> dict[str, str]:
    """Return what the Prefect UI shows of a run's subflows: artifact key -> its page."""
    from prefect.client.orchestration import get_client

    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [str(flow_run_id)]}}}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json=wanted).json()
    return {artifact["key"]: artifact["data"] for artifact in found}

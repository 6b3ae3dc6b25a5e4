"""The main job, night after night: what it computes, what it leaves, and what it leaves alone."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flows.daily import Night, daily
from flows.ingest import ingest
from rancast.champions import Pointer
from rancast.documents import sha256
from rancast.errors import RegistryError
from tasks.steps import load_frame
from tasks.storage import Store, open_store
from tests import servers
from tests.faults import tiny
from tests.flows import homes

AS_OF = date(2024, 3, 5)
NEXT = AS_OF + timedelta(days=1)
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
    assert added["assemble_table"] == added["score_champion"] == added["judge"] == 1
    assert added["fit_candidate"] == 2
    # its features, the table, two fits, the baselines
    assert trained.computed == 5
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
        name: load_frame(homes.reference(judged["inputs"][name]))
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

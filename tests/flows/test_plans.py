"""What a run reuses and computes again, as its plan says before and the ledger shows after."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows.daily import daily
from flows.ingest import ingest
from flows.training import training
from tests.faults import tiny
from tests.flows import homes
from tests.markdown import rows_of

AS_OF = date(2024, 3, 5)
Rows = list[dict[str, str]]


@pytest.mark.usefixtures("hurry")
def test_a_run_with_nothing_new_plans_to_reuse_everything(champion_home: Path) -> None:
    """Every step is listed, each with reuse and the reason, before any is looked up to be run."""
    ingested, trained = plans(daily(["tiny"], AS_OF, return_state=True))
    assert [(row["step"], row["for"]) for row in ingested] == [
        ("pull_partition", "4 days, 2024-03-01 to 2024-03-04"),
        ("validate_partition", "4 days, 2024-03-01 to 2024-03-04"),
    ]
    assert {row["step"] for row in trained} == {
        "build_features",
        "assemble_table",
        "audit_table",
        "fit_candidate",
        "evaluate_predictions",
        "score_baselines",
    }
    for row in (*ingested, *trained):
        assert (row["verdict"], row["why"]) == ("reuse", "nothing that it depends on changed")


@pytest.mark.usefixtures("hurry")
def test_a_changed_formula_reads_no_file_again(champion_home: Path) -> None:
    """What a dataset derives is for features: ingest finds each day as it left it."""
    path = champion_home / "datasets" / "kpis.yaml"
    path.write_text(path.read_text() + "kpis: {busy: {numerator: load_ratio}}\n")
    found = ingest("kpis", AS_OF - timedelta(days=4), AS_OF)
    assert (len(found.partitions), found.computed) == (4, 0)


@pytest.mark.usefixtures("hurry")
def test_a_plan_says_what_a_replaced_blob_changes(champion_home: Path) -> None:
    """The day of the blob is read again; the day's features since their data changed."""
    path = next((champion_home / ".local" / "raw").rglob("day=02/kpis.csv"))
    path.write_bytes(path.read_bytes().replace(b",-5.0\n", b",5.0\n"))
    ingested, trained = plans(daily(["tiny"], AS_OF, return_state=True))
    assert ingested[0] == {
        "step": "pull_partition",
        "for": "2024-03-02",
        "verdict": "recompute",
        "why": "its blobs are new, or were replaced or added to",
    }
    assert trained[0] == {
        "step": "build_features",
        "for": "2024-03-02",
        "verdict": "recompute",
        "why": "its data changed (curated)",
    }
    assert why(trained, "assemble_table") == "a step before it is computed again"


@pytest.mark.usefixtures("hurry")
def test_a_plan_says_which_configuration_changed(champion_home: Path) -> None:
    """Another seed leaves features and table, and names the key of the use case."""
    path = champion_home / "use_cases" / "tiny.yaml"
    path.write_text(path.read_text() + "seed: 7\n")
    rows = only_plan(training("tiny", AS_OF, return_state=True))
    assert why(rows, "fit_candidate") == "its configuration changed (view.seed)"
    assert why(rows, "assemble_table") == "nothing that it depends on changed"
    # by the seed its days are drawn, too
    assert "view.seed" in why(rows, "audit_table")


@pytest.mark.usefixtures("hurry")
def test_a_plan_says_that_files_are_lost(champion_home: Path) -> None:
    """What the ledger knows and the lake lost is made again, and the plan says why."""
    for path in (champion_home / ".local" / "lake" / "features").rglob("date=2024-03-03/*.parquet"):
        path.unlink()
    rows = only_plan(training("tiny", AS_OF, return_state=True))
    assert rows[0]["for"] == "2024-03-03" and rows[0]["why"] == "its files in the lake are lost"


@pytest.mark.usefixtures("hurry")
def test_a_rerun_from_a_step_computes_it_and_what_follows_again(champion_home: Path) -> None:
    """From the fits on all is computed once more, with equal outcome: champion and ledger stay."""
    before = homes.count_steps(champion_home), homes.pointer(champion_home)
    state = training("tiny", AS_OF, rerun_from="fit", return_state=True)
    rows = only_plan(state)
    assert why(rows, "fit_candidate") == "the run was told to compute from fit on"
    assert why(rows, "build_features") == "nothing that it depends on changed"
    outcome = state.result()
    # two fits and the baselines
    assert outcome.computed == 3
    assert (outcome.version, outcome.champion) == (1, 1)
    assert (homes.count_steps(champion_home), homes.pointer(champion_home)) == before


@pytest.mark.usefixtures("hurry")
def test_an_ingest_can_be_forced_from_validation_on(champion_home: Path) -> None:
    """Nothing is pulled again, every day is validated again, and the manifests stay equal."""
    before = homes.manifests(champion_home)
    assert ingest("kpis", tiny.START, AS_OF, "validate").computed == 4
    assert homes.manifests(champion_home) == before


@pytest.mark.usefixtures("hurry")
def test_an_ingest_without_dates_looks_for_late_files(champion_home: Path) -> None:
    """By default it takes the three days before `end`."""
    found = ingest("kpis", end=AS_OF)
    assert (found.start, found.end) == (AS_OF - timedelta(days=3), AS_OF)


def why(rows: Rows, step: str) -> str:
    """The one reason that a plan gives for a step."""
    (reason,) = {row["why"] for row in rows if row["step"] == step}
    return reason


def plans(state: Any) -> tuple[Rows, Rows]:
    """The plans of a night's ingest and of its training."""
    found = _artifacts({"parent_flow_run_id": {"any_": [_run_of(state)]}})
    return found["plan-ingest-kpis"], found["plan-training-tiny"]


def only_plan(state: Any) -> Rows:
    """The plan of one training."""
    return _artifacts({"id": {"any_": [_run_of(state)]}})["plan-training-tiny"]


def _run_of(state: Any) -> str:
    run_id: UUID = state.state_details.flow_run_id
    return str(run_id)


def _artifacts(of: dict[str, Any]) -> dict[str, Rows]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json={"flow_runs": of}).json()
    return {one["key"]: rows_of(one["data"]) for one in found if one["key"].startswith("plan")}

"""What the Prefect UI shows of a night: its pages, its messages, how far it is, and what to do."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, task

from flows.daily import daily
from rancast.errors import DataError
from tasks.artifacts import follow, show_what_to_do
from tests.faults import tiny
from tests.flows import homes
from tests.markdown import rows_of

AS_OF = date(2024, 3, 5)
NEXT = AS_OF + timedelta(days=1)


def ask(path: str, body: dict[str, Any]) -> Any:
    """Ask Prefect's API."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.request("POST", path, json=body).json()


def pages_of(run_id: UUID) -> dict[str, str]:
    """Return what the UI shows at one flow run: artifact key -> its page."""
    wanted = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
    found = ask("/artifacts/filter", wanted)
    # the server keeps results as artifacts without a key, which the UI does not show
    return {one["key"]: one["data"] for one in found if one["key"]}


def parts_of(run_id: UUID) -> dict[str, dict[str, Any]]:
    """Return the subflow runs of a flow run by the name of their flow."""
    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [str(run_id)]}}}
    return {run["name"].split()[0]: run for run in ask("/flow_runs/filter", wanted)}


def run_of(state: Any) -> UUID:
    """Return the flow run that ended in a state."""
    run_id: UUID = state.state_details.flow_run_id
    return run_id


@pytest.mark.usefixtures("hurry")
def test_a_night_tells_what_came_of_it(champion_home: Path) -> None:
    """Each part has its pages and its message; the night has both for the whole."""
    tiny.write_day(champion_home, AS_OF)
    state: Any = daily(["tiny"], NEXT, return_state=True)
    said = "kpis: 4 days, 1 validated in this run; 572 rows curated, 4 quarantined. tiny: Not pro"
    assert state.message.startswith(said)
    parts = parts_of(run_of(state))
    assert parts["ingest"]["state"]["message"].startswith("4 days, 1 validated in this run")
    assert parts["training"]["state"]["message"].startswith("Not promoted: ridge is registered")

    pages = pages_of(run_of(state))
    assert list(pages) == [f"daily-{NEXT}-tiny"]
    (night,) = pages.values()
    for part in parts.values():
        assert f"[{part['name']}](../../runs/flow-run/{part['id']}): Completed" in night
    ingested = pages_of(parts["ingest"]["id"])
    assert set(ingested) == {
        "plan-ingest-kpis",
        "ingest-kpis",
        "coverage-kpis",
        f"validation-kpis-{AS_OF}",
    }
    first, *_ = rows_of(ingested[f"validation-kpis-{AS_OF}"])
    assert (first["outcome"], first["rows"]) == ("failed", "1 quarantined")
    assert rows_of(ingested["coverage-kpis"])[0]["absent"] == "0"
    trained = pages_of(parts["training"]["id"])
    assert set(trained) == {
        "plan-training-tiny",
        "audit-tiny",
        "leaderboard-tiny",
        "decision-tiny",
        "champions-tiny",
    }
    compared = rows_of(trained["leaderboard-tiny"], 1)
    assert compared[0]["against"] == "champion, version 1" and compared[0]["gate"] == "failed"
    # MLflow is a database here, so its names are given and no link
    assert "MLflow, registered model, `tiny, version 2`" in trained["decision-tiny"]


@pytest.mark.usefixtures("hurry")
def test_a_failed_night_says_what_to_do(champion_home: Path) -> None:
    """The run on top and the part that failed have a page with cause, next action and section;
    their states say where to read on, once."""
    state: Any = daily(["tiny"], NEXT, return_state=True)
    assert state.is_failed() and state.message.count("operations.md#dataerror") == 1
    key = f"what-to-do-daily-{NEXT}-tiny"
    page = pages_of(run_of(state))[key]
    assert "**DataError:** kpis 2024-03-05 has no file where one is expected daily" in page
    assert "press *Retry*" in page and "`docs/operations.md#dataerror`" in page
    failed = parts_of(run_of(state))["training"]
    assert f"[{failed['name']}](../../runs/flow-run/{failed['id']}): Failed" in page
    assert "belongs to the one on top" not in page
    below = pages_of(failed["id"])[f"what-to-do-training-{NEXT}-tiny"]
    assert "belongs to the one on top" in below
    assert homes.registry(champion_home)["versions"] == [("tiny", 1)]


@pytest.mark.usefixtures("prefect_api")
def test_a_run_that_was_found_dead_gets_its_page() -> None:
    """Whoever ends a run in its place tells at it what to do, with what is known."""
    run_id = run_of(long_step([1], return_state=True))
    show_what_to_do(run_id, "Crashed", f"Taken for dead: sig={'x' * 20} was the last word.")
    (page,) = [page for key, page in pages_of(run_id).items() if key.startswith("what-to-do-")]
    assert "crashed" in page and "sig=*** was the last word." in page
    assert "Its process is gone" in page and "`docs/operations.md#crashed`" in page


@task
def one(number: int) -> int:
    """A day's work."""
    if number < 0:
        raise DataError(f"day {number}.")
    return number


@flow
def long_step(numbers: list[int]) -> dict[str, int]:
    """A step of a few days."""
    return follow("work of kpis", {str(number): one.submit(number) for number in numbers})


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize(("seconds", "shown"), [(0.0, 100.0), (60.0, None)])
def test_a_long_step_shows_how_far_it_is(
    seconds: float, shown: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results come in order; a progress artifact appears where it takes long, and ends at 100 %."""
    monkeypatch.setattr("tasks.artifacts.PROGRESS_SECONDS", seconds)
    state: Any = long_step([3, 1, 2], return_state=True)
    assert list(state.result().items()) == [("3", 3), ("1", 1), ("2", 2)]
    pages = pages_of(run_of(state))
    assert pages.get("progress-work-of-kpis") == shown


@pytest.mark.usefixtures("prefect_api")
def test_the_first_failure_of_a_long_step_is_raised() -> None:
    """A day that fails fails the step, with its own error."""
    with pytest.raises(DataError, match="day -1"):
        long_step([1, -1, -2])

"""What Prefect's API is asked about runs: all that were due in a time, however many there are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


from tasks import runs, supervision

NOON = datetime(2024, 3, 20, 12, tzinfo=UTC)


def test_every_run_that_was_due_is_found_once(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API gives a page at a time, and numbers are of all pages; what is planned for later, or
    was due before, is none of them."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Scheduled

    def counted() -> None:
        """Be counted."""

    monkeypatch.setattr(runs, "PAGE", 2)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        with get_client(sync_client=True) as client:
            for hours in (-30, -5, -4, -3, -2, -1, 1):
                due = Scheduled(scheduled_time=NOON + timedelta(hours=hours))
                client.create_flow_run(flow(counted), name=f"{hours} h", state=due)
        found = runs.recent_runs("counted", NOON - timedelta(days=1), NOON)
    assert [run.name for run in found] == ["-1 h", "-2 h", "-3 h", "-4 h", "-5 h"]


def test_runs_of_others_are_left_alone(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of flows of one name that have been silent for a day, those of our deployments end, and the
    parts of them. What others call `shared`, and what was started in a shell, goes on."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(supervision, "now", lambda: tomorrow)
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        with get_client(sync_client=True) as client:
            ours = put(client, "ours", [runs.TAG])
            theirs = put(client, "theirs", ["schedule"])
            parts = [put(client, f"part of {top.name}", [], top) for top in (ours, theirs)]
            below = [put(client, f"part of a {top.name}", [], top) for top in parts]
        assert [run.name for run in runs.runs_of("shared", ["Running"])] == ["ours"]
        ended = supervision.end_zombies.fn(["shared"])
        with get_client(sync_client=True) as client:
            states = {
                run.name: client.read_flow_run(run.id).state_name
                for run in (ours, theirs, *parts, *below)
            }
    assert set(ended) == {"ours", "part of ours", "part of a part of ours"}
    assert {name for name, state in states.items() if state == "Running"} == {
        "theirs",
        "part of theirs",
        "part of a part of theirs",
    }


def put(client: Any, name: str, tags: list[str], above: Any = None) -> Any:
    """Put a run of the flow `shared` on the server that is Running, a part of `above` if any."""
    from prefect import flow, task
    from prefect.states import Running

    def shared() -> None:
        """Have a name that others have, too."""

    stands_for = above and client.create_task_run(
        task(shared), flow_run_id=above.id, dynamic_key=name
    )
    return client.create_flow_run(
        flow(shared),
        name=name,
        tags=tags,
        state=Running(),
        parent_task_run_id=above and stands_for.id,
    )

"""What Prefect's API is asked about runs: all that were due in a time, however many there are."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks import runs

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

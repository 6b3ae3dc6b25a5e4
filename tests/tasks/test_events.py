"""What is told to Prefect's event log is told, whatever is killed in between."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tasks import events
from tests import servers as real

# the process ends as by kill -9 where it would note down that it has told
KILLED = """
import os, signal
from tasks import events, ledger
ledger.Ledger.pin = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
events.announce(events.DEADLINE_MISSED, "deadline.killed", "It is late.", "killed", {"day": "d"})
"""


def test_what_is_told_is_on_the_server_before_it_is_noted_down(
    prefect_server: str, home: Path
) -> None:
    """Killed before the ledger has it, an event is on the server nevertheless; the next time it is
    told once more, and then never again."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    settings = {"PREFECT_API_URL": prefect_server, "RANCAST_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=real.minimal_environment(home) | settings,
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        (told,) = heard(1)
        assert told.event == events.DEADLINE_MISSED
        assert told.payload == {"sentence": "It is late.", "day": "d"}
        assert announce() and not announce()
        assert len(heard(2)) == 2


def announce() -> bool:
    """Tell what the killed process told."""
    return events.announce(
        events.DEADLINE_MISSED, "deadline.killed", "It is late.", "killed", {"day": "d"}
    )


def heard(count: int) -> list[Any]:
    """Return the events about the deadline once there are `count`: the server writes in batches."""
    from prefect.client.orchestration import get_client
    from prefect.events.filters import EventFilter

    wanted = EventFilter.model_validate({"resource": {"id": ["rancast.deadline.killed"]}})
    deadline = time.monotonic() + 30
    while True:
        with get_client(sync_client=True) as client:
            found: list[Any] = list(client.read_events(wanted, limit=10).events)
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.1)

"""What the flows' tests share: a real Prefect server, small homes, and one with a champion."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests import servers as real
from tests.flows import homes
from tests.sinks import Sink, alerted
from tests.workers import Deployed, api_url_of_some

AS_OF = date(2024, 3, 5)


@contextmanager
def against(api_url: str, storage: Path) -> Iterator[None]:
    """Run flows in this process against a Prefect server, with results in a folder of their own."""
    import tasks  # noqa: F401 - puts Prefect's defaults in place before it is imported
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    with (
        temporary_settings({PREFECT_API_URL: api_url, PREFECT_LOCAL_STORAGE_PATH: storage}),
        pytest.MonkeyPatch.context() as patch,
    ):
        # joining the thread that says "still alive" every 180 s takes a second for each flow
        patch.setattr("prefect.flow_engine._send_heartbeats", lambda engine, **_: nullcontext())
        try:
            yield
        finally:
            flush()


def flush() -> None:
    """Have Prefect send what it still holds of this process' logs and events, now."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=20)
    EventsWorker.drain_all(timeout=20)


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Leave out what costs seconds: plots, and the second Python in which golden rows are checked.

    The rows are checked in this process instead. One test runs everything as it is.
    """
    from rancast import models

    def check(model: bytes, card: Any, golden: Any) -> None:
        models.check_golden(models.load(model, card.model_sha256), golden, card)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rancast.plots.for_candidate", lambda *given: {"plot.txt": b"a plot"})
        patch.setattr("rancast.plots.leaderboard", lambda *given: b"a plot")
        patch.setattr("rancast.plots.coverage_by_day", lambda *given: b"a plot")
        patch.setattr("rancast.training_report.page", lambda *given: "a page")
        patch.setattr("tasks.promotion.verify_in_clean_process", check)
        yield


@pytest.fixture()
def storage(tmp_path: Path) -> Path:
    """The folder of the test's Prefect results."""
    return tmp_path / "results"


@pytest.fixture()
def prefect_api(prefect_server: str, storage: Path) -> Iterator[str]:
    """Run this test's flows against the real Prefect server."""
    with against(prefect_server, storage):
        yield prefect_server


@pytest.fixture()
def hurry(prefect_api: str) -> Iterator[None]:
    """Run this test's flows without plots and without a second Python."""
    with in_a_hurry():
        yield


@pytest.fixture()
def new_home(tmp_path: Path, mlflow_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smallest complete home, on which nothing ran yet; the settings lead to it."""
    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def settled_home(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path, servers: real.Servers
) -> Path:
    """A home after its first night, with one champion; copy it, never change it."""
    folder = tmp_path_factory.mktemp("settled")
    homes.write_home(folder / "home", mlflow_template)
    with (
        pytest.MonkeyPatch.context() as patch,
        against(api_url_of_some(servers), folder / "results"),
        in_a_hurry(),
    ):
        patch.setenv("RANCAST_HOME", str(folder / "home"))
        from flows.daily import daily

        daily(["tiny"], AS_OF)
    return folder / "home"


@pytest.fixture()
def champion_home(settled_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own that has a champion already; the settings lead to it."""
    home = tmp_path / "home"
    homes.copy_home(settled_home, home)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    return home


@pytest.fixture()
def sink(deployed: Deployed) -> Iterator[Sink]:
    """A webhook to which the alerts of the deployed server go."""
    with alerted(deployed) as here:
        yield here

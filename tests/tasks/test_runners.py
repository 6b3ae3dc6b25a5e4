"""The task runner is the one that the settings name when a flow starts."""

import pytest
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from flows.daily import daily
from flows.ingest import ingest
from flows.training import training
from rancast.errors import ConfigurationError
from tasks.runners import configured_task_runner


@pytest.mark.parametrize("kind", [ThreadPoolTaskRunner, ProcessPoolTaskRunner])
def test_settings_choose_the_runner_at_the_start_of_a_run(
    kind: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that was made before the settings were becomes what they say, with its workers."""
    runner = configured_task_runner()
    name = "process" if kind is ProcessPoolTaskRunner else "thread"
    monkeypatch.setenv("RANCAST_TASK_RUNNER", name)
    monkeypatch.setenv("RANCAST_WORKERS", "3")
    started = runner.duplicate()
    assert isinstance(started, kind)
    assert started._max_workers == 3  # type: ignore[attr-defined]


def test_an_unknown_runner_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo stops the flow when it starts, with the name of the setting."""
    monkeypatch.setenv("RANCAST_TASK_RUNNER", "treads")
    with pytest.raises(ConfigurationError, match="RANCAST_TASK_RUNNER"):
        configured_task_runner().duplicate()


def test_every_flow_takes_it() -> None:
    """No flow keeps a runner of its own."""
    kind = type(configured_task_runner())
    assert {type(flow.task_runner) for flow in (daily, ingest, training)} == {kind}

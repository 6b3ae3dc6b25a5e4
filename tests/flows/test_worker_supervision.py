"""What nobody is there to see: dead runs are ended, deadlines are told of, and alerts arrive."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from rancast.use_cases import load_use_case
from tests import servers as real
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against
from tests.sinks import Sink
from tests.workers import Deployed, Worker, environment_of

pytestmark = pytest.mark.xdist_group("worker")


@pytest.fixture()
def home(settled_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own that has a champion; the settings lead to it."""
    folder = tmp_path / "home"
    homes.copy_home(settled_home, folder)
    monkeypatch.setenv("RANCAST_HOME", str(folder))
    return folder


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Have supervision see another time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.supervision.now", lambda: moment)
        yield


def supervise(deployed: Deployed, home: Path, moment: datetime) -> str:
    """Run supervision in this process against the server; return what its state says."""
    from flows.supervision import supervision

    with against(deployed.api_url, home / "results"), at(moment):
        state = supervision(return_state=True)
    assert state.is_completed()
    return str(state.message)


def until(is_so: Callable[[], Any], seconds: float = 180) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


# --- zombies ------------------------------------------------------------------------------------


def test_runs_killed_with_their_worker_are_ended_and_hold_no_slot(
    deployed: Deployed, home: Path, tmp_path: Path
) -> None:
    """A worker and its runs are killed at once. The automation ends the run that had been beating,
    which it knows by what a real heartbeat carries, and the sweep the one that never beat and the
    parts; the run that waited for the slot goes on, and one that had beaten and then suspended is
    left alone."""
    from prefect.states import Cancelled, Running, Suspended

    env = environment_of(home)
    night = {"use_cases": ["tiny"], "as_of": str(AS_OF)}
    with deployed.second_worker(tmp_path / "worker", tmp_path / "cwd") as worker:
        silent = deployed.run("ingest", {"dataset": "kpis", "end": str(AS_OF)}, env)
        stopped = until(lambda: processes_of_runs(worker))
        for process in stopped:
            process.suspend()
        beating = deployed.run("daily", night, env)
        deployed.wait(beating, ["Running"])
        given = until(lambda: heartbeats(deployed, beating))[0]
        # in the middle of one of its parts, which the parent's end does not end
        until(lambda: parts_of(deployed, beating))
        worker.kill()
    # by which the automation knows that the run is ours
    tag = {"prefect.resource.id": "prefect.tag.rancast", "prefect.resource.role": "tag"}
    assert tag in given.model_dump(mode="json")["related"]
    assert not any(psutil.pid_exists(process.pid) for process in stopped)
    waiting = deployed.run("daily", night, env)
    deployed.wait(waiting, ["AwaitingConcurrencySlot"])
    # an ingest does not wait for its twin: its next turn sees the same files
    twin = deployed.run("ingest", {"dataset": "kpis", "end": str(AS_OF)}, env)
    deployed.wait(twin, ["Cancelled"])

    resting = put(deployed, "rollback", {"use_case": "tiny", "reason": "none"}, Running()).id
    with hastened(deployed), deployed.client() as client:
        beat(deployed, resting, given)
        # the automation takes events as they arrive: the suspension must not overtake the beat
        until(lambda: heartbeats(deployed, resting))
        client.set_flow_run_state(resting, Suspended(), force=True)
        beat(deployed, beating, given)
        crashed = deployed.wait(beating, ["Crashed"])
        assert client.read_flow_run(resting).state_name == "Suspended"
        client.set_flow_run_state(resting, Cancelled(), force=True)
    assert "no heartbeat for ten minutes" in crashed.state.message
    assert "Press Retry" in crashed.state.message
    deployed.wait(waiting)

    (part,) = parts_of(deployed, beating)
    last_sign = deployed.wait(silent, ["Pending", "Submitting"]).state.timestamp
    said = supervise(deployed, home, last_sign + timedelta(minutes=14))
    assert said == "Nothing to do."
    said = supervise(deployed, home, datetime.now(UTC) + timedelta(minutes=16))
    assert said.startswith("Taken for dead: ") and part.name in said
    message = deployed.wait(silent, ["Crashed"]).state.message
    assert "it never gave a heartbeat" in message and "Press Retry" in message
    message = deployed.wait(part.id, ["Crashed"]).state.message
    assert "Retry the run that it is a part of" in message
    assert taken_slots(deployed, "daily") == taken_slots(deployed, "ingest") == 0


def processes_of_runs(worker: Worker) -> list[psutil.Process]:
    """Return the processes of a worker's runs once they are that.

    A child that still has the worker's own command line was forked just now: the worker waits for
    it to become a run, and would wait for ever if it were stopped.
    """
    own = worker.process.cmdline()
    try:
        children = worker.process.children(recursive=True)
        return children if all(child.cmdline() not in ([], own) for child in children) else []
    except psutil.NoSuchProcess:
        return []


def parts_of(deployed: Deployed, run: UUID) -> list[Any]:
    """Return the subflow runs of a run that are Running."""
    from prefect.client.schemas.filters import FlowRunFilter

    wanted = {"parent_flow_run_id": {"any_": [run]}, "state": {"type": {"any_": ["RUNNING"]}}}
    with deployed.client() as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted))
        return list(found)


@contextmanager
def hastened(deployed: Deployed) -> Iterator[None]:
    """Put the heartbeat automation on the server once more, with the shortest patience there is.

    Whatever else it says stays, so that it is the one of the file that sees which runs are meant.
    """
    from deployments.automations import read_file

    file = read_file()
    declared = file.automations[0]
    quick = declared.model_copy(update={"trigger": {**declared.trigger, "within": 10}})
    core = quick.core(file.webhook, None)
    assert core is not None
    with deployed.client() as client:
        made = client.create_automation(core.model_copy(update={"name": "quick", "tags": []}))
        try:
            yield
        finally:
            client.delete_automation(made)


def heartbeats(deployed: Deployed, run: UUID) -> list[Any]:
    """Return the heartbeats that the server has of a run, as events."""
    from prefect.events.filters import EventFilter

    wanted = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run}"]},
    }
    with deployed.client() as client:
        return list(client.read_events(EventFilter.model_validate(wanted), limit=1).events)


def beat(deployed: Deployed, run: UUID, like: Any) -> None:
    """Give one heartbeat for a run, like that of a real one; a dead process gives none itself."""
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": like.event,
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "related": [dict(one) for one in like.model_dump(mode="json")["related"]],
        "payload": {},
    }
    with deployed.client() as client:
        client._client.post("/events", json=[event]).raise_for_status()


def taken_slots(deployed: Deployed, flow: str) -> int:
    """Return how many runs of a deployment hold a slot of its limit."""
    with deployed.client() as client:
        deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        return int(deployment.global_concurrency_limit.active_slots)


# --- deadlines and alerts -----------------------------------------------------------------------


def put(deployed: Deployed, flow: str, parameters: dict[str, Any], *states: Any) -> Any:
    """Put a run on the server that went through these states, without a worker."""
    from prefect.client.schemas.actions import DeploymentFlowRunCreate
    from prefect.states import Scheduled, to_state_create

    later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1))
    given = DeploymentFlowRunCreate(
        parameters=parameters, state=to_state_create(later), enforce_parameter_schema=False
    )
    with deployed.client() as client:
        deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        reply = client.request(
            "POST",
            "/deployments/{id}/create_flow_run",
            path_params={"id": deployment.id},
            json=given.model_dump(mode="json", exclude_unset=True),
        )
        run = UUID(reply.json()["id"])
        for state in states:
            client.set_flow_run_state(run, state, force=True)
        return client.read_flow_run(run)


def test_a_deadline_at_risk_is_told_once(deployed: Deployed, home: Path, sink: Sink) -> None:
    """While the night can still be in time nothing is said. When it can not, one alarm is raised:
    an event that reaches the webhook, an artifact, and the state of the supervision."""
    from prefect.states import Completed, Failed, Running

    now = datetime.now(UTC)
    deadline = (now + timedelta(minutes=10)).replace(microsecond=0)
    text = tiny.USE_CASE + f'deadline: {{at: "{deadline:%H:%M:%S}", timezone: UTC}}\n'
    for name in ("punctual", "decided"):
        homes.write_use_case(home, name, text)
    (home / "use_cases" / "broken.yaml").write_text("name: [")
    day = str(deadline.date())
    past = {"use_cases": ["punctual", "decided"], "as_of": "2024-03-04"}
    typical = put(deployed, "daily", past, Running(), Completed()).total_run_time
    put(deployed, "daily", past | {"as_of": day}, Running(), Failed(message="out of paper"))
    put(deployed, "training", {"use_case": "decided", "end": day}, Running(), Completed())
    (failed,) = until(lambda: sink.about("out of paper"))
    assert failed["event"] == "prefect.flow-run.Failed" and failed["url"].startswith("http")
    for _ in range(3):
        put(deployed, "supervision", {}, Running(), Failed(message="no ink"))
    (failing,) = until(lambda: sink.about("no ink"))
    assert failing["automation"] == "rancast: supervision keeps failing"

    in_time = deadline - typical - timedelta(seconds=90)
    assert supervise(deployed, home, in_time) == "Nothing to do."
    too_late = deadline - typical / 2
    said = supervise(deployed, home, too_late)
    assert said.startswith(f"punctual {day} will probably miss its deadline of ")
    assert supervise(deployed, home, too_late) == "Nothing to do."
    assert supervise(deployed, home, deadline + timedelta(hours=1)) == "Nothing to do."
    (alert,) = until(lambda: sink.about("punctual"))
    assert alert["event"] == "rancast.deadline.at-risk" and alert["sentence"] in said
    assert sink.got[0][1]["Authorization"] == "Bearer of the tests"
    with deployed.client() as client:
        assert said in str(artifact(client, "deadline-punctual"))


def test_a_schedule_that_is_paused_is_told_of_once_a_day(
    deployed: Deployed, tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped use case's deadline passes, and there is no run of daily at all: the webhook
    hears of it once, also hours later, and again at the next day's. One that had passed before
    supervision first saw it is nobody's."""
    home = tmp_path / "home"
    tiny.write_home(home)
    deadline = load_use_case(real.CHECKOUT, "network_degradation").deadline
    assert deadline is not None
    text = tiny.USE_CASE + f'deadline: {{at: "{deadline.at:%H:%M}", timezone: UTC}}\n'
    homes.write_use_case(home, "paused", text)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    passed = deadline.on(date(2025, 5, 4))
    told = []
    for hours in (1, 24.1, 30, 48.1):
        told.append(supervise(deployed, home, passed + timedelta(hours=hours)))
    days = [f"paused 2025-05-0{day} missed its deadline of 05:00 UTC: no run" for day in (5, 6)]
    assert [told[0], told[2]] == ["Nothing to do."] * 2
    assert told[1].startswith(days[0]) and told[3].startswith(days[1])
    alerts = until(lambda: len(found := sink.about("paused")) == 2 and found)
    assert [alert["event"] for alert in alerts] == ["rancast.deadline.missed"] * 2


def artifact(client: Any, key: str) -> Any:
    """Return the newest artifact under a key."""
    return client.request("GET", "/artifacts/{key}/latest", path_params={"key": key}).json()["data"]


def test_a_refused_partition_is_told_once(
    deployed: Deployed,
    tmp_path: Path,
    mlflow_template: Path,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The webhook hears of it when it is refused, not again when it is looked at, and again when
    other files are refused."""
    from flows.ingest import ingest

    home = tmp_path / "home"
    homes.write_home(home, mlflow_template)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    file = home / ".local/raw/kpis/year=2024/month=03/day=04/kpis.csv"
    usual = file.read_bytes()
    refusals = [usual.splitlines(keepends=True)[0], usual.replace(b"latency_ms", b"delay", 1)]
    for count, content in enumerate(refusals, start=1):
        file.write_bytes(content)
        for _ in range(2):
            with against(deployed.api_url, tmp_path / "results"):
                ingest("kpis", tiny.START + timedelta(days=3), AS_OF)
        until(lambda: len(sink.about("kpis 2024-03-04 was refused")) >= count)
    assert len(sink.about("refused")) == 2

"""A candidate waits for a person: asked in a suspended run, answered, superseded, expired."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from flows.daily import daily
from flows.ingest import ingest
from flows.promotion import promotion
from flows.training import training
from rancast.champions import Pointer
from rancast.settings import load_settings
from rancast.trainings import TrainingOutcome
from tasks.approvals import ALIVE, expire_questions
from tasks.clock import now
from tasks.registry import Registry
from tasks.runs import end_run, runs_of
from tasks.stores import open_ledger
from tests.faults import tiny
from tests.flows import homes
from tests.flows.conftest import AS_OF, against, flush, in_a_hurry
from tests.workers import Deployed, environment_of

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.xdist_group("other-worker")

NEXT = AS_OF + timedelta(days=1)
RIDGE = "  - {name: ridge, estimator: Ridge, impute: true}\n"
WEAK = 1


@pytest.fixture(scope="session")
def weak_champion(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Path, deployed: Deployed
) -> Path:
    """A home whose champion, version 1, any candidate beats, and where people decide; copy it."""
    folder = tmp_path_factory.mktemp("weak")
    home = folder / "home"
    homes.write_home(home, mlflow_template)
    tiny.write_day(home, AS_OF)
    path = home / "use_cases" / "tiny.yaml"
    usual = path.read_text()
    with (
        pytest.MonkeyPatch.context() as patch,
        against(deployed.api_url, folder / "results"),
        in_a_hurry(),
    ):
        patch.setenv("RANCAST_HOME", str(home))
        path.write_text(usual.replace(RIDGE, ""))
        weak = daily(["tiny"], AS_OF).trained[0]
        ingest("kpis", AS_OF, NEXT)
        promotion("tiny", weak.version, "to have one", declared_by="Ada")
        path.write_text(usual + "promotion: manual\n")
    assert weak.version == WEAK
    return home


@pytest.fixture()
def asking(
    weak_champion: Path,
    deployed: Deployed,
    tmp_path: Path,
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A home of the test's own where people decide; what runs here asks through the worker."""
    home = tmp_path / "home"
    homes.copy_home(weak_champion, home)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    # as if the training itself were a run of the deployment with this environment
    env = {"env": environment_of(home)}
    monkeypatch.setattr("tasks.runs._job_variables", lambda client: env)
    with against(deployed.api_url, storage), in_a_hurry():
        # one server is one installation, and so a question of an earlier test would count here
        for run in runs_of("promotion", ALIVE):
            end_run(run.id, "Cancelled", "left by another test")
        yield home


def known() -> Pointer:
    """Return what the ledger says."""
    pointer = open_ledger().pointer("tiny")
    assert pointer is not None
    return pointer


def train(end: date) -> TrainingOutcome:
    """Train in this process, and have Prefect know of it."""
    outcome = training("tiny", end)
    flush()
    return outcome


def questions(deployed: Deployed, home: Path) -> "list[FlowRun]":
    """Return the runs that were started to ask about a home's versions, the oldest first."""
    from prefect.client.schemas.filters import FlowFilter
    from prefect.client.schemas.sorting import FlowRunSort

    with deployed.client() as client:
        runs = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": ["promotion"]}}),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=200,
        )
    mine = [run for run in runs if (run.job_variables or {}).get("env") == environment_of(home)]
    return mine[::-1]


def answer(deployed: Deployed, run: UUID, **given: str) -> dict[str, Any]:
    """Answer the form as the UI does, once it is there; return what the server says."""
    deployed.wait_until_idle()
    with deployed.client() as client:
        reply = client.request(
            "POST", "/flow_runs/{id}/resume", path_params={"id": run}, json={"run_input": given}
        )
        said: dict[str, Any] = reply.json()
        return said


def retry(deployed: Deployed, run: UUID) -> None:
    """Press Retry, as the UI does."""
    from prefect.states import AwaitingRetry

    with deployed.client() as client:
        client.set_flow_run_state(run, AwaitingRetry(), force=True)


def form(deployed: Deployed, run: "FlowRun") -> tuple[str, dict[str, Any]]:
    """Return what the form says, and its schema."""
    assert run.state is not None and run.state.state_details.run_input_keyset is not None
    keys = run.state.state_details.run_input_keyset
    with deployed.client() as client:
        found = [
            client.request(
                "GET", "/flow_runs/{id}/input/{key}", path_params={"id": run.id, "key": keys[name]}
            ).json()
            for name in ("description", "schema")
        ]
    return found[0], found[1]


def test_a_night_asks_and_goes_on_and_an_approval_promotes(
    deployed: Deployed, asking: Path
) -> None:
    """A night through the worker keeps the champion and starts one question, which waits without a
    process; the form says what is decided; an answer without a name is refused; approved, the
    version is checked and champion, with the person's name and reason in the history. Where that
    fails, a retry goes on with the same answer."""
    night = deployed.run(
        "daily", {"use_cases": ["tiny"], "as_of": NEXT.isoformat()}, environment_of(asking)
    )
    deployed.wait(night)
    assert known().champion.version == WEAK
    (question,) = questions(deployed, asking)
    run = deployed.wait(question.id, ["Suspended"])
    assert run.name == question.name == "promotion tiny · version 2"
    deployed.wait_until_idle()

    text, schema = form(deployed, run)
    assert "Shall version 2 become champion of tiny?" in text and "mae" in text and "95 %" in text
    assert schema["properties"]["decision"]["enum"] == ["approve", "reject"]
    assert set(schema["required"]) == {"decision", "reason", "name"}
    refused = answer(deployed, run.id, decision="approve", reason="quieter", name=" ")
    assert refused["status"] == "REJECT"
    assert deployed.wait(run.id, ["Suspended"]).id == run.id

    model = homes.model_file(asking, 2)
    original = model.read_bytes()
    model.write_bytes(b"damaged")
    said = answer(deployed, run.id, decision="approve", reason="quieter", name="Grace")
    assert said["status"] == "ACCEPT"
    deployed.wait(run.id, ["Failed"])
    assert known().champion.version == WEAK
    model.write_bytes(original)
    retry(deployed, run.id)
    ended = deployed.wait(run.id, ["Promoted"])
    assert ended.state is not None and ended.state.message is not None
    assert "Version 2 of tiny (ridge) is champion, by Grace (as declared)" in ended.state.message
    entry = known().history[-1]
    assert (entry.kind, entry.by, entry.champion.version) == ("approval", "Grace", 2)
    assert entry.reasons[0] == "quieter" and len(entry.reasons) > 2
    assert Registry(load_settings().tracking).aliases("tiny") == {"champion": 2, "previous": WEAK}


def test_a_newer_candidate_takes_the_place_of_an_older_question_and_can_be_rejected(
    deployed: Deployed, asking: Path
) -> None:
    """Each version is asked about once, however often its training runs; the question about an
    older one is cancelled and names the newer; a rejection is kept with reason and name, and the
    version is not asked about again."""
    older = train(AS_OF)
    assert older.asked is not None and "A person is asked about version 2" in older.asked
    (first,) = questions(deployed, asking)
    deployed.wait(first.id, ["Suspended"])
    newer = train(NEXT)
    assert (older.version, newer.version, newer.champion) == (2, 3, WEAK)
    cancelled = deployed.wait(first.id, ["Cancelled"])
    assert cancelled.state is not None and "version 3 of tiny is newer" in str(
        cancelled.state.message
    )
    assert train(NEXT).asked == newer.asked
    assert "version 3 is newer, and is asked about in promotion tiny" in str(train(AS_OF).asked)
    assert [run.parameters["version"] for run in questions(deployed, asking)] == [2, 3]

    second = questions(deployed, asking)[-1]
    deployed.wait(second.id, ["Suspended"])
    answer(deployed, second.id, decision="reject", reason="too new", name="Grace")
    ended = deployed.wait(second.id, ["Rejected"])
    assert ended.state is not None and "rejected by Grace (as declared): too new" in str(
        ended.state.message
    )
    tags = Registry(load_settings().tracking).tags_of("tiny", 3)
    assert tags is not None and tags["rancast.approval"] == "rejected"
    assert tags["rancast.approval_reason"] == "too new"
    assert known().champion.version == WEAK and known().sequence == 1
    assert "Grace (as declared) rejected it (too new)" in str(train(NEXT).asked)
    assert f"{first.id} asked, and ended as Cancelled" in str(train(AS_OF).asked)
    assert len(questions(deployed, asking)) == 2


def test_an_answer_after_the_champion_changed_is_refused_and_decided_again(
    deployed: Deployed, asking: Path
) -> None:
    """Approved after somebody promoted another version, the candidate does not become champion: the
    run says why, and its training runs again and decides against the present champion."""
    train(AS_OF)
    (question,) = questions(deployed, asking)
    deployed.wait(question.id, ["Suspended"])
    path = asking / "use_cases" / "tiny.yaml"
    usual = path.read_text()
    path.write_text(usual.replace(RIDGE, ""))
    other = train(NEXT)
    path.write_text(usual)
    assert other.asked is None
    promotion("tiny", other.version, "a better name", declared_by="Ada")

    answer(deployed, question.id, decision="approve", reason="quieter", name="Grace")
    ended = deployed.wait(question.id, ["Refused"])
    message = str(ended.state and ended.state.message)
    assert "judged against another champion (version 1) than the present one (version 3)" in message
    again = deployed.wait(UUID(message.rpartition(": ")[2].rstrip(".")))
    assert again.parameters == {"use_case": "tiny", "end": AS_OF.isoformat()}
    assert known().champion.version == other.version and known().sequence == 2
    # which has been trained on days that the candidate was judged by, so that it is kept
    assert f"version {other.version} stays champion" in str(again.state and again.state.message)
    assert len(questions(deployed, asking)) == 1


def test_a_question_that_nobody_answers_expires(
    deployed: Deployed, asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its time a waiting question is cancelled, by what supervision calls, with the next step
    in its message; within its time it is left alone."""
    waiting = suspended(deployed, asking)
    assert waiting.name not in expire_questions.fn()
    assert deployed.wait(waiting.id, ["Suspended"]).id == waiting.id
    monkeypatch.setattr("rancast.approvals.ANSWER_WITHIN", timedelta(0))
    assert waiting.name in expire_questions.fn()
    ended = deployed.wait(waiting.id, ["Cancelled"])
    assert "with your name as declared_by" in str(ended.state and ended.state.message)


def suspended(deployed: Deployed, home: Path) -> "FlowRun":
    """Return a run of promotion that waits for an answer, as far as Prefect can see."""
    from prefect.states import Running, Scheduled, Suspended

    tomorrow = Scheduled(scheduled_time=now() + timedelta(days=1))
    parameters = {"use_case": "tiny", "version": 2, "reason": "every gate passed"}
    with deployed.client() as client:
        deployment = client.read_deployment_by_name("promotion/promotion")
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, state=tomorrow
        )
        for state in (Running(), Suspended()):
            client.set_flow_run_state(run.id, state, force=True)
    return deployed.wait(run.id, ["Suspended"])

"""What is asked of Prefect's API about deployments and flow runs: start, look at, end.

Prefect is the display and the scheduler, not the truth: nothing here says what was computed or who
is champion, which the ledger does.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentFlowRunCreate
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Scheduled, to_state_create

from rancast.documents import Document
from rancast.guidance import Part
from tasks.redaction import scrub

PAGE = 200
# of every deployment, and so of its runs, but not of their parts (deployments/prefect.yaml)
TAG = "rancast"


class Run(Document):
    """One flow run as Prefect shows it; `flow` is the name of its flow, times are UTC.

    `since` is when it got its present state, `run_time` how long it was running in all its tries,
    and `is_part` tells a subflow run, which is executed only with the run that it is a part of.
    `is_tagged` tells a run of one of our deployments: others on the server may have flows of the
    same name, and what a person runs in a shell has no deployment.
    """

    id: UUID
    flow: str
    name: str
    state: str
    state_type: str
    parameters: dict[str, Any]
    created: datetime
    scheduled: datetime | None
    started: datetime | None
    deployment_id: UUID | None
    since: datetime | None = None
    run_time: timedelta = timedelta(0)
    is_part: bool = False
    is_tagged: bool = False


def start_run(
    flow: str,
    parameters: dict[str, Any],
    *,
    idempotency_key: str,
    at: datetime | None = None,
    name: str | None = None,
) -> UUID | None:
    """Have a worker run the deployment `flow/flow`, now or at `at`; return the run's id.

    `name` is what the run is called until it starts and names itself.

    None where the server knows no such deployment, as with an embedded run. One run per key,
    however often it is asked for, and whatever became of it. The new run gets the job variables of
    the present one, so that an environment given to a run reaches what it starts.
    """
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        except ObjectNotFound:
            return None
        given = DeploymentFlowRunCreate(
            name=name,
            parameters=parameters,
            state=to_state_create(Scheduled(scheduled_time=at)),
            idempotency_key=idempotency_key,
            job_variables=_job_variables(client),
            # the form offers the use cases of the last `make deploy`; one added since runs too
            enforce_parameter_schema=False,
        )
        reply = client.request(
            "POST",
            "/deployments/{id}/create_flow_run",
            path_params={"id": deployment.id},
            json=given.model_dump(mode="json", exclude_unset=True),
        )
        return UUID(reply.json()["id"])


def runs_of(flow: str, states: Collection[str]) -> list[Run]:
    """Return our deployment's newest 200 runs in the named states, such as "Late", newest first.

    Who asks looks for something newer, or for questions that are open, of which there is one per
    use case: no older run could change the answer.
    """
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": [flow]}}),
            flow_run_filter=FlowRunFilter.model_validate(
                {"state": {"name": {"any_": sorted(states)}}, "tags": {"all_": [TAG]}}
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
        )
    return [_run(run, flow) for run in found]


def recent_runs(flow: str, since: datetime, until: datetime) -> list[Run]:
    """Return the runs of a flow that were or are due in a time, in any state, newest first.

    All of them: `supervision` alone has 288 a day, and the scheduler plans up to 100 ahead.
    """
    due = {"expected_start_time": {"after_": since, "before_": until}}
    with get_client(sync_client=True) as client:
        return _read_all(client, flow, due)


def busy_runs(flows: Collection[str]) -> list[Run]:
    """Return the runs of these flows that a process should be at work on, whosever they are."""
    busy = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    with get_client(sync_client=True) as client:
        return [run for flow in sorted(flows) for run in _read_all(client, flow, busy)]


def _read_all(client: SyncPrefectClient, flow: str, wanted: dict[str, Any]) -> list[Run]:
    """Return the runs of a flow that pass a filter, newest first, of which the API gives pages.

    A run that comes to be meanwhile can push another onto the next page, which is then read twice.
    """
    found: dict[UUID, Run] = {}
    for offset in count(step=PAGE):
        page = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": [flow]}}),
            flow_run_filter=FlowRunFilter.model_validate(wanted),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
            offset=offset,
        )
        found |= {run.id: _run(run, flow) for run in page}
        if len(page) < PAGE:
            break
    return list(found.values())


def is_ours(run: Run) -> bool:
    """Tell whether a run, or the topmost one that it is a part of, is of our deployments."""
    if not run.is_part:
        return run.is_tagged
    with get_client(sync_client=True) as client:
        top = client.read_flow_run(run.id)
        while top.parent_task_run_id is not None:
            above = client.read_task_run(top.parent_task_run_id).flow_run_id
            if above is None:
                return False
            top = client.read_flow_run(above)
        return TAG in top.tags


def last_heartbeat(run_id: UUID, since: datetime) -> datetime | None:
    """Return when a run gave its last heartbeat after `since`, None where it gave none."""
    wanted = EventFilter.model_validate(
        {
            "occurred": {"since": since},
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run_id}"]},
        }
    )
    with get_client(sync_client=True) as client:
        found = client.read_events(wanted, limit=1).events
    return found[0].occurred if found else None


def end_run(run_id: UUID, state: Literal["Cancelled", "Crashed"], message: str) -> None:
    """Move a run to a terminal state with a message that says why; no worker is asked."""
    kind = StateType.CANCELLED if state == "Cancelled" else StateType.CRASHED
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, State(type=kind, message=scrub(message)), force=True)


def run_later(run_id: UUID, at: datetime, message: str) -> None:
    """Have a run that is executing now executed once more at `at`; its message says why."""
    state: State[None] = Scheduled(scheduled_time=at, name="Waiting", message=scrub(message))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, state, force=True)


def present_run() -> Run | None:
    """Return the flow run that this code executes in, None outside of one."""
    if flow_run.id is None:
        return None
    return read_run(UUID(flow_run.id), flow_run.flow_name or "")


def read_run(run_id: UUID, flow: str) -> Run:
    """Return a run of a flow as Prefect shows it now."""
    with get_client(sync_client=True) as client:
        return _run(client.read_flow_run(run_id), flow)


def top_flow() -> str:
    """Return the name of the flow that the present run belongs to: its own, or of the one on top.

    "" outside of a run.
    """
    top = flow_run.root_flow_run_id
    if top is None or str(top) == flow_run.id:
        return flow_run.flow_name or ""
    with get_client(sync_client=True) as client:
        return client.read_flow(client.read_flow_run(UUID(str(top))).flow_id).name


def name_of(run_id: UUID) -> tuple[str, bool]:
    """Return what a flow run is called, and whether it is a part of another."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
    return run.name, run.parent_task_run_id is not None


def parts_of(run_id: UUID) -> tuple[Part, ...]:
    """Return the subflow runs of a flow run in the order of their start, and what they say."""
    wanted = FlowRunFilter.model_validate({"parent_flow_run_id": {"any_": [run_id]}})
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC, limit=PAGE
        )
    return tuple(
        Part(
            id=str(run.id),
            name=run.name,
            state=run.state_name or "",
            message=(run.state.message if run.state else None) or "",
        )
        for run in found
    )


def _run(run: FlowRun, flow: str) -> Run:
    return Run(
        id=run.id,
        flow=flow,
        name=run.name,
        state=run.state_name or "",
        state_type=run.state_type.value if run.state_type else "",
        parameters=run.parameters,
        created=run.created or datetime.now(UTC),
        scheduled=run.expected_start_time,
        started=run.start_time,
        deployment_id=run.deployment_id,
        since=run.state.timestamp if run.state else None,
        run_time=run.total_run_time,
        is_part=run.parent_task_run_id is not None,
        is_tagged=TAG in run.tags,
    )


def _job_variables(client: SyncPrefectClient) -> dict[str, Any] | None:
    """Return the job variables of the present run, or of the run that it is a part of."""
    if flow_run.id is None:
        return None
    top = flow_run.root_flow_run_id or flow_run.id
    return client.read_flow_run(UUID(str(top))).job_variables

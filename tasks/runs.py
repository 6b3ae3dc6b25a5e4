"""What is asked of Prefect's API about deployments and flow runs: start, look at, end.

Prefect is the display and the scheduler, not the truth: nothing here says what was computed or who
is champion, which the ledger does.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Scheduled

from rancast.documents import Document

PAGE = 200


class Run(Document):
    """One flow run as Prefect shows it; `flow` is the name of its flow, times are UTC."""

    id: UUID
    flow: str
    name: str
    state: str
    state_type: str
    parameters: dict[str, Any]
    scheduled: datetime | None
    started: datetime | None
    deployment_id: UUID | None


def start_run(
    flow: str, parameters: dict[str, Any], *, idempotency_key: str, at: datetime | None = None
) -> UUID | None:
    """Have a worker run the deployment `flow/flow`, now or at `at`; return the run's id.

    None where the server knows no such deployment, as with an embedded run. One run per key,
    however often it is asked for. The new run gets the job variables of the present one, so that
    an environment given to a run reaches what it starts.
    """
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{flow}/{flow}")
        except ObjectNotFound:
            return None
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters=parameters,
            state=None if at is None else Scheduled(scheduled_time=at),
            idempotency_key=idempotency_key,
            job_variables=_job_variables(client),
        )
        return run.id


def runs_of(flow: str, states: Collection[str]) -> list[Run]:
    """Return the newest runs of a flow in the named states, such as "Late", newest first.

    Subflow runs are runs of their flow, too.
    """
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter.model_validate({"name": {"any_": [flow]}}),
            flow_run_filter=FlowRunFilter.model_validate(
                {"state": {"name": {"any_": sorted(states)}}}
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
        )
    return [_run(run, flow) for run in found]


def end_run(run_id: UUID, state: Literal["Cancelled", "Crashed"], message: str) -> None:
    """Move a run to a terminal state with a message that says why; no worker is asked."""
    kind = StateType.CANCELLED if state == "Cancelled" else StateType.CRASHED
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, State(type=kind, message=message), force=True)


def run_later(run_id: UUID, at: datetime, message: str) -> None:
    """Have a run that is executing now executed once more at `at`; its message says why."""
    state: State[None] = Scheduled(scheduled_time=at, name="Waiting", message=message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, state, force=True)


def present_run() -> Run | None:
    """Return the flow run that this code executes in, None outside of one."""
    if flow_run.id is None:
        return None
    with get_client(sync_client=True) as client:
        return _run(client.read_flow_run(UUID(flow_run.id)), flow_run.flow_name or "")


def _run(run: FlowRun, flow: str) -> Run:
    return Run(
        id=run.id,
        flow=flow,
        name=run.name,
        state=run.state_name or "",
        state_type=run.state_type.value if run.state_type else "",
        parameters=run.parameters,
        scheduled=run.expected_start_time,
        started=run.start_time,
        deployment_id=run.deployment_id,
    )


def _job_variables(client: SyncPrefectClient) -> dict[str, Any] | None:
    """Return the job variables of the present run, or of the run that it is a part of."""
    if flow_run.id is None:
        return None
    top = flow_run.root_flow_run_id or flow_run.id
    return client.read_flow_run(UUID(str(top))).job_variables

"""The deployments that prefect.yaml declares, put on a Prefect server; what is so already stays."""

import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import Field, model_validator

from deployments.schedules import Schedule, placed, refuse_other_than_nightly
from rancast.datasets import known_datasets
from rancast.documents import Document
from rancast.errors import ConfigurationError, RancastError
from rancast.settings import find_home, load_settings

FILE = Path(__file__).parent / "prefect.yaml"
NIGHTLY = "daily"
# as Prefect writes a variable of the environment in this file
VARIABLE = re.compile(r"\{\{ *\$(\w+) *\}\}")


class Limit(Document):
    """`concurrency_limit`: runs of the deployment at once, and what becomes of one too many."""

    limit: int
    collision_strategy: str


class Pool(Document):
    """`work_pool` of a deployment."""

    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Declared(Document):
    """One deployment of the file; keys of Prefect's that are not here are refused."""

    name: str
    entrypoint: str
    tags: list[str]
    work_pool: Pool
    schedules: list[Schedule] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    concurrency_limit: Limit | None = None
    description: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the deployment as the API takes it; imports the flow.

        Raises ConfigurationError where the entrypoint does not import, which Prefect by itself
        hides behind a placeholder.
        """
        try:
            flow = load_flow_from_entrypoint(self.entrypoint, use_placeholder_flow=False)
        except Exception as error:
            raise ConfigurationError(
                f"The entrypoint {self.entrypoint} of {FILE.name} does not import: {error}"
            ) from error
        limit = self.concurrency_limit
        options = limit and ConcurrencyOptions.model_validate(
            {"collision_strategy": limit.collision_strategy}
        )
        return {
            "version": version("rancast"),
            "description": self.description or flow.description,
            "tags": self.tags,
            "parameters": self.parameters,
            "entrypoint": self.entrypoint,
            "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
            "enforce_parameter_schema": True,
            "pull_steps": [],
            "work_pool_name": self.work_pool.name,
            "work_queue_name": self.work_pool.work_queue_name,
            "job_variables": self.work_pool.job_variables,
            "concurrency_limit": limit and limit.limit,
            "concurrency_options": options,
        }


class DeclaredFile(Document):
    """The whole file; that nothing is pulled is part of its meaning."""

    name: str
    pull: list[Any]
    deployments: tuple[Declared, ...]

    @model_validator(mode="after")
    def _pulls_nothing(self) -> "DeclaredFile":
        if self.pull:
            raise ValueError("pull must be []: the code is installed where the worker runs")
        return self


def read_declared(
    timezone: str = "UTC", work_pool: str = "rancast", home: Path | None = None
) -> tuple[Declared, ...]:
    """Read the file with the operator's time zone, the work pool and the datasets in their places.

    The datasets are those of `home`, by default the present one. Raises ConfigurationError for a
    key, cron line or time zone that cannot be, and for nights that are not one per UTC date.
    """
    known = {"RANCAST_TIMEZONE": timezone, "RANCAST_WORK_POOL": work_pool}
    datasets, now = known_datasets(home or find_home()), datetime.now(UTC)
    try:
        filled = VARIABLE.sub(lambda found: known[found[1]], FILE.read_text())
        declared = DeclaredFile.model_validate(yaml.safe_load(filled)).deployments
        return tuple(_placed(one, timezone, datasets, now) for one in declared)
    except KeyError as error:
        raise ConfigurationError(f"{FILE} asks for {error}; it knows {', '.join(known)}.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{FILE} with {known} cannot be used: {error}") from None


def _placed(declared: Declared, timezone: str, datasets: list[str], now: datetime) -> Declared:
    schedules = placed(declared.schedules, timezone, datasets, now)
    if declared.name == NIGHTLY:
        refuse_other_than_nightly(schedules, now)
    return declared.model_copy(update={"schedules": schedules})


def as_file(declared: tuple[Declared, ...]) -> str:
    """Return the deployments as a file for `prefect deploy --all --prefect-file`."""
    whole = DeclaredFile(name="rancast", pull=[], deployments=declared)
    return yaml.safe_dump(whole.model_dump(mode="json", exclude_none=True), sort_keys=False)


def apply(
    client: SyncPrefectClient, deployment: Declared, is_active: bool = True
) -> tuple[UUID, bool]:
    """Have the deployment as declared; return its id, and whether anything changed.

    `is_active` is for schedules that are new: one that somebody paused stays paused.
    """
    fields = deployment.fields()
    flow = deployment.name
    try:
        found = client.read_deployment_by_name(f"{flow}/{deployment.name}")
    except ObjectNotFound:
        schedules = [one.as_created(is_active) for one in deployment.schedules]
        flow_id = client.create_flow_from_name(flow)
        created = client.create_deployment(
            flow_id=flow_id, name=deployment.name, schedules=schedules, **fields
        )
        return created, True
    changes = _changes(found, fields)
    if _schedules_differ(found, deployment):
        known = {one.slug for one in found.schedules}
        changes["schedules"] = [
            one.as_updated() if one.slug in known else _as_new(one, is_active)
            for one in deployment.schedules
        ]
        _remove_schedules(client, found, deployment)
    if changes:
        client.update_deployment(found.id, DeploymentUpdate(**changes))
    return found.id, bool(changes)


def _as_new(schedule: Schedule, is_active: bool) -> DeploymentScheduleUpdate:
    return DeploymentScheduleUpdate(**schedule.as_created(is_active).model_dump(exclude_unset=True))


def _changes(found: DeploymentResponse, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields whose value on the server is another one."""
    # a limit is taken as a number, and returned as an object of its own
    limit = found.global_concurrency_limit
    known = {"concurrency_limit": limit and limit.limit}
    known |= {name: getattr(found, name) for name in fields if name not in known}
    changes = {name: value for name, value in fields.items() if known[name] != value}
    if "work_queue_name" in changes or "work_pool_name" in changes:
        # each is looked up in the other
        changes["work_pool_name"] = fields["work_pool_name"]
        changes["work_queue_name"] = fields["work_queue_name"]
    return changes


def _schedules_differ(found: DeploymentResponse, deployment: Declared) -> bool:
    known = {one.slug: (one.schedule, one.parameters) for one in found.schedules if one.slug}
    wanted = {
        one.slug: (one.schedule, one.parameters)
        for one in (schedule.as_updated() for schedule in deployment.schedules)
    }
    return known != wanted


def _remove_schedules(
    client: SyncPrefectClient, found: DeploymentResponse, deployment: Declared
) -> None:
    """Remove what the file no longer has; Prefect's update adds and changes, and removes none."""
    wanted = {schedule.slug for schedule in deployment.schedules}
    for schedule in found.schedules:
        if schedule.slug and schedule.slug not in wanted:
            client.delete_deployment_schedule(found.id, schedule.id)


def main() -> int:
    """Print the file as `make deploy` reads it; the exit code tells whether it can be."""
    try:
        settings = load_settings()
        found = read_declared(settings.timezone, settings.work_pool, settings.home)
    except RancastError as error:
        print(error, file=sys.stderr)
        return 1
    print(as_file(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

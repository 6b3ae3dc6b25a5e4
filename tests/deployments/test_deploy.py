"""make deploy: it applies what its files declare, and a second time it changes nothing."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.schedules import construct_schedule
from prefect.client.schemas.sorting import AutomationSort, DeploymentSort
from prefect.events.schemas.automations import AutomationCore
from prefect.workers.base import BaseJobConfiguration

from deployments import automations, declared, pools, stack
from deployments.deploy import deploy as deploy_all
from deployments.deploy import main
from deployments.pools import BACKFILL
from rancast.datasets import known_datasets
from flows.supervision import FLOWS
from rancast.settings import find_home
from rancast.use_cases import known_use_cases
from tasks.runs import TAG
from tests import servers as real
from tests.stack import compose
from tests.workers import Deployed

pytestmark = pytest.mark.xdist_group("other-worker")


@pytest.fixture
def deploy(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[str]]]:
    """Do what `make deploy` does on the server of the tests; a call returns what it changed."""
    monkeypatch.setenv("PREFECT_API_URL", deployed.api_url)
    monkeypatch.setenv("RANCAST_HOME", str(deployed.home))
    monkeypatch.setenv("RANCAST_ALERT_URL", "http://127.0.0.1:9/alert")
    monkeypatch.setenv("RANCAST_ALERT_AUTHORIZATION", "Bearer of the tests")
    with deployed.client():
        yield lambda: list(deploy_all())


def everything(deployed: Deployed) -> dict[str, Any]:
    """Return what the API says of all that is deployed, ids and times of the last change included.

    What a worker changes by polling is left out.
    """
    with deployed.client() as client:
        pools = client.read_work_pools(limit=50)
        queues = [
            client.read_work_queue_by_name(name, pool.name)
            for pool in pools
            for name in ("default", BACKFILL.name)
        ]
        found = {
            "deployments": client.read_deployments(limit=50, sort=DeploymentSort.NAME_ASC),
            "pools": pools,
            "queues": queues,
            "automations": client.read_automations(limit=50, sort=AutomationSort.NAME_ASC),
            "blocks": client.read_block_documents(offset=0, limit=50, include_secrets=True),
        }
    polled = {"last_polled", "status"}
    left_out = {"pools": polled | {"updated"}, "queues": polled | {"updated"}}
    return {
        kind: [one.model_dump(mode="json", exclude=left_out.get(kind, polled)) for one in items]
        for kind, items in found.items()
    }


def test_a_second_deploy_changes_nothing(
    deployed: Deployed, deploy: Callable[[], list[str]]
) -> None:
    """The API returns the same before and after it, to the times of the last change."""
    deploy()
    before = everything(deployed)
    assert deploy() == []
    assert everything(deployed) == before
    assert len(before["deployments"]) == len(declared.read_declared())
    assert {pool["name"] for pool in before["pools"]} == {"rancast", "rancast-docker"}
    assert len(before["automations"]) == len(automations.read_file().automations)


def test_it_is_what_prefect_deploy_makes_of_the_file(deployed: Deployed, tmp_path: Path) -> None:
    """`prefect deploy --all` on the file with everything in its place finds nothing else to say
    about any deployment."""
    before = everything(deployed)["deployments"]
    settings = {"PREFECT_API_URL": deployed.api_url, "RANCAST_HOME": str(deployed.home)}
    file = tmp_path / "prefect.yaml"
    file.write_text(declared.as_file(declared.read_declared(home=deployed.home)))
    command = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=real.minimal_environment(deployed.servers.folder) | settings,
        cwd=deployed.servers.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = everything(deployed)["deployments"]
    assert [_said(one) for one in after] == [_said(one) for one in before]


def _said(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return a deployment without its times, and its version, which Prefect takes from git."""
    schedules = [
        {name: value for name, value in one.items() if name != "updated"}
        for one in deployment["schedules"]
    ]
    left_out = ("updated", "version", "version_id", "version_info", "labels")
    kept = {name: value for name, value in deployment.items() if name not in left_out}
    return kept | {"schedules": schedules}


def test_what_was_changed_by_hand_is_put_right_but_a_pause_stays(
    deployed: Deployed, deploy: Callable[[], list[str]]
) -> None:
    """A description and a limit come back, and the parameters of a schedule that Prefect forgot as
    somebody paused it; a schedule and an automation that are off stay off."""
    deploy()
    with deployed.client() as client:
        before = client.read_deployment_by_name("ingest/ingest")
        change = DeploymentUpdate(description="mine", concurrency_limit=7)
        client.update_deployment(before.id, change)
        schedule = next(one for one in before.schedules if one.slug == "network-performance")
        client.update_deployment_schedule(before.id, schedule.id, active=False)
        (refused,) = client.read_automations_by_name("rancast: a partition was refused")
        switch(client, refused.id, False)
        assert deploy() == ["deployment ingest"]
        after = client.read_deployment_by_name("ingest/ingest")
        (still,) = client.read_automations_by_name("rancast: a partition was refused")
        client.update_deployment_schedule(
            before.id, schedule.id, active=True, parameters=schedule.parameters
        )
        switch(client, refused.id, True)
    assert after.description == before.description
    datasets = known_datasets(deployed.home)
    assert {one.slug: (one.parameters, one.active) for one in after.schedules} == {
        name.replace("_", "-"): ({"dataset": name}, name != "network_performance")
        for name in datasets
    }
    assert after.global_concurrency_limit.limit == 1
    assert not still.enabled


def switch(client: Any, automation: UUID, is_on: bool) -> None:
    """Switch an automation on or off, as the toggle in the UI does."""
    place = {"path_params": {"id": automation}, "json": {"enabled": is_on}}
    client.request("PATCH", "/automations/{id}", **place)


def test_what_left_the_files_leaves_the_server(
    deployed: Deployed, deploy: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule and an automation that are no longer declared are removed; others stay."""
    deploy()
    with deployed.client() as client:
        before = client.read_deployment_by_name("ingest/ingest")
        extra = DeploymentScheduleCreate(
            schedule=construct_schedule(cron="0 0 1 1 *"), slug="of-last-year", active=False
        )
        client.create_deployment_schedules(before.id, [extra])
        (refused,) = client.read_automations_by_name("rancast: a partition was refused")
        known = refused.model_dump(exclude={"id"})
        for changes in ({"name": "rancast: of last year"}, {"name": "of others", "tags": []}):
            client.create_automation(AutomationCore.model_validate(known | changes))
        assert deploy() == ["deployment ingest", "automation 'rancast: of last year' removed"]
        after = client.read_deployment_by_name("ingest/ingest").schedules
        assert len(after) == len(known_datasets(deployed.home))
        (others,) = client.read_automations_by_name("of others")
        client.delete_automation(others.id)


def test_schedules_follow_the_operators_clock(
    deployed: Deployed, deploy: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With RANCAST_TIMEZONE the server has every cron line in that zone, `daily` at the hour that
    02:00 UTC is there, and `ingest` in turn for each dataset; without, in UTC again."""
    lines = {"Asia/Kolkata": ("30 7 * * *", "40 1,10,13,16,19,22 * * *")}
    lines["UTC"] = ("0 2 * * *", "10 5-20/3 * * *")
    for zone, (nightly, first) in lines.items():
        monkeypatch.setenv("RANCAST_TIMEZONE", zone)
        deploy()
        with deployed.client() as client:
            found = {
                (one.name, schedule.slug): schedule
                for one in client.read_deployments(limit=50)
                for schedule in one.schedules
            }
        assert {one.schedule.timezone for one in found.values()} == {zone}
        crons = {place: one.schedule.cron for place, one in found.items()}
        assert crons["daily", "nightly"] == nightly and found["daily", "nightly"].active
        assert crons["ingest", "call-detail-records"] == first
        assert crons["supervision", "five-minutes"] == "*/5 * * * *"
        assert len(found) == 2 + len(known_datasets(deployed.home))


def test_a_new_schedule_is_off_where_nothing_is_scheduled(
    deployed: Deployed, deploy: Callable[[], list[str]]
) -> None:
    """The embedded server gets schedules to look at, also those of a newer version."""
    deploy()
    (wanted,) = (one for one in declared.read_declared() if one.name == "daily")
    with deployed.client() as client:
        before = client.read_deployment_by_name("daily/daily")
        client.delete_deployment_schedule(before.id, before.schedules[0].id)
        assert declared.apply(client, wanted, is_active=False) == (before.id, True)
        (schedule,) = client.read_deployment_by_name("daily/daily").schedules
        assert (schedule.slug, schedule.active) == ("nightly", False)
        client.update_deployment_schedule(before.id, schedule.id, active=True)


def test_it_refuses_without_a_server(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """With PREFECT_API_URL unset there is nowhere to deploy to, and it says what to set."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert main() == 1
    assert "PREFECT_API_URL is unset, so there is no server to deploy to" in capsys.readouterr().err


@pytest.mark.parametrize("deployment", declared.read_declared(), ids=lambda one: one.name)
def test_every_entrypoint_imports(deployment: declared.Declared) -> None:
    """An entrypoint that fails to import is not hidden behind Prefect's placeholder, and each
    deployment is named as its flow and has a description, a form and the tag that says it is ours.
    """
    fields = deployment.fields()
    assert deployment.entrypoint == f"flows.{deployment.name}.{deployment.name}"
    assert fields["description"] and TAG in fields["tags"]
    for field in fields["parameter_openapi_schema"]["properties"].values():
        assert field.get("description"), field


def test_forms_offer_dates_as_dates_and_names_as_a_choice() -> None:
    """An operator picks days from a calendar, and use cases and datasets from a list."""
    forms = {
        one.name: one.fields()["parameter_openapi_schema"]["properties"]
        for one in declared.read_declared()
    }
    use_cases, datasets = known_use_cases(find_home()), known_datasets(find_home())
    for flow, name in (("daily", "as_of"), ("ingest", "start"), ("ingest", "end")):
        assert {"type": "string", "format": "date"} in forms[flow][name]["anyOf"]
    assert forms["backfill"]["start"]["format"] == "date"
    assert forms["training"]["use_case"]["enum"] == use_cases
    assert forms["rollback"]["use_case"]["enum"] == use_cases
    assert forms["daily"]["use_cases"]["anyOf"][0]["items"]["enum"] == use_cases
    assert forms["ingest"]["dataset"]["enum"] == datasets


def test_templates_hold_the_settings_that_runs_need() -> None:
    """A worker that lacks rancast's defaults for Prefect gives them to its runs nevertheless."""
    from tasks.environment import DEFAULTS

    for kind in ("process", "docker"):
        given = pools.base_template(kind)["variables"]["properties"]["env"]["default"]
        for name, value in DEFAULTS.items():
            is_of_a_run = not name.startswith(("PREFECT_SERVER_", "OMP_", "MLFLOW_HTTP_"))
            if is_of_a_run:
                assert given[name] == value, name


def test_a_run_has_the_same_settings_in_both_pools(tmp_path: Path) -> None:
    """What the stack's worker has for its processes reaches containers, too: the block of results
    and the certificates of Dask among it. What it has for itself alone does not count."""
    secrets = tmp_path / ".env"
    names = stack.missing(tmp_path / ".env")
    secrets.write_text("\n".join(f"{name}={stack.new_value(name)}" for name in names))
    worker = dict(compose.read(secrets)["worker"]["environment"])
    done = subprocess.run(
        [sys.executable, "-c", SHOW_ENVIRONMENTS],
        env=real.minimal_environment(tmp_path) | worker | {"PREFECT_HOME": str(tmp_path)},
        cwd=real.CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    own = {name for name in worker if name.startswith("PREFECT_WORKER_")} | {"PREFECT_HOME"}
    # a switch reads "true" or "True", as Prefect copies it
    wanted = {name: value.lower() for name, value in worker.items() if name not in own}
    for given in json.loads(done.stdout.splitlines()[-1]):
        assert {name: str(given.get(name)).lower() for name in wanted} == wanted
    assert "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK" in wanted
    assert {name for name in wanted if name.startswith("DASK_")} <= set(pools.TAKEN)
    explained = re.findall(
        r"^# (DASK_\w+|RANCAST_\w+|MLFLOW_\w+|AZURE_\w+)=", EXAMPLE, re.MULTILINE
    )
    of_deploy = {"RANCAST_TIMEZONE", "RANCAST_WORK_POOL", "RANCAST_ALERT_URL", "RANCAST_HOME"}
    of_deploy |= {"RANCAST_ALERT_AUTHORIZATION", "RANCAST_RESULTS_URL"}
    of_deploy |= {"RANCAST_RESULTS_CONNECTION_STRING"}
    assert set(explained) - of_deploy <= set(pools.TAKEN)


EXAMPLE = (real.CHECKOUT / ".env.example").read_text()
SHOW_ENVIRONMENTS = """
import asyncio, json, uuid
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration
from prefect_docker.worker import DockerWorkerJobConfiguration
from deployments.pools import base_template
run = FlowRun(flow_id=uuid.uuid4(), name="a run")
found = []
for kind, made in (("process", ProcessJobConfiguration), ("docker", DockerWorkerJobConfiguration)):
    config = asyncio.run(made.from_template_and_values(base_template(kind), {}))
    config.prepare_for_flow_run(run)
    found.append(config.env)
print(json.dumps(found))
"""


def test_a_container_gets_what_its_worker_has(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Docker pool copies settings from the worker's environment when it starts a run, so that
    Prefect's database has none of them; what the worker lacks arrives empty."""
    monkeypatch.setenv("RANCAST_LAKE_URL", "https://account.blob.core.windows.net/lake")
    monkeypatch.setenv("RANCAST_PSEUDONYM_KEY", "a key of the tests")
    with deployed.client() as client:
        template = client.read_work_pool("rancast-docker").base_job_template
        config = asyncio.run(
            BaseJobConfiguration.from_template_and_values(
                template, {"env": {"RANCAST_WORKERS": "1"}}
            )
        )
    assert config.env["RANCAST_LAKE_URL"] == "https://account.blob.core.windows.net/lake"
    assert config.env["RANCAST_PSEUDONYM_KEY"] == "a key of the tests"
    assert (config.env["RANCAST_RAW_URL"], config.env["RANCAST_WORKERS"]) == ("", "1")
    assert "a key of the tests" not in json.dumps(template)


def test_supervision_knows_every_flow() -> None:
    """The runs of each deployment are looked after."""
    assert set(FLOWS) == {one.name for one in declared.read_declared()}


def test_events_of_automations_are_those_that_are_emitted() -> None:
    """The file listens to the names under which tasks/events.py tells."""
    from tasks import events

    listened = {
        name for one in automations.read_file().automations for name in one.trigger["expect"]
    }
    told = {events.PARTITION_REFUSED, events.DEADLINE_AT_RISK, events.DEADLINE_MISSED}
    assert told | {events.DRIFT_DETECTED} == {n for n in listened if n.startswith("rancast.")}


def test_nobody_tells_of_drift_yet_and_its_automation_only_would_alert() -> None:
    """Until `monitoring` comes, the automation waits for an event that no module emits, docs say
    so, and all that it could do is call the webhook."""
    from tasks import events

    (drift,) = (one for one in automations.read_file().automations if "drift" in one.name)
    assert drift.trigger["expect"] == [events.DRIFT_DETECTED] and drift.actions == ["alert"]
    modules = [
        path
        for folder in ("flows", "tasks", "rancast")
        for path in (real.CHECKOUT / folder).glob("*.py")
        if "DRIFT_DETECTED" in path.read_text() or events.DRIFT_DETECTED in path.read_text()
    ]
    assert [path.name for path in modules] == ["events.py"]
    assert "**Nothing looks for drift" in (real.CHECKOUT / "docs" / "operations.md").read_text()

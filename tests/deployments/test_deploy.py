"""make deploy: it applies what its files declare, and a second time it changes nothing."""

import pytest
from prefect.client.schemas.sorting import DeploymentSort

from tests.workers import Deployed

pytestmark = pytest.mark.xdist_group("worker")
BY_NAME = DeploymentSort.NAME_ASC


def test_every_flow_is_deployed(deployed: Deployed) -> None:
    """Each deployment of prefect.yaml is on the server, named as its flow."""
    from deployments.declared import read_declared

    with deployed.client() as client:
        found = {one.name for one in client.read_deployments(limit=50, sort=BY_NAME)}
    assert found == {one.name for one in read_declared({})}

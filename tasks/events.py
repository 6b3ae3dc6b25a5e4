"""What rancast tells Prefect's event log, so that automations can act on it; each fact once.

The automations that listen are in deployments/automations.yaml.
"""

from typing import Any

from prefect.client.orchestration import get_client
from prefect.events.schemas.events import Event
from prefect.runtime import flow_run

from rancast.documents import digest
from rancast.manifests import PartitionFacts
from rancast.windows import Ingested
from tasks.redaction import scrub
from tasks.retrying import retried_task
from tasks.stores import open_ledger

PARTITION_REFUSED = "rancast.partition.refused"
DEADLINE_AT_RISK = "rancast.deadline.at-risk"
DEADLINE_MISSED = "rancast.deadline.missed"
# of `monitoring`, which comes later; automations.yaml knows it already
DRIFT_DETECTED = "rancast.drift.detected"


def announce(event: str, about: str, sentence: str, once: str, payload: dict[str, Any]) -> bool:
    """Emit an event about a thing unless `once` was announced before; tell whether it was now.

    `about` names the thing as in "deadline.churn_risk", `once` the fact. That it was told is
    pinned in the ledger once the server has taken it: killed in between, it is told twice rather
    than never. A server that takes it and dies within the seconds until it has written it loses it.
    """
    ledger, name = open_ledger(), f"announced/{once}"
    if ledger.pinned(name) is not None:
        return False
    told = {
        "event": event,
        "resource": _resource(f"rancast.{about}", about),
        "related": _present_run(),
        "payload": {"sentence": scrub(sentence), **payload},
    }
    _send(Event.model_validate(told))
    ledger.pin(name, {"event": event, "sentence": sentence})
    return True


def _send(event: Event) -> None:
    """Have the server take an event; Prefect's own `emit_event` only queues it in this process."""
    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")])


def _present_run() -> list[dict[str, str]]:
    if flow_run.id is None:
        return []
    run = _resource(f"prefect.flow-run.{flow_run.id}", flow_run.name or "")
    return [run | {"prefect.resource.role": "flow-run"}]


def _resource(identity: str, name: str) -> dict[str, str]:
    return {"prefect.resource.id": identity, "prefect.resource.name": name}


@retried_task("announce refused")
def announce_refused(ingested: Ingested) -> None:
    """Tell of each partition that was refused, once for the content that was refused."""
    for facts in ingested.partitions:
        if facts.is_refused:
            _announce_refused(facts)


def _announce_refused(facts: PartitionFacts) -> None:
    content = digest([source.sha256 for source in facts.sources])[:16]
    day = facts.date.isoformat()
    announce(
        PARTITION_REFUSED,
        f"partition.{facts.dataset}",
        f"{facts.dataset} {day} was refused. {' '.join(facts.reasons)} "
        "See docs/operations.md#a-refused-partition.",
        f"refused/{facts.dataset}/{day}-{content}",
        {"dataset": facts.dataset, "day": day},
    )

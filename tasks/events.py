"""What rancast tells Prefect's event log, so that automations can act on it; each fact once.

The automations that listen are in deployments/automations.yaml.
"""

from typing import Any

from prefect.events import emit_event

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
    pinned in the ledger afterwards: killed in between, it is told twice rather than never.
    """
    ledger, name = open_ledger(), f"announced/{once}"
    if ledger.pinned(name) is not None:
        return False
    emit_event(
        event,
        resource={"prefect.resource.id": f"rancast.{about}", "prefect.resource.name": about},
        payload={"sentence": scrub(sentence), **payload},
    )
    ledger.pin(name, {"event": event, "sentence": sentence})
    return True


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

"""Automations that automations.yaml declares, and the webhook's block; what is so already stays."""

from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.sorting import AutomationSort
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import Field, SecretStr

from rancast.documents import Document
from rancast.errors import ConfigurationError
from rancast.settings import Settings

FILE = Path(__file__).parent / "automations.yaml"
TAG = "rancast"


class Alert(Document):
    """`webhook`: the block that has its address, and the template of what is sent."""

    block: str
    body: str


class Declared(Document):
    """One automation; `alert` among its actions stands for the webhook."""

    name: str
    description: str
    trigger: dict[str, Any]
    actions: list[Literal["alert"] | dict[str, Any]] = Field(min_length=1)

    def core(self, alert: Alert, block_id: UUID | None) -> AutomationCore | None:
        """Return the automation as the API takes it; None where it lacks the webhook.

        Raises ConfigurationError for a trigger or an action that cannot be.
        """
        if "alert" in self.actions and block_id is None:
            return None
        call = {"type": "call-webhook", "block_document_id": block_id, "payload": alert.body}
        actions = [call if action == "alert" else action for action in self.actions]
        try:
            return AutomationCore.model_validate(
                {
                    "name": self.name,
                    "description": self.description,
                    "tags": [TAG],
                    "trigger": self.trigger,
                    "actions": actions,
                }
            )
        except ValueError as error:
            raise ConfigurationError(f"{self.name!r} of {FILE} cannot be used: {error}") from None


class DeclaredFile(Document):
    """The whole file."""

    webhook: Alert
    automations: tuple[Declared, ...]


def read_file() -> DeclaredFile:
    """Read the file; raises ConfigurationError for a key that is not known."""
    try:
        return DeclaredFile.model_validate(yaml.safe_load(FILE.read_text()))
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{FILE} cannot be used: {error}") from None


def ensure_automations(client: SyncPrefectClient, settings: Settings) -> list[str]:
    """Have the automations and the webhook's block as declared; return a line for each change."""
    file = read_file()
    block_id, is_changed = ensure_webhook(client, file.webhook.block, settings)
    done = [f"block {file.webhook.block}"] if is_changed else []
    found = {
        automation.name: automation
        for automation in client.read_automations(sort=AutomationSort.NAME_ASC, limit=200)
        if TAG in automation.tags
    }
    for one in file.automations:
        wanted = one.core(file.webhook, block_id)
        if wanted is not None and _ensure(client, wanted, found.pop(one.name, None)):
            done.append(f"automation {one.name!r}")
    for name, automation in found.items():
        client.delete_automation(automation.id)
        done.append(f"automation {name!r} removed")
    return done


def ensure_webhook(
    client: SyncPrefectClient, name: str, settings: Settings
) -> tuple[UUID | None, bool]:
    """Have the webhook's block; return its id, None without one, and whether it changed.

    Without an address in the settings, a block that somebody made in the UI is used as it is.
    """
    try:
        found = client.read_block_document_by_name(name, "webhook", include_secrets=True)
    except ObjectNotFound:
        found = None
    if settings.alert_url is None:
        return (found.id if found else None), False
    url, headers = settings.alert_url.get_secret_value(), {"Content-Type": "application/json"}
    if settings.alert_authorization is not None:
        headers["Authorization"] = settings.alert_authorization.get_secret_value()
    if found and found.data.get("url") == url and found.data.get("headers") == headers:
        return found.id, False
    block = Webhook(url=SecretStr(url), headers=headers)
    return block.save(name, overwrite=True), True


def _ensure(client: SyncPrefectClient, wanted: AutomationCore, found: Automation | None) -> bool:
    if found is None:
        client.create_automation(wanted)
        return True
    wanted = wanted.model_copy(update={"enabled": found.enabled})
    if _content(found) == _content(wanted):
        return False
    client.update_automation(found.id, wanted)
    return True


def _content(automation: AutomationCore) -> dict[str, Any]:
    # not as JSON, in which a set of events has another order in each process
    fields = {"name", "description", "enabled", "tags", "trigger", "actions"}
    return automation.model_dump(include=fields)

"""rollback: the champion before, or an earlier one, becomes champion again."""

from prefect import flow

from rancast.approvals import Ending
from rancast.settings import load_settings
from rancast.use_cases import load_use_case
from tasks.approvals import ended
from tasks.artifacts import explain
from tasks.forms import UseCaseName
from tasks.names import rollback_name
from tasks.promotion import plan_rollback
from tasks.redaction import redacted

from flows.promotion import carry_out


@flow(name="rollback", flow_run_name=rollback_name, on_failure=[explain], on_crashed=[explain])
@redacted
def rollback(
    use_case: UseCaseName,
    reason: str,
    version: int | None = None,
    declared_by: str | None = None,
) -> Ending:
    """Go back to the champion before the present one, or to an earlier version.

    The version is checked before it becomes champion and after; where the second check fails, the
    present champion stays. A second rollback goes one champion further back.

    Args:
        use_case: whose champion is taken back.
        reason: why, in a sentence; the history of champions keeps it.
        version: the version to go back to; by default that of the champion before.
        declared_by: your name. It is recorded as declared, not checked.
    """
    load_use_case(load_settings().home, use_case)
    return ended(carry_out(plan_rollback(use_case, reason, version, declared_by)))

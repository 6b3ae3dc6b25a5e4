"""supervision: every few minutes, ends what died, expires what nobody answered, minds deadlines."""

from prefect import State, flow
from prefect.states import Completed

from tasks.approvals import expire_questions
from tasks.artifacts import explain
from tasks.metrics import record_runs
from tasks.redaction import redacted
from tasks.supervision import end_zombies, told, watch_deadlines

FLOWS = ("daily", "ingest", "training", "promotion", "rollback", "backfill", "supervision")


# each run looks anew at what is there, so no result is worth keeping
@flow(
    name="supervision",
    flow_run_name="supervision",
    persist_result=False,
    on_failure=[explain],
    on_crashed=[explain],
)
@redacted
def supervision() -> State[None]:
    """End runs whose process died, expire unanswered questions, tell of deadlines at risk.

    A run that gives no sign of life for a quarter of an hour becomes Crashed, so that it can be
    retried and holds nobody up. Runs as often as its schedule says; pressing it does no harm.
    """
    ended = end_zombies(FLOWS)
    expired = expire_questions()
    alarms = watch_deadlines()
    record_runs(FLOWS)
    return Completed(message=told(ended, expired, alarms))

"""backfill: past days are ingested, some at a time, behind everything that is scheduled."""

from datetime import date

from prefect import flow

from rancast.backfills import backfill_sentence, chunks
from rancast.documents import Document
from rancast.settings import load_settings
from rancast.use_cases import known_use_cases, load_use_case
from rancast.windows import Ingested
from tasks.artifacts import completed, explain
from tasks.clock import now
from tasks.forms import UseCaseName
from tasks.names import backfill_name
from tasks.redaction import redacted

from flows.ingest import ingest


class Backfilled(Document):
    """What a backfill found, chunk by chunk."""

    start: date
    end: date
    ingested: tuple[Ingested, ...]


@flow(name="backfill", flow_run_name=backfill_name, on_failure=[explain], on_crashed=[explain])
@redacted
def backfill(start: date, end: date, use_cases: list[UseCaseName] | None = None) -> Backfilled:
    """Ingest past days, a week at a time; a day that is there already costs a look.

    Nothing is trained: the next night trains on what is there. It stops at the first failure, and
    a retry goes on where it stopped. Scoring of these days comes with scoring.

    Args:
        start: the first UTC day.
        end: the day after the last one; today at the latest.
        use_cases: whose datasets; by default those of every use case.
    """
    home = load_settings().home
    cases = [load_use_case(home, name) for name in use_cases or known_use_cases(home)]
    todo = chunks(cases, start, end, now().date())
    ingested = tuple(ingest(chunk.dataset, chunk.start, chunk.end) for chunk in todo)
    result = Backfilled(start=start, end=end, ingested=ingested)
    return completed(result, backfill_sentence(ingested))

"""The plan of a run: which steps the ledger knows already, and why the others are computed.

It walks the steps as the flows do, without computing any: a step that the ledger knows hands on
what it made, so that the next one's key is known, too; behind one that it does not know nothing is.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from rancast import pages
from rancast.calls import (
    audit_call,
    baselines_call,
    evaluate_call,
    features_call,
    fit_call,
    table_call,
)
from rancast.datasets import Dataset
from rancast.documents import canonical_json
from rancast.expectations import Suite
from rancast.models import ModelCard
from rancast.plans import PlanRow, plan_rows, why_again
from rancast.reading import Inventory
from rancast.references import RawBlob
from rancast.reruns import Stage, is_forced
from rancast.steps import Made
from rancast.use_cases import UseCase
from rancast.windows import Delivered, register_of
from tasks.artifacts import publish
from tasks.ingestion import pull_arguments
from tasks.redaction import redacted
from tasks.steps import STEPS
from tasks.stores import open_lake, open_ledger

READERS = 8
UNKNOWN_CONTENT = "its blobs are new, or were replaced or added to"


@task(task_run_name="plan {dataset.name}", cache_policy=NO_CACHE)
@redacted
def plan_ingest(
    dataset: Dataset,
    suite: Suite,
    listed: dict[str, list[RawBlob]],
    start: date,
    rerun_from: Stage | None = None,
) -> None:
    """Show which days of an ingest are reused, and why the others are read or validated again."""
    plan = _Plan(f"ingest-{dataset.name}", rerun_from)
    _walk_ingest(plan, dataset, suite, listed, start)
    plan.show(f"{dataset.name}: what this ingest reuses, and what it computes and why")


@task(task_run_name="remember {dataset.name}", cache_policy=NO_CACHE)
@redacted
def remember_ingest(
    dataset: Dataset, suite: Suite, listed: dict[str, list[RawBlob]], start: date
) -> None:
    """Keep the keys of this ingest's steps, by which the next plan says what changed."""
    plan = _Plan(f"ingest-{dataset.name}", None)
    _walk_ingest(plan, dataset, suite, listed, start)
    plan.remember()


@task(task_run_name="plan {use_case.name}", cache_policy=NO_CACHE)
@redacted
def plan_training(
    use_case: UseCase,
    delivered: dict[str, Delivered],
    days: list[date],
    end: date,
    rerun_from: Stage | None = None,
) -> None:
    """Show which steps of a training are reused, and why the others are computed again."""
    plan = _Plan(f"training-{use_case.name}", rerun_from)
    _walk_training(plan, use_case, delivered, days, end)
    plan.show(f"{use_case.name}: what this training reuses, and what it computes and why")


@task(task_run_name="remember {use_case.name}", cache_policy=NO_CACHE)
@redacted
def remember_training(
    use_case: UseCase,
    delivered: dict[str, Delivered],
    days: list[date],
    end: date,
) -> None:
    """Keep the keys of this training's steps, by which the next plan says what changed."""
    plan = _Plan(f"training-{use_case.name}", None)
    _walk_training(plan, use_case, delivered, days, end)
    plan.remember()


class _Plan:
    """The rows of one plan, and the keys that the same steps had when they last ran through."""

    def __init__(self, name: str, rerun_from: Stage | None) -> None:
        self.name, self.rerun_from = name, rerun_from
        self.ledger, self.rows = open_ledger(), list[PlanRow]()
        self.before: dict[str, str] = self._last()

    def look(
        self, step: str, stage: Stage, about: str, arguments: dict[str, Any] | None, place: str = ""
    ) -> Made | None:
        """Add one step's row; return what it made, if that is what the run will use.

        `arguments` is None where they depend on a step that is computed again.
        """
        row, made = self._judge(step, stage, about, arguments, place)
        self.rows.append(row)
        return made

    def look_at_days(
        self, step: str, stage: Stage, calls: dict[date, dict[str, Any] | None], place: str = ""
    ) -> dict[date, Made | None]:
        """Add the rows of one step for many days, looked up side by side."""

        def judge(item: tuple[date, dict[str, Any] | None]) -> tuple[PlanRow, Made | None]:
            day, arguments = item
            return self._judge(step, stage, day.isoformat(), arguments, place)

        with ThreadPoolExecutor(READERS) as pool:
            judged = pool.map(judge, calls.items())
            results = dict(zip(calls, judged, strict=True))
        self.rows += [row for row, _ in results.values()]
        return {day: made for day, (_, made) in results.items()}

    def show(self, description: str) -> None:
        """Show the rows as an artifact."""
        page = pages.rows_page(f"Plan of {self.name}", plan_rows(self.rows))
        publish(f"plan-{self.name}", page, description)

    def remember(self) -> None:
        """Write down each step's key."""
        keys = {row.slot: row.key for row in self.rows if row.key is not None}
        open_lake().write(self._record, canonical_json(keys))

    @property
    def _record(self) -> str:
        return f"reports/last/{self.name}.json"

    def _last(self) -> dict[str, str]:
        lake = open_lake()
        return dict(json.loads(lake.read(self._record))) if lake.exists(self._record) else {}

    def _judge(
        self, step: str, stage: Stage, about: str, arguments: dict[str, Any] | None, place: str
    ) -> tuple[PlanRow, Made | None]:
        if is_forced(stage, self.rerun_from):
            why = f"the run was told to compute from {self.rerun_from} on"
            return PlanRow(step=step, about=about, verdict="recompute", why=why), None
        if arguments is None:
            why = UNKNOWN_CONTENT if stage == "pull" else "a step before it is computed again"
            return PlanRow(step=step, about=about, verdict="recompute", why=why), None
        now = STEPS[step].outline(arguments, place)
        known = STEPS[step].known(now.key)
        if known is not None:
            why = "nothing that it depends on changed"
            return PlanRow(step=step, about=about, verdict="reuse", why=why, key=now.key), known
        last = self.before.get(f"{step} {about}".rstrip())
        before = self.ledger.step(last) if last else None
        is_lost = before is not None and before.key == now.key
        why = "its files in the lake are lost" if is_lost else why_again(before, now)
        return PlanRow(step=step, about=about, verdict="recompute", why=why, key=now.key), None


def _walk_ingest(
    plan: _Plan, dataset: Dataset, suite: Suite, listed: dict[str, list[RawBlob]], start: date
) -> None:
    pulls = {
        date.fromisoformat(day): pull_arguments(dataset, date.fromisoformat(day), blobs)
        for day, blobs in listed.items()
    }
    pulled = plan.look_at_days("pull_partition", "pull", pulls)
    # the register of a day needs every day before it
    inventories = {
        day: made.fact("inventory", Inventory) for day, made in pulled.items() if made is not None
    }
    is_complete = len(inventories) == len(pulled)
    calls: dict[date, dict[str, Any] | None] = {}
    for day, made in pulled.items():
        if day < start:
            continue
        calls[day] = None
        if made is not None and (is_complete or dataset.kind == "events"):
            calls[day] = {
                "typed": made["typed"],
                "rejected": made["rejected"],
                "inventory": inventories[day],
                "dataset": dataset,
                "suite": suite,
                "day": day,
                "register": register_of(dataset, day, inventories),
            }
    plan.look_at_days("validate_partition", "validate", calls)


def _walk_training(
    plan: _Plan,
    use_case: UseCase,
    delivered: dict[str, Delivered],
    days: Sequence[date],
    end: date,
) -> None:
    name = use_case.name
    calls: dict[date, dict[str, Any] | None] = {
        day: features_call(use_case, delivered, day) for day in days
    }
    features = plan.look_at_days("build_features", "features", calls, name)
    made = [one for one in features.values() if one is not None]
    table_of = None
    if len(made) == len(features):
        own = delivered[use_case.dataset]
        used = [own.partitions[day] for day in days]
        table_of = table_call(use_case, own.dataset, used, [one["data"] for one in made], end)
    table = plan.look("assemble_table", "table", str(end), table_of, name)
    audit_of = None
    if table is not None:
        audit_of = audit_call(use_case, delivered, days, table["table"])
    plan.look("audit_table", "audit", str(end), audit_of, name)
    _walk_models(plan, use_case, table)


def _walk_models(plan: _Plan, use_case: UseCase, table: Made | None) -> None:
    name = use_case.name
    for candidate in use_case.candidates:
        call = None if table is None else fit_call(use_case, candidate, table["table"])
        fit = plan.look("fit_candidate", "fit", candidate.name, call, name)
        if fit is not None:
            threshold = fit.fact("card", ModelCard).threshold
            call = evaluate_call(use_case, fit["predictions"], threshold)
        about = candidate.name
        plan.look("evaluate_predictions", "evaluate", about, call if fit else None, name)
    call = None if table is None else baselines_call(use_case, table["table"])
    plan.look("score_baselines", "evaluate", "baselines", call, name)

"""What the Prefect UI shows of a run: pages of what came of it, how far it is, and what to do."""

import re
import time
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import Flow, State, runtime, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import FlowRun
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed

from rancast import cluster_plots, guidance, markdown, pages, plots, summaries
from rancast.approvals import Ending
from rancast.audit_findings import Audit
from rancast.champions import Pointer, history_rows
from rancast.cluster_pages import clusters_page
from rancast.cluster_profiles import Clusters
from rancast.errors import EvidenceError, RegistryError
from rancast.evaluation import Evaluation
from rancast.guidance import CRASHED, Failure
from rancast.settings import load_settings
from rancast.trainings import TrainingOutcome
from rancast.use_cases import UseCase
from rancast.windows import Ingested
from tasks.redaction import docs_url, redacted, scrub
from tasks.registry import Registry
from tasks.runs import name_of, parts_of

T = TypeVar("T")
K = TypeVar("K")

# A step that is over sooner needs no progress; each update is a request to Prefect's API.
PROGRESS_SECONDS = 5.0


def publish(key: str, page: str, description: str, run_id: UUID | None = None) -> None:
    """Show a page of markdown at the present run, or at another flow run; nothing secret gets out.

    `key` names it over all runs: the UI lists what each run wrote under it. It may be any text, of
    which letters and digits count.
    """
    artifact = ArtifactCreate(
        key=re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-"),
        type="markdown",
        description=scrub(description),
        data=scrub(page),
        flow_run_id=run_id or _uuid(runtime.flow_run.id),
        task_run_id=None if run_id else _uuid(runtime.task_run.id),
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


def _uuid(value: str | UUID | None) -> UUID | None:
    return None if value is None else UUID(str(value))


# --- what came of it ----------------------------------------------------------------------------


@task(task_run_name="show ingest", cache_policy=NO_CACHE)
@redacted
def show_ingest(ingested: Ingested) -> None:
    """Show what each day brought, its coverage, and the validation of the days that are new."""
    name = ingested.dataset
    publish(f"ingest-{name}", pages.ingest_page(ingested), summaries.ingest_sentence(ingested))
    if any(facts.coverage is not None for facts in ingested.partitions):
        page = pages.coverage_page(ingested, _coverage_plot(ingested))
        publish(f"coverage-{name}", page, f"{name}: coverage by day, and who is absent")
    for facts in pages.days_to_show(ingested):
        verdict = "refused" if facts.is_refused else "accepted"
        description = f"{name} {facts.date}: {verdict}, and every expectation"
        publish(f"validation-{name}-{facts.date}", pages.day_page(facts), description)


def _coverage_plot(ingested: Ingested) -> bytes:
    return plots.coverage_by_day(
        {one.date: one.coverage for one in ingested.partitions if one.coverage is not None},
        [one.date for one in ingested.partitions if one.is_refused],
        ingested.missing,
        f"{ingested.dataset}: coverage by day",
    )


@task(task_run_name="show audit", cache_policy=NO_CACHE)
@redacted
def show_audit(use_case: UseCase, audit: Audit) -> None:
    """Show what the leakage audit says of a training table, refused or not."""
    page = pages.audit_page(use_case.name, audit, use_case.audit.accept)
    publish(f"audit-{use_case.name}", page, f"{use_case.name}: {audit.verdict}")


@task(task_run_name="show training", cache_policy=NO_CACHE)
@redacted
def show_training(outcome: TrainingOutcome) -> None:
    """Show the leaderboard, and the decision with its reasons and where its evidence is."""
    name = outcome.use_case
    page = pages.leaderboard_page(outcome, _leaderboard_plot(outcome))
    publish(
        f"leaderboard-{name}", page, f"{name}: candidates, baselines and champion by the holdout"
    )
    word = summaries.decision_word(outcome)
    publish(f"decision-{name}", pages.decision_page(outcome, _links(outcome)), f"{name}: {word}")
    if outcome.clusters is not None:
        _show_clusters(outcome, outcome.clusters)


def _show_clusters(outcome: TrainingOutcome, clusters: Clusters) -> None:
    name = outcome.use_case
    try:
        plot = cluster_plots.over_the_day(clusters, name)
    except EvidenceError:
        plot = None  # without blocks of hours there is no day to draw
    page = clusters_page(name, clusters, outcome.whose_clusters, plot)
    publish(f"clusters-{name}", page, f"{name}: what each cluster is, in words and numbers")


def _leaderboard_plot(outcome: TrainingOutcome) -> bytes | None:
    def those(kind: str) -> Mapping[str, Evaluation]:
        return {one.name: one.evaluation for one in outcome.leaderboard if one.kind == kind}

    try:
        return plots.leaderboard(those("candidate"), those("baseline"), outcome.metric)
    except EvidenceError:
        return None  # nobody has the metric, which the table says, too


def _links(outcome: TrainingOutcome) -> Mapping[str, str]:
    """Return the pages of MLflow on this training, or its names there if no browser can open it."""
    try:
        settings = load_settings()
        links = Registry(settings.tracking).links(
            outcome.use_case, outcome.version, outcome.run_id, settings.mlflow_ui_url
        )
    except RegistryError:
        links = {}  # MLflow went away after the decision was carried out; the names still hold
    return links or {
        "MLflow, registered model": f"{outcome.use_case}, version {outcome.version}",
        "MLflow, run with its plots": outcome.run_id,
    }


@task(task_run_name="show night", cache_policy=NO_CACHE)
@redacted
def show_night(
    as_of: date,
    ingested: tuple[Ingested, ...],
    trained: tuple[TrainingOutcome, ...],
    superseded_by: str | None,
) -> None:
    """Show what a run of the main job did, part by part."""
    this = _uuid(runtime.flow_run.id)
    parts = parts_of(this) if this else ()
    page = pages.night_page(as_of, ingested, trained, superseded_by, parts)
    sentence = summaries.night_sentence(ingested, trained, superseded_by)
    publish(str(runtime.flow_run.name), page, sentence)


@task(task_run_name="show history", cache_policy=NO_CACHE)
@redacted
def show_history(pointer: Pointer) -> None:
    """Show who was champion when, by whose word and why."""
    name = pointer.use_case
    page = pages.rows_page(f"Champions of {name}", history_rows(pointer))
    publish(f"champions-{name}", page, f"{name}: every champion, the newest first; times are UTC")


@task(task_run_name="show ending", cache_policy=NO_CACHE)
@redacted
def show_ending(use_case: str, ending: Ending) -> None:
    """Show how a question to people ended: rejected, or why an answer does not count."""
    page = f"## {markdown.escape(ending.word)}\n\n{markdown.escape(ending.sentence)}"
    description = f"{use_case}: how the last question ended that changed no champion"
    publish(f"approval-{use_case}", page, description)


def completed(value: T, message: str) -> T:
    """End a flow with its result and a message for its state: what happened, in a line.

    Prefect takes a state as a flow's result and hands its callers the value in it.
    """
    return cast(T, Completed(message=scrub(message), data=value))


# --- how far it is ------------------------------------------------------------------------------


def follow(what: str, futures: Mapping[K, PrefectFuture[T]]) -> dict[K, T]:
    """Wait for the tasks of a step; return their results, and show how many are done.

    The order is that of `futures`, and the first failure is raised as it is met.
    """
    progress = _Progress(what, len(futures))
    results: dict[K, T] = {}
    for key, future in futures.items():
        results[key] = future.result()
        progress.tell(len(results))
    return results


class _Progress:
    """A progress artifact of one step, which appears once the step turns out to be long."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, total
        self.artifact: UUID | None = None
        self.told = time.monotonic()

    def tell(self, done: int) -> None:
        """Say how many are done, every few seconds and at the end."""
        is_over = done == self.total and self.artifact is not None
        if not is_over and time.monotonic() - self.told < PROGRESS_SECONDS:
            return
        self.told = time.monotonic()
        share, words = 100 * done / self.total, f"{self.what}: {done} of {self.total} done"
        get_run_logger().info(words)
        if self.artifact is None:
            key = f"progress-{self.what}".replace(" ", "-").replace("_", "-").lower()
            self.artifact = cast(UUID, create_progress_artifact(share, key, words))
        else:
            update_progress_artifact(self.artifact, share, words)


# --- what to do ---------------------------------------------------------------------------------


def explain(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Show at a failed or crashed flow run what happened and what to do: a hook of every flow."""
    show_what_to_do(flow_run.id, state.name or "Failed", state.message or "")


def show_what_to_do(run_id: UUID, state: str, message: str) -> None:
    """Show at a flow run that ended badly what happened, what to do and which parts it took."""
    # asked anew: a worker whose run was killed knows it by the name from before it began
    name, is_part = name_of(run_id)
    said = scrub(message)
    failure = Failure(
        run=name,
        state=state,
        kind=CRASHED if state == "Crashed" else guidance.kind_in(said),
        message=said,
        is_part=is_part,
        parts=tuple(part for part in parts_of(run_id) if part.state != "Completed"),
    )
    page = guidance.what_to_do(failure, docs_url())
    publish(f"what-to-do-{name}", page, guidance.headline(failure), run_id)

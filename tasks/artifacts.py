"""What the Prefect UI shows of a run: validation tables, the leaderboard, the decision in words."""

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from rancast import summaries
from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested


@task(task_run_name="show ingest", cache_policy=NO_CACHE)
def show_ingest(ingested: Ingested) -> None:
    """Show what each day brought, and for each expectation that failed on a day, how and why."""
    name = ingested.dataset.replace("_", "-")
    create_table_artifact(
        key=f"ingest-{name}",
        table=summaries.ingest_rows(ingested),
        description=f"{ingested.dataset}: raw = curated + quarantined + duplicates, day by day",
    )
    create_table_artifact(
        key=f"validation-{name}",
        table=summaries.expectation_rows(ingested),
        description=f"{ingested.dataset}: every expectation over all days of this run",
    )


@task(task_run_name="show training", cache_policy=NO_CACHE)
def show_training(outcome: TrainingOutcome) -> None:
    """Show the leaderboard, and the decision with its reasons."""
    name = outcome.use_case.replace("_", "-")
    create_table_artifact(
        key=f"leaderboard-{name}",
        table=summaries.leaderboard_rows(outcome),
        description=f"{outcome.use_case}: candidates beside the baselines, on the holdout",
    )
    create_markdown_artifact(key=f"decision-{name}", markdown=summaries.decision_markdown(outcome))

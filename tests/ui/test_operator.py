"""An operator's way through the UIs: a failed night is read, mended and retried, to a champion."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.faults import tiny
from tests.flows import homes
from tests.workers import Deployed

pytestmark = [pytest.mark.ui, pytest.mark.xdist_group("worker")]

LATE, AS_OF = date(2024, 3, 5), "2024-03-06"
RETRY_MS = 180_000


def test_a_failed_night_is_read_mended_and_retried(
    deployed: Deployed,
    new_env: Callable[..., Any],
    page: Page,
    picture: Callable[[Page, str], None],
) -> None:
    """The page of a failed run says what is missing; when that was delivered, Retry completes the
    run; its decision leads to MLflow, where the version is champion."""
    home, env = new_env("cell_latency")
    run = deployed.run("daily", {"as_of": AS_OF}, env)
    deployed.wait(run, ["Failed"])

    page.goto(f"{deployed.ui_url}/v2/runs/flow-run/{run}?tab=Artifacts")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(page.get_by_text("DataError: kpis 2024-03-05 has no file")).to_be_visible()
    picture(page, "failed-run")
    open_artifact(page, f"what-to-do-daily-{AS_OF}-all-use-cases")
    shown = page.get_by_test_id("markdown-display")
    expect(shown.get_by_text("Have the data delivered or mended as it says")).to_be_visible()
    expect(shown.get_by_text("docs/operations.md#dataerror")).to_be_visible()
    picture(page, "what-to-do")
    page.get_by_role("link", name=f"training {AS_OF} · cell_latency").click()
    expect(page.get_by_text(f"training {AS_OF} · cell_latency").first).to_be_visible()

    tiny.write_day(home, LATE)
    page.goto(f"{deployed.ui_url}/v2/runs/flow-run/{run}")
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name="Retry").click()
    picture(page, "retry")
    page.get_by_role("alertdialog").get_by_role("button", name="Retry").click()
    completed = page.get_by_text("Completed", exact=True).first
    expect(completed).to_be_visible(timeout=RETRY_MS)
    deployed.wait(run)
    assert homes.count_steps(home)["pull_partition"] == 4

    see_what_came_of_it(deployed, page, picture)
    see_the_champion(page, picture, env["MLFLOW_TRACKING_URI"])


def see_what_came_of_it(
    deployed: Deployed, page: Page, picture: Callable[[Page, str], None]
) -> None:
    """Read the pages of the night: its parts, a day's validation, coverage, the leaderboard."""
    page.get_by_role("tab", name="Details").click()
    message = page.get_by_text("cell_latency: Promoted: ridge is version 1")
    message.scroll_into_view_if_needed()
    picture(page, "completed-run")
    for key, said, name in (
        ("validation-kpis-2024-03-05", "144 raw rows = 143 curated + 1 quarantined", "validation"),
        ("coverage-kpis", "kpis: coverage, 2024-03-02 to 2024-03-05", "coverage"),
        ("leaderboard-cell-latency", "Judged is", "leaderboard"),
        ("decision-cell-latency", "Promoted: ridge is version 1", "decision"),
    ):
        page.goto(f"{deployed.ui_url}/v2/artifacts/key/{key}")
        open_newest(page)
        expect(page.get_by_test_id("markdown-display").get_by_text(said).first).to_be_visible()
        for drawn in page.locator("img[src^='data:']").all():
            assert drawn.evaluate("image => image.complete && image.naturalWidth > 300")
        picture(page, name)


def see_the_champion(page: Page, picture: Callable[[Page, str], None], mlflow: str) -> None:
    """Follow the decision to its version in MLflow, and to the run with its plots."""
    page.get_by_role("link", name="MLflow: its training, with plots").click()
    expect(page).to_have_url(re.compile(rf"{re.escape(mlflow)}/#/experiments/\d+/runs/\w+"))
    expect(page.get_by_text("training to 2024-03-06").first).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="MLflow: cell_latency version 1").click()
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_text("rancast.decision").first).to_be_visible()
    assistant = page.get_by_role("button", name="Close")
    if assistant.is_visible():
        assistant.click()
    picture(page, "mlflow-champion")


def open_artifact(page: Page, key: str) -> None:
    """Open a run's artifact from the run's page: its card, then the newest one under its key."""
    page.get_by_role("link", name=key).click()
    expect(page).to_have_url(re.compile(f"/artifacts/key/{key}$"))
    open_newest(page)


def open_newest(page: Page) -> None:
    """Open the newest artifact of a key, which is listed first and named by the start of its id."""
    page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$")).first.click()
    expect(page).to_have_url(re.compile("/artifacts/artifact/"))

"""A person's answer in the UI: the form of a suspended promotion, opened and filled in."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.flows import homes
from tests.workers import Deployed

pytestmark = [pytest.mark.ui, pytest.mark.xdist_group("worker")]

NAME = "cell_latency_by_hand"


def test_a_candidate_is_approved_in_the_form(
    deployed: Deployed,
    new_env: Callable[..., Any],
    page: Page,
    picture: Callable[[Page, str], None],
) -> None:
    """The night ends and leaves the decision to people; its question waits without a worker; the
    answer in the form makes the version champion, under the name that was given."""
    home, env = new_env(NAME, metric="metric: mae\npromotion: manual")
    night = deployed.wait(deployed.run("daily", {"as_of": "2024-03-05"}, env))
    assert "Left to people: ridge is registered as version 1" in night.state.message
    assert homes.pointer(home, NAME) is None

    page.goto(f"{deployed.ui_url}/v2/runs?flow-run-search=promotion {NAME}")
    page.get_by_role("link", name=f"promotion {NAME} · version 1").first.click()
    expect(page.get_by_text("Suspended", exact=True).first).to_be_visible()
    deployed.wait_until_idle()
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name="Resume").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_text(f"Shall version 1 become champion of {NAME}?")).to_be_visible()
    picture(page, "approval-question")
    form.get_by_label("Decision").click()
    page.get_by_role("option", name="approve").click()
    form.get_by_label("Reason").fill("It beats every trivial forecast by far.")
    form.get_by_label("Name").fill("Ada Byrne")
    picture(page, "approval-answer")
    form.get_by_role("button", name="Resume").click()

    expect(page.get_by_text("Promoted", exact=True).first).to_be_visible(timeout=120_000)
    pointer = (homes.pointer(home, NAME) or b"").decode()
    assert "Ada Byrne" in pointer and "It beats every trivial forecast by far." in pointer

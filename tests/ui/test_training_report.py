"""The interactive report in a real browser: drawn, without any connection, and it answers."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.rancast.test_training_report import build

pytestmark = pytest.mark.ui


def open_page(browser: Browser, path: Path) -> tuple[Page, list[str]]:
    """Open a file without a network; return the page, and what it complains of or asks for."""
    page = browser.new_context(offline=True).new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: seen.append(request.url))
    page.goto(path.as_uri())
    return page, seen


def visible(page: Page, figure: str) -> list[Any]:
    """Return the names of a figure's visible traces."""
    script = "id => document.getElementById(id).data.filter(t => t.visible).map(t => t.meta)"
    found: list[Any] = page.evaluate(script, figure)
    return found


def test_it_draws_and_answers_offline(browser: Browser, tmp_path: Path) -> None:
    """Every figure is drawn, another entity can be chosen, and only the file is asked for."""
    path = tmp_path / "report.html"
    path.write_text(build("regression"), encoding="utf-8")
    page, seen = open_page(browser, path)
    figures = page.locator(".figure")
    expect(page.locator(".figure .main-svg:visible").first).to_be_visible()
    assert figures.count() == page.locator(".figure.js-plotly-plot").count() > 5
    chooser = page.get_by_label("Over time: which entity")
    figure = chooser.get_attribute("data-of") or ""
    assert set(visible(page, figure)) == {"0"}
    chooser.select_option(label="b")
    page.wait_for_function(
        "id => document.getElementById(id).data[0].visible === false", arg=figure
    )
    assert len(set(visible(page, figure))) == 1 and "0" not in visible(page, figure)
    assert seen == [path.as_uri()]

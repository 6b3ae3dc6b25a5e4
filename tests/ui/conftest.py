"""Chromium for the tests of the UIs, and a home whose runs a deployed worker executes."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.flows import homes
from tests.workers import environment_of

CHROMIUM = Path("/usr/bin/chromium")
# Debian's Chromium, without a sandbox of its own for root, and without its calls to the outside
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WINDOW = {"width": 1280, "height": 860}
# a page may load slowly beside the runs that it shows
PATIENCE_MS = 60_000
# charts are drawn after the page is there; only pictures wait for them
SETTLE_MS = 2_500
COLOURS = 48


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the pictures of the operations guide be taken anew; a test run alone changes no file."""
    parser.addoption("--screenshots", type=Path, help="folder to write docs/img/*.png into")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; `make test-ui` installs it, or says how.")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)


@pytest.fixture()
def page(browser: Browser) -> Iterator[Page]:
    """An empty page that reaches loopback only."""
    with browser.new_context(viewport=WINDOW, locale="en-GB", timezone_id="UTC") as context:
        context.route("**/*", _loopback_only)
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield context.new_page()


def _loopback_only(route: Route) -> None:
    if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
        route.continue_()
    else:
        route.abort()


@pytest.fixture()
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Take a picture of a page for the operations guide, where the run was asked for them."""
    folder: Path | None = request.config.getoption("--screenshots")

    def take(page: Page, name: str) -> None:
        if folder is None:
            return
        page.wait_for_timeout(SETTLE_MS)
        shown = Image.open(io.BytesIO(page.screenshot()))
        # a screen has few colours, and a repository keeps every version of a picture
        shown.quantize(COLOURS, dither=Image.Dither.NONE).save(
            folder / f"{name}.png", optimize=True
        )

    return take


@pytest.fixture()
def new_env(tmp_path: Path, mlflow_template: Path, mlflow_server: str) -> Callable[..., Any]:
    """Write a home with one use case of this name, and return it with its runs' environment."""

    def write(name: str, **changes: str) -> tuple[Path, dict[str, str]]:
        home = tmp_path / "home"
        homes.write_home(home, mlflow_template)
        homes.write_use_case(home, name, **changes)
        (home / "use_cases" / "tiny.yaml").unlink()
        return home, environment_of(home, MLFLOW_TRACKING_URI=mlflow_server)

    return write

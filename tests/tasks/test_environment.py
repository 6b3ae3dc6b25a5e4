"""Defaults of the libraries that read the environment at import: set first, and never forced."""

import os
from pathlib import Path

import pytest

from tasks.environment import DEFAULTS, prepare


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an environment in which nothing of it is set; restored afterwards."""
    monkeypatch.setattr(os, "environ", {"RANCAST_HOME": str(tmp_path)})
    return tmp_path


def test_the_libraries_are_told_before_they_are_imported() -> None:
    """Telemetry is off, results are JSON that persists, and a dead MLflow does not hold a run."""
    prepare()
    assert {name: os.environ[name] for name in DEFAULTS} == DEFAULTS
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10


def test_what_is_set_stays() -> None:
    """The environment goes before the home's .env, and both go before our defaults."""
    home = Path(os.environ["RANCAST_HOME"])
    (home / ".env").write_text(
        "MLFLOW_HTTP_REQUEST_TIMEOUT=3\nPREFECT_CLIENT_MAX_RETRIES=4\nPREFECT_API_URL=\n"
    )
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "5"
    prepare()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "3"
    assert os.environ["PREFECT_CLIENT_MAX_RETRIES"] == "5"
    assert "PREFECT_API_URL" not in os.environ


def test_our_own_settings_do_not_leak_into_the_environment() -> None:
    """Secrets of rancast in .env are read by its settings alone, and not handed to children."""
    home = Path(os.environ["RANCAST_HOME"])
    (home / ".env").write_text("RANCAST_PSEUDONYM_KEY=secret\nMLFLOW_TRACKING_USERNAME=me\n")
    prepare()
    assert "RANCAST_PSEUDONYM_KEY" not in os.environ
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"


@pytest.mark.parametrize("api_url", [None, "http://127.0.0.1:4200/api"])
def test_an_embedded_prefect_lies_below_local(api_url: str | None) -> None:
    """Without a server, Prefect's database goes where everything else is; with one, it stays."""
    if api_url:
        os.environ["PREFECT_API_URL"] = api_url
    prepare()
    local = f"{Path(os.environ['RANCAST_HOME'])}/.local/prefect"
    assert os.environ.get("PREFECT_HOME") == (None if api_url else local)

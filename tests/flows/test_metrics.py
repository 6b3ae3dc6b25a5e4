"""What a night leaves for Prometheus, and the exporter that serves it."""

import urllib.request
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deployments.exporter import serve
from tests.flows import homes
from tests.flows.conftest import AS_OF


def scraped(url: str) -> dict[tuple[str, ...], float]:
    """Return what a scrape gives, by name and the values of the labels, sorted by their names."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain")
        families = list(text_string_to_metric_families(reply.read().decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is told of once"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_night_leaves_numbers_that_the_exporter_serves(
    settled_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, days, the decision and the champion of each use case, and what is newly written."""
    home = tmp_path / "home"
    homes.copy_home(settled_home, home)
    monkeypatch.setenv("RANCAST_HOME", str(home))
    url = f"http://127.0.0.1:{serve(0)}/metrics"
    found = scraped(url)
    newest = datetime.combine(AS_OF - timedelta(days=1), time(), UTC).timestamp()
    assert found["rancast_ingest_newest_day_timestamp_seconds", "kpis"] == newest
    assert found["rancast_ingest_rows", "kpis", "raw", "daily"] == 4 * 6 * 24
    assert found["rancast_ingest_rows", "kpis", "quarantined", "daily"] == 4
    assert found["rancast_ingest_days", "kpis", "daily", "present"] == 4
    assert 0 < found["rancast_ingest_duration_seconds", "kpis", "daily"] < 600
    assert found["rancast_training_decision", "promoted", "tiny"] == 1
    assert found["rancast_training_decision", "not_promoted", "tiny"] == 0
    assert found["rancast_champion_version", "tiny"] == 1
    assert 0 < found["rancast_training_score", "candidate", "mae", "ridge", "tiny"] < 10

    folder = home / ".local/lake/reports/metrics/ingest"
    text = (folder / "kpis/daily.prom").read_text()
    (folder / "other.prom").write_text(text.replace("kpis", "other").replace(" 4.0", " 5.0"))
    assert scraped(url)["rancast_ingest_days", "other", "daily", "present"] == 5
    assert scraped(url)["rancast_ingest_days", "kpis", "daily", "present"] == 4

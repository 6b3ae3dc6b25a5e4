"""What `make demo` says: every row that was set aside is in a line."""

from pathlib import Path

import pytest

from deployments.demo import tell_ingest
from rancast.settings import load_settings
from tests.rancast.outcomes import ingested, partition


@pytest.mark.parametrize(("rules", "more"), [(6, ""), (7, "1 more rule,"), (9, "3 more rules,")])
def test_rows_of_all_rules_are_told(
    rules: int, more: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules of most rows have a line each, all others one; together they are all rows."""
    counts = {f"rule {place}": 1000 + 2**place for place in range(rules)}
    tell_ingest(ingested(partition(1, quarantined_by_rule=counts)), load_settings())
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if line.startswith("     ")]
    assert sum(int(words[0].replace(",", "")) for words in lines) == sum(counts.values())
    assert len(lines) == min(rules, 7) and more in printed
    assert ("in the days' manifests" in printed) == bool(more)

"""When a day is complete enough to train on, and when it is waited for."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rancast.datasets import Dataset, Ready
from rancast.manifests import PartitionFacts
from rancast.readiness import waiting_for
from rancast.references import RowCounts
from rancast.windows import Ingested

DAY = date(2024, 3, 19)
NIGHT = datetime(2024, 3, 20, 2, 30, tzinfo=UTC)
TIME = {"column": "timestamp", "timezone": "UTC"}


def periodic(**ready: Any) -> Dataset:
    """A dataset of cells with a row each 5 minutes."""
    return Dataset.model_validate(
        {
            "name": "kpis",
            "kind": "periodic",
            "time": {**TIME, "period": "5min"},
            "key": ["cell", "timestamp"],
            "entity": "cell",
            "columns": {"cell": {"type": "string"}, "timestamp": {"type": "timestamp"}},
            "ready": ready or None,
        }
    )


def events() -> Dataset:
    """A dataset of calls, a thousand of them on a usual day."""
    return Dataset.model_validate(
        {
            "name": "calls",
            "kind": "events",
            "time": TIME,
            "key": ["call"],
            "volume": [1000, 5000],
            "columns": {"call": {"type": "string"}, "timestamp": {"type": "timestamp"}},
            "ready": {"deadline": "4h"},
        }
    )


def ingested(coverage: float | None, rows: int = 10, is_refused: bool = False) -> Ingested:
    """What an ingest found of the newest day."""
    facts = PartitionFacts(
        dataset="kpis",
        date=DAY,
        rows=RowCounts(raw=rows, curated=rows, quarantined=0, duplicates=0),
        sources=(),
        coverage=coverage,
        is_refused=is_refused,
        reasons=("bad.csv is cut short.",) if is_refused else (),
    )
    found = () if coverage is None and not rows else (facts,)
    return Ingested(
        dataset="kpis",
        start=DAY,
        end=DAY + timedelta(days=1),
        partitions=found,
        missing=(),
        computed=1,
    )


READY = {"coverage": 0.95, "deadline": "4h"}


@pytest.mark.parametrize(
    "found, reason",
    [
        (ingested(0.83), "kpis 2024-03-19 has a coverage of 83.0% so far, ready at 95.0%; "),
        (ingested(None, 0), "kpis 2024-03-19 has no file yet; "),
        (ingested(1.0, 10, True), "kpis 2024-03-19 is refused as it is (bad.csv is cut short.); "),
    ],
)
def test_an_incomplete_day_is_waited_for(found: Ingested, reason: str) -> None:
    """Too little coverage, no file, or a refused file: the next look is in a quarter of an hour."""
    waiting = waiting_for(periodic(**READY), found, NIGHT)
    assert waiting is not None and waiting.look_again == NIGHT + timedelta(minutes=15)
    assert waiting.reason == reason + (
        "it is looked at again at 02:45 UTC, and taken as it is at 04:00 UTC, 4h after the day "
        "ended."
    )


def test_at_the_watermark_a_day_is_ready() -> None:
    """The coverage that the dataset asks for is enough."""
    assert waiting_for(periodic(**READY), ingested(0.95), NIGHT) is None


def test_the_last_look_is_at_the_deadline_and_then_the_day_is_taken_as_it_is() -> None:
    """No wait goes past the deadline."""
    late = datetime(2024, 3, 20, 3, 55, tzinfo=UTC)
    deadline = datetime(2024, 3, 20, 4, 0, tzinfo=UTC)
    waiting = waiting_for(periodic(**READY), ingested(0.5), late)
    assert waiting is not None and waiting.look_again == deadline
    assert waiting_for(periodic(**READY), ingested(0.5), deadline) is None


def test_events_are_ready_at_their_usual_volume() -> None:
    """Events have no coverage; the fewest rows of a usual day stand for it."""
    waiting = waiting_for(events(), ingested(None, 999), NIGHT)
    assert waiting is not None and "has 999 rows so far, ready at 1,000" in waiting.reason
    assert waiting_for(events(), ingested(None, 1000), NIGHT) is None


def test_without_a_rule_a_day_is_ready_as_it_is() -> None:
    """Who states nothing waits for nothing."""
    assert waiting_for(periodic(), ingested(0.1), NIGHT) is None


@pytest.mark.parametrize(
    "kind, ready, sentence",
    [
        (periodic, {"deadline": "4h"}, "needs a coverage"),
        (periodic, {"coverage": 0.9, "deadline": "0s"}, "deadline must be above zero"),
        (periodic, {"coverage": 0.9, "deadline": "4h", "every": "1s"}, "at least 1min"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(
    kind: Any, ready: dict[str, Any], sentence: str
) -> None:
    """A watermark without a value, or a deadline that is none, is a mistake in the YAML."""
    with pytest.raises(ValueError, match=sentence):
        kind(**ready)


def test_when_to_compute_is_no_part_of_what_is_computed() -> None:
    """A changed deadline leaves every step key as it was."""
    assert periodic(**READY).model_dump(mode="json") == periodic().model_dump(mode="json")
    assert isinstance(periodic(**READY).ready, Ready)

"""How a range of past days is cut into chunks, and which ranges are refused."""

from datetime import date
from typing import cast

import pytest

from rancast.backfills import chunks
from rancast.errors import RequestRefused
from rancast.use_cases import UseCase

TODAY = date(2024, 3, 20)


class Case:
    """As much of a use case as a backfill looks at."""

    def __init__(self, *datasets: str) -> None:
        self.datasets = datasets


CASES = [cast(UseCase, Case("kpis")), cast(UseCase, Case("kpis", "calls"))]


def test_chunks_are_weeks_oldest_first_each_dataset_once() -> None:
    """Two use cases on one dataset ingest it once, joined ones too; the last chunk is the rest."""
    found = chunks(CASES, date(2024, 3, 1), date(2024, 3, 11), TODAY)
    assert [chunk.label for chunk in found] == [
        "calls 2024-03-01 to 2024-03-07",
        "kpis 2024-03-01 to 2024-03-07",
        "calls 2024-03-08 to 2024-03-10",
        "kpis 2024-03-08 to 2024-03-10",
    ]


def test_today_is_the_latest_end() -> None:
    """Yesterday is the last day that is over."""
    (chunk,) = chunks(CASES[:1], date(2024, 3, 19), TODAY, TODAY)
    assert (chunk.start, chunk.end) == (date(2024, 3, 19), TODAY)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2024-03-10", "2024-03-10", "A backfill from 2024-03-10 to 2024-03-10 has no day"),
        ("2024-03-10", "2024-03-01", "end is the day after the last one"),
        ("2024-03-10", "2024-03-21", "today is 2024-03-20 .UTC., which is the latest end"),
    ],
)
def test_a_range_that_cannot_be_is_refused(start: str, end: str, said: str) -> None:
    """The sentence says what is wrong with it, and what would be right."""
    with pytest.raises(RequestRefused, match=said):
        chunks(CASES, date.fromisoformat(start), date.fromisoformat(end), TODAY)

"""Coverage and sleep: who was expected and seen, and who is present without being alive."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.coverage import coverage_of_entities, sleeping, suspects
from rancast.errors import ConfigurationError
from tests.rancast.counts import DAY, dataset, rows

COUNTS = dataset(cumulative={})
END = DAY + timedelta(days=1)


def test_coverage_counts_periods_of_the_register() -> None:
    """Who is silent is expected; two rows of a period are one, and other days do not count."""
    frame = rows(
        ("a", "00:00"), ("a", "00:15"), ("a", "00:20"), ("a", "2024-03-05 00:00"), ("c", "23:45")
    )
    found = coverage_of_entities(frame, COUNTS, ["a", "b"], DAY, END)
    expected = pd.DataFrame(
        {
            "entity": pd.Series(["a", "b", "c"], dtype="str"),
            "expected": [96, 96, 96],
            "seen": [2, 0, 1],
            "share": [2 / 96, 0.0, 1 / 96],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_of_events_nothing_is_expected() -> None:
    """A dataset that is not periodic is refused with what it lacks."""
    events = dataset(kind="events", cumulative={})
    with pytest.raises(ConfigurationError, match="'counts' is not periodic"):
        coverage_of_entities(rows(), events, [], DAY, END)


# --- sleeping cells -----------------------------------------------------------------------------


def asleep(frame: pd.DataFrame, least: str = "30min", site: Any = "S") -> list[bool | None]:
    """Return whether each row's cell sleeps, None where it is unknown."""
    sites = pd.Series(site, index=frame.index, dtype="str")
    found = sleeping(frame, COUNTS, "attempts", sites, pd.Timedelta(least).to_pytimedelta())
    assert found.dtype == "boolean" and found.index.equals(frame.index)
    return [None if pd.isna(value) else bool(value) for value in found]


def test_a_cell_sleeps_while_its_neighbours_carry_traffic() -> None:
    """Two periods without any traffic are sleep only where somebody else had some in both."""
    frame = rows(
        ("a", "00:00", 0, 0),
        ("a", "00:15", 0, 0),
        ("a", "00:30", 0, 3),
        ("b", "00:00", 0, 5),
        ("b", "00:15", 0, 5),
        ("b", "00:30", 0, 0),
    )
    assert asleep(frame) == [None, True, False, False, False, False]
    assert asleep(frame, "15min") == [True, True, False, False, False, True]
    assert asleep(frame, site=["S", "S", "S", "T", "T", "T"])[1] is None


def test_a_quiet_site_does_not_sleep() -> None:
    """Where nobody on the site has traffic it is night, not a fault."""
    frame = rows(("a", "00:00", 0, 0), ("b", "00:00", 0, 0))
    assert asleep(frame, "15min") == [False, False]


def test_absent_is_neither_asleep_nor_awake() -> None:
    """A gap, a missing value, a lone cell and a cell of no known site leave it unknown."""
    gap = rows(
        ("a", "00:00", 0, 0), ("a", "00:30", 0, 0), ("b", "00:00", 0, 1), ("b", "00:30", 0, 1)
    )
    assert asleep(gap)[1] is None
    missing = rows(("a", "00:00", 0, None), ("b", "00:00", 0, 1))
    assert asleep(missing, "15min")[0] is None
    assert asleep(rows(("a", "00:00", 0, 0)), "15min") == [None]
    assert asleep(rows(("a", "00:00", 0, 0), ("b", "00:00", 0, 1)), "15min", None)[0] is None
    assert asleep(rows()) == []


def test_suspects_are_listed_worst_first() -> None:
    """Who slept is told with how long, since when and until when, of what is known."""
    frame = rows(
        *(("a", at, 0, 0) for at in ("00:00", "00:15", "00:30")),
        *(("b", at, 0, 1) for at in ("00:00", "00:15", "00:30", "00:45")),
        ("c", "00:15", 0, 0),
        ("a", "00:45", 0, 2),
    )
    sites = pd.Series("S", index=frame.index, dtype="str")
    flags = sleeping(frame, COUNTS, "attempts", sites, timedelta(minutes=15))
    expected = pd.DataFrame(
        {
            "entity": pd.Series(["a", "c"], dtype="str"),
            "periods": [3, 1],
            "share": [0.75, 1.0],
            "first": pd.to_datetime(["2024-03-04T00:00Z", "2024-03-04T00:15Z"]).as_unit("us"),
            "last": pd.to_datetime(["2024-03-04T00:30Z", "2024-03-04T00:15Z"]).as_unit("us"),
        }
    )
    pd.testing.assert_frame_equal(suspects(frame, COUNTS, flags), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 12), st.one_of(st.none(), st.sampled_from([0, 0, 4]))
        ),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[:2],
    ),
    st.integers(0, 12),
)
def test_sleep_agrees_with_a_plain_search_and_looks_back(
    table: list[tuple[int, int, int | None]], now: int
) -> None:
    """Each flag is what its definition says, and stays when everything later is altered."""
    begin = pd.Timestamp(DAY)

    def frame_of(given_rows: list[tuple[int, int, int | None]]) -> pd.DataFrame:
        stamps = [str(begin + place * pd.Timedelta("15min")) for _, place, _ in given_rows]
        return rows(
            *(
                (f"c{cell}", at, 0, value)
                for (cell, _, value), at in zip(given_rows, stamps, strict=True)
            )
        )

    def sites(frame: pd.DataFrame) -> Any:
        return np.where(frame["cell"].isin(["c0", "c1"]), "S", "T")

    known = {(cell, place): value for cell, place, value in table}

    def state(cell: int, place: int) -> bool | None:
        value, other = known.get((cell, place)), known.get((cell ^ 1, place))
        if value is None:
            return None
        if value > 0:
            return False
        return None if other is None else other > 0

    frame = frame_of(table)
    found = asleep(frame, "45min", sites(frame))
    for (cell, place, _), flag in zip(table, found, strict=True):
        states = [state(cell, place - back) for back in range(3)]
        expected = False if False in states else None if None in states else True
        assert flag is expected
    altered = frame_of([row for row in table if row[1] <= now] + [(0, 40, 9), (1, 40, 0)])
    again = asleep(altered, "45min", sites(altered))
    assert again[:-2] == [
        flag for (_, place, _), flag in zip(table, found, strict=True) if place <= now
    ]

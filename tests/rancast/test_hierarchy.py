"""Hierarchies: where an entity was at a time, and files that contradict themselves."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.errors import ConfigurationError
from rancast.hierarchy import load_hierarchy, parse_hierarchy
from rancast.kpis import aggregate, with_parts
from tests.rancast.counts import dataset, rows

HEADER = "entity,site,region,valid_from,valid_to\n"
MOVED = HEADER + (
    "a,S1,north,2024-01-01,2024-03-04T00:30:00Z\n"
    "a,S2,south,2024-03-04T00:30:00Z,\n"
    "b,S2,south,2024-01-01,2024-03-04\n"
    "b,,,2024-03-04,2024-03-04T02:00+01:00\n"
    "b,S2,south,2024-03-04T01:00,9999-12-31\n"
)


def texts(*values: str | None) -> "pd.Series[str]":
    """Return a column of texts."""
    return pd.Series(values, dtype="str")


def test_rows_are_located_at_their_own_time() -> None:
    """A stay holds its start and not its end; before it and out of service there is none."""
    asked = rows(
        ("a", "00:30"), ("a", "00:15"), ("b", "00:15"), ("b", "01:00"), ("a", "2023-12-31 23:45")
    )
    found = parse_hierarchy(MOVED.encode(), "radio").locate(asked["cell"], asked["at"])
    expected = pd.DataFrame(
        {
            "site": texts("S2", "S1", None, "S2", None),
            "region": texts("south", "north", None, "south", None),
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_an_unknown_entity_and_a_time_after_the_end_are_nowhere() -> None:
    """Nobody is placed by a guess; rows keep their index and order."""
    text = HEADER + "a,S1,north,2024-01-01,2024-02-01\n"
    asked = rows(("a", "2024-02-01 00:00"), ("z", "2024-01-05 00:00"), ("a", "2024-01-31 23:45"))
    asked.index = pd.Index([7, 3, 5])
    found = parse_hierarchy(text.encode(), "radio").locate(asked["cell"], asked["at"])
    assert found.index.tolist() == [7, 3, 5]
    assert found["site"].fillna("-").tolist() == ["-", "-", "S1"]
    none = parse_hierarchy(text.encode(), "radio").locate(asked["cell"][:0], asked["at"][:0])
    assert none.columns.tolist() == ["site", "region"] and none.empty


def test_a_cell_that_moved_counts_in_each_site_for_its_own_time() -> None:
    """The calls before the move are those of the old site, the later ones of the new."""
    counts = dataset()
    frame = rows(("a", "00:15", 1, 2), ("a", "00:30", 2, 4), ("b", "01:00", 0, 4))
    parts = with_parts(frame, counts)
    places = parse_hierarchy(MOVED.encode(), "radio").locate(parts["cell"], parts["at"])
    found = aggregate(parts.join(places), ["site"], counts.kpis)
    assert found[["site", "calls"]].values.tolist() == [["S1", 2.0], ["S2", 8.0]]
    assert found["drop_ratio"].tolist() == [1 / 2, 2 / 8]


def test_members_are_those_that_are_somewhere() -> None:
    """At a time a hierarchy has the entities in service then, with their levels."""
    members = parse_hierarchy(MOVED.encode(), "radio").members
    at_midnight = members(pd.Timestamp("2024-03-04", tz="UTC"))
    assert at_midnight.values.tolist() == [["a", "S1", "north"]]
    assert len(members(pd.Timestamp("2024-03-05", tz="UTC"))) == 2
    assert members(pd.Timestamp("2023-03-05", tz="UTC")).empty


def test_a_days_part_of_a_hierarchy_knows_nothing_of_later_moves() -> None:
    """What a day depends on is the same before and after a move elsewhere in time is entered."""
    start, end = (pd.Timestamp(day, tz="UTC") for day in ("2024-02-01", "2024-03-04"))
    entered = parse_hierarchy(MOVED.encode(), "radio").between(start, end)
    before = HEADER + "a,S1,north,2023-01-01,\nb,S2,south,2024-01-15,2025-01-01\n"
    unaware = parse_hierarchy(before.encode(), "radio").between(start, end)
    pd.testing.assert_frame_equal(entered.stays, unaware.stays)
    assert entered.stays["valid_to"].isna().all() and len(entered.stays) == 2
    asked = rows(("a", "2024-02-01 00:00"), ("b", "2024-03-03 23:45"))
    assert entered.locate(asked["cell"], asked["at"])["site"].tolist() == ["S1", "S2"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["a,S1,north,2024-01-01,2024-02-02", "a,S2,north,2024-02-01,"],
            "places 'a' twice at 2024-02-01 00:00: line 2 .* and line 3 .* overlap",
        ),
        (["a,S1,north,2024-01-01,", "a,S1,north,2024-01-01,"], "line 2 .* and line 3 .* overlap"),
        (
            [
                "a,S2,north,2024-02-02,",
                "b,S1,north,2024-01-01,",
                "a,S1,north,2024-01-01,2024-02-01",
            ],
            "does not say where 'a' was between line 4 .* and line 2 ",
        ),
        (
            ["a,S1,north,2024-01-01,2024-03-01", "b,S1,south,2024-02-01,"],
            "puts site 'S1' into region 'north' and 'south' at once: line 2 .* of 'a' and line 3",
        ),
        (
            ["a,S1,,2024-01-01,2024-03-01", "b,S1,south,2024-02-01,"],
            "into region '' and 'south' at once",
        ),
        (["a,,north,2024-01-01,"], "line 2 of hierarchies/radio.csv has a region and no site"),
        (["a,S1,north,2024-01-01,2024-01-01"], "line 2 .* ends at 2024-01-01, and does not begin"),
        (["a,S1,north,01.02.2024,"], "line 2 .* has '01.02.2024' for a time"),
        (["a,S1,north,,"], "line 2 .* has '' for a time"),
        ([",S1,north,2024-01-01,"], "line 2 .* names no entity"),
        (["a,S1,2024-01-01,"], "line 2 .* has 4 cells and the header 5"),
        ([""], "places no entity"),
        (['a,"S1,north,2024-01-01,'], "not a CSV file"),
    ],
)
def test_contradictions_are_refused_with_their_lines(lines: list[str], sentence: str) -> None:
    """Overlaps, gaps and sites in two regions are refused by a sentence that names the lines."""
    with pytest.raises(ConfigurationError, match=sentence):
        parse_hierarchy((HEADER + "\n".join(lines)).encode(), "radio")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "cell,site,valid_from,valid_to",
        "entity,valid_from,valid_to",
        "entity,site,site,valid_from,valid_to",
        "entity,site,valid_to,valid_from",
        "entity;site;valid_from;valid_to",
    ],
)
def test_a_header_names_entity_levels_and_times(header: str) -> None:
    """Any other first line is refused with an example of a right one."""
    with pytest.raises(ConfigurationError, match="write entity, the levels"):
        parse_hierarchy(f"{header}\na,S1,2024-01-01,\n".encode(), "radio")


def test_a_site_may_change_its_region_with_all_its_cells() -> None:
    """Stays that meet do not contradict each other, nor do blank lines and a byte order mark."""
    text = HEADER + (
        "a,S1,north,2024-01-01,2024-02-01\nb,S1,north,2024-01-15,2024-02-01\n\n"
        "a,S1,south,2024-02-01,\nb,S1,south,2024-02-01,\n"
    )
    assert len(parse_hierarchy(b"\xef\xbb\xbf" + text.encode(), "radio").stays) == 4


def test_files_are_found_by_name(tmp_path: Path) -> None:
    """An unknown name is refused with the known ones."""
    folder = tmp_path / "hierarchies"
    with pytest.raises(ConfigurationError, match="known: none, since .*hierarchies holds no CSV"):
        load_hierarchy(tmp_path, "radio")
    folder.mkdir()
    (folder / "radio.csv").write_text(MOVED)
    assert load_hierarchy(tmp_path, "radio").levels == ("site", "region")
    with pytest.raises(ConfigurationError, match="'core' not found; known: radio"):
        load_hierarchy(tmp_path, "core")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=2, max_size=8, unique=True),
    st.lists(st.integers(-10, 320), min_size=1, max_size=20),
    st.integers(0, 300),
)
def test_a_row_is_where_its_stay_says(cuts: list[int], times: list[int], now: int) -> None:
    """Each row lies in the stay that holds its time, and what is planned for later changes none."""
    begin, hour = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1h")
    edges = sorted(cuts)
    stays = list(zip(edges, edges[1:], strict=False))

    def written(until: list[tuple[int, int]]) -> str:
        lines = [
            f"a,S{first},r,{(begin + first * hour).isoformat()},{(begin + last * hour).isoformat()}"
            for first, last in until
        ]
        return HEADER + "\n".join(lines)

    cells = texts(*["a"] * len(times))
    stamps = pd.Series([begin + place * hour for place in times])
    found = parse_hierarchy(written(stays).encode(), "x").locate(cells, stamps)["site"]
    expected = [
        next((f"S{first}" for first, last in stays if first <= place < last), "-")
        for place in times
    ]
    assert found.fillna("-").tolist() == expected
    known = [(first, last) for first, last in stays if first <= now]
    if known:
        open_end = [*known[:-1], (known[-1][0], 9_999)]
        before = parse_hierarchy(written(open_end).encode(), "x").locate(cells, stamps)["site"]
        is_past = [place <= now for place in times]
        still = [place < edges[-1] for place in times]
        both = [a and b for a, b in zip(is_past, still, strict=True)]
        assert found.fillna("-")[both].tolist() == before.fillna("-")[both].tolist()

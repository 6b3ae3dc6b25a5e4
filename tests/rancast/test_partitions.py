"""How a partition's rows are sorted and when it is refused; GX's verdicts are given."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.datasets import Dataset
from rancast.expectations import Expectation, Suite, Verdict
from rancast.partitions import Partition, curate
from rancast.quarantine import as_quarantine
from rancast.reading import Inventory, Pulled
from rancast.row_rules import as_judged, rows_breaking

DAY = date(2024, 3, 5)


def dataset(**fields: Any) -> Dataset:
    """Two measurements of cells, every 12 hours, so that a day has two periods."""
    return Dataset.model_validate(
        {
            "name": "cells",
            "kind": "periodic",
            "time": {"column": "at", "period": "12h"},
            "key": ["cell", "at"],
            "entity": "cell",
            "quarantine_limit": 1.0,
            "columns": {
                "cell": {"type": "string"},
                "at": {"type": "timestamp"},
                "ms": {"type": "float"},
            },
        }
        | fields
    )


def expectation(type_: str, severity: str = "critical", **kwargs: Any) -> Expectation:
    """An expectation with its type as id."""
    values = {"type": type_, "kwargs": kwargs, "severity": severity, "notes": "why", "id": type_}
    return Expectation.model_validate(values)


ROWS = expectation("expect_table_row_count_to_be_between", min_value=1)
POSITIVE = expectation("expect_column_values_to_be_between", column="ms", min_value=0)
NAMED = expectation("expect_column_values_to_match_regex", column="cell", regex="^[A-Z]$")
SUITE = Suite(name="cells", expectations=(ROWS, POSITIVE, NAMED))


def frame(*rows: tuple[str | None, str | None, float], blob: str = "a.csv") -> pd.DataFrame:
    """A typed frame of (cell, time, ms) from consecutive lines of one blob."""
    cells, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    stamps = pd.to_datetime(pd.Series(times, dtype="str"), format="ISO8601", utc=True)
    return pd.DataFrame(
        {
            "cell": pd.array(list(cells), dtype="str"),
            "at": stamps.dt.as_unit("us"),
            "ms": np.array(values, dtype=float),
            "_blob": pd.array([blob] * len(rows), dtype="str"),
            "_line": np.arange(2, len(rows) + 2),
        }
    )


def rejected(*lines: int) -> pd.DataFrame:
    """What the reader set aside, from the same blob."""
    count = len(lines)
    return as_quarantine(
        {
            "blob": ["a.csv"] * count,
            "line": list(lines),
            "column": ["ms"] * count,
            "rule": ["ms is a number"] * count,
            "value": ["x"] * count,
            "record": ["..."] * count,
        }
    )


def verdicts(suite: Suite, typed: pd.DataFrame) -> dict[str, Verdict]:
    """What GX says: the masks' counts for rows, passed for tables, unless there is no row."""
    plain, found = as_judged(typed), {}
    for item in suite.expectations:
        if item.is_row:
            count = int(rows_breaking(plain, item.type, item.kwargs).sum())
            outcome = "failed" if count else "passed"
            found[item.id] = Verdict(outcome=outcome, unexpected_rows=count)
        else:
            outcome = "passed" if len(typed) else "failed"
            found[item.id] = Verdict(outcome=outcome, observed=str(len(typed)))
    return found


def sort(
    typed: pd.DataFrame,
    of: Dataset | None = None,
    unreadable: pd.DataFrame | None = None,
    refusals: tuple[str, ...] = (),
    register: tuple[str, ...] = (),
    given_verdicts: dict[str, Verdict] | None = None,
) -> Partition:
    """Curate one day of cells."""
    entities = tuple(sorted(typed["cell"].dropna().unique()))
    inventory = Inventory(sources=(), refusals=refusals, entities=entities)
    pulled = Pulled(typed, rejected() if unreadable is None else unreadable, inventory)
    found = {**verdicts(SUITE, typed), **(given_verdicts or {})}
    return curate(pulled, SUITE, found, of or dataset(), DAY, register)


def counts(partition: Partition) -> tuple[int, int, int, int]:
    """Raw, curated, quarantined, duplicates; held against the frames themselves."""
    rows = partition.report.rows
    assert (rows.curated, rows.quarantined) == (len(partition.curated), len(partition.quarantined))
    return rows.raw, rows.curated, rows.quarantined, rows.duplicates


def test_rows_are_sorted_and_each_names_its_rules_in_order() -> None:
    """Unreadable, other day, failed expectation, missing key: each row once, first rule first."""
    done = sort(
        frame(
            ("B", "2024-03-05T12:00Z", 20.0),
            ("A", "2024-03-05T00:00Z", 10.0),
            ("A", "2024-03-06T00:00Z", -5.0),
            ("A", "2024-03-05T12:00Z", -1.0),
            (None, "2024-03-05T00:00Z", 1.0),
        ),
        unreadable=rejected(9),
    )
    assert counts(done) == (6, 2, 4, 0)
    assert done.curated["cell"].tolist() == ["A", "B"]
    assert list(done.curated.columns) == ["cell", "at", "ms"]
    assert done.quarantined[["line", "column", "rule", "value"]].values.tolist() == [
        [4, "at", "at lies in 2024-03-05 UTC; ms at least 0", "2024-03-06T00:00:00+00:00"],
        [5, "ms", "ms at least 0", "-1.0"],
        [6, "cell", "cell is present", ""],
        [9, "ms", "ms is a number", "x"],
    ]


def test_a_row_within_the_tolerance_stays() -> None:
    """Rows just outside of the day are kept as far as the dataset's tolerance goes."""
    rows = frame(
        ("A", "2024-03-04T23:50Z", 1.0),
        ("A", "2024-03-06T00:09:59Z", 1.0),
        ("A", "2024-03-06T00:10Z", 1.0),
    )
    done = sort(rows, dataset(tolerance="10min"))
    assert counts(done) == (3, 2, 1, 0)
    assert done.quarantined["rule"].tolist() == ["at lies in 2024-03-05 UTC, give or take 0:10:00"]


def test_a_bad_duplicate_leaves_the_good_row() -> None:
    """Rows are judged before duplicates, so that a broken second delivery harms nothing."""
    rows = frame(("A", "2024-03-05T00:00Z", -1.0), ("A", "2024-03-05T00:00Z", 3.0))
    done = sort(rows)
    assert counts(done) == (2, 1, 1, 0)
    assert done.curated["ms"].tolist() == [3.0]


def test_rows_of_one_key_that_differ_are_quarantined_together() -> None:
    """Under the rule 'quarantine' no row of a contradictory key is believed; equal ones count."""
    key = ("A", "2024-03-05T00:00Z")
    done = sort(frame((*key, 1.0), (*key, 1.0), (*key, 2.0)))
    assert counts(done) == (3, 0, 2, 1)
    assert set(done.quarantined["rule"]) == {"rows of one cell, at agree"}


def test_order_of_blob_and_line_decides_which_row_is_last() -> None:
    """'last' means the last line of the last blob by name, in whatever order frames were read."""
    key = ("A", "2024-03-05T00:00Z")
    read = pd.concat([frame((*key, 9.0), blob="b.csv"), frame((*key, 1.0), blob="a.csv")])
    assert sort(read, dataset(duplicates="last")).curated["ms"].tolist() == [9.0]
    assert sort(read, dataset(duplicates="first")).curated["ms"].tolist() == [1.0]


def test_coverage_counts_the_silent_entities_of_the_register() -> None:
    """A cell that was seen in the last days and sends nothing is missing, not absent."""
    rows = frame(("A", "2024-03-05T00:00Z", 1.0), ("A", "2024-03-05T12:00Z", 1.0))
    assert sort(rows).report.coverage == 1.0
    assert sort(rows, register=("A", "B")).report.coverage == 0.5


def test_a_garbled_id_is_no_silent_entity() -> None:
    """An id that breaks the suite's own rule for ids is expected neither today nor next week."""
    rows = frame(
        ("A", "2024-03-05T00:00Z", 1.0),
        ("A", "2024-03-05T12:00Z", 1.0),
        ("cell 7", "2024-03-05T12:00Z", 1.0),
    )
    assert sort(rows, register=("A", "c ll 8")).report.coverage == 1.0


def test_coverage_counts_periods_of_the_day_once() -> None:
    """Two rows in one period, and a tolerated row of another day, do not fill other periods."""
    rows = frame(
        ("A", "2024-03-05T00:00Z", 1.0),
        ("A", "2024-03-05T00:01Z", 1.0),
        ("A", "2024-03-04T23:59Z", 1.0),
    )
    assert sort(rows, dataset(tolerance="10min")).report.coverage == 0.5


def test_who_is_expected_and_has_no_good_row_is_absent() -> None:
    """Silent entities and those whose rows were all set aside are counted, and some are named."""
    rows = frame(GOOD, ("B", "2024-03-05T00:00Z", -1.0))
    found = sort(rows, register=("A", "B", "C", "c ll 8")).report.attendance
    assert found is not None
    assert (found.expected, found.absent, found.examples) == (3, 2, ("B", "C"))
    many = tuple("DEFGHIJKLMNOPQRSTUVWXYZ")
    found = sort(frame(GOOD), register=many).report.attendance
    assert found is not None
    assert (found.absent, len(found.examples)) == (23, 10)


def test_who_lacks_periods_is_named_worst_first() -> None:
    """Of two periods a day A has both, twice, D one, B and C none that passed; few are named."""
    times = ("2024-03-05T00:00Z", "2024-03-05T12:00Z")
    rows = frame(*(("A", at, 1.0) for at in (*times, "2024-03-05T12:01Z")), ("D", times[1], 1.0))
    found = sort(rows, register=("A", "B", "C", "D", "c ll 8")).report.attendance
    assert found is not None
    assert (found.expected, found.absent, found.partly) == (4, 2, 1)
    named = [(one.entity, one.seen, one.periods) for one in found.worst]
    assert named == [("B", 0, 2), ("C", 0, 2), ("D", 1, 2)]
    crowd = sort(rows, register=tuple("DEFGHIJKLMNOPQRSTUVWXYZ")).report.attendance
    assert crowd is not None
    assert (crowd.absent, crowd.partly) == (22, 1)
    assert [one.entity for one in crowd.worst] == list("EFGHIJKLMN")


def test_absent_subscribers_are_counted_and_not_named() -> None:
    """Even pseudonyms of who did not report, or not always, stay out of the report."""
    private = dataset(pseudonymise={"cell": "subscriber"})
    found = sort(frame(GOOD), private, register=("A", "B")).report.attendance
    assert found is not None
    assert (found.absent, found.partly, found.examples, found.worst) == (1, 1, (), ())


def test_events_have_no_coverage() -> None:
    """Nobody knows how many events a day should have had."""
    events = dataset(kind="events", time={"column": "at"})
    report = sort(frame(("A", "2024-03-05T00:00Z", 1.0)), events).report
    assert report.coverage is None and report.attendance is None


GOOD, BAD = ("A", "2024-03-05T00:00Z", 1.0), ("B", "2024-03-05T00:00Z", -1.0)


@pytest.mark.parametrize(
    "rows, options, words",
    [
        (
            [GOOD, BAD],
            {"of": dataset(quarantine_limit=0.4)},
            ["at most 40 %", "1 of 2 rows, 50 %", "'ms at least 0' broken by 1"],
        ),
        ([GOOD], {"of": dataset(minimum_coverage=0.8)}, ["at least 80 %", "50 %"]),
        ([], {"of": dataset(expected="daily")}, ["rows arrive every day", "0 rows"]),
        ([], {}, ["suite cells: 'number of rows at least 1' does not hold (0)"]),
        (
            [GOOD],
            {"refusals": ("raw blob 'a.csv' is cut short; have it delivered again",)},
            ["raw blob 'a.csv' is cut short"],
        ),
        (
            [GOOD],
            {
                "given_verdicts": {
                    ROWS.id: Verdict(outcome="could_not_evaluate", reason="TypeError: no")
                }
            },
            ["'number of rows at least 1' could not be evaluated (TypeError: no)"],
        ),
        (
            [GOOD, BAD],
            {"given_verdicts": {POSITIVE.id: Verdict(outcome="passed", unexpected_rows=0)}},
            ["'ms at least 0' could not be evaluated", "GX counts 0 failing rows and rancast 1"],
        ),
    ],
    ids=["share", "coverage", "no rows", "table", "file", "not evaluated", "disagreement"],
)
def test_a_refused_partition_curates_nothing(
    rows: list[tuple[str, str, float]], options: dict[str, Any], words: list[str]
) -> None:
    """Each way to be refused quarantines every raw row and tells why and what to do."""
    done = sort(frame(*rows), **options)
    assert done.report.is_refused
    assert counts(done) == (len(rows), 0, len(rows), 0)
    assert done.quarantined["rule"].str.contains("partition refused: ", regex=False).all()
    for word in [
        *words,
        "cells 2024-03-05 was refused",
        "quarantine/cells/date=2024-03-05/" if rows else "no rows",
        "expectations/cells.json",
    ]:
        assert word in done.report.refusal


def test_a_refusal_is_added_to_what_the_reader_found() -> None:
    """A record that the reader rejected keeps its own rule first and names the refusal, too."""
    done = sort(frame(GOOD), unreadable=rejected(9), refusals=("raw blob 'a.csv' is cut short",))
    refusal = "partition refused: raw blob 'a.csv' is cut short"
    assert done.quarantined["rule"].tolist() == [refusal, f"ms is a number; {refusal}"]


def test_an_expectation_without_a_verdict_refuses() -> None:
    """Silence of Great Expectations is no consent."""
    pulled = Pulled(frame(GOOD), rejected(), Inventory(sources=(), refusals=(), entities=("A",)))
    done = curate(pulled, SUITE, {}, dataset(), DAY, ())
    assert done.report.is_refused
    assert "gave no result" in done.report.refusal


def test_an_unreadable_file_is_not_blamed_twice() -> None:
    """Where a broken file left no row, its own fault is the only reason."""
    done = sort(frame(), dataset(expected="daily"), refusals=("raw blob 'a.csv' is empty",))
    assert done.report.reasons == ("raw blob 'a.csv' is empty",)


def test_a_failed_warning_changes_nothing() -> None:
    """A warning and a volume outside of its band are reported, and the rows stay."""
    events = dataset(kind="events", time={"column": "at"}, volume=(5, 9))
    warning = POSITIVE.model_copy(update={"severity": "warning"})
    suite = Suite(name="cells", expectations=(warning,))
    typed = frame(BAD)
    pulled = Pulled(typed, rejected(), Inventory(sources=(), refusals=(), entities=()))
    done = curate(pulled, suite, verdicts(suite, typed), events, DAY, ())
    assert counts(done) == (1, 1, 0, 0) and not done.report.is_refused
    failed = [result for result in done.report.results if result.outcome == "failed"]
    assert [(result.expectation, result.severity) for result in failed] == [
        ("ms at least 0", "warning"),
        ("5 to 9 rows a day", "warning"),
    ]


def test_the_report_of_subscribers_holds_no_cell() -> None:
    """Names, numbers and times of subscribers show neither in the report nor in quarantine."""
    private = dataset(pseudonymise={"cell": "subscriber"})
    typed = frame(("4917012345678", "2024-03-05T00:00Z", -77.5), ("4917012345678", None, 1.0))
    done = sort(typed, private)
    text = done.report.model_dump_json() + done.quarantined.to_json()
    assert counts(done)[2] == 2
    assert "4917012345678" not in text and "77.5" not in text


ROW = st.tuples(
    st.sampled_from(["A", "B", None]),
    st.sampled_from(["2024-03-05T00:00Z", "2024-03-05T12:00Z", "2024-03-06T00:00Z", None]),
    st.sampled_from([1.0, 2.0, -1.0, np.nan]),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(ROW, max_size=12),
    unreadable=st.integers(0, 3),
    rule=st.sampled_from(["quarantine", "first", "last", "mean"]),
    limit=st.sampled_from([0.2, 1.0]),
)
def test_rows_add_up(
    rows: list[tuple[str | None, str | None, float]], unreadable: int, rule: str, limit: float
) -> None:
    """raw = curated + quarantined + duplicates, and no raw row is quarantined twice or unnamed."""
    typed = frame(*rows)
    lines = rejected(*range(100, 100 + unreadable))
    done = sort(typed, dataset(duplicates=rule, quarantine_limit=limit), unreadable=lines)
    raw, curated, quarantined, _ = counts(done)
    assert raw == len(rows) + unreadable
    assert len(done.quarantined[["blob", "line"]].drop_duplicates()) == quarantined
    assert (done.quarantined["rule"] != "").all()
    assert not done.curated.duplicated(["cell", "at"]).any()
    assert done.report.is_refused == bool(done.report.reasons)
    assert not (done.report.is_refused and curated)

"""The validation report as a page and as rows."""

import re
from datetime import date
from typing import Any

import pytest

from rancast.partition_results import (
    Attendance,
    Attended,
    ExpectationResult,
    PartitionReport,
)
from rancast.references import RowCounts
from rancast.reports import validation_page

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "</style><script>alert(1)</script>",
    "{{ 343 * 343 }}{% raw %}",
]


def result(**fields: Any) -> ExpectationResult:
    """A passed critical expectation, changed by `fields`."""
    values = {
        "expectation": "latency_ms between 0 and 10000",
        "type": "expect_column_values_to_be_between",
        "severity": "critical",
        "outcome": "passed",
    }
    return ExpectationResult.model_validate(values | fields)


def report(*results: ExpectationResult, **fields: Any) -> PartitionReport:
    """An accepted partition with the given results, changed by `fields`."""
    values = {
        "dataset": "cells",
        "day": date(2024, 3, 5),
        "suite": "cells",
        "rows": RowCounts(raw=1200, curated=1188, quarantined=8, duplicates=4),
        "coverage": 0.982,
        "is_refused": False,
        "reasons": (),
        "results": results,
    }
    return PartitionReport.model_validate(values | fields)


@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_a_file_holds_is_shown_as_text(attack: str) -> None:
    """Markup in names, rules, values, notes and reasons is escaped everywhere."""
    fields = ("expectation", "type", "column", "observed", "notes")
    item = result(**{name: attack for name in fields})
    page = validation_page(
        report(item, dataset=attack, suite=attack, is_refused=True, reasons=(attack,))
    )
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", page))
    assert tags <= set(re.findall(r"<\s*/?\s*([a-zA-Z]+)", validation_page(refused())))
    assert "onerror=alert(1)>" not in page and "117649" not in page


def refused() -> PartitionReport:
    """A refused partition with one harmless result."""
    return report(result(), is_refused=True, reasons=("suite cells: too few rows",))


def test_the_page_loads_nothing() -> None:
    """The page holds no script, no address, and a policy that forbids both."""
    page = validation_page(refused())
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"<script|<link|<img|<iframe|https?://|src=|href=|url\(|@import", page)


def test_the_page_shows_rows_expectations_and_reasons() -> None:
    """A person finds the counts, each expectation with its rows, and why it was refused."""
    item = result(outcome="failed", unexpected_rows=1234, quarantined_rows=8, notes="probes stop")
    page = validation_page(report(item, is_refused=True, reasons=("suite cells: too few rows",)))
    for text in (
        "1,188",
        "98.2 %",
        "latency_ms between 0 and 10000",
        "1,234",
        "probes stop",
        "suite cells: too few rows",
        "quarantine/cells/date=2024-03-05/",
    ):
        assert text in page


def test_failures_come_first() -> None:
    """What needs a person stands above what passed."""
    page = validation_page(
        report(
            result(expectation="fine"),
            result(expectation="unclear", outcome="could_not_evaluate"),
            result(expectation="broken", outcome="failed"),
        )
    )
    assert page.index("broken") < page.index("unclear") < page.index(">fine<")


def test_the_page_names_who_was_absent_or_partly_there() -> None:
    """Counts, and the few worst in order, whose names are shown as text; without them no table."""
    worst = (
        Attended(entity="<b>1", seen=0, periods=288),
        Attended(entity="C2", seen=72, periods=288),
    )
    found = Attendance(expected=1400, absent=1, partly=7, worst=worst)
    page = validation_page(report(attendance=found))
    assert "Of 1,400 entities that were expected, 1 have no row that passed, 7 lack" in page
    assert re.findall(r"<tr><td>([^<]*)</td><td class=\"number\">(\d+)", page)[-2:] == [
        ("&lt;b&gt;1", "0"),
        ("C2", "72"),
    ]
    assert "25 %" in page
    assert "periods seen" not in validation_page(
        report(attendance=Attendance(expected=5, absent=1))
    )


def test_a_day_without_rows_or_coverage_has_a_page() -> None:
    """No division by nothing: an empty partition is shown as one."""
    empty = RowCounts(raw=0, curated=0, quarantined=0, duplicates=0)
    assert "Coverage" not in validation_page(report(rows=empty, coverage=None))

"""What becomes of a partition's rows: curated, quarantined or duplicates, or the whole refused.

The order, in which a row's first broken rule is its reason:

1. Lines that the reader could not read were set aside before (`rejected`).
2. Rows of another day, past the dataset's tolerance, and rows without a key or a time.
3. Rows that break a critical row expectation; Great Expectations judged the whole typed frame.
4. Duplicates among the rows left, by the dataset's rule (see `rancast.duplicates`).

Then the partition as a whole: a file-level reason of the reader, a critical table expectation that
failed or a critical one that could not be evaluated, no rows where some are expected daily, more
quarantined than `quarantine_limit` or coverage below `minimum_coverage` refuse it. Nothing of a
refused partition is curated: all its raw rows are quarantined, duplicates too, and the refusal is
named on each. A volume outside of its band is only a warning.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.duplicates import Deduplicated, deduplicate
from rancast.expectations import Expectation, Outcome, Severity, Suite, Verdict
from rancast.quarantine import COLUMNS, Finding, quarantine
from rancast.reading import Pulled
from rancast.references import RowCounts
from rancast.row_rules import Mask, as_judged, rows_breaking

Day = date


class ExpectationResult(Document):
    """One line of a validation report: an expectation of the suite or a rule of the dataset.

    `type` is GX's, or `dataset.` and the key of the dataset's YAML that sets the rule.
    `unexpected_rows` are the rows that broke it, None where rows are not what it judges, and
    `quarantined_rows` those of them set aside for it (a row that broke two rules counts in both).
    """

    expectation: str
    type: str
    column: str | None = None
    severity: Severity
    outcome: Outcome
    observed: str = ""
    unexpected_rows: int | None = None
    quarantined_rows: int = 0
    notes: str = ""


class PartitionReport(Document):
    """What validation found in one partition, and what it decided; no cell of the data is in it."""

    dataset: str
    day: Day
    suite: str
    rows: RowCounts
    coverage: float | None
    is_refused: bool
    reasons: tuple[str, ...]
    results: tuple[ExpectationResult, ...]

    @property
    def refusal(self) -> str:
        """The whole refusal as one text: what, why, and what to do next; "" where there is none."""
        if not self.is_refused:
            return ""
        return (
            f"{self.dataset} {self.day} was refused: {'; '.join(self.reasons)}. See "
            f"quarantine/{self.dataset}/date={self.day}/ in the lake for the rows; fix the feed, or "
            f"change expectations/{self.suite}.json or datasets/{self.dataset}.yaml, and run ingest "
            "for that day again."
        )


class Partition(NamedTuple):
    """The rows of one dataset on one day after validation.

    `curated` has the dataset's columns, sorted by key, one row per key; `quarantined` has the
    quarantine's columns, one row per raw row, sorted by blob and line.
    """

    curated: pd.DataFrame
    quarantined: pd.DataFrame
    report: PartitionReport


class _Sorted(NamedTuple):
    """The typed rows after steps 2 to 4, before the partition as a whole is judged."""

    rows: pd.DataFrame  # every typed row, in order of blob and line
    findings: list[Finding]  # over `rows`
    kept: pd.DataFrame
    duplicates: int
    quarantined: int  # typed rows and rejected ones


def curate(
    pulled: Pulled,
    suite: Suite,
    verdicts: Mapping[str, Verdict],
    dataset: Dataset,
    day: date,
    register: tuple[str, ...],
) -> Partition:
    """Sort the rows of one partition by the rules of this module's docstring.

    `verdicts` are GX's by expectation id; `register` are the entities seen in the last days, to
    which those of the day are added.
    """
    order = _Order(suite, _settled(suite, verdicts, pulled.typed), dataset, day)
    rows = _sort_rows(pulled, order)
    coverage = _coverage(rows.kept, {*register, *pulled.inventory.entities}, dataset, day)
    reasons = _refusals(pulled, rows, order, coverage)
    return Partition(
        _curated(rows.kept if not reasons else rows.kept.iloc[:0], dataset),
        _quarantined(pulled, rows, dataset, reasons),
        PartitionReport(
            dataset=dataset.name,
            day=day,
            suite=suite.name,
            rows=_count(pulled, rows, bool(reasons)),
            coverage=coverage,
            is_refused=bool(reasons),
            reasons=tuple(reasons),
            results=(*_suite_results(rows, order), *_rule_results(pulled, rows, order, coverage)),
        ),
    )

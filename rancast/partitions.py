"""What becomes of a partition's rows: curated, quarantined or duplicates, or the whole refused.

The order, in which a row's first broken rule is its reason:

1. Records that the reader could not read were set aside before (`rejected`).
2. Rows of another day, past the dataset's tolerance.
3. Rows that break a critical row expectation, which Great Expectations judged on the whole typed
   frame, and rows without a key or a time.
4. Duplicates among the rows left, by the dataset's rule (see `rancast.duplicates`).

Then the partition as a whole: a file-level reason of the reader, a critical table expectation that
failed, a critical one that could not be evaluated, no rows where some are expected daily, more
quarantined than `quarantine_limit`, or coverage below `minimum_coverage` refuse it. Nothing of a
refused partition is curated: all its raw rows are quarantined, duplicates too, and the refusal is
named on each. A volume outside of its band is a warning.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from rancast.coverage import coverage_of_entities
from rancast.datasets import Dataset
from rancast.duplicates import deduplicate
from rancast.expectations import Expectation, Suite, Verdict
from rancast.partition_results import (
    Attendance,
    Attended,
    ExpectationResult,
    PartitionReport,
    partition_rules,
    refusals,
    row_rule,
    suite_result,
)
from rancast.quarantine import Finding, quarantine
from rancast.reading import Pulled
from rancast.references import RowCounts
from rancast.row_rules import Mask, as_judged, rows_breaking

__all__ = ["ExpectationResult", "Partition", "PartitionReport", "curate"]

WORST_RULES = 3
ABSENT_EXAMPLES = 10
WORST_ENTITIES = 10
WORST_BLOBS = 3


class Partition(NamedTuple):
    """The rows of one dataset on one day after validation.

    `curated` has the dataset's columns, sorted by key, one row per key; `quarantined` has the
    quarantine's columns, one row per raw row, sorted by blob and line.
    """

    curated: pd.DataFrame
    quarantined: pd.DataFrame
    report: PartitionReport


class _Judged(NamedTuple):
    """One expectation, what GX says, and the rows that break it where they are set aside for it."""

    expectation: Expectation
    verdict: Verdict
    broken: Mask | None


class _Sorted(NamedTuple):
    """The rows after steps 1 to 4, before the partition as a whole is judged."""

    rows: pd.DataFrame  # every typed row, in order of blob and line
    rejected: pd.DataFrame
    findings: list[Finding]  # over `rows`, in the order in which they count
    own: list[tuple[str, Finding]]  # those that the dataset's YAML sets, with its key
    kept: pd.DataFrame
    duplicates: int

    @property
    def counts(self) -> RowCounts:
        """The rows as they are sorted so far."""
        raw = len(self.rows) + len(self.rejected)
        kept = len(self.kept)
        return RowCounts(
            raw=raw,
            curated=kept,
            quarantined=raw - kept - self.duplicates,
            duplicates=self.duplicates,
        )

    @property
    def worst(self) -> str:
        """The rules that set most rows aside, with how many."""
        found = {finding.rule: int(finding.broken.sum()) for finding in self.findings}
        found["every record can be read"] = len(self.rejected)
        by_rows = sorted(found.items(), key=lambda item: -item[1])[:WORST_RULES]
        return ", ".join(f"'{rule}' broken by {rows:,}" for rule, rows in by_rows if rows)


def curate(
    pulled: Pulled,
    suite: Suite,
    verdicts: Mapping[str, Verdict],
    dataset: Dataset,
    day: date,
    register: tuple[str, ...],
) -> Partition:
    """Sort the rows of one partition by the rules of this module's docstring.

    `verdicts` are GX's on the typed frame, by expectation id; `register` are the entities seen in
    the last days, to which those of the day are added. An expectation on whose failing rows GX and
    the masks disagree counts as one that could not be evaluated.
    """
    typed = _in_order(pulled.typed, ["_blob", "_line"])
    judged = _judge(typed, suite, verdicts)
    rows = _sort_rows(typed, pulled.rejected, judged, dataset, day)
    expected = _believable({*register, *pulled.inventory.entities}, suite, dataset)
    coverage = _coverage(rows.kept, expected, dataset, day)
    results = _results(rows, judged, coverage, dataset)
    reasons = refusals(
        pulled.inventory.refusals, results, len(typed) > 0, (dataset.name, suite.name)
    )
    counts = rows.counts
    if reasons:
        reasons += _worst_blobs(pulled, rows)
        counts = RowCounts(raw=counts.raw, curated=0, quarantined=counts.raw, duplicates=0)
    report = PartitionReport(
        dataset=dataset.name,
        day=day,
        suite=suite.name,
        rows=counts,
        coverage=coverage,
        attendance=_attendance(rows.kept, expected, dataset, day),
        is_refused=bool(reasons),
        reasons=reasons,
        results=results,
    )
    kept = rows.kept.iloc[:0] if reasons else rows.kept
    curated = _in_order(kept, list(dataset.key))[list(dataset.columns)]
    return Partition(curated, _quarantined(rows, dataset, reasons), report)


def _worst_blobs(pulled: Pulled, rows: _Sorted) -> tuple[str, ...]:
    """Name the blobs of a refused day whose every reason is about the day as a whole."""
    if pulled.inventory.refusals:
        return ()
    is_bad = np.logical_or.reduce([finding.broken for finding in rows.findings])
    aside = pd.concat([rows.rejected["blob"], rows.rows.loc[is_bad, "_blob"]]).value_counts()
    counted = [(int(aside.get(one.blob, 0)), one) for one in pulled.inventory.sources]
    worst = sorted(counted, key=lambda item: (-item[0], item[1].blob))[:WORST_BLOBS]
    named = [f"{one.blob} ({one.rows:,} rows, {bad:,} set aside)" for bad, one in worst]
    more = len(counted) - len(named)
    return (f"Its blobs: {', '.join(named)}{f' and {more:,} more' if more else ''}.",)


def _in_order(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    # sorting the ranks is several times faster than sorting a million strings
    ranks = [pd.factorize(frame[name], sort=True)[0] for name in reversed(by)]
    order = np.lexsort(ranks)
    is_sorted = bool((order[1:] > order[:-1]).all())
    return (frame if is_sorted else frame.iloc[order]).reset_index(drop=True)


def _judge(typed: pd.DataFrame, suite: Suite, verdicts: Mapping[str, Verdict]) -> list[_Judged]:
    frame = as_judged(typed)
    nothing = Verdict(outcome="could_not_evaluate", reason="Great Expectations gave no result")
    judged = []
    for item in suite.expectations:
        verdict, broken = verdicts.get(item.id, nothing), None
        if item.is_row and item.is_critical and verdict.outcome != "could_not_evaluate":
            broken = rows_breaking(frame, item.type, item.kwargs)
            found = int(broken.sum())
            if found != verdict.unexpected_rows:
                reason = f"GX counts {verdict.unexpected_rows} failing rows and rancast {found}"
                verdict = Verdict(outcome="could_not_evaluate", reason=reason)
        judged.append(_Judged(item, verdict, broken))
    return judged


def _sort_rows(
    typed: pd.DataFrame, rejected: pd.DataFrame, judged: list[_Judged], dataset: Dataset, day: date
) -> _Sorted:
    other_day = _of_another_day(typed, dataset, day)
    of_suite = [
        Finding(item.expectation.sentence, item.expectation.columns[0], item.broken)
        for item in judged
        if item.broken is not None
    ]
    without_key = _without_key(typed, judged, dataset)
    findings = [other_day, *of_suite, *without_key]
    is_bad = np.logical_or.reduce([finding.broken for finding in findings])
    unique = deduplicate(typed[~is_bad], dataset)
    is_torn = np.zeros(len(typed), dtype=bool)
    is_torn[unique.conflicting.index] = True
    torn = Finding(f"rows of one {', '.join(dataset.key)} agree", "", is_torn)
    keys = [("key", finding) for finding in without_key]
    own = [("tolerance", other_day), *keys, ("duplicates", torn)]
    return _Sorted(typed, rejected, [*findings, torn], own, unique.kept, unique.duplicates)


def _of_another_day(typed: pd.DataFrame, dataset: Dataset, day: date) -> Finding:
    time, tolerance = dataset.time.column, dataset.tolerance
    start = pd.Timestamp(day, tz="UTC")
    is_early = typed[time] < start - tolerance
    is_late = typed[time] >= start + timedelta(days=1) + tolerance
    leeway = f", give or take {tolerance}" if tolerance else ""
    return Finding(f"{time} lies in {day} UTC{leeway}", time, (is_early | is_late).to_numpy(bool))


def _without_key(typed: pd.DataFrame, judged: list[_Judged], dataset: Dataset) -> list[Finding]:
    """Return the rows without a key or a time, for each column that the suite does not cover."""
    covered = {
        item.expectation.columns[0]
        for item in judged
        if item.broken is not None
        and item.expectation.type == "expect_column_values_to_not_be_null"
    }
    return [
        Finding(f"{name} is present", name, typed[name].isna().to_numpy(bool))
        for name in dict.fromkeys((*dataset.key, dataset.time.column))
        if name not in covered
    ]


def _believable(entities: set[str], suite: Suite, dataset: Dataset) -> list[str]:
    """Return the entities that break no critical rule on their column alone.

    Garbled ids reach the register, too; each would count as an entity that is silent all day.
    """
    column = dataset.entity
    if column is None or dataset.columns[column].type != "string":
        return sorted(entities)
    names = pd.DataFrame({column: pd.array(sorted(entities), dtype="str")})
    for item in suite.expectations:
        if item.is_row and item.is_critical and item.columns == (column,):
            names = names[~rows_breaking(names, item.type, item.kwargs)]
    return names[column].tolist()


def _coverage(kept: pd.DataFrame, entities: list[str], dataset: Dataset, day: date) -> float | None:
    """Return which share of entities x periods of the day has a row; None for events."""
    period = dataset.time.period
    if dataset.kind == "events" or period is None:
        return None
    periods = -(-timedelta(days=1) // period)
    slots = (kept[dataset.time.column] - pd.Timestamp(day, tz="UTC")) // pd.Timedelta(period)
    seen = pd.DataFrame({"entity": kept[dataset.entity], "slot": slots})
    filled = len(seen[slots.between(0, periods - 1)].drop_duplicates())
    # an unknown register and no row: nothing is covered
    return min(1.0, filled / (len(entities) * periods)) if entities else 0.0


def _attendance(
    kept: pd.DataFrame, entities: list[str], dataset: Dataset, day: date
) -> Attendance | None:
    """Count the expected entities of which rows of the day are missing; None for events.

    Absent is who has no row at all, be it one of another day within the tolerance.
    """
    if dataset.kind == "events" or dataset.entity is None:
        return None
    absent = sorted(set(entities).difference(kept[dataset.entity].unique()))
    found = coverage_of_entities(kept, dataset, entities, day, day + timedelta(days=1))
    is_lacking = (found["seen"] < found["expected"]) & found["entity"].isin(entities)
    lacking = found[is_lacking].sort_values("seen", kind="stable")
    worst = lacking[["entity", "seen", "expected"]].head(WORST_ENTITIES)
    is_private = dataset.has_subscribers
    return Attendance(
        expected=len(entities),
        absent=len(absent),
        examples=() if is_private else tuple(absent[:ABSENT_EXAMPLES]),
        partly=len(lacking) - len(absent),
        worst=() if is_private else _attended(worst),
    )


def _attended(found: pd.DataFrame) -> tuple[Attended, ...]:
    return tuple(
        Attended(entity=str(entity), seen=int(seen), periods=int(periods))
        for entity, seen, periods in found.itertuples(index=False)
    )


def _results(
    rows: _Sorted, judged: list[_Judged], coverage: float | None, dataset: Dataset
) -> tuple[ExpectationResult, ...]:
    unreadable = np.ones(len(rows.rejected), dtype=bool)
    return (
        *[
            suite_result(
                item.expectation,
                item.verdict,
                0 if item.broken is None else int(item.broken.sum()),
            )
            for item in judged
        ],
        row_rule("columns", Finding("every record can be read", "", unreadable)),
        *[row_rule(key, finding) for key, finding in rows.own],
        *partition_rules(rows.counts, coverage, rows.worst, dataset),
    )


def _quarantined(rows: _Sorted, dataset: Dataset, reasons: tuple[str, ...]) -> pd.DataFrame:
    """Return one quarantine row for each record set aside; for all of them after a refusal."""
    findings, rejected = rows.findings, rows.rejected
    if reasons:
        refusal = f"partition refused: {reasons[0]}"
        findings = [*findings, Finding(refusal, "", np.ones(len(rows.rows), dtype=bool))]
        rejected = rejected.assign(rule=rejected["rule"] + f"; {refusal}")
    is_out = np.logical_or.reduce([finding.broken for finding in findings])
    narrowed = [Finding(item.rule, item.column, item.broken[is_out]) for item in findings]
    ours = quarantine(rows.rows[is_out], narrowed, list(dataset.columns), dataset.has_subscribers)
    return _in_order(pd.concat([rejected, ours], ignore_index=True), ["blob", "line"])

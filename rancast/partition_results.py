"""What validation found in a partition, line by line, and which findings refuse it."""

from collections.abc import Iterable
from datetime import date

from rancast.datasets import Dataset
from rancast.documents import Document
from rancast.expectations import Expectation, Outcome, Severity, Verdict
from rancast.quarantine import Finding
from rancast.references import RowCounts

Day = date

# Why each of the dataset's own rules is there, by its key in the YAML.
NOTES = {
    "columns": "a record that cannot be read is kept in quarantine, never skipped",
    "tolerance": "a row belongs to the day in which its period starts; another day's row would be "
    "counted in both",
    "key": "a row without its key or its time can be joined to nothing",
    "duplicates": "one row per key; rows that repeat it and agree are counted as duplicates",
    "expected": "absent is not zero: a day without rows says nothing about the network",
    "quarantine_limit": "a feed this broken is fixed at its source; the rest of it is not trusted",
    "minimum_coverage": "absent is not zero: models must not learn from the few who reported",
    "volume": "a day far outside of the usual volume was cut short or delivered twice",
}


class ExpectationResult(Document):
    """One line of a validation report: an expectation of the suite or a rule of the dataset.

    `type` is GX's, or `dataset.` and the key of the dataset's YAML that sets the rule.
    `unexpected_rows` are the rows that broke it, None where single rows are not what it judges,
    and `quarantined_rows` those of them set aside (a row that broke two rules counts in both).
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

    @property
    def is_of_dataset(self) -> bool:
        """Whether the dataset's YAML sets it, and not the suite."""
        return self.type.startswith("dataset.")

    @property
    def refuses(self) -> bool:
        """Whether it refuses the whole partition."""
        if self.severity != "critical" or self.outcome == "passed":
            return False
        return self.outcome == "could_not_evaluate" or self.unexpected_rows is None

    @property
    def reason(self) -> str:
        """Why it refuses the partition, with what was observed."""
        verb = "does not hold" if self.outcome == "failed" else "could not be evaluated"
        return f"'{self.expectation}' {verb}" + (f" ({self.observed})" if self.observed else "")


class Attended(Document):
    """In how many periods of a day an entity has a row that passed, of how many."""

    entity: str
    seen: int
    periods: int


class Attendance(Document):
    """How many entities were expected on a day, and how many of them have no row that passed.

    `examples` are some of those. `partly` counts those that lack some periods (None in manifests
    of before it was counted), and `worst` are the few with the fewest periods, absent ones among
    them. In datasets with subscribers nobody is named.
    """

    expected: int
    absent: int
    examples: tuple[str, ...] = ()
    partly: int | None = None
    worst: tuple[Attended, ...] = ()

    @property
    def sentence(self) -> str:
        """How many were expected, absent and partly there."""
        partly = "" if self.partly is None else f", {self.partly:,} lack some of its periods"
        return (
            f"Of {self.expected:,} entities that were expected, {self.absent:,} have no row that "
            f"passed{partly}."
        )


class PartitionReport(Document):
    """What validation found in one partition and decided; it holds no cell of subscribers."""

    dataset: str
    day: Day
    suite: str
    rows: RowCounts
    coverage: float | None
    attendance: Attendance | None = None
    is_refused: bool
    reasons: tuple[str, ...]
    results: tuple[ExpectationResult, ...]

    @property
    def next_step(self) -> str:
        """What to do about a refusal."""
        where = f"in quarantine/{self.dataset}/date={self.day}/ of the lake"
        return (
            f"It had {f'{self.rows.raw:,} rows, all {where}' if self.rows.raw else 'no rows'}; fix "
            f"the feed, or change expectations/{self.suite}.json or datasets/{self.dataset}.yaml, "
            "and run ingest for that day again."
        )

    @property
    def refusal(self) -> str:
        """The whole refusal as one text: what, why and what to do next; "" where there is none."""
        if not self.is_refused:
            return ""
        reasons = "; ".join(self.reasons)
        return f"{self.dataset} {self.day} was refused: {reasons}. {self.next_step}"


def suite_result(
    expectation: Expectation, verdict: Verdict, quarantined_rows: int
) -> ExpectationResult:
    """Return GX's verdict on one expectation as a line of the report."""
    return ExpectationResult(
        expectation=expectation.sentence,
        type=expectation.type,
        column=", ".join(expectation.columns) or None,
        severity=expectation.severity,
        outcome=verdict.outcome,
        observed=verdict.observed or verdict.reason,
        unexpected_rows=verdict.unexpected_rows,
        quarantined_rows=quarantined_rows,
        notes=expectation.note,
    )


def row_rule(key: str, finding: Finding) -> ExpectationResult:
    """Return a rule of the dataset about rows, set by `key` of its YAML, as a line."""
    broken = int(finding.broken.sum())
    return ExpectationResult(
        expectation=finding.rule,
        type=f"dataset.{key}",
        column=finding.column or None,
        severity="critical",
        outcome="failed" if broken else "passed",
        unexpected_rows=broken,
        quarantined_rows=broken,
        notes=NOTES[key],
    )


def partition_rules(
    rows: RowCounts, coverage: float | None, worst: str, dataset: Dataset
) -> list[ExpectationResult]:
    """Return the dataset's rules about the partition as a whole, as lines.

    `rows` are the counts before a refusal; `worst` names the rules that set most rows aside.
    """
    limit, least = dataset.quarantine_limit, dataset.minimum_coverage
    share = rows.quarantined / rows.raw if rows.raw else 0.0
    seen = f"{rows.quarantined:,} of {rows.raw:,} rows, {_percent(share)}"
    lines = [
        _rule(
            "quarantine_limit",
            f"at most {_percent(limit)} of the rows are quarantined",
            share <= limit,
            f"{seen}: {worst}" if rows.quarantined else seen,
        )
    ]
    if dataset.expected == "daily":
        lines.append(_rule("expected", "rows arrive every day", rows.raw > 0, f"{rows.raw:,} rows"))
    if coverage is not None:
        sentence = f"at least {_percent(least)} of the entities' periods are there"
        lines.append(
            _rule("minimum_coverage", sentence, coverage >= least, f"{_percent(coverage)}")
        )
    if dataset.volume is not None:
        low, high = dataset.volume
        sentence, is_usual = f"{low:,} to {high:,} rows a day", low <= rows.curated <= high
        lines.append(
            _rule("volume", sentence, is_usual, f"{rows.curated:,} rows", severity="warning")
        )
    return lines


def refusals(
    file_reasons: tuple[str, ...],
    results: Iterable[ExpectationResult],
    has_rows: bool,
    names: tuple[str, str],
) -> tuple[str, ...]:
    """Return the reasons that refuse a partition; () where it stands.

    `names` are those of its dataset and suite. The reader's reasons come first, and alone where no
    row could be read (`has_rows` False): that a broken file has no rows is no second reason.
    """
    dataset, suite = names
    found = [
        f"{f'dataset {dataset}' if result.is_of_dataset else f'suite {suite}'}: {result.reason}"
        for result in results
        if result.refuses
    ]
    reasons = tuple(reason.rstrip(".") for reason in file_reasons)
    return reasons if reasons and not has_rows else (*reasons, *found)


def _rule(
    key: str, sentence: str, holds: bool, observed: str, severity: Severity = "critical"
) -> ExpectationResult:
    return ExpectationResult(
        expectation=sentence,
        type=f"dataset.{key}",
        severity=severity,
        outcome="passed" if holds else "failed",
        observed=observed,
        notes=NOTES[key],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"

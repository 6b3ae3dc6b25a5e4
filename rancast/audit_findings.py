"""What a leakage audit says: findings with their evidence in numbers, and what was checked."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rancast.audit_rules import QUESTIONS, Rule
from rancast.documents import Document
from rancast.errors import TableRefused

Severity = Literal["refuse", "warn"]


class Finding(Document):
    """One thing that is wrong, or may be: the columns that it is about, and the numbers."""

    rule: Rule
    severity: Severity
    columns: tuple[str, ...]
    evidence: dict[str, float]
    sentence: str


class Check(Document):
    """What became of one rule: `detail` is what was measured, or why it could not be."""

    rule: Rule
    outcome: Literal["clear", "found", "not_checked"]
    detail: str


class Bounds(Document):
    """From where on a number counts as a leak; every finding names the one that it passed."""

    average_precision: float = 0.98
    roc_auc: float = 0.98
    r2: float = 0.995
    together: float = 0.99
    collapse: float = 0.5
    least_skill: float = 0.2
    contradictions: float = 0.01
    rows: int = 10_000
    days: int = 2


class Audit(Document):
    """A leakage audit: rules that refuse or warn, in order, and each rule with its outcome.

    `rows` are those of the table, `sampled` those on which models were fitted.
    """

    rows: int
    sampled: int
    features: int
    target: str
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]

    @property
    def is_refused(self) -> bool:
        """Whether nothing should be trained on this table as it is."""
        return any(finding.severity == "refuse" for finding in self.findings)

    def refusals(self, accepted: Mapping[Rule, str]) -> tuple[Finding, ...]:
        """Return the findings that refuse the table and that nobody has accepted."""
        return tuple(
            finding
            for finding in self.findings
            if finding.severity == "refuse" and finding.rule not in accepted
        )

    def expect_acceptable(self, use_case: str, accepted: Mapping[Rule, str]) -> None:
        """Raise TableRefused, with columns and numbers, for a refusal that nobody has accepted."""
        refusals = self.refusals(accepted)
        if not refusals:
            return
        said = ". ".join(_sentence(finding) for finding in refusals)
        rules = ", ".join(dict.fromkeys(finding.rule for finding in refusals))
        raise TableRefused(
            f"The leakage audit refused the training table of {use_case!r}; nothing was fitted: "
            f"{said}. Whoever has looked and knows better writes down why, in "
            f"use_cases/{use_case}.yaml under audit.accept, by rule: {rules}."
        )

    @property
    def verdict(self) -> str:
        """The audit in one sentence."""
        refused = [finding.rule for finding in self.findings if finding.severity == "refuse"]
        warned = [finding.rule for finding in self.findings if finding.severity == "warn"]
        unchecked = [check.rule for check in self.checks if check.outcome == "not_checked"]
        parts = [
            f"{word} for {_listed(rules)}"
            for word, rules in (("refused", refused), ("warned", warned))
            if rules
        ]
        text = "; ".join(parts) or f"nothing found by {len(self.checks) - len(unchecked)} rules"
        without = f"; not checked: {_listed(unchecked)}" if unchecked else ""
        return f"{text[0].upper()}{text[1:]}{without}."


class Checked(NamedTuple):
    """What one rule returns: what it found, and what it measured."""

    findings: tuple[Finding, ...]
    detail: str

    def of(self, rule: Rule) -> Check:
        """Return it as the check of a rule."""
        return Check(rule=rule, outcome="found" if self.findings else "clear", detail=self.detail)


def not_checked(rule: Rule, why: str) -> Check:
    """Return the check of a rule that this table gives nothing to look at."""
    return Check(rule=rule, outcome="not_checked", detail=why)


def audit_rows(audit: Audit) -> list[dict[str, Any]]:
    """Return one row per finding, and one per rule that found nothing, for a table."""
    rows = []
    for check in audit.checks:
        question = QUESTIONS[check.rule]
        found = [finding for finding in audit.findings if finding.rule == check.rule]
        rows += [
            {
                "question": question,
                "outcome": {"refuse": "refused", "warn": "warned"}[finding.severity],
                "columns": ", ".join(finding.columns),
                "evidence": finding.sentence,
            }
            for finding in found
        ]
        if not found:
            outcome = "clear" if check.outcome == "clear" else "not checked"
            rows.append(
                {"question": question, "outcome": outcome, "columns": "", "evidence": check.detail}
            )
    return rows


def audit_markdown(audit: Audit) -> str:
    """Return the audit as a markdown table under its verdict."""
    lines = [
        f"{audit.verdict} {audit.rows:,} rows, {audit.features} features; models were fitted on "
        f"{audit.sampled:,} rows.",
        "",
        "| question | outcome | columns | evidence |",
        "|---|---|---|---|",
    ]
    for row in audit_rows(audit):
        cells = [str(value).replace("|", "\\|").replace("\n", " ") for value in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sentence(finding: Finding) -> str:
    return f"{finding.rule.replace('_', ' ')}: {finding.sentence}"


def accepted_sentence(audit: Audit, accepted: Mapping[Rule, str]) -> str:
    """Return which findings people have accepted and why, and which acceptance is idle."""
    found = {finding.rule for finding in audit.findings}
    parts = [
        (
            f"{rule.replace('_', ' ')} accepted: {reason}"
            if rule in found
            else f"{rule.replace('_', ' ')} accepted, but nothing was found"
        )
        for rule, reason in accepted.items()
    ]
    return "; ".join(parts)


def _listed(rules: list[Rule]) -> str:
    return ", ".join(rule.replace("_", " ") for rule in dict.fromkeys(rules))

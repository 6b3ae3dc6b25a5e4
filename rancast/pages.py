"""A run as pages for the Prefect UI: each day's validation, coverage, leaderboard, decision, night.

Pages are markdown; what they say in words and rows comes from `summaries`.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from rancast import summaries
from rancast.audit_findings import Audit, accepted_sentence, audit_rows
from rancast.audit_rules import Rule
from rancast.decisions import Comparison, Decision
from rancast.guidance import Part, part_link
from rancast.manifests import PartitionFacts
from rancast.markdown import Cell, code, escape, link, picture, table
from rancast.partition_results import Attendance, ExpectationResult
from rancast.references import RowCounts
from rancast.reports import OUTCOMES
from rancast.trainings import TrainingOutcome
from rancast.windows import Ingested

# On a first night every day is new. The others' pages lie in the lake.
MOST_DAYS = 7
_RANK = {"failed": 0, "could_not_evaluate": 1, "passed": 2}
_ROWS = "raw, curated, quarantined, duplicates"


# --- ingest -------------------------------------------------------------------------------------


def ingest_page(ingested: Ingested) -> str:
    """Return what each day brought, and why some of it was refused or is missing."""
    lines = [
        f"## {escape(ingested.dataset)}, {_span(ingested)}",
        "",
        escape(summaries.ingest_sentence(ingested)),
        "",
    ]
    for facts in reversed(ingested.partitions):
        if facts.is_refused:
            lines += [f"**Refused.** {escape(' '.join(facts.reasons))}", ""]
    columns = ("day", "state", *_ROWS.split(", "), "coverage", "now")
    lines += table(columns, _ingest_rows(ingested), numbers=f"{_ROWS}, coverage")
    lines += ["", "raw = curated + quarantined + duplicates. *now*: validated in this run; the "]
    lines[-1] += "other days are as an earlier run left them."
    lines += _quarantine(ingested)
    return "\n".join(lines)


def _span(ingested: Ingested) -> str:
    first, last = ingested.start, date.fromordinal(ingested.end.toordinal() - 1)
    return f"{last}" if first == last else f"{first} to {last}"


def _ingest_rows(ingested: Ingested) -> list[list[Cell]]:
    computed = {day.isoformat() for day in ingested.computed_days}
    rows: list[list[Cell]] = []
    for row in summaries.ingest_rows(ingested):
        state = "curated" if row["state"] == "curated" else f"**{row['state']}**"
        counts = [row.get(name) for name in _ROWS.split(", ")]
        is_new = "yes" if row["day"] in computed else ""
        rows.append([row["day"], state, *counts, row.get("coverage", ""), is_new])
    return rows


def _quarantine(ingested: Ingested) -> list[str]:
    reasons = summaries.quarantine_reasons(ingested)
    if not reasons:
        return []
    rows = [(escape(rule), count) for rule, count in reasons]
    return ["", "### Rows set aside, by rule", "", *table(("rule", "rows"), rows, "rows")]


def coverage_page(ingested: Ingested, plot: bytes | None) -> str:
    """Return the coverage of each day and the entities that are absent, with a plot over time."""
    lines = [f"## {escape(ingested.dataset)}: coverage, {_span(ingested)}", ""]
    if plot is not None:
        lines += [picture(plot, f"coverage of {ingested.dataset} by day"), ""]
    columns = ("day", "coverage", "expected", "absent", "partly", "who is absent")
    rows: list[list[Cell]] = [
        [day.isoformat(), "**no file**", None, None, None, ""] for day in ingested.missing
    ]
    rows += [_coverage_row(facts) for facts in ingested.partitions]
    rows.sort(key=lambda row: str(row[0]), reverse=True)
    lines += table(columns, rows, numbers="coverage, expected, absent, partly")
    lines += ["", "Coverage: rows by the entities seen in the last days times the periods of the "]
    lines[-1] += "day. Absent: expected, and without any row that passed; partly: "
    lines[-1] += "with rows, and not in each period. The page of a day names the worst."
    return "\n".join(lines)


def _coverage_row(facts: PartitionFacts) -> list[Cell]:
    coverage = "" if facts.coverage is None else f"{facts.coverage:.1%}"
    found = facts.attendance
    if found is None:
        return [facts.date.isoformat(), coverage, None, None, None, ""]
    names = ", ".join(escape(name) for name in found.examples)
    more = found.absent - len(found.examples)
    who = f"{names} and {more:,} more" if names and more else names
    return [facts.date.isoformat(), coverage, found.expected, found.absent, found.partly, who]


def days_to_show(ingested: Ingested) -> list[PartitionFacts]:
    """Return the days whose validation gets a page of its own, the oldest first.

    Those that were validated in this run, and the newest; at most `MOST_DAYS`, first those where
    something is wrong with the whole day, then the newest.
    """
    computed = set(ingested.computed_days)
    chosen = [
        facts
        for facts in ingested.partitions
        if facts.date in computed or facts is ingested.partitions[-1]
    ]
    chosen.sort(key=lambda facts: (not needs_a_look(facts), -facts.date.toordinal()))
    return sorted(chosen[:MOST_DAYS], key=lambda facts: facts.date)


def needs_a_look(facts: PartitionFacts) -> bool:
    """Tell whether more is wrong with a day than single rows that were set aside."""
    return facts.is_refused or any(
        result.outcome != "passed" and result.unexpected_rows is None for result in facts.results
    )


def day_page(facts: PartitionFacts) -> str:
    """Return the validation of one partition: every expectation, failures first."""
    verdict = "refused" if facts.is_refused else "accepted"
    lines = [f"## {escape(facts.dataset)} {facts.date}: {verdict}", "", _row_sentence(facts.rows)]
    if facts.is_refused:
        said = " ".join(facts.reasons).removeprefix(f"{facts.dataset} {facts.date} was refused: ")
        lines += ["", f"**Why.** {escape(said)}"]
    columns = ("outcome", "expectation", "observed", "rows", "severity", "note")
    ordered = sorted(facts.results, key=lambda result: _RANK[result.outcome])
    lines += ["", *table(columns, [_result_row(result) for result in ordered])]
    lines += _attendance(facts.attendance)
    folder = f"reports/validation/{facts.dataset}/date={facts.date}/"
    lines += ["", f"The same as a page of its own: {code(folder)} in the lake."]
    return "\n".join(lines)


def _attendance(found: Attendance | None) -> list[str]:
    """Return who was absent or partly there, worst first."""
    if found is None:
        return []
    lines = ["", "### Who was there", "", found.sentence]
    if not found.worst:
        return lines
    columns = ("entity", "periods seen", "of", "coverage")
    rows: list[list[Cell]] = [
        [escape(one.entity), one.seen, one.periods, f"{one.seen / one.periods:.1%}"]
        for one in found.worst
    ]
    return [*lines, "", *table(columns, rows, ", ".join(columns[1:]))]


def _row_sentence(rows: RowCounts) -> str:
    return (
        f"{rows.raw:,} raw rows = {rows.curated:,} curated + {rows.quarantined:,} quarantined "
        f"+ {rows.duplicates:,} duplicates."
    )


def _result_row(result: ExpectationResult) -> list[Cell]:
    outcome = OUTCOMES[result.outcome]
    rows = ""
    if result.unexpected_rows:
        is_aside = result.quarantined_rows > 0
        rows = f"{result.unexpected_rows:,} {'quarantined' if is_aside else 'reported'}"
    return [
        outcome if result.outcome == "passed" else f"**{outcome}**",
        escape(result.expectation),
        escape(result.observed),
        rows,
        result.severity,
        escape(result.notes),
    ]


def rows_page(title: str, rows: Sequence[summaries.Row]) -> str:
    """Return rows of one shape as a page with a table."""
    columns = list(rows[0]) if rows else []
    cells = [[escape(str(row.get(name, ""))) for name in columns] for row in rows]
    return "\n".join([f"## {escape(title)}", "", *table(columns, cells)])


# --- training -----------------------------------------------------------------------------------


def audit_page(use_case: str, audit: Audit, accepted: Mapping[Rule, str]) -> str:
    """Return what the leakage audit asked of a training table, and what it and people say."""
    refusals = audit.refusals(accepted)
    word = "refused, and nothing was fitted" if refusals else "goes on to the fits"
    lines = [
        f"## {escape(use_case)}: leakage audit",
        "",
        f"**The training {word}.** {escape(audit.verdict)} {audit.rows:,} rows, "
        f"{audit.features} features; models were fitted on {audit.sampled:,} rows.",
        "",
    ]
    rows: list[list[Cell]] = []
    for row in audit_rows(audit):
        bold = "**" if row["outcome"] in ("refused", "warned") else ""
        rows.append([escape(row["question"]), f"{bold}{row['outcome']}{bold}"])
        rows[-1] += [escape(row["columns"]), escape(row["evidence"])]
    lines += table(("question", "outcome", "columns", "evidence"), rows)
    if accepted:
        lines += ["", "### What people know better", ""]
        lines += [f"- {escape(accepted_sentence(audit, {r: why}))}" for r, why in accepted.items()]
    return "\n".join(lines)


def leaderboard_page(outcome: TrainingOutcome, plot: bytes | None) -> str:
    """Return every model on the holdout, and the one that is judged against each of the others."""
    holdout = outcome.table.holdout
    lines = [
        f"## {escape(outcome.use_case)} to {outcome.end}",
        "",
        f"On the holdout: {holdout.rows:,} rows of {holdout.entities:,} entities on "
        f"{holdout.days:,} days, {holdout.first:%Y-%m-%d} to {holdout.last:%Y-%m-%d}. Judged is "
        f"{code(outcome.best)}, the best of its folds in training.",
        "",
    ]
    if plot is not None:
        lines += [picture(plot, f"{outcome.metric} of each candidate and baseline"), ""]
    rows = summaries.leaderboard_rows(outcome)
    lines += table(
        ("model", "kind", outcome.metric, "other metrics"),
        [_model_row(row, outcome) for row in rows],
    )
    lines += _alerts(outcome)
    if outcome.decision is not None and outcome.decision.comparisons:
        lines += ["", f"### {escape(outcome.best)} and the others, on the same rows", ""]
        lines += _comparisons(outcome.decision)
    return "\n".join(lines)


def _model_row(row: summaries.Row, outcome: TrainingOutcome) -> list[Cell]:
    main = ("model", "kind", outcome.metric)
    bold = "**" if row["chosen"] else ""
    cells: list[Cell] = [f"{bold}{escape(str(row[name]))}{bold}" for name in main]
    # one cell for all of them: more columns do not fit, and of these the value is enough
    others = [name for name in row if name not in (*main, "chosen")]
    values = {name: str(row[name]).partition(" (")[0] for name in others}
    if "alerts_per_day" in values and outcome.alert_budget is not None:
        values["alerts_per_day"] += f" (budget {outcome.alert_budget:,.6g})"
    return [*cells, ", ".join(f"{escape(name)} {value}" for name, value in values.items())]


def _alerts(outcome: TrainingOutcome) -> list[str]:
    sentence = summaries.alerts_sentence(outcome)
    return ["", escape(sentence)] if sentence else []


def _comparisons(decision: Decision) -> list[str]:
    verdicts = {gate.name: "passed" if gate.passed else "**failed**" for gate in decision.gates}
    columns = ("against", "it has", "the other has", "better by", "rows", "gate")
    rows = [
        _comparison_row(name, found, decision, verdicts)
        for name, found in sorted(
            decision.comparisons.items(),
            # the champion first, then the baselines
            key=lambda item: (item[0].startswith("version "), item[0]),
            reverse=True,
        )
    ]
    return table(columns, rows, numbers="rows")


def _comparison_row(
    name: str, found: Comparison, decision: Decision, verdicts: Mapping[str, str]
) -> list[Cell]:
    is_champion = decision.champion is not None and name == f"version {decision.champion}"
    gate = verdicts.get("champion" if is_champion else f"baseline {name}", "")
    gained = "" if found.improvement is None else f"{found.improvement:.1%}"
    if gained and found.low is not None and found.high is not None:
        gained += f" ({found.low:.1%} to {found.high:.1%})"
    return [
        f"champion, {name}" if is_champion else f"baseline {escape(name)}",
        _number(found.candidate),
        _number(found.other),
        gained or escape(found.reason),
        found.rows,
        gate,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def decision_page(outcome: TrainingOutcome, links: Mapping[str, str]) -> str:
    """Return the decision, its reasons and gates, and where its evidence is: title -> address."""
    lines = [
        f"## {escape(outcome.use_case)} to {outcome.end}",
        "",
        f"**{escape(summaries.decision_word(outcome))}**",
        "",
    ]
    sentences = [gate.sentence for gate in outcome.decision.gates] if outcome.decision else []
    if list(outcome.reasons) != sentences:  # which the table below has
        lines += ["Why it is champion:", ""] if outcome.decision is None else []
        lines += [f"- {escape(reason)}" for reason in outcome.reasons]
    if outcome.decision is not None:
        lines += ["", "### Gates", ""]
        lines += table(
            ("gate", "", "why"),
            [
                (
                    escape(gate.name),
                    "passed" if gate.passed else "**failed**",
                    escape(gate.sentence),
                )
                for gate in outcome.decision.gates
            ],
        )
    lines += _alerts(outcome)
    if outcome.audited:
        lines += ["", f"Leakage audit of its table: {escape(outcome.audited)}"]
    lines += ["", "### Where it is", ""]
    lines += [f"- {link(title, place)}" for title, place in links.items()]
    if outcome.report is not None:
        where = "a file to open in a browser, and `report.html` of the run in MLflow"
        lines.append(f"- the interactive report: {code(outcome.report.uri)} in the lake, {where}")
    lines += [
        f"- the model's file in the lake: {code(outcome.model.uri)}",
        f"- how it was made: {code(f'ledger/steps/{outcome.fingerprint}.json')}",
    ]
    return "\n".join(lines)


# --- night --------------------------------------------------------------------------------------


def night_page(
    as_of: date,
    ingested: Sequence[Ingested],
    trained: Sequence[TrainingOutcome],
    superseded_by: str | None,
    parts: Sequence[Part],
) -> str:
    """Return what one run of the main job did, and links to the runs that it consists of."""
    lines = [f"## The night to {as_of}", ""]
    rows: list[tuple[Cell, ...]] = [
        (f"ingest of {escape(one.dataset)}", escape(summaries.ingest_sentence(one)))
        for one in ingested
    ]
    rows += [
        (f"training of {escape(one.use_case)}", escape(summaries.decision_word(one)))
        for one in trained
    ]
    lines += table(("part", "what came of it"), rows)
    if superseded_by is not None:
        lines += ["", f"The training is left to {escape(superseded_by)}, which is newer."]
    lines += ["", "### Its runs, with pages of their own", ""]
    lines += [f"- {part_link(part.name, part.id)}: {escape(part.state)}" for part in parts]
    return "\n".join(lines)

"""Validation reports for people: one HTML page that loads nothing, and rows for an artifact."""

from functools import lru_cache
from jinja2 import Environment, StrictUndefined, Template

from rancast.partition_results import ExpectationResult, PartitionReport

OUTCOMES = {
    "passed": "passed",
    "failed": "failed",
    "could_not_evaluate": "could not evaluate",
}

# Names and values come from raw files and configuration: whatever they hold is shown as text
# (autoescape), and the policy keeps a browser from loading or running anything.
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.dataset }} {{ report.day }}</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7c; --line: #d9dfe7;
  --paper: #fff; --good: #16703c; --bad: #b3261e; --warn: #8a5a00; --unsure: #5b3fa0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b7; --line: #343d4a;
  --paper: #151a21; --good: #5fce8c; --bad: #ff8a80; --warn: #f0b95a; --unsure: #b9a2f5; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
.number { text-align: right; white-space: nowrap; } .note { color: var(--soft); font-size: .87em; }
.verdict, .outcome { font-weight: 600; white-space: nowrap; }
.passed { color: var(--good); } .critical { color: var(--bad); } .warning { color: var(--warn); }
.could_not_evaluate { color: var(--unsure); }
.reasons { border-left: 4px solid var(--bad); padding: .1rem 0 .1rem 1rem; margin: 1.2rem 0; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<h1>{{ report.dataset }}, {{ report.day }}</h1>
<p class="soft">Validated against the suite {{ report.suite }}:
<span class="verdict {{ 'critical' if report.is_refused else 'passed' }}">
{{- "refused" if report.is_refused else "accepted" }}</span></p>
{% if report.is_refused %}
<section class="reasons">
<h2>Why it was refused</h2>
<ul>
{% for reason in report.reasons %}
<li>{{ reason }}</li>
{% endfor %}
</ul>
<p>{{ report.next_step }}</p>
</section>
{% endif %}
<h2>Rows</h2>
<div class="scroll"><table>
<thead><tr><th></th><th class="number">rows</th><th class="number">share</th><th></th></tr></thead>
<tbody>
{% for name, count, share, meaning in rows %}
<tr><td>{{ name }}</td><td class="number">{{ count }}</td><td class="number">{{ share }}</td>
<td class="note">{{ meaning }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% if coverage %}
<p>Coverage {{ coverage }}: rows by the entities seen in the last days times the periods of the day.
</p>
{% endif %}
{% if report.attendance %}
<h2>Who was there</h2>
<p>{{ report.attendance.sentence }}</p>
{% if report.attendance.worst %}
<div class="scroll"><table>
<thead><tr><th>entity</th><th class="number">periods seen</th><th class="number">of</th>
<th class="number">coverage</th></tr></thead>
<tbody>
{% for one in report.attendance.worst %}
<tr><td>{{ one.entity }}</td><td class="number">{{ one.seen|count }}</td>
<td class="number">{{ one.periods|count }}</td>
<td class="number">{{ (one.seen / one.periods)|percent }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% endif %}
<h2>Expectations</h2>
<div class="scroll"><table>
<thead><tr><th>outcome</th><th>expectation</th><th>observed</th><th class="number">rows against it
</th><th class="number">quarantined</th><th>severity</th></tr></thead>
<tbody>
{% for result, tone, outcome in results %}
<tr><td class="outcome {{ tone }}">{{ outcome }}</td>
<td>{{ result.expectation }}<div class="note">{{ result.notes }}</div></td>
<td>{{ result.observed }}</td>
<td class="number">{{ "" if result.unexpected_rows is none else result.unexpected_rows|count }}</td>
<td class="number">{{ result.quarantined_rows|count if result.quarantined_rows else "" }}</td>
<td>{{ result.severity }}<div class="note">{{ result.type }}</div></td></tr>
{% endfor %}
</tbody>
</table></div>
</body>
</html>
"""

_MEANINGS = {
    "raw": "records in the day's blobs",
    "curated": "passed, and go on to features",
    "quarantined": "set aside with the rules they broke, kept in quarantine/",
    "duplicates": "repeat another row's key, and were not kept",
}


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "percent": _percent}
    return environment.from_string(_PAGE)


def validation_page(report: PartitionReport) -> str:
    """Return the report as one HTML page, escaped, without scripts and without outside files.

    Failures come first, then what could not be evaluated, then the rest, each in suite order.
    """
    rank = {"failed": 0, "could_not_evaluate": 1, "passed": 2}
    ordered = sorted(report.results, key=lambda result: rank[result.outcome])
    counts = {name: getattr(report.rows, name) for name in _MEANINGS}
    raw = report.rows.raw
    rows = [
        (name, _count(value), _percent(value / raw) if raw else "", _MEANINGS[name])
        for name, value in counts.items()
    ]
    return _template().render(
        report=report,
        rows=rows,
        coverage=None if report.coverage is None else _percent(report.coverage),
        results=[(result, _tone(result), OUTCOMES[result.outcome]) for result in ordered],
    )


def _tone(result: ExpectationResult) -> str:
    return result.severity if result.outcome == "failed" else result.outcome


def _count(value: int) -> str:
    return f"{value:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"

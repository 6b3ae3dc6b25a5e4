"""One HTML file of sections with figures and tables, which loads nothing: plotly.js is inside.

What the sections say is in `training_report`, how figures are drawn in `report_figures`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

LONG_WORD, LONG_TEXT = 24, 40
_PIECE = re.compile(rf"\S{{1,{LONG_WORD - 1}}}[_/,.=-]|\S{{1,{LONG_WORD}}}")
_LONG = re.compile(rf"\S{{{LONG_WORD + 1},}}")


class Bar(NamedTuple):
    """A number in a table, with a bar of `share` (0 to 1) behind it."""

    text: str
    share: float


Cell = str | Bar


class Table(NamedTuple):
    """Rows under columns; those named in `numbers` are set right."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    numbers: tuple[str, ...] = ()


class Tile(NamedTuple):
    """One number of the page's head."""

    name: str
    value: str
    note: str


class Verdict(NamedTuple):
    """A word, its tone (good, bad or unsure), and the reasons."""

    word: str
    tone: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One part of the page: its heading, a sentence on how to read it, figures and tables.

    `figures` are plotly's, `columns` of them beside each other. With `choices` the last one shows
    only the traces whose `meta` is the number of the chosen name.
    """

    title: str
    lead: str
    figures: Sequence[Any] = ()
    columns: int = 1
    tables: Sequence[Table] = ()
    choices: Sequence[str] = ()
    notes: Sequence[str] = ()


class Head(NamedTuple):
    """The top of a page; `subtitle` and `note` are the lines below the title."""

    title: str
    subtitle: str
    note: str
    verdict: Verdict | None
    tiles: Sequence[Tile]


def render(head: Head, sections: Sequence[Section]) -> str:
    """Return the page as HTML, escaped; about 5 MB, of which plotly.js is almost all."""
    return _template().render(head=head, sections=sections, plotly=_plotly())


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = _json
    environment.filters["breakable"] = _breakable
    environment.filters["look"] = _look
    environment.tests["bar"] = lambda cell: isinstance(cell, Bar)
    return environment.from_string(_PAGE)


def _json(figure: Any) -> str:
    """Return a figure as JSON that may stand in a script element: no tag can end it."""
    return str(figure.to_json()).replace("<", "\\u003c")


def _breakable(cell: str) -> Markup:
    """Return a cell, escaped, in which a browser may break words that are long, and no others."""
    kept = iter([*_LONG.split(cell), ""])
    long = [Markup("<wbr>").join(_PIECE.findall(word)) for word in _LONG.findall(cell)]
    return Markup("").join(part for word in [*long, ""] for part in (next(kept), word))


def _look(cell: str) -> str:
    """Return the class of a cell: a verdict, a sentence that needs room, or none."""
    if cell in ("passed", "failed"):
        return cell
    return "words" if len(cell) > LONG_TEXT else ""


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


# The policy keeps a browser from loading anything. plotly.js and the figures stand in script
# elements, whose content is ours or JSON without a "<", so nothing from data is ever run.
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline';
 style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ head.title }}</title>
<style>
:root { --ink: #1c2430; --soft: #5d6b7c; --line: #e1e6ed; --paper: #fff; --back: #f4f6f9;
  --good: #16703c; --bad: #b3261e; --unsure: #5b3fa0; --model: #0072b2; }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; scroll-behavior: smooth; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--back); margin: 0; overflow-wrap: break-word; }
header, main { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
nav { position: sticky; top: 0; z-index: 9; background: var(--back);
  border-bottom: 1px solid var(--line); margin-top: 1rem; }
nav div { max-width: 80rem; margin: 0 auto; padding: .5rem 1.25rem; display: flex; flex-wrap: wrap;
  gap: .2rem 1.2rem; font-size: .9rem; }
nav a { color: var(--soft); text-decoration: none; } nav a:hover { color: var(--model); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 1.1rem 1.25rem; margin: 1.1rem 0; }
section > p { max-width: 62rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .7rem;
  margin: 1.1rem 0 0; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: .6rem .9rem; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .84rem; }
.verdict { margin: 1.1rem 0 0; border-left: 5px solid var(--tone); background: var(--paper);
  border-radius: 0 10px 10px 0; padding: .6rem 1rem; }
.verdict b { color: var(--tone); font-size: 1.05rem; } .verdict ul { margin: .3rem 0 0; }
.good { --tone: var(--good); } .bad { --tone: var(--bad); } .unsure { --tone: var(--unsure); }
.passed, .failed { font-weight: 600; white-space: nowrap; }
.passed { color: var(--good); } .failed { color: var(--bad); }
.figures { display: grid; gap: 1rem; margin-top: .5rem; }
.figures > * { min-width: 0; }
@media (min-width: 60rem) { .two { grid-template-columns: 1fr 1fr; }
  .three { grid-template-columns: 1fr 1fr 1fr; } }
.scroll { overflow-x: auto; margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td:first-child { min-width: 9rem; } .words { min-width: 15rem; }
@media print { nav { position: static; } .scroll { overflow: visible; } }
.number { text-align: right; white-space: nowrap; }
.bar { width: 32%; white-space: nowrap; } .bar i { display: inline-block; height: .7em;
  border-radius: 2px; background: var(--model); opacity: .75; margin-right: .5em; }
select { font: inherit; padding: .25rem .5rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--paper); max-width: 100%; margin-top: .6rem; }
footer { max-width: 80rem; margin: 0 auto; padding: .5rem 1.25rem 2rem; color: var(--soft);
  font-size: .85rem; }
</style>
</head>
<body>
<header>
<h1>{{ head.title }}</h1>
<p>{{ head.subtitle }}</p>
<p class="soft">{{ head.note }}</p>
{% if head.verdict %}
<div class="verdict {{ head.verdict.tone }}"><b>{{ head.verdict.word }}</b>
{% if head.verdict.reasons %}
<ul>
{% for reason in head.verdict.reasons %}
<li>{{ reason }}</li>
{% endfor %}
</ul>
{% endif %}
</div>
{% endif %}
<div class="tiles">
{% for tile in head.tiles %}
<div class="tile"><span>{{ tile.name }}</span><b>{{ tile.value }}</b>
<span>{{ tile.note }}</span></div>
{% endfor %}
</div>
</header>
<nav><div>
{% for section in sections %}
<a href="#part-{{ loop.index }}">{{ section.title }}</a>
{% endfor %}
</div></nav>
<main>
{% for section in sections %}
{% set part = loop.index %}
<section id="part-{{ part }}">
<h2>{{ section.title }}</h2>
{% if section.lead %}
<p>{{ section.lead }}</p>
{% endif %}
{% if section.choices %}
<select aria-label="{{ section.title }}: which entity"
 data-of="figure-{{ part }}-{{ section.figures|length }}">
{% for name in section.choices %}
<option value="{{ loop.index0 }}">{{ name }}</option>
{% endfor %}
</select>
{% endif %}
{% if section.figures %}
<div class="figures {{ ["", "", "two", "three"][section.columns] }}">
{% for figure in section.figures %}
{% set place = "figure-%s-%s"|format(part, loop.index) %}
<div id="{{ place }}" class="figure" style="height: {{ figure.layout.height }}px"></div>
<script type="application/json" data-for="{{ place }}">{{ figure|figure|safe }}</script>
{% endfor %}
</div>
{% endif %}
{% for table in section.tables %}
<div class="scroll"><table>
<thead><tr>
{% for name in table.columns %}
<th{% if name in table.numbers %} class="number"{% endif %}>{{ name }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for name in table.columns %}
{% set cell = row[loop.index0] %}
{% if cell is bar %}
<td class="bar"><i style="width: {{ "%.1f"|format(70 * cell.share) }}%"></i>{{ cell.text }}</td>
{% else %}
<td class="{{ "number" if name in table.numbers else cell|look }}">{{ cell|breakable }}</td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endfor %}
{% for note in section.notes %}
<p>{{ note }}</p>
{% endfor %}
</section>
{% endfor %}
</main>
<footer>One file without any connection; it may be kept, sent and opened offline.</footer>
<script>{{ plotly|safe }}</script>
<script>
"use strict";
const options = {responsive: true, displaylogo: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"]};
for (const data of document.querySelectorAll("script[data-for]")) {
  const figure = JSON.parse(data.textContent);
  Plotly.newPlot(data.dataset.for, figure.data, figure.layout, options);
}
for (const chooser of document.querySelectorAll("select[data-of]")) {
  chooser.addEventListener("change", () => {
    const figure = document.getElementById(chooser.dataset.of);
    const visible = figure.data.map(trace => trace.meta === chooser.value);
    Plotly.restyle(figure, {visible: visible});
    Plotly.relayout(figure, {"xaxis.autorange": true, "yaxis.autorange": true});
  });
}
</script>
</body>
</html>
"""

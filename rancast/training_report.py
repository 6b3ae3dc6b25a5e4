"""The interactive report of one training: which sections it has, and what they say.

It tells who was tried, what was decided and why, and how the best candidate did on the holdout.
Figures come from `report_figures`, numbers from the evaluation, the page from `report_page`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from rancast import report_figures as figures
from rancast.cluster_pages import whose_letters
from rancast.cluster_profiles import Clusters, label_of
from rancast.column_names import INTERVAL_COLUMNS
from rancast.decisions import Decision
from rancast.documents import Document
from rancast.evaluation import Evaluation, Interval, SliceScore
from rancast.judging import Entry
from rancast.metrics import greater_is_better
from rancast.models import ModelCard
from rancast.plots import shown_features
from rancast.problems import Problem
from rancast.report_figures import metric_name
from rancast.report_page import Bar, Cell, Head, Section, Table, Tile, Verdict, render
from rancast.tables import TableSummary


class ReportFacts(Document):
    """What is known of a training apart from its frames; `baselines` names theirs in order.

    `target` is the column that is foretold, empty for a breach.
    """

    use_case: str
    description: str
    problem: Problem
    metric: str
    end: str
    table: TableSummary
    entries: tuple[Entry, ...]
    card: ModelCard
    baselines: tuple[str, ...]
    decision: Decision | None
    clusters: Clusters | None = None
    target: str = ""


@dataclass(frozen=True)
class Material:
    """The facts and frames of one training that sections are made from."""

    facts: ReportFacts
    predictions: pd.DataFrame
    importance: pd.DataFrame | None = None
    dependence: pd.DataFrame | None = None
    baselines: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def best(self) -> Entry:
        """The candidate that the report is about."""
        found = [entry for entry in self.facts.entries if entry.kind == "candidate"]
        return next(entry for entry in found if entry.name == self.facts.card.candidate)

    @property
    def evaluation(self) -> Evaluation:
        """What it was worth on the holdout."""
        return self.best.evaluation


def build(
    predictions: pd.DataFrame,
    importance: pd.DataFrame | None,
    dependence: pd.DataFrame | None,
    baselines: list[pd.DataFrame],
    facts: ReportFacts,
) -> str:
    """Return the page of a training, about 5 MB of which plotly.js is almost all.

    `predictions`, `importance` and `dependence` are those of the best candidate, `baselines` the
    trivial forecasts' predictions in the order of `facts.baselines`. Equal input, equal bytes.
    """
    named = dict(zip(facts.baselines, baselines, strict=True))
    return page(Material(facts, predictions, importance, dependence, named))


def page(material: Material) -> str:
    """Return the page of the sections that the kind of problem has."""
    facts = material.facts
    made = [make(material) for make in (*FIRST, *SECTIONS[facts.problem], *LAST)]
    head = Head(
        title=f"{facts.use_case}: training to {facts.end}",
        subtitle=facts.description,
        note=f"About {facts.card.candidate}, the candidate that is judged: the best of its folds "
        "inside the training rows. Everything is of the holdout, which it was not trained on.",
        verdict=_verdict(facts.decision),
        tiles=list(_tiles(material)),
    )
    return render(head, [section for section in made if section is not None])


# --- the head -----------------------------------------------------------------------------------


def _tiles(material: Material) -> Iterator[Tile]:
    facts, evaluation = material.facts, material.evaluation
    found = evaluation.metrics.get(facts.metric)
    yield Tile(metric_name(facts.metric), _value(found), _bounds(found, evaluation.confidence))
    rival = _best_baseline(facts)
    if rival is not None:
        value = _value(rival.evaluation.metrics.get(facts.metric))
        yield Tile("best baseline", value, figures.baseline_name(rival.name))
    holdout = facts.table.holdout
    span = f"{holdout.first:%d %b} to {holdout.last:%d %b %Y}"
    yield Tile("holdout rows", f"{holdout.rows:,}", f"{holdout.entities:,} entities, {span}")
    yield Tile("training rows", f"{facts.table.train.rows:,}", f"{facts.table.train.days} days")
    if evaluation.positives is not None:
        share = f"{evaluation.positives / evaluation.rows:.1%} of the rows"
        yield Tile("breaches", f"{evaluation.positives:,}", share)
    if evaluation.reliability is not None:
        error = f"{evaluation.reliability.expected_error:.2%}"
        yield Tile("calibration error", error, "between predicted and came true")
    alerts, budget = evaluation.metrics.get("alerts_per_day"), facts.card.alert_budget
    if alerts is not None and budget is not None:
        beside = f"budget {budget:,.6g}; {_bounds(alerts, evaluation.confidence)}"
        yield Tile("alerts a day", _value(alerts), beside)
    inside = _inside(material.predictions)
    if inside is not None:
        yield Tile("inside its interval", f"{inside:.1%}", "of the holdout's actual values")


def _inside(predictions: pd.DataFrame) -> float | None:
    """Return the share of rows within `low` and `high`, None where there are no intervals."""
    if not set(INTERVAL_COLUMNS) <= set(predictions.columns):
        return None
    return float(predictions["y"].between(predictions["low"], predictions["high"]).mean())


def _best_baseline(facts: ReportFacts) -> Entry | None:
    known = [entry for entry in _best_first(facts) if facts.metric in entry.evaluation.metrics]
    return next((entry for entry in known if entry.kind == "baseline"), None)


def _best_first(facts: ReportFacts) -> list[Entry]:
    """Return every model by the metric, those without it last."""
    sign = -1 if greater_is_better(facts.metric) else 1

    def order(entry: Entry) -> float:
        found = entry.evaluation.metrics.get(facts.metric)
        return math.inf if found is None else sign * found.value

    return sorted(facts.entries, key=order)


def _value(found: Interval | None) -> str:
    return "none" if found is None else f"{found.value:.4g}"


def _bounds(found: Interval | None, confidence: float) -> str:
    if found is None or found.low is None or found.high is None:
        return "no interval"
    return f"{confidence:.0%}: {found.low:.4g} to {found.high:.4g}"


def _verdict(decision: Decision | None) -> Verdict | None:
    if decision is None:
        return None
    if decision.needs_approval:
        return Verdict("Every gate passed; people decide", "unsure", decision.reasons)
    if decision.promote:
        return Verdict("Promote: every gate passed", "good", ())
    return Verdict("Do not promote", "bad", decision.reasons)


# --- sections -----------------------------------------------------------------------------------


def _leaderboard(material: Material) -> Section:
    facts = material.facts
    names = list(dict.fromkeys(name for e in facts.entries for name in e.evaluation.metrics))
    rows = [
        [
            f"{entry.name} (judged)" if entry is material.best else entry.name,
            entry.kind,
            "" if entry.fold_score is None else f"{entry.fold_score:.4g}",
            *(_value(entry.evaluation.metrics.get(name)) for name in names),
        ]
        for entry in _best_first(facts)
    ]
    budget = facts.card.alert_budget
    columns = ("model", "kind", "folds", *(_titled(name, budget) for name in names))
    direction = "More" if greater_is_better(facts.metric) else "Less"
    return Section(
        "Leaderboard",
        f"{direction} is better. Bars: {material.evaluation.confidence:.0%} interval, over "
        "entities and days. Judged is the candidate that scored best on its folds, inside the "
        "training rows.",
        [figures.leaderboard(facts.entries, facts.card.candidate, facts.metric)],
        tables=[Table(columns, rows, columns[2:])],
    )


def _titled(metric: str, budget: float | None) -> str:
    """Return a metric's name as a column's title, that of alerts with the budget."""
    is_counted = metric == "alerts_per_day" and budget is not None
    return metric_name(metric) + (f" (budget {budget:,.6g})" if is_counted else "")


def _gates(material: Material) -> Section | None:
    decision = material.facts.decision
    if decision is None:
        return None
    rows = [
        [gate.name, "passed" if gate.passed else "failed", gate.sentence] for gate in decision.gates
    ]
    return Section(
        "Gates",
        "Every gate has to pass. What could not be judged has failed.",
        tables=[Table(("gate", "verdict", "why"), rows)],
    )


def _curves(material: Material) -> Section | None:
    if material.predictions["y"].nunique() < 2:
        return None
    name, threshold = material.facts.card.candidate, material.facts.card.threshold
    return Section(
        "Precision, recall",
        "How many alerts come true, over how many breaches are announced. The dotted line is "
        "chance; the dot is the alert threshold that follows from the alert budget.",
        [
            figures.precision_recall(material.predictions, material.baselines, name, threshold),
            figures.probabilities(material.predictions),
        ],
        columns=2,
    )


def _calibration(material: Material) -> Section | None:
    found = material.evaluation.reliability
    if found is None:
        return None
    brier = material.evaluation.metrics.get("brier")
    rows = [
        ["expected calibration error", f"{found.expected_error:.4g}", "0 is perfectly calibrated"],
        ["reliability", f"{found.reliability:.4g}", "the same, squared; less is better"],
        ["resolution", f"{found.resolution:.4g}", "how far groups differ; more is better"],
        ["uncertainty", f"{found.uncertainty:.4g}", "of the outcome itself"],
        ["Brier score", _value(brier), "about reliability - resolution + uncertainty"],
    ]
    return Section(
        "Calibration",
        "Is a predicted 20 % really 20 %? Groups of equal size; whiskers: 95 % as if rows were "
        "independent, which rows of one entity are not.",
        [figures.calibration(found, material.facts.card.candidate)],
        tables=[Table(("in numbers", "value", ""), rows, ("value",))],
    )


def _against_actual(material: Material) -> Section:
    rival = _best_baseline(material.facts)
    best = rival.name if rival else ""
    beside = {name: frame for name, frame in material.baselines.items() if name == best}
    return Section(
        "Predicted and actual",
        "Left: how often each pair occurs; on the dashed line they are equal. Right: the errors of "
        "each day, quartiles in the box, 5 % to 95 % in the whiskers, beside the best baseline's.",
        [
            figures.predicted_against_actual(material.predictions),
            figures.residuals(material.predictions, beside, material.facts.card.candidate),
        ],
        columns=2,
    )


def _clusters(material: Material) -> Section | None:
    facts, found = material.facts, material.facts.clusters
    if found is None:
        return None
    rows: list[list[Cell]] = [
        [
            found.name(one),
            f"{one.entities:,}",
            f"{one.silhouette:.2f}",
            "" if one.jaccard is None else f"{one.jaccard:.0%}",
            one.words,
        ]
        for one in found.clusters
    ]
    columns = ("cluster", "entities", "silhouette", "found again", "what it is")
    return Section(
        "Clusters",
        f"{whose_letters(facts.card.candidate, facts.use_case)} A silhouette is 1 far from the "
        "next cluster and 0 on the border to it; found again is the share (Jaccard) that a model "
        "of half of the entities finds, too.",
        tables=[Table(columns, rows, columns[1:4])],
    )


def _over_time(material: Material) -> Section:
    is_breach = material.facts.problem == "classification"
    threshold = material.facts.card.threshold
    figure, names = figures.over_time(
        material.predictions, is_breach, threshold, label_of(material.facts.target)
    )
    marked = (
        "orange marks times after which a breach came"
        if is_breach
        else "the shade is the prediction interval, where there is one"
    )
    return Section(
        "Over time",
        "Drag to zoom, double-click to see everything again. To choose from are the mean of all "
        f"and the hardest entities; {marked}.",
        [figure],
        choices=names,
    )


def _slices(material: Material) -> Section | None:
    found = material.evaluation.slices
    if not found:
        return None
    kinds = list(dict.fromkeys((item.column, item.metric) for item in found))
    tables = [
        _slice_table(
            material,
            [item for item in found if (item.column, item.metric) == kind],
            max(abs(item.score or 0.0) for item in found if item.metric == kind[1]),
        )
        for kind in kinds
    ]
    return Section(
        "Slices",
        "The metric in groups of the holdout. Where a group is too small for a number it has none. "
        "Bars of one metric have one scale.",
        tables=tables,
        notes=material.evaluation.notes,
    )


def _slice_table(material: Material, parts: Sequence[SliceScore], largest: float) -> Table:
    """Return the groups of one column by one metric, below all rows; `largest` is of all groups."""
    evaluation, first = material.evaluation, parts[0]
    whole = evaluation.metrics.get(first.metric)
    every = SliceScore(
        column=first.column,
        value="all",
        rows=evaluation.rows,
        positives=evaluation.positives,
        metric=first.metric,
        score=whole.value if whole else None,
    )
    shown = (every, *parts)
    longest = max(largest, abs(every.score or 0.0))
    counts = ("rows",) if every.positives is None else ("rows", "breaches")
    columns = (first.column, *counts, metric_name(first.metric), "remark")
    return Table(columns, [_slice_row(part, longest) for part in shown], counts)


def _slice_row(part: SliceScore, longest: float) -> list[Cell]:
    counts = [f"{part.rows:,}"] + ([] if part.positives is None else [f"{part.positives:,}"])
    score: Cell = ""
    if part.score is not None:
        score = Bar(f"{part.score:.4g}", abs(part.score) / longest if longest else 0.0)
    return [part.value, *counts, score, part.reason or ""]


def _importance(material: Material) -> Section | None:
    if material.importance is None:
        return None
    card = material.facts.card
    notes = []
    if card.selected is not None:
        left_out = [name for name in card.features if name not in card.selected]
        notes = [
            f"The selection kept {len(card.selected)} of {len(card.features)} features: "
            f"{', '.join(card.selected)}.",
            f"It left out {', '.join(left_out) or 'none'}.",
        ]
    known = shown_features(material.importance, card.selected)
    is_clustering = material.facts.problem == "clustering"
    what = "agreement with its own clusters" if is_clustering else "metric"
    metric = "adjusted_rand" if is_clustering else material.facts.metric
    return Section(
        "What it rests on",
        f"How much worse the {what} gets on the holdout when one feature is shuffled; whiskers: "
        "standard deviation over shuffles. Features that say the same share their importance.",
        [figures.importance(known, metric)] if len(known) else (),
        notes=notes if len(known) else [*notes, "Not defined on this holdout."],
    )


def _dependence(material: Material) -> Section | None:
    if material.dependence is None or material.dependence.empty:
        return None
    is_probability = material.facts.problem == "classification"
    return Section(
        "How predictions follow a feature",
        "The mean prediction with one feature set to each value, on a sample of the holdout; 80 % "
        "of the rows lie in the shade. It is what the model says, not what causes what.",
        figures.dependence(material.dependence, is_probability),
        columns=3,
    )


def _made_of(material: Material) -> Section:
    facts, table = material.facts, material.facts.table
    card = facts.card
    params = ", ".join(f"{name} {value}" for name, value in sorted(card.params.items()))
    rows = [
        ["estimator", f"{card.estimator} ({params})" if params else card.estimator],
        ["features", f"{len(card.features)}: {', '.join(card.features)}"],
        ["trained on rows to", card.train_end],
        *_rows_of(facts),
        ["embargo", f"{table.embargoed:,} rows between training and holdout left out"],
    ]
    return Section("Made of", "", tables=[Table(("", ""), rows)])


def _rows_of(facts: ReportFacts) -> list[list[str]]:
    """Say how many rows there are, and where there is a target, how many have a label."""
    table = facts.table
    if facts.problem == "clustering":
        return [["rows", f"{table.rows:,}"]]
    return [
        ["rows", f"{table.rows:,}, of which {table.labelled:,} with a label"],
        ["without a label", f"{table.unlabelled:,}, and {table.too_recent:,} too recent for one"],
    ]


Maker = Callable[[Material], Section | None]

# every page begins and ends with these; between them is what the kind of problem has
FIRST: tuple[Maker, ...] = (_leaderboard, _gates)
LAST: tuple[Maker, ...] = (_made_of,)
_BOTH: tuple[Maker, ...] = (_importance, _dependence, _slices)
SECTIONS: dict[Problem, tuple[Maker, ...]] = {
    "classification": (_curves, _calibration, _over_time, *_BOTH),
    "regression": (_against_actual, _over_time, *_BOTH),
    "clustering": (_clusters, _importance, _slices),
}

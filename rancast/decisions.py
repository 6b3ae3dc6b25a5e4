"""Whether a candidate becomes champion: paired comparison, gates, and a decision with its reasons.

The champion falls to a relative improvement of at least the margin whose interval lies above zero.
To ask for an interval above the margin instead would cost power and buy nothing that is needed. The
interval is Student's, of a variance that is clustered by entity and by day, since the rows of one
cell, and those of one day, fail together (`influence`). How often the rule is wrong is measured by
`make calibrate`, on models whose true worth is known; docs/promotion.md has what it printed.
Against a baseline the whole interval must lie above the margin: a trivial forecast has no trust to
lose, and whoever is first has nobody to roll back to.

Everything here fails closed: what is missing, NaN, empty or unreadable keeps the champion. How
good one model is alone is in `evaluation`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite, isnan
from typing import Any, Literal

import numpy as np
import pandas as pd

from rancast.bootstrap import ClusterCodes, cluster_codes
from rancast.documents import Document
from rancast.errors import EvidenceError
from rancast.evaluation import Evaluation, clusters_of, columns_of, seen_by
from rancast.gates import Gates, Intervals, Slice
from rancast.groups import group_labels
from rancast.influence import improvement_influence, two_way
from rancast.metrics import UP_TO_ONE, FloatArray, Metric, find_metric, greater_is_better

KEY = ["entity", "time"]
METRIC_WORDS = {
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "coverage": "coverage of the prediction intervals",
    "interval_width": "mean width of the prediction intervals",
    "interval_score": "interval score",
    "silhouette": "mean silhouette",
    "stability": "stability",
}


class SliceComparison(Document):
    """Candidate and other model on one group of the compared rows; no bounds, the groups are small.

    `improvement` is None, with the reason, where the metric does not exist on these rows.
    """

    column: str
    value: str
    rows: int
    candidate: float | None = None
    other: float | None = None
    improvement: float | None = None
    reason: str = ""


class Comparison(Document):
    """A candidate against another model, on the same rows, which neither was trained on.

    `improvement` is relative to the other model's metric, positive where the candidate is better;
    `low` and `high` are its interval, clustered by entity and by day, or by spans of days; how many
    of each is in `clusters`. `dropped` rows were not later than the training data of both,
    `unmatched` ones were predicted by one model only.
    """

    metric: str
    candidate: float | None = None
    other: float | None = None
    improvement: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float
    rows: int = 0
    dropped: int = 0
    unmatched: int = 0
    clusters: dict[Literal["entity", "day"], int] = {}
    slices: tuple[SliceComparison, ...] = ()
    is_sufficient: bool = False
    reason: str = ""


class Contender(Document):
    """The candidate: its fingerprint, and what it was worth on its holdout, for the floors."""

    candidate: str
    fingerprint: str
    evaluation: Evaluation


class Incumbent(Document):
    """The champion that the ledger names, and the candidate's comparison with it."""

    version: int
    fingerprint: str
    comparison: Comparison


class Vacancy(Document):
    """The ledger names no champion; only a registry that answered makes that a first champion."""

    has_registry_answered: bool


class GateResult(Document):
    """One rule: what was seen, what was asked for, and a sentence an operator understands."""

    name: str
    passed: bool
    observed: float | None
    required: float | None
    sentence: str


class Decision(Document):
    """Promote or keep, with the reasons: the failed gates, or all of them where none failed.

    `needs_approval` where every gate passed, and the use case leaves the promotion to people.
    """

    promote: bool
    needs_approval: bool = False
    reasons: tuple[str, ...]
    gates: tuple[GateResult, ...]
    candidate: str | None
    fingerprint: str | None
    champion: int | None
    comparisons: dict[str, Comparison]


# --- comparing ----------------------------------------------------------------------------------


def compare(
    candidate: pd.DataFrame,
    other: pd.DataFrame,
    metric: str,
    gates: Gates,
    after: datetime | str,
    gap: timedelta = timedelta(0),
) -> Comparison:
    """Compare two prediction frames [entity, time, y, prediction, *slice columns of `gates`].

    Only rows that both have, and that are later than `after`, count: pass the later of the two
    models' ends of training, plus the embargo. Rows up to `gap` apart, the embargo again, share
    measurements, so that days are clustered in spans of that length. Evidence that does not
    suffice, frames that do not match included, is an answer, with its reason. Raises
    ConfigurationError for an unknown metric.
    """
    found = find_metric(metric)
    comparison = Comparison(metric=metric, confidence=gates.confidence)
    try:
        rows, counts = _match(seen_by(found, candidate), seen_by(found, other), _utc(after))
        comparison = comparison.model_copy(update=counts)
        return comparison.model_copy(update=_measure(rows, found, gates, gap))
    except EvidenceError as error:
        return comparison.model_copy(update={"reason": str(error)})


def _utc(moment: datetime | str) -> pd.Timestamp:
    stamp = pd.Timestamp(moment)
    return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")


def relative_improvement(candidate: float, other: float, metric: str) -> float:
    """Return how much better `candidate` is than `other`, as a share of `other`; NaN if undefined.

    A loss improves by the share of it that is gone, a score by the share added. R² is 1 minus a
    loss, and may be zero or negative, so that its improvement is that of 1 - R²; so is that of the
    silhouette.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return float(_improvement(np.float64(candidate), np.float64(other), metric))


def _improvement(candidate: Any, other: Any, metric: str) -> Any:
    if metric in UP_TO_ONE:
        candidate, other = 1 - candidate, 1 - other
    is_score = greater_is_better(metric) and metric not in UP_TO_ONE
    gain = candidate - other if is_score else other - candidate
    # 0 / 0 is a tie of two perfect models, x / 0 has no meaning
    return np.where(gain == 0, 0.0, np.where(other > 0, gain / other, np.nan))


def _match(
    candidate: pd.DataFrame, other: pd.DataFrame, after: pd.Timestamp
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of both models, 1:1, later than `after`, and how many others there were."""
    for name, frame in (("candidate", candidate), ("other model", other)):
        absent = [column for column in (*KEY, "y", "prediction") if column not in frame.columns]
        if absent:
            raise EvidenceError(f"the predictions of the {name} lack {', '.join(absent)}.")
        repeated = int(frame.duplicated(KEY).sum())
        if repeated:
            raise EvidenceError(
                f"{repeated:,} of {len(frame):,} predictions of the {name} repeat another's entity "
                "and time."
            )
    both = candidate.merge(
        other[[*KEY, "y", "prediction"]], on=KEY, suffixes=("", "_other"), validate="1:1"
    )
    unlabelled = int((both["y"].isna() | both["y_other"].isna()).sum())
    if unlabelled:
        raise EvidenceError(f"{unlabelled:,} of {len(both):,} rows have no label.")
    differing = int((both["y"] != both["y_other"]).sum())
    if differing:
        raise EvidenceError(
            f"y differs in {differing:,} of {len(both):,} rows, so that the two models were not "
            "asked the same question; make both predictions on one training table."
        )
    rows = both[both["time"] > after].reset_index(drop=True)
    return rows, {
        "rows": len(rows),
        "dropped": len(both) - len(rows),
        "unmatched": len(candidate) + len(other) - 2 * len(both),
    }


def _measure(rows: pd.DataFrame, metric: Metric, gates: Gates, gap: timedelta) -> dict[str, Any]:
    """Return the fields of a sufficient Comparison; raises EvidenceError for any other."""
    if rows.empty:
        raise EvidenceError("no row is later than the training data of both models.")
    codes = cluster_codes(rows, gap)
    clusters = {kind: int(code.max()) + 1 for kind, code in codes.items()}
    y, candidate, other = _columns(rows)
    values = {"candidate": metric(y, candidate), "other": metric(y, other)}
    improvement = relative_improvement(values["candidate"], values["other"], metric.name)
    known = {**values, "clusters": clusters}
    if isnan(improvement):
        return {**known, "reason": f"an improvement over {_number(values['other'])} is undefined."}
    known["improvement"] = improvement
    shortage = _shortage(clusters, gates, gap)
    if shortage:
        return {**known, "reason": shortage}
    try:
        low, high = _bounds(rows, metric, codes, gates.confidence, improvement)
    except EvidenceError as error:
        return {**known, "reason": str(error)}
    slices = tuple(
        result for item in _by_column(gates) for result in _slice_results(rows, metric, item)
    )
    return {**known, "low": low, "high": high, "slices": slices, "is_sufficient": True}


def _shortage(clusters: dict[str, int], gates: Gates, gap: timedelta) -> str:
    """Say which clusters are too few, for all that are; empty where there are enough."""
    short = [
        f"{clusters[kind]} {clusters_of(kind, clusters[kind], gap)} "
        f"(at least {required} are required)"
        for kind, required in sorted(gates.minimum_clusters.items(), reverse=True)
        if clusters[kind] < required
    ]
    return f"the compared rows cover only {' and '.join(short)}." if short else ""


def _columns(rows: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    y, candidate = columns_of(rows)
    return y, candidate, rows["prediction_other"].to_numpy(dtype=np.float64)


def _bounds(
    rows: pd.DataFrame,
    metric: Metric,
    codes: dict[str, ClusterCodes],
    confidence: float,
    improvement: float,
) -> tuple[float, float]:
    """Return the interval of the improvement: Student's t, clustered in two ways by `codes`."""
    from scipy import stats

    y, candidate, other = _columns(rows)
    moved = improvement_influence(metric, y, candidate, other)
    counts = np.flatnonzero(y) if metric.problem == "classification" else np.arange(len(y))
    precision = two_way(moved, codes, counts)
    quantile = stats.t.ppf((1 + confidence) / 2, precision.degrees_of_freedom)
    reach = float(quantile) * precision.standard_error
    return improvement - reach, improvement + reach


def _slice_results(rows: pd.DataFrame, metric: Metric, item: Slice) -> list[SliceComparison]:
    if item.column not in rows.columns:
        return []
    groups = rows.groupby(group_labels(rows[item.column]), sort=True)
    return [_slice_result(group, metric, item, str(value)) for value, group in groups]


def _slice_result(rows: pd.DataFrame, metric: Metric, item: Slice, value: str) -> SliceComparison:
    result = SliceComparison(column=item.column, value=value, rows=len(rows))
    if len(rows) < item.minimum_support:
        reason = f"{len(rows):,} rows, at least {item.minimum_support:,} are required"
        return result.model_copy(update={"reason": reason})
    y, candidate, other = _columns(rows)
    try:
        values = {"candidate": metric(y, candidate), "other": metric(y, other)}
    except EvidenceError as error:
        return result.model_copy(update={"reason": str(error).rstrip(".")})
    improvement = relative_improvement(values["candidate"], values["other"], metric.name)
    # worse than a perfect model has no size: without a reason the gate fails
    return result.model_copy(
        update={**values, "improvement": None if isnan(improvement) else improvement}
    )


# --- deciding -----------------------------------------------------------------------------------


def decide(
    candidate: Contender | str | None,
    champion: Incumbent | Vacancy | str | None,
    baselines: Mapping[str, Comparison | str],
    gates: Gates,
    intervals: Intervals | None = None,
) -> Decision:
    """Decide whether `candidate` becomes champion; the order of the gates makes no difference.

    A string in place of a candidate, champion or baseline comparison says why it could not be had,
    which keeps what is there, as None does. `baselines` maps each trivial forecast's name to the
    candidate's comparison with it; without any there is no promotion. `intervals` says which
    coverage its prediction intervals promise, if the use case asks for intervals.
    """
    contender = candidate if isinstance(candidate, Contender) else None
    incumbent = champion if isinstance(champion, Incumbent) else None
    results = [
        _candidate_gate(candidate),
        *_floor_gates(contender, gates),
        *_interval_gates(contender, intervals),
        *_baseline_gates(baselines, gates),
        *_champion_gates(contender, champion, gates),
        *_slice_gates(champion, baselines, gates),
    ]
    failed = [result.sentence for result in results if not result.passed]
    compared = {name: item for name, item in baselines.items() if isinstance(item, Comparison)}
    if incumbent is not None:
        compared[f"version {incumbent.version}"] = incumbent.comparison
    return Decision(
        promote=not failed,
        reasons=tuple(failed or [result.sentence for result in results]),
        gates=tuple(results),
        candidate=contender.candidate if contender else None,
        fingerprint=contender.fingerprint if contender else None,
        champion=incumbent.version if incumbent else None,
        comparisons=dict(sorted(compared.items())),
    )


def _failed(name: str, sentence: str, required: float | None = None) -> GateResult:
    return GateResult(
        name=name, passed=False, observed=None, required=required, sentence=sentence.strip()
    )


def _candidate_gate(candidate: Contender | str | None) -> GateResult:
    if not isinstance(candidate, Contender):
        return _failed("candidate", f"There is no candidate: {candidate or 'none was given'}.")
    return GateResult(
        name="candidate",
        passed=True,
        observed=None,
        required=None,
        sentence=f"The candidate is {candidate.candidate} ({candidate.fingerprint[:12]}).",
    )


def _floor_gates(candidate: Contender | None, gates: Gates) -> list[GateResult]:
    return [
        _floor_gate(name, floor, candidate.evaluation)
        for name, floor in sorted(gates.floors.items())
        if candidate is not None
    ]


def _floor_gate(name: str, floor: float, evaluation: Evaluation) -> GateResult:
    word = METRIC_WORDS.get(name, name)
    interval = evaluation.metrics.get(name)
    if interval is None or not isfinite(interval.value):
        reason = evaluation.missing.get(name, "it is not among the evaluated metrics")
        sentence = f"The floor of {word} cannot be judged: {reason.rstrip('.')}."
        return _failed(f"floor {name}", sentence, floor)
    is_greater_better = greater_is_better(name)
    bound = "at least" if is_greater_better else "at most"
    return GateResult(
        name=f"floor {name}",
        passed=interval.value >= floor if is_greater_better else interval.value <= floor,
        observed=interval.value,
        required=floor,
        sentence=f"{_sentence_case(word)} is {_number(interval.value)}; "
        f"{bound} {_number(floor)} is required.",
    )


def _interval_gates(candidate: Contender | None, intervals: Intervals | None) -> list[GateResult]:
    """Hold the observed coverage against the promised one, over all rows and in each group."""
    if candidate is None or intervals is None:
        return []
    evaluation, name = candidate.evaluation, "coverage"
    overall = evaluation.metrics.get(name)
    reason = evaluation.missing.get(name, "the candidate's predictions have none")
    value = overall.value if overall else None
    results = [_coverage_gate(name, "The prediction intervals", value, reason, intervals)]
    if intervals.by is None:
        return results
    groups = [
        part for part in evaluation.slices if (part.column, part.metric) == (intervals.by, name)
    ]
    judged = [part for part in groups if part.rows >= intervals.minimum_support]
    for part in judged:
        which = f"For {part.column} {part.value} ({part.rows:,} rows) the prediction intervals"
        gate = f"{name} {part.column}={part.value}"
        results.append(_coverage_gate(gate, which, part.score, part.reason or "", intervals))
    if not judged:
        sentence = (
            f"The prediction intervals by {intervals.by} cannot be judged: no group of the "
            f"holdout has {intervals.minimum_support:,} rows."
        )
        results.append(_failed(f"{name} {intervals.by}", sentence, intervals.required))
    return results


def _coverage_gate(
    name: str, which: str, coverage: float | None, reason: str, intervals: Intervals
) -> GateResult:
    if coverage is None or not isfinite(coverage):
        sentence = f"{which} cannot be judged: {reason.rstrip('.')}."
        return _failed(name, sentence, intervals.required)
    return GateResult(
        name=name,
        passed=coverage >= intervals.required,
        observed=coverage,
        required=intervals.required,
        sentence=f"{which} held {_percent(coverage, 1)} of the values that came; "
        f"{_percent(intervals.coverage)} is promised, and at least "
        f"{_percent(intervals.required)} is required.",
    )


def _baseline_gates(baselines: Mapping[str, Comparison | str], gates: Gates) -> list[GateResult]:
    if not baselines:
        sentence = "There is no baseline to compare with; a model must beat every trivial forecast."
        return [_failed("baseline", sentence, gates.over_baseline)]
    return [
        _margin_gate(f"baseline {name}", f"the baseline {name}", item, gates.over_baseline, True)
        for name, item in sorted(baselines.items())
    ]


def _champion_gates(
    candidate: Contender | None, champion: Incumbent | Vacancy | str | None, gates: Gates
) -> list[GateResult]:
    if isinstance(champion, Vacancy):
        return [_vacancy_gate(champion)]
    if not isinstance(champion, Incumbent):
        reason = champion or "it is not known whether there is one"
        return [_failed("champion", f"The champion cannot be compared: {reason.rstrip('.')}.")]
    if candidate is not None and candidate.fingerprint == champion.fingerprint:
        sentence = f"The candidate is the champion itself, version {champion.version}."
        return [_failed("champion", sentence)]
    whose = f"the champion (version {champion.version})"
    return [_margin_gate("champion", whose, champion.comparison, gates.over_champion, False)]


def _vacancy_gate(vacancy: Vacancy) -> GateResult:
    answered = vacancy.has_registry_answered
    return GateResult(
        name="champion",
        passed=answered,
        observed=None,
        required=None,
        sentence=(
            "There is no champion yet: the ledger names none, and the registry answered."
            if answered
            else "The ledger names no champion, but the registry did not answer, so that there may "
            "be one; see that MLflow answers, then run the training again."
        ),
    )


def _margin_gate(
    name: str, whose: str, comparison: Comparison | str, margin: float, is_low_above_margin: bool
) -> GateResult:
    """Judge one comparison: by its lower bound alone, or by its value and a bound above zero."""
    if isinstance(comparison, str):
        sentence = f"The comparison with {whose} is missing: {comparison.rstrip('.')}."
        return _failed(name, sentence, margin)
    values = (comparison.candidate, comparison.other, comparison.improvement)
    bounds = (comparison.low, comparison.high)
    numbers = [value for value in (*values, *bounds) if value is not None and isfinite(value)]
    if not comparison.is_sufficient or len(numbers) < 5:
        reason = comparison.reason.rstrip(".") or "a metric or its interval is missing"
        sentence = f"The evidence against {whose} is insufficient: {reason}."
        return _failed(name, sentence, margin)
    _, _, improvement, low, _ = numbers
    if is_low_above_margin:
        passed = low > margin and improvement > 0
        required = f"a lower bound above {_percent(margin)}"
    else:
        passed = low > 0 and improvement > 0 and improvement >= margin
        required = f"at least {_percent(margin)}, and a lower bound above 0"
    return GateResult(
        name=name,
        passed=passed,
        observed=low if is_low_above_margin else improvement,
        required=margin,
        sentence=f"{_describe(comparison, whose)}; {required} is required.",
    )


def _slice_gates(
    champion: Incumbent | Vacancy | str | None,
    baselines: Mapping[str, Comparison | str],
    gates: Gates,
) -> list[GateResult]:
    """Hold each group against the champion or, before there is one, against the best baseline."""
    whose, comparison = "the champion", None
    if isinstance(champion, Incumbent):
        comparison = champion.comparison
    elif isinstance(champion, Vacancy):
        whose, comparison = _best_baseline(baselines)
    results: list[GateResult] = []
    for item in _by_column(gates):
        slices = comparison.slices if comparison else ()
        judged = [_slice_gate(part, item, whose) for part in slices if part.column == item.column]
        if all(result.passed and result.observed is None for result in judged):
            sentence = (
                f"The slices by {item.column} cannot be judged: no group of the compared rows has "
                f"that column, {item.minimum_support:,} rows and a metric."
            )
            results.append(_failed(f"slice {item.column}", sentence, -item.tolerance))
        results += judged
    return results


def _slice_gate(part: SliceComparison, item: Slice, whose: str) -> GateResult:
    name = f"slice {part.column}={part.value}"
    where = f"For {part.column} {part.value}"
    improvement = part.improvement
    if part.rows < item.minimum_support or (improvement is None and part.reason):
        return GateResult(
            name=name,
            passed=True,
            observed=None,
            required=-item.tolerance,
            sentence=f"{where} the candidate is not judged: {part.reason or 'too few rows'}.",
        )
    if improvement is None or not isfinite(improvement):
        return _failed(name, f"{where} the improvement is missing.", -item.tolerance)
    direction = "better" if improvement >= 0 else "worse"
    return GateResult(
        name=name,
        passed=improvement >= -item.tolerance,
        observed=improvement,
        required=-item.tolerance,
        sentence=f"{where} ({part.rows:,} rows) the candidate is {_percent(abs(improvement), 1)} "
        f"{direction} than {whose}; at most {_percent(item.tolerance)} worse is accepted.",
    )


def _best_baseline(
    baselines: Mapping[str, Comparison | str],
) -> tuple[str, Comparison | None]:
    """Return the baseline that the candidate beats by least, by name, and its comparison."""
    known = [
        (item.improvement, name, item)
        for name, item in baselines.items()
        if isinstance(item, Comparison) and item.improvement is not None
    ]
    if not known:
        return "a baseline", None
    _, name, item = min(known, key=lambda found: found[:2])
    return f"the baseline {name}", item


def _by_column(gates: Gates) -> list[Slice]:
    return sorted(gates.slices, key=lambda item: (item.column, item.minimum_support))


# --- saying it ----------------------------------------------------------------------------------


def _describe(comparison: Comparison, whose: str) -> str:
    """Say "average precision 0.412 is 8.1 % (95 %: 3.0 to 12.9 %) above the champion's 0.381"."""
    candidate, other = comparison.candidate or 0.0, comparison.other or 0.0
    improvement = comparison.improvement or 0.0
    word = _sentence_case(METRIC_WORDS.get(comparison.metric, comparison.metric))
    sign = -1 if improvement < 0 else 1
    ends = sorted((sign * (comparison.low or 0.0), sign * (comparison.high or 0.0)))
    level = f"{comparison.confidence * 100:g} %"
    interval = f"{level}: {ends[0] * 100:.1f} to {_percent(ends[1], 1)}"
    worse = ", which is worse" if improvement < 0 else ""
    if improvement == 0:
        return f"{word} {_number(candidate)} equals that of {whose} ({interval})"
    size = f"{_percent(abs(improvement), 1)} ({interval})"
    if comparison.metric == "r2":
        # relative to 1 - R², the share of the variance that is left unexplained
        less = "less" if improvement > 0 else "more"
        model = f"{whose}, {_number(other)}"
        return f"{word} {_number(candidate)} leaves {size} {less} unexplained than {model}{worse}"
    if comparison.metric == "silhouette":
        # relative to 1 - silhouette: how far rows lie from their cluster, seen from the next one
        further = "closer to" if improvement > 0 else "further from"
        model = f"{whose}, {_number(other)}"
        return f"{word} {_number(candidate)} is {size} {further} the ideal 1 than {model}{worse}"
    direction = "above" if candidate > other else "below"
    model = f"that of {whose}, {_number(other)}"
    return f"{word} {_number(candidate)} is {size} {direction} {model}{worse}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(value: float, digits: int | None = None) -> str:
    return f"{value * 100:g} %" if digits is None else f"{value * 100:.{digits}f} %"


def _sentence_case(word: str) -> str:
    return word[0].upper() + word[1:]

"""Pictures of a training for people: one candidate on its holdout, and all of them side by side.

Every function returns bytes and keeps no state between calls: figures are matplotlib's objects,
never pyplot's current one, since trainings run in threads. Equal input gives equal bytes. What is
drawn was computed elsewhere, see `evaluation` and `candidates`.
"""

import io
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rancast.bootstrap import cluster_codes
from rancast.errors import EvidenceError
from rancast.evaluation import Evaluation, columns_of
from rancast.metrics import METRICS, greater_is_better
from rancast.models import ModelCard
from rancast.reliability import reliability_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Frames = Mapping[str, pd.DataFrame]

# Okabe and Ito's palette, which colour-blind readers tell apart
MODEL, ACTUAL, ALARM = "#0072B2", "#000000", "#D55E00"
BASELINE_COLOURS = {
    "last_value": "#E69F00",
    "seasonal": "#009E73",
    "weekly": "#CC79A7",
    "majority": "#999999",
}
BASELINE_NAMES = {
    "last_value": "last value",
    "seasonal": "seasonal",
    "weekly": "weekly",
    "majority": "majority",
}
METRIC_NAMES = {
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "alerts_per_day": "alerts per day",
    "coverage": "coverage of the intervals",
    "interval_score": "interval score",
    "interval_width": "mean width of the intervals",
    "adjusted_rand": "agreement with its own clusters (adjusted Rand index)",
}
CURVE_POINTS = 1_500
TOP_FEATURES = 20
INTERVAL_DAYS = 3
STEPS = 400
USUAL_STEPS = "1s 10s 1min 5min 15min 30min 1h 3h 6h 12h 1D".split()
COVERAGE_TICKS = 12


def for_candidate(
    predictions: pd.DataFrame,
    card: ModelCard,
    evaluation: Evaluation,
    importance: pd.DataFrame,
    baselines: Frames,
    value: str = "value",
) -> dict[str, bytes]:
    """Return file name -> PNG of one candidate, by its holdout predictions and the baselines'.

    `value` is what a regression foretells, with its unit.

    A picture that cannot be drawn, such as a precision-recall curve of a single class, is left
    out: `evaluation.missing` says why.
    """
    drawn = {
        "importance.png": feature_importance(
            importance, card, next(iter(evaluation.metrics), "the metric")
        ),
        "predicted_over_time.png": predicted_over_time(predictions, card, baselines, value),
    }
    if card.problem == "regression":
        drawn["predicted_against_actual.png"] = predicted_against_actual(
            predictions, card, evaluation
        )
        rival = hardest(baselines, next(iter(evaluation.metrics), "mae"))
        drawn["residuals.png"] = residuals_over_time(predictions, card, rival)
        if card.intervals is not None:
            drawn["intervals_over_time.png"] = intervals_over_time(predictions, card, value)
        if card.intervals is not None and "coverage" in evaluation.metrics:
            drawn["interval_coverage.png"] = interval_coverage(card, evaluation)
    elif predictions["y"].nunique() > 1:
        drawn["precision_recall.png"] = precision_recall(predictions, card, evaluation, baselines)
        drawn["calibration.png"] = calibration(predictions, card)
    return dict(sorted(drawn.items()))


def precision_recall(
    predictions: pd.DataFrame, card: ModelCard, evaluation: Evaluation, baselines: Frames
) -> bytes:
    """Draw precision over recall of the model and of each baseline, with the alert threshold."""
    figure, axes = _canvas(f"{card.candidate}: precision over recall", _headline(evaluation))
    share = float(predictions["y"].mean())
    axes.axhline(share, color=BASELINE_COLOURS["majority"], linestyle=":")
    axes.annotate(
        f"by chance: {share:.1%}",
        (0.01, share),
        xytext=(0, 4),
        textcoords="offset points",
        color="#666666",
    )
    for name, frame in baselines.items():
        if name != "majority":
            _draw_curve(axes, frame, BASELINE_COLOURS[name], f"baseline: {BASELINE_NAMES[name]}")
    _draw_curve(axes, predictions, MODEL, card.candidate, width=2.2)
    if card.threshold is not None:
        _mark_threshold(axes, predictions, card.threshold, card.alert_budget)
    axes.set(xlabel="recall: share of breaches that are announced", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_ylabel("precision: share of alerts that come true")
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(loc="upper right", frameon=False)
    return to_png(figure)


def _draw_curve(
    axes: "Axes", frame: pd.DataFrame, colour: str, label: str, width: float = 1.3
) -> None:
    """Draw a precision-recall curve, or a dot where the predictions are a plain yes or no."""
    from sklearn.metrics import precision_recall_curve

    y, prediction = columns_of(frame)
    precision, recall, _ = precision_recall_curve(y, prediction, drop_intermediate=True)
    if len(np.unique(prediction)) <= 2:
        axes.plot(recall[-2], precision[-2], "D", color=colour, label=label, markersize=7)
        return
    # the last point (recall 0, precision 1) is a convention; the first of few rows jump about
    kept = np.unique(np.linspace(0, len(recall) - 2, CURVE_POINTS).astype(int))
    axes.plot(recall[kept], precision[kept], color=colour, label=label, linewidth=width)


def _mark_threshold(
    axes: "Axes", predictions: pd.DataFrame, threshold: float, budget: float | None
) -> None:
    y, prediction = columns_of(predictions)
    alert = prediction >= threshold
    if not alert.any():
        return
    precision, recall = float(y[alert].mean()), float(y[alert].sum() / y.sum())
    days = int(cluster_codes(predictions)["day"].max()) + 1
    allowed = "" if budget is None else f" (budget {budget:,.6g})"
    text = f"alert at {threshold:.3g}: {alert.sum() / days:,.0f} a day{allowed}, "
    text += f"{precision:.0%} come true"
    axes.plot(recall, precision, "o", color=ALARM, markersize=9, zorder=5, label=text)


def calibration(predictions: pd.DataFrame, card: ModelCard) -> bytes:
    """Draw the share of breaches in groups of equal size by predicted probability."""
    import seaborn

    found = reliability_of(*columns_of(predictions))
    groups = pd.DataFrame([group.model_dump() for group in found.groups])
    figure, (axes, below) = _two_canvases(
        f"{card.candidate}: is a predicted 20 % really 20 %?",
        f"{len(predictions):,} holdout rows in {len(groups)} groups of equal size; expected "
        f"calibration error {found.expected_error:.2%}",
        ratios=(3, 1),
    )
    limit = 1.08 * float(groups[["prediction", "high"]].max().max())
    axes.plot([0, limit], [0, limit], color="#666666", linestyle=":", label="perfectly calibrated")
    error = [groups["share"] - groups["low"], groups["high"] - groups["share"]]
    axes.errorbar(
        groups["prediction"],
        groups["share"],
        yerr=error,
        color=MODEL,
        marker="o",
        capsize=3,
        label=card.candidate,
    )
    axes.set(xlim=(0, limit), ylim=(0, limit), ylabel="share of rows with a breach")
    axes.legend(loc="upper left", frameon=False)
    shown = predictions["prediction"].clip(upper=limit)
    seaborn.histplot(x=shown, bins=40, binrange=(0, limit), ax=below, color=MODEL, linewidth=0)
    below.set_yscale("log")
    below.set(xlim=(0, limit), ylabel="rows")
    below.set_xlabel("predicted probability of a breach (last bar: and above)")
    for item in (axes, below):
        item.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    return to_png(figure)


def feature_importance(importance: pd.DataFrame, card: ModelCard, metric: str) -> bytes:
    """Draw how much worse `metric` gets when each feature is shuffled, the largest first."""
    import seaborn

    known = shown_features(importance, card.selected)
    top = known.head(TOP_FEATURES)
    hidden = len(known) - len(top)
    left_out = len(card.features) - len(card.selected or card.features)
    figure, axes = _canvas(
        f"{card.candidate}: what the predictions rest on",
        f"how much {_name(metric)} on the holdout worsens when one feature is shuffled"
        + (f"; {hidden} further features not shown" if hidden else "")
        + (f"; not selected: {left_out}" if left_out else ""),
        height=1.6 + 0.27 * max(len(top), 4),
    )
    if top.empty:
        axes.text(0.5, 0.5, "not defined on this holdout", ha="center", transform=axes.transAxes)
        return to_png(figure)
    seaborn.barplot(
        data=top, y="feature", x="importance_mean", color=MODEL, ax=axes, errorbar=None, width=0.7
    )
    axes.errorbar(
        top["importance_mean"],
        range(len(top)),
        xerr=top["importance_std"],
        fmt="none",
        ecolor="#333333",
        capsize=2,
    )
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.grid(axis="y", visible=False)
    axes.set(
        xlabel=f"loss of {_name(metric)} (whisker: standard deviation over shuffles)", ylabel=""
    )
    return to_png(figure)


def shown_features(importance: pd.DataFrame, selected: Collection[str] | None) -> pd.DataFrame:
    """Return the defined importances of the features that the model has; None selects all."""
    found = importance.dropna()
    return found if selected is None else found[found["feature"].isin(selected)]


def predicted_over_time(
    predictions: pd.DataFrame, card: ModelCard, baselines: Frames, value: str
) -> bytes:
    """Draw predicted and actual over the holdout: the mean of all entities, and one entity.

    The entity is the one with the most breaches, or the most varied values: the hardest.
    """
    is_class = card.problem == "classification"
    figure, (above, below) = _two_canvases(
        f"{card.candidate}: predicted and actual over the holdout",
        f"{predictions['entity'].nunique():,} entities, "
        f"{len(predictions):,} rows, {_span(predictions)} UTC",
        ratios=(1, 1),
        width=11.0,
    )
    step = _step(predictions["time"])
    _draw_mean(above, predictions, "y", step, color=ACTUAL, linewidth=1.0, label="actual")
    _draw_mean(above, predictions, "prediction", step, color=MODEL, label=card.candidate)
    if "seasonal" in baselines:
        look = {"color": BASELINE_COLOURS["seasonal"], "linestyle": "--", "linewidth": 1.0}
        label = "baseline: seasonal"
        _draw_mean(above, baselines["seasonal"], "prediction", step, label=label, **look)
    what = "share of entities with a breach" if is_class else value
    above.set_ylabel(f"{what},\nmean per {_words(step)}")
    above.legend(loc="upper left", ncols=3, frameon=False)
    _draw_hardest(below, predictions, card)
    for axes in (above, below):
        _format_dates(axes)
        if is_class:
            axes.set_ylim(0, None)
            axes.yaxis.set_major_formatter("{x:.0%}")
    _leave_room(above)
    return to_png(figure)


def _draw_mean(axes: "Axes", frame: pd.DataFrame, column: str, step: str, **look: Any) -> None:
    """Draw the mean over entities per `step`; times without rows break the line."""
    means = frame.groupby(frame["time"].dt.floor(step))[column].mean().asfreq(step)
    axes.plot(means.index, means, marker=".", markersize=2.5, **look)


def _draw_hardest(axes: "Axes", predictions: pd.DataFrame, card: ModelCard) -> None:
    """Draw the entity with the most breaches, or the most varied values."""
    spread = predictions.groupby("entity")["y"]
    worth = spread.sum() if card.problem == "classification" else spread.std().fillna(0)
    entity = worth.sort_index().idxmax()
    one = predictions[predictions["entity"] == entity].sort_values("time")
    gap = one["time"].diff() > 3 * one["time"].diff().median()
    if card.problem == "classification":
        axes.plot(
            one["time"],
            one["prediction"].mask(gap),
            color=MODEL,
            linewidth=0.8,
            label="predicted probability",
        )
        _shade_breaches(axes, one)
        if card.threshold is not None and card.threshold <= 1:
            axes.axhline(card.threshold, color=ALARM, linestyle="--", label="alert threshold")
    else:
        axes.plot(one["time"], one["y"].mask(gap), color="#AAAAAA", linewidth=1.2, label="actual")
        axes.plot(
            one["time"],
            one["prediction"].mask(gap),
            color=MODEL,
            linewidth=0.9,
            label=card.candidate,
        )
    axes.set_ylabel(f"{str(entity)[:24]}\n(the hardest entity)")
    axes.legend(loc="upper left", ncols=3, edgecolor="none", framealpha=0.9)
    _leave_room(axes)


def _shade_breaches(axes: "Axes", one: pd.DataFrame) -> None:
    """Shade the times of one entity's rows after which a breach came."""
    from matplotlib.dates import date2num

    breach = one["y"].to_numpy() > 0
    starts = np.flatnonzero(breach & ~np.concatenate([[False], breach[:-1]]))
    ends = np.flatnonzero(breach & ~np.concatenate([breach[1:], [False]]))
    at: Any = date2num(one["time"])  # type: ignore[no-untyped-call]
    row = float(np.median(np.diff(at))) if len(at) > 1 else 0.0
    axes.broken_barh(
        [(at[start], at[end] - at[start] + row) for start, end in zip(starts, ends, strict=True)],
        (0, 1),
        transform=axes.get_xaxis_transform(),
        color=ALARM,
        alpha=0.18,
        linewidth=0,
        label="a breach follows",
    )


def predicted_against_actual(
    predictions: pd.DataFrame, card: ModelCard, evaluation: Evaluation
) -> bytes:
    """Draw how often each pair of actual and predicted value occurs, with the line of equality."""
    figure, axes = _canvas(
        f"{card.candidate}: predicted against actual", _headline(evaluation), height=6.0
    )
    y, prediction = columns_of(predictions)
    # the furthest thousandth would squeeze all others into a corner
    low, high = np.quantile(np.concatenate([y, prediction]), [0.0005, 0.9995])
    margin = 0.02 * (high - low) or 1.0
    low, high = low - margin, high + margin
    inside = (np.minimum(y, prediction) >= low) & (np.maximum(y, prediction) <= high)
    drawn = axes.hexbin(
        y[inside],
        prediction[inside],
        gridsize=55,
        extent=(low, high, low, high),
        bins="log",
        mincnt=1,
        cmap="Blues",
        linewidths=0.1,
    )
    axes.plot([low, high], [low, high], color=ALARM, linestyle="--", label="equal")
    figure.colorbar(drawn, ax=axes, label="rows")
    outside = int((~inside).sum())
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="actual value" + (f" ({outside:,} rows outside)" if outside else ""))
    axes.set(ylabel="predicted value")
    axes.legend(loc="upper left", frameon=False)
    return to_png(figure)


def hardest(baselines: Frames, metric: str) -> Frames:
    """Return the baseline that is best by a metric, none where it is defined for none of them."""
    found = {}
    for name, frame in sorted(baselines.items()):
        try:
            found[name] = METRICS.get(metric, METRICS["mae"])(*columns_of(frame))
        except EvidenceError:
            pass
    sign = 1 if metric in METRICS and greater_is_better(metric) else -1
    best = max(found, key=lambda name: sign * found[name], default=None)
    return {} if best is None else {best: baselines[best]}


def residuals_over_time(predictions: pd.DataFrame, card: ModelCard, baselines: Frames) -> bytes:
    """Draw the residuals of each day as boxes, the model's beside those of baselines."""
    figure, axes = _canvas(
        f"{card.candidate}: residuals over the holdout",
        "actual minus predicted per UTC day; boxes: quartiles, whiskers: 5 % to 95 %",
        width=11.0,
    )
    compared = [(card.candidate, MODEL, predictions)]
    for name, frame in baselines.items():
        colour = BASELINE_COLOURS.get(name, "#999999")
        compared.append((f"baseline: {BASELINE_NAMES.get(name, name)}", colour, frame))
    days = sorted(predictions["time"].dt.floor("D").unique())
    width = 0.8 / len(compared)
    for place, (name, colour, frame) in enumerate(compared):
        residual = (frame["y"] - frame["prediction"]).groupby(frame["time"].dt.floor("D"))
        at = np.arange(len(days)) + (place - (len(compared) - 1) / 2) * width
        axes.boxplot(
            [residual.get_group(day) for day in days],
            positions=at,
            widths=0.85 * width,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "linewidth": 0.8},
            medianprops={"color": "#000000"},
            label=name,
        )
    axes.axhline(0, color="#333333", linewidth=0.8)
    labels = [f"{day:%d %b}" for day in days]
    axes.set_xticks(range(len(days)), labels, rotation=60 if len(days) > 12 else 0)
    axes.set_ylabel("actual minus predicted value")
    axes.legend(loc="upper left", ncols=2, frameon=False)
    _leave_room(axes)
    return to_png(figure)


def intervals_over_time(predictions: pd.DataFrame, card: ModelCard, value: str) -> bytes:
    """Draw actual values and intervals of three entities over the last days of the holdout.

    `predictions` have `low` and `high`. The entities are those whose intervals hold the least, a
    middling, and the largest share of what came, over the whole holdout.
    """
    is_inside = predictions["y"].between(predictions["low"], predictions["high"])
    held = is_inside.groupby(predictions["entity"]).mean().sort_index().sort_values(kind="stable")
    places = sorted({0, (len(held) - 1) // 2, len(held) - 1})
    last = predictions["time"].max().ceil("D")
    shown = predictions[predictions["time"] >= last - pd.Timedelta(days=INTERVAL_DAYS)]
    promised = card.intervals.coverage if card.intervals else float("nan")
    figure, every = canvases(
        f"{card.candidate}: actual values and {promised:.0%} intervals",
        f"by the time of the forecast, the last {INTERVAL_DAYS} days of the holdout; "
        "orange: outside",
        (11.0, 2.4 * len(places) + 0.7),
        ratios=(1,) * len(places),
    )
    for axes, place in zip(every, places, strict=True):
        entity = str(held.index[place])
        rows = shown[shown["entity"] == entity].sort_values("time")
        _draw_interval(axes, rows, card.candidate)
        axes.set_title(f"{entity[:24]}: {held.iloc[place]:.0%} inside", loc="left", fontsize=9.5)
        axes.set_ylabel(value)
    every[0].legend(loc="upper left", ncols=4, frameon=False)
    _leave_room(every[0])
    return to_png(figure)


def _draw_interval(axes: "Axes", rows: pd.DataFrame, candidate: str) -> None:
    """Draw one entity's band, forecast and actual values; times without rows break the lines."""
    step = rows["time"].diff()
    gap = step > 3 * step.median()
    time, low, high = rows["time"], rows["low"], rows["high"]
    axes.fill_between(
        time, low.mask(gap), high.mask(gap), color=MODEL, alpha=0.2, linewidth=0, label="interval"
    )
    axes.plot(time, rows["prediction"].mask(gap), color=MODEL, linewidth=0.9, label=candidate)
    axes.plot(time, rows["y"].mask(gap), color="#666666", linewidth=0.8, label="actual")
    outside = rows[~rows["y"].between(low, high)]
    axes.plot(outside["time"], outside["y"], ".", color=ALARM, markersize=3.5, label="outside")
    _format_dates(axes)


def interval_coverage(card: ModelCard, evaluation: Evaluation) -> bytes:
    """Draw which share of what came the intervals held, in all and by group, and their width."""
    found = evaluation.metrics["coverage"]
    by = card.intervals.by if card.intervals else None
    groups = [part for part in evaluation.slices if part.column == by and part.score is not None]
    widths = {part.value: part.score for part in groups if part.metric == "interval_width"}
    lines = [("all rows", found.value, evaluation.rows, evaluation.metrics["interval_width"].value)]
    lines += [
        (f"{by} {part.value}", float(part.score or 0), part.rows, float(widths[part.value] or 0))
        for part in groups
        if part.metric == "coverage"
    ]
    figure, axes = _canvas(
        f"{card.candidate}: do the intervals hold what they promise?",
        f"{_rows_of(evaluation)}; bar: {evaluation.confidence:.0%} interval",
        height=1.7 + 0.42 * len(lines),
    )
    for place, (_, share, rows, width) in enumerate(lines):
        axes.plot(share, place, "o", color=MODEL, markersize=8)
        text = f"{share:.1%} of {rows:,} rows, mean width {width:.3g}"
        axes.annotate(
            text,
            (share, place),
            xytext=(0, 8),
            textcoords="offset points",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [0, 0], color=MODEL, linewidth=2.5, alpha=0.6)
    if card.intervals is not None:
        axes.axvline(card.intervals.coverage, color=ALARM, linestyle="--", label="promised")
        axes.legend(loc="lower left", frameon=False)
    axes.set_yticks(range(len(lines)), [name for name, *_ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.xaxis.set_major_formatter("{x:.1%}")
    axes.set_xlabel("share of the values that came that lay inside")
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.25)
    return to_png(figure)


def leaderboard(
    evaluations: Mapping[str, Evaluation], baselines: Mapping[str, Evaluation], metric: str
) -> bytes:
    """Draw the metric of every candidate and baseline with its interval, the best at the top.

    One without the metric is listed as missing. Raises EvidenceError where nobody has it.
    """
    sign = 1 if greater_is_better(metric) else -1
    every = [(name, item, MODEL) for name, item in evaluations.items()] + [
        (f"baseline: {BASELINE_NAMES.get(name, name)}", item, "#777777")
        for name, item in baselines.items()
    ]
    known = [line for line in every if metric in line[1].metrics]
    if not known:
        raise EvidenceError(f"nobody has {metric}, so that there is no leaderboard to draw.")
    known.sort(key=lambda line: (-sign * line[1].metrics[metric].value, line[0]))
    lines = known + sorted((line for line in every if line not in known), key=lambda line: line[0])
    sample = known[0][1]
    figure, axes = _canvas(
        f"{_name(metric)} on the holdout: {'more' if sign > 0 else 'less'} is better",
        f"{_rows_of(sample)}; bars: {sample.confidence:.0%} interval over entities and days",
        height=1.7 + 0.42 * len(lines),
    )
    for place, (_, item, colour) in enumerate(lines):
        _draw_line(axes, place, item, metric, colour)
    axes.set_yticks(range(len(lines)), [name for name, _, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel(_name(metric))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.14)
    return to_png(figure)


def _draw_line(axes: "Axes", place: int, item: Evaluation, metric: str, colour: str) -> None:
    if metric not in item.metrics:
        axes.text(
            0.5, place, "missing", ha="center", va="center", transform=axes.get_yaxis_transform()
        )
        return
    found = item.metrics[metric]
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2.5, alpha=0.6)
    axes.plot(found.value, place, "o", color=colour, markersize=8)
    axes.annotate(
        f"{found.value:#.4g}",
        (found.value, place),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )


def coverage_by_day(
    coverage: Mapping[date, float], refused: Collection[date], missing: Collection[date], title: str
) -> bytes:
    """Draw the share of the expected rows that each day brought; refused days stand out.

    `missing` days, of which no file came, are marked on the ground line. Raises EvidenceError
    where there is no day at all.
    """
    from matplotlib.ticker import PercentFormatter

    if not coverage and not missing:
        raise EvidenceError(f"{title} has no day, so that there is no coverage to draw.")
    subtitle = f"orange: refused ({len(refused)}); x: no file came ({len(missing)})"
    figure, axes = _canvas(title, subtitle, height=2.9)
    last = max([*coverage, *missing])
    for day, share in sorted(coverage.items()):
        axes.bar((day - last).days, share, color=ALARM if day in refused else MODEL, width=0.8)
    axes.plot([(day - last).days for day in missing], [0.02] * len(missing), "x", color=ALARM)
    span = (last - min([*coverage, *missing])).days
    ticks = range(0, -span - 1, -(span // COVERAGE_TICKS + 1))
    axes.set_xticks(ticks, [f"{last + timedelta(days=tick):%d %b}" for tick in ticks])
    axes.set(xlim=(-max(span, COVERAGE_TICKS) - 0.6, 0.6), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="x", visible=False)
    return to_png(figure)


# --- what all pictures share ------------------------------------------------------------------


def _canvas(
    title: str, subtitle: str, width: float = 8.0, height: float = 5.0
) -> "tuple[Figure, Axes]":
    figure, axes = canvases(title, subtitle, (width, height), ratios=(1,))
    return figure, axes[0]


def _two_canvases(
    title: str, subtitle: str, ratios: tuple[int, int], width: float = 8.0
) -> "tuple[Figure, list[Axes]]":
    return canvases(title, subtitle, (width, 6.5), ratios)


def canvases(
    title: str, subtitle: str, size: tuple[float, float], ratios: tuple[int, ...]
) -> "tuple[Figure, list[Axes]]":
    """Return a figure of `size` inches with a title, and axes below each other by `ratios`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110)
    FigureCanvasAgg(figure)
    inches = size[1]
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.62 / inches))
    figure.text(0.012, 1 - 0.1 / inches, title, va="top", fontsize=13, fontweight="bold")
    figure.text(0.012, 1 - 0.38 / inches, subtitle, va="top", fontsize=9.5, color="#555555")
    found = figure.subplots(len(ratios), 1, squeeze=False, height_ratios=list(ratios))
    axes: list[Any] = list(found[:, 0])
    for item in axes:
        item.grid(color="#E5E5E5", linewidth=0.7)
        item.set_axisbelow(True)
        item.spines[["top", "right"]].set_visible(False)
    return figure, axes


def to_png(figure: "Figure") -> bytes:
    """Return a figure as PNG, equal figures as equal bytes."""
    sink = io.BytesIO()
    # matplotlib writes its version into the file, which would change the bytes
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _name(metric: str) -> str:
    return METRIC_NAMES.get(metric, metric)


def _rows_of(evaluation: Evaluation) -> str:
    positives = evaluation.positives
    share = "" if positives is None else f" ({positives:,} with a breach)"
    clusters = evaluation.clusters
    return f"{evaluation.rows:,} rows{share}, {clusters['entity']} entities, {clusters['day']} days"


def _headline(evaluation: Evaluation) -> str:
    """Say the first metric with its interval, and on how much it rests."""
    if not evaluation.metrics:
        return _rows_of(evaluation)
    name, found = next(iter(evaluation.metrics.items()))
    text = f"{_name(name)} {found.value:.3g}"
    if found.low is not None and found.high is not None:
        text += f" ({evaluation.confidence:.0%}: {found.low:.3g} to {found.high:.3g})"
    return f"{text}; {_rows_of(evaluation)}"


def _span(predictions: pd.DataFrame) -> str:
    time = predictions["time"]
    return f"{time.min():%d %b %Y %H:%M} to {time.max():%d %b %Y %H:%M}"


def _step(time: "pd.Series[pd.Timestamp]") -> str:
    """Return the shortest of some usual lengths that leaves at most `STEPS` points.

    It is no shorter than the time from row to row: else most steps had none, and lines would break.
    """
    times = pd.Series(time.sort_values().unique())
    least = max((times.iloc[-1] - times.iloc[0]) / STEPS, times.diff().min())
    return next((step for step in USUAL_STEPS if pd.Timedelta(step) >= least), "7D")


def _words(step: str) -> str:
    units = {"s": "second", "min": "minute", "h": "hour", "D": "day"}
    number = "".join(filter(str.isdigit, step))
    unit = units[step[len(number) :]]
    return unit if number == "1" else f"{number} {unit}s"


def _format_dates(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


def _leave_room(axes: "Axes") -> None:
    """Raise the upper limit so that a legend in the corner covers no line."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))

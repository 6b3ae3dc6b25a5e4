"""The interactive figures of a training's report: plotly figures of frames and evaluations.

What a page says around them, and in which order, is in `training_report`; pictures for MLflow and
the Prefect UI are in `plots`. Names from data are escaped, since plotly reads them as markup.
"""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rancast.column_names import INTERVAL_COLUMNS
from rancast.evaluation import columns_of
from rancast.judging import Entry
from rancast.metrics import greater_is_better
from rancast.plots import ALARM, BASELINE_COLOURS, BASELINE_NAMES, METRIC_NAMES, MODEL
from rancast.reliability import Reliability

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SOFT, BAND = "#5d6b7c", "rgba(0, 114, 178, 0.16)"
FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1c2430"}
GRID = "#e8ecf1"
FloatArray32 = npt.NDArray[np.float32]
CURVE_POINTS = 500
TOP_FEATURES = 20
HISTOGRAM_BINS = 40
HEAT_BINS = 60
LINE_POINTS = 2_000
LINE_ENTITIES = 8
EVERYBODY = "mean of all entities"


def metric_name(metric: str) -> str:
    """Return what people call a metric."""
    return METRIC_NAMES.get(metric, metric)


def baseline_name(name: str) -> str:
    """Return what people call a trivial forecast."""
    return BASELINE_NAMES.get(name, name)


def text(value: object) -> str:
    """Return a name from data as plotly shows it: its characters, and never markup."""
    return html.escape(str(value), quote=False)


def leaderboard(entries: Sequence[Entry], best: str, metric: str) -> "Figure":
    """Draw every model's metric with its interval, the best at the top; none without the metric."""
    known = [entry for entry in entries if metric in entry.evaluation.metrics]
    sign = 1 if greater_is_better(metric) else -1
    known.sort(key=lambda entry: sign * entry.evaluation.metrics[metric].value)
    figure = _figure(90 + 34 * len(known), xaxis={"title": metric_name(metric)})
    for entry in known:
        found = entry.evaluation.metrics[metric]
        bounds = {}
        if found.low is not None and found.high is not None:
            bounds = {
                "array": [found.high - found.value],
                "arrayminus": [found.value - found.low],
                "thickness": 2.5,
                "width": 5,
            }
        figure.add_scatter(
            x=[found.value],
            y=[_entry_name(entry)],
            error_x=bounds,
            mode="markers",
            marker={"size": 11, "color": MODEL if entry.kind == "candidate" else "#8a94a3"},
            opacity=1 if entry.name == best or entry.kind != "candidate" else 0.55,
            name=_entry_name(entry),
            showlegend=False,
            hovertemplate=f"%{{y}}<br>{metric_name(metric)} %{{x:.4g}}<extra></extra>",
        )
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def _entry_name(entry: Entry) -> str:
    if entry.kind == "candidate":
        return text(entry.name)
    return f"{entry.kind}: {text(baseline_name(entry.name))}"


def precision_recall(
    predictions: pd.DataFrame,
    baselines: Mapping[str, pd.DataFrame],
    name: str,
    threshold: float | None,
) -> "Figure":
    """Draw precision over recall of the model and the baselines, and where it alerts."""
    figure = _figure(
        420,
        xaxis={"title": "recall: breaches that are announced", "range": [0, 1.01]},
        yaxis={"title": "precision: alerts that come true", "range": [0, 1.02]},
    )
    for baseline, frame in baselines.items():
        if baseline != "majority":
            label = f"baseline: {baseline_name(baseline)}"
            _add_curve(figure, frame, label, BASELINE_COLOURS.get(baseline, SOFT), 1.5)
    _add_curve(figure, predictions, text(name), MODEL, 3.0)
    share = float(predictions["y"].mean())
    figure.add_hline(y=share, line={"color": "#999999", "dash": "dot"})
    y, prediction = columns_of(predictions)
    if threshold is not None and (prediction >= threshold).any():
        alert = prediction >= threshold
        figure.add_scatter(
            x=[float(y[alert].sum() / y.sum())],
            y=[float(y[alert].mean())],
            mode="markers",
            marker={"size": 12, "color": ALARM},
            name=f"alert at {threshold:.3g}",
        )
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    return figure


def _add_curve(figure: "Figure", frame: pd.DataFrame, name: str, colour: str, width: float) -> None:
    """Add a precision-recall curve, or a dot where the predictions are a plain yes or no."""
    from sklearn.metrics import precision_recall_curve

    y, prediction = columns_of(frame)
    precision, recall, thresholds = precision_recall_curve(y, prediction, drop_intermediate=True)
    is_dot = len(np.unique(prediction)) <= 2
    # the last point is a convention
    last = len(recall) - 2
    kept = np.array([last]) if is_dot else np.linspace(0, last, min(CURVE_POINTS, last + 1))
    kept = np.unique(kept.astype(int))
    figure.add_scatter(
        x=recall[kept].round(5),
        y=precision[kept].round(5),
        customdata=thresholds[kept].round(5),
        mode="markers" if is_dot else "lines",
        line={"color": colour, "width": width},
        marker={"color": colour, "size": 9, "symbol": "diamond"},
        name=name,
        hovertemplate="precision %{y:.1%}, recall %{x:.1%}<br>from %{customdata:.3g} on",
    )


def calibration(found: Reliability, name: str) -> "Figure":
    """Draw the share that came true over what was predicted, in groups of equal size."""
    prediction = [group.prediction for group in found.groups]
    share = [group.share for group in found.groups]
    limit = 1.06 * max(*prediction, *(group.high for group in found.groups))
    figure = _figure(
        420,
        xaxis={"title": "predicted probability", "range": [0, limit], "tickformat": ".0%"},
        yaxis={"title": "share that came true", "range": [0, limit], "tickformat": ".0%"},
    )
    line = {"color": SOFT, "dash": "dot"}
    figure.add_scatter(x=[0, limit], y=[0, limit], mode="lines", line=line, name="perfect")
    figure.add_scatter(
        x=prediction,
        y=share,
        error_y={
            "array": [group.high - group.share for group in found.groups],
            "arrayminus": [group.share - group.low for group in found.groups],
            "thickness": 1.5,
        },
        customdata=[group.rows for group in found.groups],
        mode="lines+markers",
        line={"color": MODEL},
        marker={"size": 8},
        name=text(name),
        hovertemplate="predicted %{x:.1%}, came true %{y:.1%}<br>%{customdata:,} rows",
    )
    return figure


def probabilities(predictions: pd.DataFrame) -> "Figure":
    """Draw how often each probability is predicted, apart for what came true and what did not."""
    y, prediction = columns_of(predictions)
    edges = np.linspace(0, max(float(prediction.max()), 0.01), HISTOGRAM_BINS + 1)
    figure = _figure(
        300,
        xaxis={"title": "predicted probability", "tickformat": ".0%"},
        yaxis={"title": "rows", "type": "log"},
        barmode="overlay",
    )
    for label, value, colour in (("no breach followed", 0, "#8a94a3"), ("breach", 1, ALARM)):
        counts, _ = np.histogram(prediction[y == value], edges)
        middle = (edges[:-1] + edges[1:]) / 2
        figure.add_bar(
            x=middle.round(5), y=counts, name=label, marker={"color": colour}, opacity=0.65
        )
    figure.update_layout(bargap=0.04)
    return figure


def predicted_against_actual(predictions: pd.DataFrame) -> "Figure":
    """Draw how often each pair of actual and predicted value occurs."""
    y, prediction = columns_of(predictions)
    # the furthest thousandth would squeeze all others into a corner
    low, high = np.quantile(np.concatenate([y, prediction]), [0.0005, 0.9995])
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, HEAT_BINS + 1)
    counts, _, _ = np.histogram2d(prediction, y, [edges, edges])
    middle = ((edges[:-1] + edges[1:]) / 2).round(6)
    figure = _figure(460, xaxis={"title": "actual"}, yaxis={"title": "predicted"})
    with np.errstate(divide="ignore"):
        shade = np.where(counts > 0, np.log10(counts), np.nan)
    figure.add_heatmap(
        x=middle,
        y=middle,
        z=shade.round(3),
        customdata=counts.astype(int),
        colorscale="Blues",
        showscale=False,
        hovertemplate="actual %{x:.4g}, predicted %{y:.4g}<br>%{customdata:,} rows<extra></extra>",
    )
    line = {"color": ALARM, "dash": "dash"}
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", line=line, name="equal")
    return figure


def residuals(
    predictions: pd.DataFrame, baselines: Mapping[str, pd.DataFrame], name: str
) -> "Figure":
    """Draw the errors of each UTC day as boxes: quartiles, and whiskers from 5 % to 95 %."""
    figure = _figure(
        460, xaxis={"title": "day (UTC)"}, yaxis={"title": "actual - predicted"}, boxmode="group"
    )
    _add_boxes(figure, predictions, text(name), MODEL)
    for baseline, frame in baselines.items():
        label = f"baseline: {text(baseline_name(baseline))}"
        _add_boxes(figure, frame, label, BASELINE_COLOURS.get(baseline, SOFT))
    figure.add_hline(y=0, line={"color": SOFT, "width": 1})
    return figure


def _add_boxes(figure: "Figure", frame: pd.DataFrame, name: str, colour: str) -> None:
    errors = (frame["y"] - frame["prediction"]).groupby(frame["time"].dt.strftime("%Y-%m-%d"))
    found = errors.quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()
    figure.add_box(
        x=found.index.tolist(),
        lowerfence=found[0.05],
        q1=found[0.25],
        median=found[0.5],
        q3=found[0.75],
        upperfence=found[0.95],
        name=name,
        marker={"color": colour},
    )


def importance(frame: pd.DataFrame, metric: str) -> "Figure":
    """Draw how much the metric worsens when each feature is shuffled, the largest first."""
    top = frame.dropna().head(TOP_FEATURES).iloc[::-1]
    figure = _figure(
        110 + 22 * len(top), xaxis={"title": f"loss of {metric_name(metric)} when shuffled"}
    )
    figure.add_bar(
        x=_short(top["importance_mean"]),
        y=[text(name) for name in top["feature"]],
        error_x={"array": top["importance_std"].round(6), "thickness": 1.2, "width": 3},
        orientation="h",
        marker={"color": MODEL},
        hovertemplate="%{y}: %{x:.4g}<extra></extra>",
    )
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def dependence(frame: pd.DataFrame, is_probability: bool) -> "list[Figure]":
    """Draw the partial dependence of each feature, all on one scale."""
    low, high = float(frame["low"].min()), float(frame["high"].max())
    margin = 0.05 * (high - low) or 0.01
    axis = {"range": [low - margin, high + margin], "tickformat": ".0%" if is_probability else ""}
    return [
        _one_dependence(rows.drop(columns="feature"), text(name), axis)
        for name, rows in frame.groupby("feature", sort=False)
    ]


def _one_dependence(rows: pd.DataFrame, name: str, axis: dict[str, Any]) -> "Figure":
    figure = _figure(270, xaxis={"title": name}, yaxis=axis, showlegend=False)
    hover = "%{x}: %{y:.4g}<extra></extra>"
    if rows["number"].isna().all():
        figure.add_scatter(
            x=[text(value) for value in rows["value"]],
            y=_short(rows["average"]),
            error_y={
                "array": (rows["high"] - rows["average"]).round(6),
                "arrayminus": (rows["average"] - rows["low"]).round(6),
                "color": "rgba(0, 114, 178, 0.35)",
                "thickness": 6,
                "width": 0,
            },
            mode="markers",
            marker={"color": MODEL, "size": 11},
            hovertemplate=hover,
        )
        return figure
    _add_band(figure, rows["number"], rows["low"], rows["high"])
    figure.add_scatter(
        x=rows["number"],
        y=_short(rows["average"]),
        mode="lines+markers",
        line={"color": MODEL, "width": 2.5},
        marker={"size": 5},
        hovertemplate=hover,
    )
    return figure


def _add_band(figure: "Figure", x: Any, low: pd.Series, high: pd.Series, **more: Any) -> None:
    """Add an area between two lines."""
    look = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False} | more
    figure.add_scatter(x=x, y=_short(low), **look)
    figure.add_scatter(x=x, y=_short(high), fill="tonexty", fillcolor=BAND, **look)


def over_time(
    predictions: pd.DataFrame, is_breach: bool, threshold: float | None, value: str = "value"
) -> "tuple[Figure, list[str]]":
    """Draw predicted and actual over the holdout; return the figure and the names to choose from.

    The first is the mean of all entities, the others those that are hardest: with the most
    breaches, or the most varied values. Each line has at most `LINE_POINTS` points, means over
    equal times. A trace says by `meta` to which name it belongs. Intervals are drawn for entities
    where `predictions` have the columns `low` and `high`. `value` is what `y` is, with its unit.
    """
    worth = predictions.groupby("entity")["y"]
    ranked = (worth.sum() if is_breach else worth.std().fillna(0)).sort_index()
    hardest = ranked.sort_values(ascending=False, kind="stable").index[:LINE_ENTITIES]
    figure = _figure(
        470,
        xaxis={
            "title": "time (UTC)",
            "type": "date",
            "rangeslider": {"visible": True, "thickness": 0.09},
        },
        yaxis={
            "title": "probability" if is_breach else text(value),
            "rangemode": "tozero" if is_breach else "normal",
        },
    )
    figure.update_yaxes(tickformat=".0%" if is_breach else "")
    _add_lines(figure, predictions, "0", is_breach=False, has_bounds=False)
    for place, entity in enumerate(hardest, start=1):
        rows = predictions[predictions["entity"] == entity]
        _add_lines(
            figure, rows, str(place), is_breach, has_bounds=set(INTERVAL_COLUMNS) <= set(rows)
        )
        if threshold is not None and threshold <= 1:
            _add_threshold(figure, rows["time"], threshold, str(place))
    return figure, [EVERYBODY, *map(str, hardest)]


def _add_threshold(figure: "Figure", time: "pd.Series[Any]", threshold: float, meta: str) -> None:
    """Add the alert threshold to one entity: the mean of all alerts nobody."""
    figure.add_scatter(
        x=_milliseconds(pd.DatetimeIndex([time.min(), time.max()])),
        y=[threshold, threshold],
        mode="lines",
        name="alert threshold",
        line={"color": ALARM, "dash": "dash", "width": 1},
        meta=meta,
        visible=False,
    )


def _add_lines(
    figure: "Figure", rows: pd.DataFrame, meta: str, is_breach: bool, has_bounds: bool
) -> None:
    """Add the lines of one choice; breaches are shaded, since a line of 0 and 1 hides the other."""
    thin = downsample(rows, ["y", "prediction", *(INTERVAL_COLUMNS if has_bounds else ())])
    x = _milliseconds(pd.DatetimeIndex(thin.index))
    common = {"meta": meta, "visible": meta == "0"}
    if has_bounds:
        _add_band(figure, x, thin["low"], thin["high"], **common)
    shaded = {"fill": "tozeroy", "fillcolor": "rgba(213, 94, 0, 0.16)", "line": {"width": 0}}
    line = {"line": {"color": "#8a94a3", "width": 1.2}}
    figure.add_scatter(
        x=x,
        y=_short(thin["y"]),
        mode="lines",
        name="a breach follows" if is_breach else "actual",
        **(shaded if is_breach else line),
        **common,
    )
    figure.add_scatter(
        x=x,
        y=_short(thin["prediction"]),
        mode="lines",
        name="predicted",
        line={"color": MODEL, "width": 1.5},
        **common,
    )


def _milliseconds(times: pd.DatetimeIndex) -> Any:
    """Return milliseconds since 1970, which is half of what the times take as text."""
    return (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta("1ms")


def downsample(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return columns averaged over equal times, so that at most `LINE_POINTS` points stay."""
    first, last = rows["time"].min(), rows["time"].max()
    step = max((last - first) / (LINE_POINTS - 1), pd.Timedelta("1us"))
    place = (rows["time"] - first) // step
    values = rows.groupby(place)[columns].mean()
    values.index = rows.groupby(place)["time"].min()
    return values


def _short(values: pd.Series) -> FloatArray32:
    """Return numbers in half of their length, which is enough for a screen."""
    return values.to_numpy(dtype=np.float32)


def _figure(height: int, **layout: Any) -> "Figure":
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.update_layout(
        template="none",
        height=height,
        font=FONT,
        margin={"l": 64, "r": 18, "t": 34, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#b9c2ce", "activecolor": MODEL},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        **layout,
    )
    look = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "title": {"font": FONT, "standoff": 14},
    }
    figure.update_xaxes(automargin=True, **look)
    figure.update_yaxes(automargin=True, **look)
    return figure

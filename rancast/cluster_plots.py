"""Pictures of clusters: their day, hour by hour, and how well each row lies in its own.

As in `plots`: functions return PNG bytes and keep no state; what is drawn was computed elsewhere.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rancast.cluster_profiles import Cluster, Clusters, letter, name_and_unit
from rancast.errors import EvidenceError
from rancast.models import ModelCard
from rancast.plots import canvases, feature_importance, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers tell apart; with more clusters dashed again
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
COLUMNS_DRAWN = 4


def for_candidate(
    clusters: Clusters, card: ModelCard, predictions: pd.DataFrame, importance: pd.DataFrame
) -> dict[str, bytes]:
    """Return file name -> PNG of one clustering, by the letters of its own labels.

    The day is left out where the use case has no `features.profile`.
    """
    drawn = {
        "importance.png": feature_importance(importance, card, "adjusted_rand"),
        "silhouettes.png": silhouette_plot(predictions, card.candidate),
    }
    try:
        drawn["clusters_over_the_day.png"] = over_the_day(clusters, card.candidate)
    except EvidenceError:
        pass
    return dict(sorted(drawn.items()))


def over_the_day(clusters: Clusters, title: str) -> bytes:
    """Draw each cluster's day, one panel per column: blocks of hours as multiples of all hours.

    Raises EvidenceError where no feature is such a block.
    """
    columns = sorted({column for one in clusters.clusters for column in one.days})[:COLUMNS_DRAWN]
    if not columns:
        raise EvidenceError("no feature is a block of hours; state features.profile to draw a day.")
    figure, panels = canvases(
        f"{title}: the day of each cluster",
        f"median of {clusters.rows:,} rows of {clusters.entities:,} entities; 1 is the mean of all "
        "hours",
        (9.0, 1.2 + 2.6 * len(columns)),
        (1,) * len(columns),
    )
    for axes, column in zip(panels, columns, strict=True):
        for cluster in clusters.clusters:
            _draw_day(axes, cluster, column, clusters.name(cluster))
        axes.axhline(1, color="#333333", linewidth=0.8, linestyle=":")
        axes.set_ylabel(f"{name_and_unit(column)[0]},\ntimes its day")
        axes.set(xlim=(0, 24), xticks=range(0, 25, 4))
    panels[-1].set_xlabel("hour of the day")
    panels[0].legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return to_png(figure)


def _draw_day(axes: "Axes", cluster: Cluster, column: str, name: str) -> None:
    values = [np.nan if value is None else value for value in cluster.days.get(column, ())]
    edges = np.linspace(0, 24, len(values) + 1)
    axes.stairs(
        values,
        edges,
        baseline=None,
        linewidth=2.2,
        label=f"{name}: {cluster.entities} of them",
        **_look(cluster.label),
    )


def silhouette_plot(predictions: pd.DataFrame, title: str) -> bytes:
    """Draw the silhouette of each row, by cluster and from high to low (Rousseeuw 1987).

    Clusters are called by the letters of the model's own labels.
    """
    mean = float(predictions["silhouette"].mean())
    figure, (axes,) = canvases(
        f"{title}: how well each row lies in its cluster",
        f"silhouettes of {len(predictions):,} holdout rows, mean {mean:.3g}; 1: far from the next "
        "cluster, below 0: nearer to another one",
        (9.0, 4.2),
        (1,),
    )
    start = 0
    for label, rows in predictions.groupby("prediction", sort=True):
        values = np.sort(rows["silhouette"].to_numpy())[::-1]
        places = np.arange(start, start + len(values))
        own = int(float(str(label)))
        look = _look(own)
        axes.fill_between(places, 0, values, step="mid", color=look["color"], linewidth=0)
        axes.text(start + len(values) / 2, -0.02, letter(own), ha="center", va="top")
        start += len(values) + max(1, len(predictions) // 60)
    axes.axhline(mean, color="#333333", linestyle="--", linewidth=1)
    axes.set(ylabel="silhouette", xlabel="rows by cluster", xticks=[])
    return to_png(figure)


def _look(label: int) -> dict[str, Any]:
    dashed = label // len(COLOURS) % 2 == 1
    return {"color": COLOURS[label % len(COLOURS)], "linestyle": "--" if dashed else "-"}

"""The kinds of problem, and the names of the metrics that each is judged by."""

from typing import Literal

Problem = Literal["classification", "regression", "clustering"]

METRICS: dict[Problem, tuple[str, ...]] = {
    "classification": ("average_precision", "brier", "log_loss", "roc_auc"),
    "regression": ("mae", "r2", "rmse"),
    "clustering": ("silhouette", "stability"),
}
METRICS_AT_THRESHOLD = ("alerts_per_day", "precision", "recall")
METRICS_OF_INTERVALS = ("coverage", "interval_score", "interval_width")

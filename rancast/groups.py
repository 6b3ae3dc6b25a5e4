"""A column's values as the names of groups: of slices, and of prediction intervals."""

from typing import Any

import pandas as pd

# what a flag's 0 and 1 are called as groups
FLAGS = {
    "is_busy_hour": ("other hours", "busy hour"),
    "is_network_busy_hour": ("other hours", "busy hour of the network"),
    "is_weekend": ("weekdays", "weekend"),
}


def group_labels(values: "pd.Series[Any]") -> "pd.Series[str]":
    """Return values as text, "missing" where there is none, flags (by their name) in words."""
    if values.name in FLAGS:
        values = values.map(dict(enumerate(FLAGS[str(values.name)])))
    return values.astype(object).where(values.notna(), "missing").astype(str)

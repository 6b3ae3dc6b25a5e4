"""Whether a predicted 20 % comes true in 20 % of the cases: calibration in groups and numbers."""

import numpy as np
import pandas as pd

from rancast.documents import Document
from rancast.metrics import FloatArray

GROUPS = 10
Z = 1.96
_SHOWN = ("prediction", "share", "low", "high")


class ReliabilityGroup(Document):
    """Rows of about equal prediction: their mean, and the share that came true with its bounds.

    `low` and `high` are the 95 % interval of Wilson (1927) as if rows were independent; rows of
    one cell are not, so true uncertainty is larger.
    """

    rows: int
    prediction: float
    share: float
    low: float
    high: float


class Reliability(Document):
    """How far predicted probabilities can be taken at their word.

    `expected_error` is the mean distance between prediction and share over the groups, by rows
    (expected calibration error, Naeini et al. 2015). The others are the parts of the Brier score by
    Murphy (1973), of the groups' means: `reliability` (0 is perfectly calibrated), `resolution`
    (how far groups differ, more is better) and `uncertainty` (of the outcome itself); the score is
    about reliability - resolution + uncertainty, but for what predictions differ within a group.
    """

    groups: tuple[ReliabilityGroup, ...]
    expected_error: float
    reliability: float
    resolution: float
    uncertainty: float


def reliability_of(y: FloatArray, prediction: FloatArray) -> Reliability:
    """Return the calibration of probabilities (rows,) of `y` 0 or 1 in groups of equal size.

    Equal predictions are divided in the order of the rows. There is at least one row.
    """
    groups = _groups(y, prediction)
    weight = groups["rows"] / len(y)
    base = float(y.mean())
    error = groups["prediction"] - groups["share"]
    return Reliability(
        groups=tuple(
            ReliabilityGroup(rows=int(row["rows"]), **{name: float(row[name]) for name in _SHOWN})
            for _, row in groups.iterrows()
        ),
        expected_error=float((weight * error.abs()).sum()),
        reliability=float((weight * error**2).sum()),
        resolution=float((weight * (groups["share"] - base) ** 2).sum()),
        uncertainty=base * (1 - base),
    )


def _groups(y: FloatArray, prediction: FloatArray) -> pd.DataFrame:
    """Return rows, mean prediction, share and its bounds of each group, by rising prediction."""
    rank = np.argsort(np.argsort(prediction, kind="stable"), kind="stable")
    group = rank * GROUPS // len(y)
    grouped = pd.DataFrame({"prediction": prediction, "share": y}).groupby(group)
    found, rows = grouped.mean(), grouped.size()
    centre = (found["share"] + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = np.sqrt(found["share"] * (1 - found["share"]) / rows + Z**2 / (4 * rows**2))
    half = Z / (1 + Z**2 / rows) * half
    # rounding may leave a bound a hair on the wrong side of a share of exactly 0 or 1
    return found.assign(
        rows=rows,
        low=np.minimum(centre - half, found["share"]),
        high=np.maximum(centre + half, found["share"]),
    )

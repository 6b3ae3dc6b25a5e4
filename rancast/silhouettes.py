"""How well each row lies in its cluster, in one space that no model has chosen.

Two clusterings are compared by their silhouettes on the same rows, so the space must be that of
neither: every numeric feature of the table, in robust units of its training rows. Rows of one
entity on several days are nearly equal. Were they neighbours of each other, a cluster for each
entity would score best; so each time's entities are a set of their own, with one row for each.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.column_names import RESERVED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# the interquartile range of a normal distribution, in standard deviations
NORMAL_RANGE = 1.349
# further out a single wild value would outweigh all other features
FARTHEST = 4.0


class Space(NamedTuple):
    """Centre and scale of each numeric feature: median and interquartile range, as a deviation."""

    centre: "pd.Series[float]"
    scale: "pd.Series[float]"

    @classmethod
    def of(cls, X: pd.DataFrame) -> "Space":
        """Return the space of these rows' numeric columns.

        Where half of the values are equal, the standard deviation is the scale; a column that does
        not vary at all has the scale 0.
        """
        numeric = X.select_dtypes("number").astype("float64")
        low, high = numeric.quantile(0.25), numeric.quantile(0.75)
        scale = (high - low) / NORMAL_RANGE
        deviation = numeric.std(ddof=0).fillna(0.0)
        return cls(numeric.median(), scale.where(scale > 0, deviation))

    def place(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return X in units of scale from the centre, within `FARTHEST`; unknown is the centre."""
        found = (X[self.centre.index] - self.centre) / self.scale.where(self.scale > 0)
        return found.astype("float64").clip(-FARTHEST, FARTHEST).fillna(0.0)


def space_of(table: pd.DataFrame) -> Space:
    """Return the space of a training table: its features on its training rows."""
    features = table.columns.difference(list(RESERVED), sort=False)
    return Space.of(table.loc[table["split"] == "train", features])


def categories_of(table: pd.DataFrame) -> list[str]:
    """Name a training table's columns of text that are features."""
    columns = table.columns.difference(list(RESERVED), sort=False)
    return [name for name in columns if isinstance(table[name].dtype, pd.StringDtype)]


def silhouettes(
    space: Space, X: pd.DataFrame, time: "pd.Series[pd.Timestamp]", labels: Floats
) -> Floats:
    """Return the silhouette (rows,) of each row among the rows of its time, in -1 to 1.

    (b - a) / max(a, b), a being the mean distance to the others of its cluster, b that to the
    nearest other cluster (Rousseeuw 1987, J. Comput. Appl. Math. 20). 0 for a row alone in its
    cluster, and where all rows of a time are in one cluster, which separates nothing.
    """
    from sklearn.metrics import silhouette_samples

    points = space.place(X).to_numpy()
    found = np.zeros(len(labels))
    for rows in positions_by(time):
        clusters = len(np.unique(labels[rows]))
        if 1 < clusters < len(rows):
            found[rows] = silhouette_samples(points[rows], labels[rows])
    return found


def positions_by(time: "pd.Series[pd.Timestamp]") -> list[Ints]:
    """Return the positions of the rows of each time, in order of time."""
    codes = pd.factorize(time, sort=True)[0]
    return [np.flatnonzero(codes == code) for code in range(codes.max(initial=-1) + 1)]


def with_silhouettes(predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return holdout predictions [entity, time, y, prediction, ...] with the column `silhouette`.

    `prediction` is the cluster; the features of its rows are those of the training table.
    """
    keys = ["entity", "time"]
    holdout = table[table["split"] == "holdout"].set_index(keys)
    X = holdout.loc[pd.MultiIndex.from_frame(predictions[keys])].reset_index()
    labels = predictions["prediction"].to_numpy(dtype=np.float64)
    return predictions.assign(
        silhouette=silhouettes(space_of(table), X, predictions["time"], labels)
    )

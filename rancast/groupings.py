"""The trivial groupings that every clustering must beat, in the form of a model's predictions.

Nobody needs a model to group cells by their technology, by a third of one number, or by a draw.
"""

import numpy as np
import pandas as pd

from rancast.candidates import holdout_frame
from rancast.errors import EvidenceError
from rancast.silhouettes import Floats, categories_of, space_of, with_silhouettes

GROUPS = 3


def groupings(table: pd.DataFrame, slices: tuple[str, ...], entity: str) -> dict[str, pd.DataFrame]:
    """Return name -> holdout frame [entity, time, y, prediction, *slices, silhouette].

    `prediction` is the number of the group. `category` has one for each value of the first text
    column, and is left out where there is none; `thirds` one for each third of the training rows by
    the first numeric feature, unknown ones in the middle; `chance` deals the entities out to three
    groups of about the same size, always in the same way. Raises EvidenceError for a table without
    training rows or a numeric feature.
    """
    train, holdout = (table[table["split"] == part] for part in ("train", "holdout"))
    numeric = list(space_of(table).centre.index)
    if train.empty or not numeric:
        raise EvidenceError(
            "the training table has no training rows, or no numeric feature, to group by; take a "
            "longer history or another feature."
        )
    texts = categories_of(table)
    groups = {"chance": _by_chance(holdout["entity"])}
    if texts:
        groups["category"] = pd.factorize(holdout[texts[0]], sort=True)[0].astype(np.float64)
    first = train[numeric[0]]
    limits = first.quantile([1 / 3, 2 / 3]).to_numpy()
    values = holdout[numeric[0]].fillna(first.median()).to_numpy(dtype=np.float64)
    groups["thirds"] = np.searchsorted(limits, values).astype(np.float64)
    return {
        name: with_silhouettes(holdout_frame(holdout, labels, slices, entity), table)
        for name, labels in sorted(groups.items())
    }


def _by_chance(entity: "pd.Series[str]") -> Floats:
    codes, names = pd.factorize(entity, sort=True)
    dealt = np.random.default_rng(0).permutation(len(names)) % GROUPS
    return dealt[codes].astype(np.float64)

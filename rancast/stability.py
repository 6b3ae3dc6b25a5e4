"""Would other cells have made the same clusters? Two halves of the entities, and how they agree.

A cluster that is there in the data is found by each of two halves (Ben-Hur, Elisseeff and Guyon
2002, Pac. Symp. Biocomput. 7; Lange et al. 2004, Neural Comput. 16). Refits on bootstrap draws
share two thirds of their entities with the model, and agree with it on data without structure.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.errors import ConfigurationError
from rancast.silhouettes import Floats, Ints, positions_by

HALVINGS = 10


class Stability(NamedTuple):
    """How far models of two halves of the entities agree.

    `by_row` (rows,) is the mean adjusted Rand index of the entities of each row's time,
    `by_cluster` the mean Jaccard index of each of the model's clusters with the most similar one of
    a half (Hennig 2007, Comput. Stat. Data Anal. 52).
    """

    by_row: Floats
    by_cluster: dict[int, float]


def stability(
    refit: Callable[[Ints], Floats],
    entities: "pd.Series[str]",
    time: "pd.Series[pd.Timestamp]",
    labels: Floats,
    most: int,
    seed: int,
) -> Stability:
    """Halve the `entities` of rows to fit on `HALVINGS` times, seeded, and fit each half.

    `refit` takes positions of rows to fit on, at most so many, and returns the labels of the rows
    that the halves are compared on. Those have the `time`s, and by the model itself the `labels`.
    Where `refit` raises ConfigurationError, the halves agree in nothing. As for silhouettes, each
    time's entities are compared on their own, since rows of one entity agree by themselves; a time
    whose entities are all in one of the model's clusters agrees in nothing.
    """
    clusters = [int(label) for label in np.unique(labels)]
    agreed = [np.zeros(len(labels))] * HALVINGS
    found = [dict.fromkeys(clusters, 0.0)] * HALVINGS
    for number, halves in enumerate(_halve(entities, most, seed)):
        try:
            one, other = (refit(rows) for rows in halves)
        except ConfigurationError:
            continue
        agreed[number] = _agreement(one, other, time)
        found[number] = {label: _jaccard(labels == label, one, other) for label in clusters}
    by_row = np.mean(agreed, axis=0)
    for rows in positions_by(time):
        if np.ptp(labels[rows]) == 0:
            by_row[rows] = 0.0
    return Stability(by_row, {k: float(np.mean([one[k] for one in found])) for k in clusters})


def _halve(entities: "pd.Series[str]", most: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the row positions of two halves of the entities, which share none."""
    random = np.random.default_rng(seed)
    codes, names = pd.factorize(entities, sort=True)
    for _ in range(HALVINGS):
        is_first = (random.permutation(len(names)) % 2 == 0)[codes]
        yield _even(np.flatnonzero(is_first), most), _even(np.flatnonzero(~is_first), most)


def _even(rows: Ints, most: int) -> Ints:
    """Return at most so many rows, evenly spread over them."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).round().astype(np.int64)]


def _agreement(labels: Floats, other: Floats, time: "pd.Series[pd.Timestamp]") -> Floats:
    """Return for each row the adjusted Rand index of its time's two groupings."""
    from sklearn.metrics import adjusted_rand_score

    found = np.zeros(len(labels))
    for rows in positions_by(time):
        found[rows] = adjusted_rand_score(labels[rows], other[rows])
    return found


def _jaccard(members: NDArray[np.bool_], *halves: Floats) -> float:
    """Return the mean over halves of the largest Jaccard index with one of their clusters."""
    best = []
    for labels in halves:
        values, codes = np.unique(labels, return_inverse=True)
        sizes = np.bincount(codes, minlength=len(values))
        common = np.bincount(codes[members], minlength=len(values))
        best.append((common / (members.sum() + sizes - common)).max())
    return float(np.mean(best))

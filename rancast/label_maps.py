"""Numbers that clusters keep: which cluster of a new model is which of the champion's.

A model numbers its clusters as they come. People know them by the champion's numbers, so a new
champion takes these over where its clusters are the old ones, and has new numbers for the others.
A map is JSON, lies in the ledger with the champion, and is no part of the model or of its key.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import models
from rancast.errors import DataError
from rancast.models import ModelCard
from rancast.search import clusters_of
from rancast.silhouettes import Floats

LabelMap = dict[int, int]


def first_map(labels: Floats, clusters: Iterable[int], used: int = 0) -> LabelMap:
    """Return numbers for a model's `clusters` from `used` + 1 on, the largest by `labels` first."""
    sizes = pd.Series(labels).value_counts()
    ordered = sorted(clusters, key=lambda label: (-int(sizes.get(label, 0)), label))
    return {label: number for number, label in enumerate(ordered, start=used + 1)}


def carry(labels: Floats, champion: Floats, clusters: Iterable[int], used: int) -> LabelMap:
    """Return the number of each of a new model's `clusters`.

    `labels` (rows,) are the new model's own, `champion` (rows,) the numbers that the same rows have
    with the champion. The pairs are those with the largest overlap in all (Kuhn 1955), as far as
    most of one of the two lies in the other; of a cluster that was split, the larger part keeps
    the number, and of two that were merged, the larger one gives it. Every other cluster gets a
    number above `used`, the highest that any champion ever had.
    """
    from scipy.optimize import linear_sum_assignment

    overlap = pd.crosstab(pd.Series(labels), pd.Series(champion))
    counts = overlap.to_numpy()
    found: LabelMap = {}
    for row, column in zip(*linear_sum_assignment(-counts), strict=True):
        common = counts[row, column]
        if 2 * common > min(counts[row].sum(), counts[:, column].sum()):
            found[int(overlap.index[row])] = int(overlap.columns[column])
    others = [label for label in clusters if label not in found]
    return dict(sorted((found | first_map(labels, others, used)).items()))


class Labelled(NamedTuple):
    """A model that made clusters, its card, and the numbers of its labels if it is champion."""

    model: Any
    card: ModelCard
    label_map: LabelMap


def label_map(table: pd.DataFrame, new: Labelled, champion: Labelled | None, used: int) -> LabelMap:
    """Return the numbers of a new champion's clusters, by the rows of a training table.

    `new.label_map` is not read. Where there is no champion, or it can no longer predict these
    rows, all numbers are above `used`.
    """
    labels = models.predict(new.model, table, new.card)
    clusters = range(max(clusters_of(new.card.params), int(labels.max()) + 1))
    if champion is None:
        return first_map(labels, clusters, used)
    try:
        known = numbered(models.predict(champion.model, table, champion.card), champion.label_map)
    except DataError:
        return first_map(labels, clusters, used)
    return carry(labels, known, clusters, used)


def numbered(labels: Floats, label_map: Mapping[int, int]) -> Floats:
    """Return the numbers (rows,) that people know a model's `labels` by.

    Raises DataError for a label without a number.
    """
    unknown = sorted({int(label) for label in np.unique(labels)} - label_map.keys())
    if unknown:
        raise DataError(
            f"the model gave the clusters {', '.join(map(str, unknown))}, which its label map in "
            f"the ledger does not have; known: {', '.join(map(str, sorted(label_map)))}."
        )
    return np.array([label_map[int(label)] for label in labels], dtype=np.float64)

"""What each cluster is, in words and numbers: its size, its categories, and what is typical of it.

Numbers are medians over the rows of the holdout. Typical is where a cluster's median lies far from
that of all rows, in the units of `silhouettes.Space`. Pages and plots only show what is here.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from rancast.documents import Document
from rancast.silhouettes import categories_of, space_of

MEMBERS = 12  # entities that are named; all of them are in the predictions
TRAITS = 4
OF_ONE_KIND = 2
TYPICAL = 0.5

_BLOCK = re.compile(r"(?P<column>.+)_profile_\d+d_(?P<start>\d\d)_(?P<end>\d\d)$")
_WEEKEND = re.compile(r"(?P<column>.+)_profile_\d+d_weekend$")
_LEVEL = re.compile(r"(?P<column>.+?)(_(mean|(?P<sum>sum))_(?P<days>\d+)d(_any_hour)?)?$")
_UNITS = {"ms": "ms", "mbps": "Mbit/s", "dbm": "dBm", "mb": "MB", "gb": "GB", "s": "s"}


class Trait(Document):
    """A feature whose median in a cluster is far from that of all rows; `distance` is robust."""

    feature: str
    median: float
    overall: float
    distance: float
    words: str


class Cluster(Document):
    """One cluster: `entities` are those that are in it most often, `members` some of their names.

    `jaccard` says how much of it models of half of the entities find, None where nobody measured.
    `categories` are shares of rows by column and value. `days` has the median of each block of
    hours, as multiples of all hours, by column.
    """

    label: int
    rows: int
    entities: int
    members: tuple[str, ...]
    silhouette: float
    jaccard: float | None = None
    categories: dict[str, dict[str, float]]
    traits: tuple[Trait, ...]
    days: dict[str, tuple[float | None, ...]]
    words: str


def letter(label: int) -> str:
    """Return what a model's own label is called, so that nobody takes it for a kept number.

    0 is A, 25 is Z and 26 is AA, as columns of a spreadsheet.
    """
    before, place = divmod(label, 26)
    return (letter(before - 1) if before > 0 else "") + chr(ord("A") + place)


class Clusters(Document):
    """The clusters of one model on the rows of a holdout, in order of their labels.

    `is_numbered` says that the labels are the numbers that people know, and not the model's own.
    """

    rows: int
    entities: int
    clusters: tuple[Cluster, ...]
    is_numbered: bool = False

    def name(self, cluster: Cluster) -> str:
        """Return what people call a cluster: its number, or a letter before it has one."""
        return str(cluster.label) if self.is_numbered else letter(cluster.label)

    def numbered(self, label_map: Mapping[int, int]) -> "Clusters":
        """Return the same clusters under the numbers that people know them by."""
        found = [
            cluster.model_copy(update={"label": label_map[cluster.label]})
            for cluster in self.clusters
        ]
        ordered = tuple(sorted(found, key=lambda cluster: cluster.label))
        return self.model_copy(update={"clusters": ordered, "is_numbered": True})


class _Words(NamedTuple):
    """What a feature is about: its column, which part of the day of it, and how to say a value."""

    column: str
    kind: str
    part: str

    @classmethod
    def of(cls, feature: str) -> "_Words":
        block, weekend = _BLOCK.match(feature), _WEEKEND.match(feature)
        if block:
            part = f"from {int(block['start'])} to {int(block['end'])} h"
            return cls(block["column"], "block", part)
        if weekend:
            return cls(weekend["column"], "weekend", "on weekends")
        level = _LEVEL.match(feature)
        if level is None:
            return cls(feature, "level", "")
        return cls(level["column"], "level", f" in {level['days']} days" if level["sum"] else "")

    def say(self, median: float, overall: float) -> str:
        """Say 'latency from 20 to 24 h 1.8 times its day (all: 1.2)', or 'latency 62 ms (...)'."""
        name, unit = name_and_unit(self.column)
        if self.kind == "block":
            return f"{name} {self.part} {median:.2f} times its day (all: {overall:.2f})"
        if self.kind == "weekend":
            return f"{name} on weekends {median:.2f} times that of weekdays (all: {overall:.2f})"
        return f"{name} {_with_unit(median, unit)}{self.part} (all: {_with_unit(overall, unit)})"


def describe(
    table: pd.DataFrame, predictions: pd.DataFrame, jaccard: Mapping[int, float] | None = None
) -> Clusters:
    """Describe the clusters of holdout `predictions` [entity, time, prediction, silhouette].

    `table` is the training table with the features of these rows. `jaccard` is what
    `stability.Stability.by_cluster` says of each label.
    """
    keys = ["entity", "time"]
    holdout = table[table["split"] == "holdout"]
    rows = holdout.merge(predictions[[*keys, "prediction", "silhouette"]], on=keys, validate="1:1")
    space = space_of(table)
    homes = _homes(rows)
    overall = rows[space.centre.index].median()
    found = [
        _cluster(label, part, homes, overall, space.scale, (jaccard or {}).get(label))
        for label, part in rows.groupby(rows["prediction"].astype("int64"), sort=True)
    ]
    return Clusters(rows=len(rows), entities=len(homes), clusters=tuple(found))


def _homes(rows: pd.DataFrame) -> "pd.Series[float]":
    """Return the cluster in which each entity is most often, the lowest of equal ones."""
    homes = rows.groupby("entity")["prediction"].agg(lambda labels: labels.mode().iloc[0])
    found: pd.Series[float] = homes
    return found


def _cluster(
    label: int,
    rows: pd.DataFrame,
    homes: "pd.Series[float]",
    overall: "pd.Series[float]",
    scale: "pd.Series[float]",
    jaccard: float | None,
) -> Cluster:
    medians = rows[overall.index].median()
    members = sorted(str(name) for name in homes.index[homes == label])
    categories = _categories(rows)
    traits = _traits(medians, overall, scale)
    shares = [
        f"{name_and_unit(column)[0]} " + ", ".join(f"{v} {s:.0%}" for v, s in parts.items())
        for column, parts in categories.items()
    ]
    size = f"{len(members)} of {len(homes)} entities"
    typical = "; ".join(trait.words for trait in traits) or "in no feature far from all"
    return Cluster(
        label=label,
        rows=len(rows),
        entities=len(members),
        members=tuple(members[:MEMBERS]),
        silhouette=float(rows["silhouette"].mean()),
        jaccard=jaccard,
        categories=categories,
        traits=traits,
        days=_days(medians),
        words=". ".join([size, *shares, typical[0].upper() + typical[1:]]) + ".",
    )


def _categories(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {
        str(column): {
            str(value): float(share)
            for value, share in rows[column].value_counts(normalize=True).sort_index().items()
        }
        for column in categories_of(rows)
    }


def _traits(
    medians: "pd.Series[float]", overall: "pd.Series[float]", scale: "pd.Series[float]"
) -> tuple[Trait, ...]:
    """Return the features furthest from all rows, of each column's hours two at most."""
    distance = ((medians - overall) / scale.where(scale > 0)).fillna(0.0)
    order = sorted(distance.index, key=lambda name: (-abs(distance[name]), name))
    found: dict[tuple[str, str], list[Trait]] = {}
    for name in order:
        words, value, usual = _Words.of(str(name)), float(medians[name]), float(overall[name])
        about = found.setdefault((words.column, words.kind), [])
        if abs(distance[name]) >= TYPICAL and len(about) < OF_ONE_KIND:
            about.append(
                Trait(
                    feature=str(name),
                    median=value,
                    overall=usual,
                    distance=float(distance[name]),
                    words=words.say(value, usual),
                )
            )
    traits = sorted((one for about in found.values() for one in about), key=_nearness)
    return tuple(traits[:TRAITS])


def _nearness(trait: Trait) -> tuple[float, str]:
    return -abs(trait.distance), trait.feature


def _days(medians: "pd.Series[float]") -> dict[str, tuple[float | None, ...]]:
    blocks: dict[str, list[tuple[int, float | None]]] = {}
    for name, value in medians.items():
        block = _BLOCK.match(str(name))
        if block:
            known = None if np.isnan(value) else float(value)
            blocks.setdefault(block["column"], []).append((int(block["start"]), known))
    return {
        column: tuple(value for _, value in sorted(found, key=lambda item: item[0]))
        for column, found in blocks.items()
    }


def name_and_unit(column: str) -> tuple[str, str]:
    """Split a column's name into words and its unit: 'latency', 'ms'."""
    words, _, last = column.rpartition("_")
    if words and last in _UNITS:
        return words.replace("_", " "), _UNITS[last]
    if words and last == "ratio":
        return words.replace("_", " "), "%"
    return column.replace("_", " "), ""


def label_of(column: str) -> str:
    """Return what an axis with a column's values is called: 'latency (ms)'; 'value' of none."""
    name, unit = name_and_unit(column)
    return (f"{name} ({unit})" if unit and unit != "%" else name) or "value"


def _with_unit(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.3g} %"
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()

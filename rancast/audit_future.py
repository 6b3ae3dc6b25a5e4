"""The rule that features at t stay, bit for bit, whatever comes after t."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rancast import features
from rancast.audit_findings import Checked, Finding
from rancast.audit_material import AuditView
from rancast.datasets import ColumnType, Dataset
from rancast.errors import EvidenceError
from rancast.feature_view import FeatureView
from rancast.joins import Other
from rancast.onboarding_yaml import number_of

Build = Callable[..., pd.DataFrame]


class Sources(NamedTuple):
    """What features are made from: partitions of the own dataset, and by name of joined ones."""

    curated: list[pd.DataFrame]
    joined: dict[str, list[pd.DataFrame]] = {}
    others: dict[str, Other] = {}

    def build(self, build: Build, view: FeatureView, dataset: Dataset, day: date) -> pd.DataFrame:
        """Return the features of a day."""
        return build(self.curated, view, dataset, day, self.joined, self.others)

    def altered(
        self, at: pd.Timestamp, view: FeatureView, dataset: Dataset, random: np.random.Generator
    ) -> "Sources":
        """Return the same up to `at`; of later rows half have other values, the rest are gone."""
        own = [_altered(part, at, dataset, (view.entity,), random) for part in self.curated]
        joined = {
            name: [_altered(part, at, self.others[name].dataset, (), random) for part in parts]
            for name, parts in self.joined.items()
        }
        return self._replace(curated=own, joined=joined)


def audited_days(days: Sequence[date], view: AuditView) -> tuple[date, ...]:
    """Return the few of `days` whose features are made again, drawn with the view's seed."""
    random = np.random.default_rng(view.seed)
    count = min(view.bounds.days, len(days))
    chosen = sorted(random.choice(len(days), size=count, replace=False))
    return tuple(days[place] for place in chosen)


def check_future(
    sources: Sources,
    view: AuditView,
    dataset: Dataset,
    days: Sequence[date],
    build: Build = features.build,
) -> Checked:
    """Refuse features that change when every row after t is replaced by noise, or is gone.

    For each of `days`, t being the middle one of the day's times. `sources` hold those days
    and what their features look back on. Raises EvidenceError where no row could be compared.
    """
    random = np.random.default_rng(view.seed)
    changed: dict[str, int] = {}
    compared, made = 0, 0
    for day in days:
        before = sources.build(build, view, dataset, day)
        if before.empty:
            continue
        clock = dataset.time.column
        at = before[clock].sort_values().iloc[(len(before) - 1) // 2]
        after = sources.altered(at, view, dataset, random).build(build, view, dataset, day)
        keys = [view.entity, clock]
        ours, theirs = (
            X[X[clock] <= at].sort_values(keys, ignore_index=True) for X in (before, after)
        )
        compared, made = compared + len(ours), made + 1
        for name, count in _differences(ours, theirs, keys).items():
            changed[name] = changed.get(name, 0) + count
    if not compared:
        raise EvidenceError(
            f"none of {number_of(len(days), 'day')} has a row of features that could be made "
            "again; audit days of the table, with the partitions that they look back on."
        )
    told = f"{compared:,} rows of {number_of(made, 'day')}"
    detail = f"{told} made again after everything later was altered"
    return Checked(
        tuple(_finding(name, count, compared) for name, count in changed.items()), detail
    )


def _altered(
    frame: pd.DataFrame,
    at: pd.Timestamp,
    dataset: Dataset,
    kept_columns: tuple[str, ...],
    random: np.random.Generator,
) -> pd.DataFrame:
    """Return the frame with other values in half of the rows after `at`, the rest of them gone."""
    is_later = (frame[dataset.time.column] > at).to_numpy()
    kept = np.flatnonzero(~is_later | (random.random(len(frame)) < 0.5))
    altered, is_noise = frame.iloc[kept].copy(), is_later[kept]
    for name, column in dataset.columns.items():
        if name in (*kept_columns, dataset.time.column):
            continue
        altered.loc[is_noise, name] = _noise(column.type, int(is_noise.sum()), random)
    return altered


def _noise(kind: ColumnType, count: int, random: np.random.Generator) -> Any:
    """Return values as no operator has ever seen them."""
    if kind == "string":
        return np.array([f"noise {number}" for number in random.integers(0, 9, count)], object)
    if kind == "boolean":
        return pd.array(random.random(count) < 0.5, dtype="boolean")
    if kind == "timestamp":
        return pd.Timestamp("2100-01-01", tz="UTC")
    values = random.normal(0, 1e6, count)
    return values.round().astype("int64") if kind == "integer" else values


def _differences(ours: pd.DataFrame, theirs: pd.DataFrame, keys: list[str]) -> dict[str, int]:
    """Return how many rows differ, by column; other rows altogether are those of the keys."""
    if not ours[keys].equals(theirs[keys]):
        return {name: max(1, abs(len(ours) - len(theirs))) for name in keys}
    found = {}
    for name in ours.columns.difference(keys, sort=False):
        first, second = ours[name].to_numpy(), theirs[name].to_numpy()
        if first.dtype == np.float64 and second.dtype == np.float64:
            is_same = (first.view(np.int64) == second.view(np.int64)) | (
                np.isnan(first) & np.isnan(second)
            )
        else:
            is_same = first == second
        if not is_same.all():
            found[str(name)] = int((~is_same).sum())
    return found


def _finding(name: str, count: int, compared: int) -> Finding:
    return Finding(
        rule="future",
        severity="refuse",
        columns=(name,),
        evidence={"rows": count, "of": compared},
        sentence=f"{name} at t changed in {count:,} of {compared:,} rows when everything after t "
        "was replaced by noise: it looks ahead. Let it end at t",
    )

"""Rules about train and test: no row in both, a distance in time, and a score that survives it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from rancast.audit_findings import Bounds, Checked, Finding
from rancast.audit_material import (
    FOLDS,
    Material,
    Places,
    boosting,
    out_of_fold,
    random_folds,
    score,
    short,
)
from rancast.durations import short_duration
from rancast.errors import EvidenceError
from rancast.grids import microseconds
from rancast.splits import folds as time_folds


class Pair(NamedTuple):
    """Positions of train and test rows under a name for sentences."""

    name: str
    train: Places
    test: Places


def pairs_of(material: Material, folds: int, embargo: timedelta) -> list[Pair]:
    """Return the split of a training table and the folds inside of its train, as they are made.

    Raises EvidenceError where there are too few rows for the folds.
    """
    if material.part is None or material.time is None:
        return []
    train, holdout = (
        np.flatnonzero((material.part == part).to_numpy()) for part in ("train", "holdout")
    )
    inside = time_folds(material.time.iloc[train], folds, embargo)
    return [
        Pair("train and holdout", train, holdout),
        *(
            Pair(f"fold {number} of {folds}", train[first], train[second])
            for number, (first, second) in enumerate(inside, start=1)
        ),
    ]


def check_split(material: Material, pairs: list[Pair], embargo: timedelta) -> Checked:
    """Refuse train and test that share an entity and time, or lie closer than the embargo.

    `pairs` are positions of `material`, which has times. How many entities are on both sides is
    told and not refused: a split by time judges forecasts of entities that are known.
    """
    found = [finding for pair in pairs for finding in _faults(material, pair, embargo)]
    gaps = [gap for pair in pairs if (gap := _gap(material, pair)) is not None]
    least = short_duration(min(gaps)) if gaps and min(gaps) > timedelta(0) else "none"
    return Checked(
        tuple(found),
        f"{len(pairs)} pairs of train and test; the smallest distance is {least}, at least "
        f"{short_duration(embargo) if embargo else 'none'} is needed{_known(material, pairs)}",
    )


def _known(material: Material, pairs: list[Pair]) -> str:
    """Tell how many entities of each test its train knows, in words; nothing without entities."""
    if material.entity is None or not pairs:
        return ""
    entity, counts = material.entity, []
    for pair in pairs:
        test = entity.iloc[pair.test].drop_duplicates()
        known = int(test.isin(entity.iloc[pair.train]).sum())
        counts.append(f"{pair.name} {known:,} of {len(test):,}")
    told = "; entities of the test that are in train, too, which a split by time allows: "
    return told + ", ".join(counts)


def _gap(material: Material, pair: Pair) -> timedelta | None:
    if material.time is None or not len(pair.train) or not len(pair.test):
        return None
    last, first = material.time.iloc[pair.train].max(), material.time.iloc[pair.test].min()
    return (first - last).to_pytimedelta()


def _faults(material: Material, pair: Pair, embargo: timedelta) -> Iterator[Finding]:
    gap = _gap(material, pair)
    shared = _shared(material, pair)
    if shared:
        yield Finding(
            rule="split",
            severity="refuse",
            columns=("entity", "time"),
            evidence={"rows": shared},
            sentence=f"{pair.name} share {shared:,} rows by entity and time: the score is that of "
            "a memory. Split by time",
        )
    if gap is None or gap > embargo:
        return
    late = _late(material, pair, embargo)
    words = (
        f"{pair.name} overlap in time"
        if gap <= timedelta(0)
        else f"{pair.name} are only {short_duration(gap)} apart"
    )
    yield Finding(
        rule="split",
        severity="refuse",
        columns=("time",),
        evidence={"train_rows": late, "gap_seconds": gap.total_seconds()},
        sentence=f"{words}: {late:,} of {len(pair.train):,} train rows lie within the embargo of "
        f"{short_duration(embargo) if embargo else '0s'} before the first test row, or after it, "
        "so that their labels tell of the test. Train on what lies before it",
    )


def _shared(material: Material, pair: Pair) -> int:
    if material.entity is None or material.time is None:
        return int(len(np.intersect1d(pair.train, pair.test)))
    rows = pd.MultiIndex.from_arrays([material.entity, material.time])
    return int(rows[pair.test].isin(rows[pair.train]).sum())


def _late(material: Material, pair: Pair, embargo: timedelta) -> int:
    assert material.time is not None
    start = material.time.iloc[pair.test].min() - embargo
    return int((material.time.iloc[pair.train] >= start).sum())


# --- scores -------------------------------------------------------------------------------------


class Way(NamedTuple):
    """A way to hold rows out, and the skill of a cheap model under it, compared on equal terms."""

    name: str
    folds: list[tuple[Places, Places]]


def check_collapse(material: Material, embargo: timedelta, bounds: Bounds, seed: int) -> Checked:
    """Warn where a cheap model loses its skill once the split follows time, or entities.

    Refuses where nothing is left of it. Each way trains on about two thirds of the rows. Skill is
    R² of ranks, or average precision above chance, as a share of what is possible.
    """
    skills = {way.name: _skill(material, way.folds, seed) for way in _ways(material, embargo, seed)}
    base = skills.pop("random")
    told = ", ".join(f"{name} split {short(value)}" for name, value in skills.items())
    detail = f"skill by random split {short(base)}, {told or 'no other way to split'}"
    found = [
        _collapsed(name, base, value, bounds)
        for name, value in skills.items()
        if base >= bounds.least_skill and value < bounds.collapse * base
    ]
    return Checked(tuple(found), detail)


def _ways(material: Material, embargo: timedelta, seed: int) -> Iterator[Way]:
    yield Way("random", random_folds(material, seed))
    if material.time is not None:
        late = _latest_third(material, embargo)
        if len(late[0]) and len(late[1]) and material.y.iloc[late[1]].nunique() > 1:
            yield Way("time", [late])
    if material.entity is not None and material.entity.nunique() >= FOLDS:
        yield Way("entity", _entity_folds(material, seed))


def _latest_third(material: Material, embargo: timedelta) -> tuple[Places, Places]:
    assert material.time is not None
    at = microseconds(material.time)
    start = np.sort(at)[len(at) * (FOLDS - 1) // FOLDS]
    gap = embargo // timedelta(microseconds=1)
    return np.flatnonzero(at < start - gap), np.flatnonzero(at >= start)


def _entity_folds(material: Material, seed: int) -> list[tuple[Places, Places]]:
    from sklearn.model_selection import GroupKFold

    kind = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    return list(kind.split(material.X, material.y, material.entity))


def _skill(material: Material, folds: list[tuple[Places, Places]], seed: int) -> float:
    prediction, places = out_of_fold(boosting(material.problem, seed), material.X, material, folds)
    y = material.labels[places]
    if len(np.unique(y)) < 2:
        raise EvidenceError("the held out rows have a single label, so that no score is defined.")
    return score(material.problem, y, prediction).skill


def _collapsed(name: str, base: float, value: float, bounds: Bounds) -> Finding:
    is_gone = value <= 0
    by = {"time": "follows time", "entity": "keeps entities apart"}[name]
    return Finding(
        rule="collapse",
        severity="refuse" if is_gone else "warn",
        columns=(),
        evidence={"random": base, name: value},
        sentence=f"the skill of a cheap model falls from {short(base)} by random split to "
        f"{short(value)} once the split {by} (bound: {bounds.collapse:.0%} of it): what it learnt "
        "by heart are neighbours of the test rows. Judge by the split that the use will meet",
    )

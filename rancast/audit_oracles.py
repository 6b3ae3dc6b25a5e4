"""Rules about features that know too much: one that tells the label, or all that make it up."""

import numpy as np
import pandas as pd

from rancast.audit_findings import Bounds, Checked, Finding
from rancast.audit_material import (
    Floats,
    Material,
    Places,
    Score,
    as_numbers,
    out_of_fold,
    random_folds,
    score,
    short,
    tree,
)
from rancast.problems import Problem

Folds = list[tuple[Places, Places]]

# a class needs few cuts, the order of a quantity as many leaves as give R² 0.9998
ALONE_DEPTH: dict[Problem, int] = {"classification": 3, "regression": 6}
TOGETHER_DEPTH = 6
# a feature whose score on one fold is farther below the bounds than this is no oracle
NEAR = 0.1
# as many of the best on one fold are scored on all, since the order of the folds differs
CONTENDERS = 3
SHARE_OF_IMPORTANCE = 0.01
# the error of an exact function, relative to y's spread
EXACT_R2 = 1 - 1e-9


def check_single(material: Material, bounds: Bounds, seed: int) -> Checked:
    """Refuse a feature by which alone a shallow tree tells the label almost without error.

    Where the last value forecasts as well, the label hardly changes within the horizon: a warning.
    """
    folds = random_folds(material, seed)
    scores = _best_alone(material, folds, bounds, seed)
    is_slow = _is_slow(material, folds, bounds, seed)
    found = [
        _finding(name, value, bounds, is_slow, ALONE_DEPTH[material.problem])
        for name, value in scores.items()
        if _is_oracle(value, bounds)
    ]
    best = max(scores, key=lambda name: scores[name].skill)
    return Checked(tuple(found), f"the best one alone is {best}, with {_told(scores[best])}")


def _best_alone(material: Material, folds: Folds, bounds: Bounds, seed: int) -> dict[str, Score]:
    """Return the scores of the features that may be oracles, and of the few best in any case.

    One fold tells which these are; all folds are for them alone, since most features are not.
    """
    # a class so rare that a fold lacks it has no score there
    is_scored = len(np.unique(material.labels[folds[0][1]])) > 1
    one = folds[:1] if is_scored else folds
    looks = {name: _alone(material, material.X[[name]], one, seed) for name in map(str, material.X)}
    best = sorted(looks, key=lambda name: -looks[name].skill)[:CONTENDERS]
    near = bounds.model_copy(
        update={name: getattr(bounds, name) - NEAR for name in looks[best[0]].values}
    )
    return {
        name: _alone(material, material.X[[name]], folds, seed)
        for name, look in looks.items()
        if name in best or _is_oracle(look, near)
    }


def _is_slow(material: Material, folds: Folds, bounds: Bounds, seed: int) -> bool:
    """Tell whether the last value forecasts almost without error: y changes after the horizon."""
    if material.baseline is None:
        return False
    return _is_oracle(_alone(material, material.baseline.to_frame("last"), folds, seed), bounds)


def _alone(material: Material, X: pd.DataFrame, folds: Folds, seed: int) -> Score:
    model = tree(material.problem, ALONE_DEPTH[material.problem], seed)
    prediction, places = out_of_fold(model, X, material, folds)
    return score(material.problem, material.labels[places], prediction)


def _is_oracle(found: Score, bounds: Bounds) -> bool:
    return all(value >= getattr(bounds, name) for name, value in found.values.items())


def _told(found: Score) -> str:
    words = {"average_precision": "average precision", "roc_auc": "AUC", "r2": "R² of ranks"}
    return " and ".join(f"{words[name]} {short(value)}" for name, value in found.values.items())


def _finding(name: str, found: Score, bounds: Bounds, is_slow: bool, depth: int) -> Finding:
    limits = " and ".join(short(getattr(bounds, metric)) for metric in found.values)
    why = (
        "but the last value forecasts as well: the label hardly changes within the horizon. Look "
        "further ahead"
        if is_slow
        else "which no honest feature of the past does: it may be made from the label, or after "
        "it. Leave it out, or show when it was known"
    )
    return Finding(
        rule="single_feature",
        severity="warn" if is_slow else "refuse",
        columns=(name,),
        evidence=found.values,
        sentence=f"{name} alone tells the label with {_told(found)} (a tree of depth {depth} "
        f"on held out rows; bound {limits}), {why}",
    )


def check_target(material: Material, bounds: Bounds, seed: int) -> Checked:
    """Refuse a label that follows from its own row, by the last value, a tree, or a sum."""
    folds = random_folds(material, seed)
    if material.baseline is not None and _is_equal(material.y, material.baseline):
        return _refused(
            ("y",),
            {"rows": len(material.y)},
            "the label is what was known at t in every row: it is no forecast. Let the target "
            "look ahead of t",
        )
    if _is_linear(material):
        found = _linear_columns(material)
        return _refused(
            found,
            {"r2": 1.0},
            f"the label is an exact linear function of {', '.join(found)} of its own row: it can "
            "be computed, not forecast. Leave these out, or let the target look ahead",
        )
    together = _together(material, folds, seed)
    detail = f"a tree of depth {TOGETHER_DEPTH} on all features has {_told(together)}"
    if any(value < bounds.together for value in together.values.values()):
        return Checked((), detail)
    columns = _important(material, seed)
    if _is_slow(material, folds, bounds, seed):
        return Checked((), f"{detail}, as has the last value: the label hardly changes")
    return _refused(
        columns,
        together.values,
        f"{detail} on held out rows (bound {short(bounds.together)}), by {', '.join(columns)}: the "
        "label follows from its own row. Leave these out, or let the target look ahead",
    )


def _refused(columns: tuple[str, ...], evidence: dict[str, float], sentence: str) -> Checked:
    finding = Finding(
        rule="target_of_row",
        severity="refuse",
        columns=columns,
        evidence=evidence,
        sentence=sentence,
    )
    return Checked((finding,), sentence)


def _is_equal(y: "pd.Series[float]", baseline: "pd.Series[float]") -> bool:
    return bool((y.to_numpy() == baseline.to_numpy()).all())


def _numbers(material: Material) -> Floats:
    """Return the complete numeric features and a constant, each scaled to at most 1."""
    numeric = material.X.select_dtypes("number")
    values = numeric.loc[:, numeric.notna().all()].to_numpy(dtype=np.float64)
    scale = np.maximum(np.abs(values).max(axis=0, initial=0), 1e-300)
    return np.column_stack([values / scale, np.ones(len(values))])


def _is_linear(material: Material) -> bool:
    """Tell whether y is a sum of features, each times a number, without error."""
    if material.problem == "classification":
        return False
    X, y = _numbers(material), material.y.to_numpy(dtype=np.float64)
    if X.shape[1] < 2 or 2 * X.shape[1] > len(y):
        return False
    fitted = X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return bool(((y - fitted) ** 2).sum() <= (1 - EXACT_R2) * ((y - y.mean()) ** 2).sum())


def _linear_columns(material: Material) -> tuple[str, ...]:
    """Return the fewest columns, by their order, that make up y without error."""
    names = material.X.select_dtypes("number").columns
    kept = [name for name in names if material.X[name].notna().all()]
    for name in list(kept):
        rest = [other for other in kept if other != name]
        if rest and _is_linear(material._replace(X=material.X[rest])):
            kept = rest
    return tuple(kept)


def _together(material: Material, folds: Folds, seed: int) -> Score:
    model = tree(material.problem, TOGETHER_DEPTH, seed)
    prediction, places = out_of_fold(model, material.X, material, folds)
    return score(material.problem, material.labels[places], prediction)


def _important(material: Material, seed: int) -> tuple[str, ...]:
    places = np.arange(len(material.y))
    X = as_numbers(material.X, material.labels, places)
    fitted = tree(material.problem, TOGETHER_DEPTH, seed).fit(X, material.labels)
    shares = pd.Series(fitted.feature_importances_, index=material.X.columns)
    return tuple(shares[shares > SHARE_OF_IMPORTANCE].sort_values(ascending=False).index)

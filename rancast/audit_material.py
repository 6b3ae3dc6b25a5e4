"""What the rules of a leakage audit look at: X and y with their times, and cheap models of them."""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from rancast.audit_findings import Bounds
from rancast.errors import EvidenceError
from rancast.problems import Problem
from rancast.table_view import TableView

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

LEAST_ROWS = 30
FOLDS = 3


class AuditView(TableView):
    """The part of a use case that an audit of its training table depends on.

    `days` are those whose features are made again; without any, a few of the table's.
    """

    seed: int
    days: tuple[date, ...] = ()
    bounds: Bounds = Bounds()


class Material(NamedTuple):
    """The rows of a table; `time`, `entity`, `part` and `baseline` where it has them.

    X has numbers as float64 and texts as `str`, y is 0 or 1 for a classification. `part` is
    'train', 'embargo' or 'holdout', `baseline` the forecast that y stays as it was at t.
    """

    X: pd.DataFrame
    y: "pd.Series[float]"
    problem: Problem
    time: "pd.Series[pd.Timestamp] | None" = None
    entity: "pd.Series[str] | None" = None
    part: "pd.Series[str] | None" = None
    baseline: "pd.Series[float] | None" = None

    @property
    def labels(self) -> Floats:
        """What models learn: the class, or the rank of a quantity among all, from 0 to 1.

        Quantities of a network are heavy-tailed: R² of themselves is that of their largest few.
        """
        ranks = self.y if self.problem == "classification" else self.y.rank(pct=True)
        return np.asarray(ranks, dtype=np.float64)

    def sample(self, most: int, seed: int) -> "Material":
        """Return at most so many rows, drawn at random, in their order."""
        if len(self.y) <= most:
            return self
        drawn = np.random.default_rng(seed).choice(len(self.y), size=most, replace=False)
        return self.at(np.sort(drawn))

    def at(self, places: Places) -> "Material":
        """Return the rows at some positions."""

        def taken(values: Any) -> Any:
            return None if values is None else values.iloc[places].reset_index(drop=True)

        return Material(
            taken(self.X),
            taken(self.y),
            self.problem,
            *map(taken, (self.time, self.entity, self.part, self.baseline)),
        )

    def check(self) -> None:
        """Raise EvidenceError where there are too few rows, a single class or none to judge on."""
        if self.problem == "clustering":
            raise EvidenceError("a clustering has no labels that anything could tell.")
        values = self.y.nunique()
        if len(self.y) < LEAST_ROWS or values < 2:
            raise EvidenceError(
                f"{len(self.y):,} labelled rows with {values} different labels cannot be audited; "
                f"{LEAST_ROWS} rows with 2 are needed."
            )


class Score(NamedTuple):
    """How well out-of-fold predictions tell y: average precision and AUC, or R² of its ranks.

    `skill` is 0 for a guess that ignores X, and 1 for no error.
    """

    values: dict[str, float]
    skill: float


def score(problem: Problem, y: Floats, prediction: Floats) -> Score:
    """Return the score of predictions (rows,) against y (rows,), which has more than one value."""
    from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

    if problem == "regression":
        r2 = float(r2_score(y, prediction))
        return Score({"r2": r2}, r2)
    precision = float(average_precision_score(y, prediction))
    share = float(y.mean())
    found = {"average_precision": precision, "roc_auc": float(roc_auc_score(y, prediction))}
    return Score(found, (precision - share) / (1 - share))


def random_folds(material: Material, seed: int) -> list[tuple[Places, Places]]:
    """Return folds that ignore time, each class in proportion."""
    from sklearn.model_selection import KFold, StratifiedKFold

    classes = material.y.value_counts()
    if material.problem == "classification" and classes.min() >= FOLDS:
        kind: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    else:
        kind = KFold(FOLDS, shuffle=True, random_state=seed)
    return list(kind.split(material.X, material.y))


def out_of_fold(
    model: Any, X: pd.DataFrame, material: Material, folds: list[tuple[Places, Places]]
) -> tuple[Floats, Places]:
    """Return predictions of all test rows by models fitted on the train rows, and their places."""
    from sklearn.base import clone

    places, found, labels = [], [], material.labels
    for train, test in folds:
        y = labels[train]
        if len(np.unique(y)) < 2:
            found.append(np.full(len(test), y.mean()))
        else:
            values = as_numbers(X, labels, train)
            fitted = clone(model).fit(values[train], y)
            if material.problem == "classification":
                found.append(fitted.predict_proba(values[test])[:, -1])
            else:
                found.append(fitted.predict(values[test]))
        places.append(test)
    return np.concatenate(found), np.concatenate(places)


def as_numbers(X: pd.DataFrame, y: Floats, train: Places) -> Floats:
    """Return X as numbers: a text is the mean label of the train rows that have it, else NaN.

    A column without any value in train is 0 in every row: nothing can be learnt of it.
    """
    columns = []
    for name in X.columns:
        values = X[name]
        if isinstance(values.dtype, pd.StringDtype):
            means = pd.Series(y[train]).groupby(values.iloc[train].to_numpy()).mean()
            values = values.map(means)
        columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
    numbers = np.column_stack(columns)
    numbers[:, np.isnan(numbers[train]).all(axis=0)] = 0.0
    return numbers


def tree(problem: Problem, depth: int, seed: int) -> Any:
    """Return an unfitted tree of at most this depth, whose leaves are no single rows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind: Any = DecisionTreeClassifier if problem == "classification" else DecisionTreeRegressor
    return kind(max_depth=depth, min_samples_leaf=2, random_state=seed)


def boosting(problem: Problem, seed: int) -> Any:
    """Return an unfitted model that is cheap and learns what can easily be learnt."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classify = problem == "classification"
    kind: Any = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return kind(max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=seed)


def short(value: float) -> str:
    """Return a score for a sentence; four digits tell 0.9999 from 1."""
    return f"{value:.4f}".rstrip("0").rstrip(".")

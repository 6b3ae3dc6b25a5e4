"""Rules about the rows and columns themselves: dates, duplicates, contradictions, disguises."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.audit_findings import Bounds, Checked, Finding
from rancast.audit_material import Material

# relative error up to which a linear function is exact: that of rounding, not of measuring
EXACT = 1e-9
MOST_PAIR_ROWS = 20_000


def check_dates(material: Material) -> Checked:
    """Refuse a table whose rows do not say when they were observed."""
    if material.time is not None:
        first, last = material.time.min(), material.time.max()
        return Checked((), f"times from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}")
    sentence = (
        "no column is a date of observation, and none a date of the label: nothing shows that the "
        "features were known before the label was, and no split can follow time. Have both dates "
        "delivered, and take the score of any other split for an upper bound"
    )
    finding = Finding(
        rule="dates", severity="refuse", columns=(), evidence={"dates": 0}, sentence=sentence
    )
    return Checked((finding,), sentence)


def check_duplicates(material: Material) -> Checked:
    """Refuse two rows of one entity and time; warn of rows that are equal in every column."""
    if material.time is not None and material.entity is not None:
        pairs = pd.DataFrame({"entity": material.entity, "time": material.time})
        count, of = int(pairs.duplicated().sum()), "have the entity and time of another"
        columns: tuple[str, ...] = ("entity", "time")
        severity = "refuse"
    else:
        whole = material.X.assign(**{"\0y": material.y})
        if material.time is not None:
            whole = whole.assign(**{"\0time": material.time})
        count = int(pd.Series(_hashed(whole)).duplicated().sum())
        of = "repeat another in every column"
        columns, severity = (), "warn"
    detail = f"{count:,} of {len(material.y):,} rows {of}"
    if not count:
        return Checked((), detail)
    sentence = (
        f"{detail}: with a copy in train and one in test, a model need only remember. Take each "
        "row once before anything is split"
    )
    finding = Finding(
        rule="duplicates",
        severity="refuse" if severity == "refuse" else "warn",
        columns=columns,
        evidence={"rows": count, "share": count / len(material.y)},
        sentence=sentence,
    )
    return Checked((finding,), detail)


def _hashed(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Return one number per row, equal for equal rows: grouping by 60 columns takes minutes."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)


def check_contradictions(material: Material, bounds: Bounds) -> Checked:
    """Warn of rows with equal features and different labels, where these are no rare chance.

    In a table with times some are chance, so that their share has a bound; in one without, any.
    """
    if material.problem == "regression":
        return Checked((), "labels are quantities, of which no two need be equal")
    labels = material.y.groupby(_hashed(material.X))
    is_torn = labels.transform("nunique") > 1
    rows, vectors = int(is_torn.sum()), int((labels.nunique() > 1).sum())
    share = rows / len(material.y)
    detail = f"{vectors:,} sets of equal features have both labels, {rows:,} rows ({share:.1%})"
    if not rows or (material.time is not None and share < bounds.contradictions):
        return Checked((), detail)
    sentence = (
        f"{detail}: what tells these rows apart is not in the table, such as when each was "
        "observed. Have it delivered, and do not expect any model to be right on them"
    )
    finding = Finding(
        rule="contradictions",
        severity="warn",
        columns=(),
        evidence={"vectors": vectors, "rows": rows, "share": share},
        sentence=sentence,
    )
    return Checked((finding,), detail)


def check_linear(material: Material, seed: int) -> Checked:
    """Warn of features that are exact linear functions of another one."""
    numbers = material.sample(MOST_PAIR_ROWS, seed).X.select_dtypes("number")
    found = list(_linear(numbers))
    pairs = numbers.shape[1] * (numbers.shape[1] - 1) // 2
    return Checked(tuple(found), f"{len(found)} of {pairs:,} pairs of features")


def _linear(numbers: pd.DataFrame) -> Iterator[Finding]:
    """Yield one finding per feature that is a linear function of one before it."""
    correlation, names = numbers.corr(min_periods=10).to_numpy(), list(map(str, numbers))
    for place, name in enumerate(names):
        for before in np.flatnonzero(np.abs(correlation[place, :place]) > 1 - 1e-6):
            first = names[int(before)]
            function = _function(numbers[first], numbers[name])
            if function is not None:
                slope, offset = function
                term = first if slope == 1 else f"{slope:.6g} × {first}"
                shift = f" {'+' if offset > 0 else '-'} {abs(offset):.6g}" if offset else ""
                yield Finding(
                    rule="linear_features",
                    severity="warn",
                    columns=(name, first),
                    evidence={"slope": slope, "offset": offset},
                    sentence=f"{name} = {term}{shift} in every row: one of the two says nothing "
                    "new, and importances are divided between them. Leave one out",
                )
                break


def _function(first: "pd.Series[float]", second: "pd.Series[float]") -> tuple[float, float] | None:
    """Return slope and offset of an exact line through all pairs, None where there is none."""
    both = pd.DataFrame({"x": first, "y": second}, dtype="float64").dropna()
    x, y = both["x"].to_numpy(), both["y"].to_numpy()
    low, high = x.argmin(), x.argmax()
    if x[low] == x[high]:
        return None
    slope = (y[high] - y[low]) / (x[high] - x[low])
    offset = y[low] - slope * x[low]
    scale = np.abs(y).max()
    if np.abs(slope * x + offset - y).max() > EXACT * scale:
        return None
    rounded = float(f"{slope:.9g}")
    return rounded, 0.0 if abs(offset) <= EXACT * scale else float(f"{offset:.9g}")

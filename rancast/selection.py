"""Which features a candidate keeps: a step of its pipeline, fitted with it on the same rows.

Three methods. `filter` and `l1` are scikit-learn's selectors behind the encoding; `permutation`
keeps columns by what shuffling them costs on later folds, as columns that the pipeline takes at
all. The holdout is never asked. How the folds are cut is in `search`.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rancast.feature_set import Select
from rancast.fit_view import Candidate, FitView

STEP = "select"
# a coefficient of the path that is smaller was rounding: LARS takes one feature per iteration
SMALLEST_COEFFICIENT = 1e-12

Kept = tuple[str, ...] | None


def of(candidate: Candidate, view: FitView) -> Select | None:
    """Return the selection that applies to a candidate, None where it takes every feature."""
    return view.select if candidate.select else None


def with_selection(pipeline: Any, select: Select | None) -> Any:
    """Return the unfitted pipeline with a selector between encoding and estimator.

    None and `permutation`, whose columns are known before, leave the pipeline as it is.
    """
    from sklearn.pipeline import Pipeline

    if select is None or select.method == "permutation":
        return pipeline
    selector = _filter(select.keep) if select.method == "filter" else _l1(select.keep)
    encoding, estimator = pipeline.steps
    return Pipeline([encoding, (STEP, selector), estimator])


def _filter(keep: int) -> Any:
    """Return the F-test of each encoded column alone against y.

    Of two classes the F-test of the regression is that of the analysis of variance, and it gives
    a constant column 0 where the latter divides by it.
    """
    from sklearn.feature_selection import SelectKBest, f_regression

    return SelectKBest(f_regression, k=keep)


def _l1(keep: int) -> Any:
    """Return the first `keep` columns on the path of the lasso (Efron et al. 2004, LARS).

    The path is walked from the strongest penalty on for so many steps, each of which takes a column
    in or, seldom, out again; no penalty has to be chosen. Of two classes y is 0 and 1. Columns are
    standardised for it.
    """
    from sklearn.feature_selection import SelectFromModel
    from sklearn.linear_model import LassoLars
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    path = LassoLars(alpha=0.0, max_iter=keep)
    return SelectFromModel(
        Pipeline([("scale", StandardScaler()), ("lasso", path)]),
        importance_getter="named_steps.lasso.coef_",
        max_features=keep,
        threshold=SMALLEST_COEFFICIENT,
    )


def most_important(measured: Sequence[pd.DataFrame], keep: int) -> Kept:
    """Return the `keep` features of the largest mean importance over folds, in order of name.

    `measured` are frames of `importance.permutation`. None, for every feature, where no fold has
    told anything.
    """
    if not measured:
        return None
    means = pd.concat(measured).groupby("feature", sort=True)["importance_mean"].mean().dropna()
    top = means.sort_values(ascending=False, kind="stable").index[:keep]
    return tuple(sorted(top)) or None


def kept_features(pipeline: Any) -> tuple[str, ...]:
    """Return the columns of X that a fitted pipeline uses, in their order.

    A category is used where at least one of its encoded values is.
    """
    sources = _sources(pipeline.named_steps["columns"])
    if STEP in pipeline.named_steps:
        is_kept = pipeline.named_steps[STEP].get_support()
        sources = [name for name, kept in zip(sources, is_kept, strict=True) if kept]
    used = set(sources)
    return tuple(name for name in pipeline.feature_names_in_ if name in used)


def _sources(columns: Any) -> list[str]:
    """Return the column of X behind each encoded column, in the order of the encoding."""
    sources: list[str] = []
    for name, transformer, inputs in columns.transformers_:
        if name == "category":
            for column, width in zip(inputs, _widths(transformer), strict=True):
                sources += [column] * width
        elif name in ("numeric", "unknown"):
            sources += inputs
    return sources


def _widths(encoder: Any) -> list[int]:
    """Return how many columns a fitted one-hot encoder makes of each category."""
    rare = getattr(encoder, "infrequent_categories_", [None] * len(encoder.categories_))
    return [
        len(values) - (0 if seldom is None else len(seldom) - 1)
        for values, seldom in zip(encoder.categories_, rare, strict=True)
    ]

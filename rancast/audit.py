"""Does a training table know what it must not? Rules that refuse or warn, with columns and numbers.

Each rule is in a module by what it looks at: `audit_relations` (rows and columns themselves),
`audit_oracles` (features that tell the label), `audit_splits` (train and test), `audit_future`
(features under an altered future). What they say is in `audit_findings`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from rancast.audit_findings import Audit, Bounds, Check, Checked, Finding, not_checked
from rancast.audit_future import Sources, audited_days, check_future
from rancast.audit_material import AuditView, Material
from rancast.audit_oracles import check_single, check_target
from rancast.audit_relations import (
    check_contradictions,
    check_dates,
    check_duplicates,
    check_linear,
)
from rancast.audit_rules import Rule
from rancast.audit_splits import check_collapse, check_split, pairs_of
from rancast.column_names import RESERVED
from rancast.datasets import AnyDataset
from rancast.errors import ConfigurationError, EvidenceError
from rancast.joins import Other
from rancast.onboarding_names import curated_names, is_person, may_name_person
from rancast.onboarding_yaml import shown
from rancast.problems import Problem
from rancast.use_cases import UseCase

FEW_VALUES = 10


def view_of(case: UseCase) -> AuditView:
    """Return what an audit of a use case's training table depends on."""
    return AuditView(**case.table_view().model_dump(), seed=case.seed)


class _Book:
    """The findings and checks of one audit as they come."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.checks: list[Check] = []

    def ask(
        self, rule: Rule, look: Callable[[], Checked], judged_on: Material | None = None
    ) -> None:
        """Note what a rule finds; a rule without the rows or labels that it needs is not checked.

        `judged_on` are the rows whose labels it needs.
        """
        from threadpoolctl import threadpool_limits

        try:
            if judged_on is not None:
                judged_on.check()
            # threads would add up in another order each time, and wait for each other on busy cores
            with threadpool_limits(1):
                found = look()
        except EvidenceError as error:
            self.checks.append(not_checked(rule, str(error)))
            return
        self.findings += found.findings
        self.checks.append(found.of(rule))


def audit(
    table: pd.DataFrame,
    curated: list[pd.DataFrame],
    view: AuditView,
    dataset: AnyDataset,
    joined: dict[str, list[pd.DataFrame]] = {},
    others: dict[str, Other] = {},
) -> Audit:
    """Audit a training table [entity, time, *features, y, split, baseline_*].

    `curated`, and by dataset `joined`, are the partitions that the features of `view.days` were
    made from, or of all days of the table; `others` is what `rancast.features.build` takes. Equal
    input gives an equal audit. A rule that needs more rows or labels than there are is not checked;
    of a clustering, which has no labels, the rules that are about rows and features are.
    """
    names = [name for name in table.columns if name not in RESERVED]
    material = Material(
        X=_features(table[names]),
        y=table["y"].astype("float64"),
        problem=view.problem,
        time=table["time"],
        entity=table["entity"],
        part=table["split"],
        baseline=table.get("baseline_last_value"),
    )
    sources = Sources(curated, joined, others)
    days = view.days or audited_days(sorted(set(table["time"].dt.date)), view)
    book = _Book()
    sample = _look_at_rows(book, material, view.bounds, view.seed)
    embargo = view.split.embargo
    book.ask(
        "split",
        lambda: check_split(material, pairs_of(material, view.split.folds, embargo), embargo),
    )
    book.ask("future", lambda: check_future(sources, view, dataset, days))
    book.ask("collapse", lambda: check_collapse(sample, embargo, view.bounds, view.seed), sample)
    return _audit(material, sample, "y", book)


def audit_table(
    table: pd.DataFrame,
    target: str,
    time: str | None = None,
    entity: str | None = None,
    bounds: Bounds = Bounds(),
    seed: int = 20240301,
) -> Audit:
    """Audit any table with a label: all other columns but `time` and `entity` are features.

    Raises ConfigurationError for a column that is not there, a `time` of no times, a label that is
    neither two classes nor a number, and no feature, and EvidenceError for too few rows.
    """
    for name in (target, time, entity):
        if name is not None and name not in table.columns:
            raise ConfigurationError(
                f"the table has no column {name!r}; known: {', '.join(map(str, table.columns))}."
            )
    if time is not None:
        _expect_times(table[time], time)
    others = [name for name in (target, time, entity) if name is not None]
    if not len(table.columns.difference(others)):
        raise ConfigurationError(
            f"no feature to audit: the table has no column but {', '.join(others)}. Take a table "
            "with the features beside its label."
        )
    rows = table[table[target].notna()].reset_index(drop=True)
    y, problem = _label(rows[target], target)
    material = Material(
        X=_features(rows.drop(columns=others)),
        y=y,
        problem=problem,
        time=rows[time] if time else None,
        entity=rows[entity].astype("str") if entity else None,
    )
    material.check()
    book = _Book()
    sample = _look_at_rows(book, material, bounds, seed)
    if time is None and entity is None:
        book.checks.append(not_checked("split", "no time and no entity to split by"))
        book.checks.append(not_checked("collapse", "no time and no entity to split by"))
    else:
        book.checks.append(not_checked("split", _without_split(material)))
        book.ask("collapse", lambda: check_collapse(sample, timedelta(0), bounds, seed))
    book.checks.append(
        not_checked("future", "only features that are made by a use case can be made again")
    )
    return _audit(material, sample, target, book)


def _without_split(material: Material) -> str:
    """Say what a table that is not divided yet would share if somebody divided it by rows."""
    why = "the table has no column that says train or test"
    if material.entity is None:
        return why
    rows = material.entity.value_counts()
    return (
        f"{why}; {int((rows > 1).sum()):,} of {len(rows):,} entities have several rows, which a "
        "split by rows puts on both sides"
    )


def _look_at_rows(book: _Book, material: Material, bounds: Bounds, seed: int) -> Material:
    """Ask the rules that need no split; return the sample of rows that models are fitted on."""
    sample = material.sample(bounds.rows, seed)
    book.ask("dates", lambda: check_dates(material))
    book.ask("duplicates", lambda: check_duplicates(material))
    book.ask("contradictions", lambda: check_contradictions(material, bounds), material)
    book.ask("linear_features", lambda: check_linear(material, seed))
    book.ask("single_feature", lambda: check_single(sample, bounds, seed), sample)
    book.ask("target_of_row", lambda: check_target(sample, bounds, seed), sample)
    return sample


def _audit(material: Material, sample: Material, target: str, book: _Book) -> Audit:
    return Audit(
        rows=len(material.y),
        sampled=len(sample.y),
        features=material.X.shape[1],
        target=target,
        findings=tuple(sorted(book.findings, key=lambda found: found.severity)),
        checks=tuple(book.checks),
    )


def _features(X: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and flags as float64, times as days since 1970, all else as text."""
    return pd.DataFrame({str(name): _feature(X[name]) for name in X.columns}, index=X.index)


def _feature(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        since = pd.to_datetime(values, utc=True) - pd.Timestamp(0, tz="UTC")
        return since / timedelta(days=1)
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return pd.Series(np.where(np.isfinite(found), found, np.nan), index=values.index)
    return values.astype("str")


def _expect_times(values: "pd.Series[Any]", name: str) -> None:
    """Raise ConfigurationError unless these are times; a cell that may be a person's stays out."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return
    cells = [str(cell) for cell in values.dropna().head(1)]
    if not cells:
        told = "it has no value"
    elif is_person(curated_names([name])[name]) or may_name_person(cells[0]):
        told = "its cells are not shown, since they may be people's"
    else:
        told = f"its first value is {shown(cells[0])}"
    raise ConfigurationError(
        f"TIME is {name!r}: no column of times; {told}. Name the column of the time of "
        "observation, write its cells like 2024-03-01 13:45, or audit without it."
    )


def _label(values: "pd.Series[Any]", name: str) -> tuple["pd.Series[float]", Problem]:
    """Return the label as numbers, and whether it has classes or quantities."""
    distinct = sorted(values.unique(), key=str)
    if len(distinct) < 2:
        raise EvidenceError(
            f"all {len(values):,} rows with a label have the same in {name!r}; take rows of both."
        )
    if len(distinct) == 2:
        return (values == distinct[1]).astype("float64"), "classification"
    if pd.api.types.is_numeric_dtype(values.dtype) and len(distinct) > FEW_VALUES:
        return values.astype("float64"), "regression"
    raise ConfigurationError(
        f"the label {name!r} has {len(distinct)} different values; an audit needs two classes or "
        f"numbers of more than {FEW_VALUES} different values. Turn it into one of these."
    )

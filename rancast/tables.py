"""The training table: X and y beside each other, with the split and the baselines as columns."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rancast.column_names import BASELINES
from rancast.datasets import AnyDataset, Dataset
from rancast.documents import Document
from rancast.durations import DAY
from rancast.errors import EvidenceError
from rancast.splits import assign
from rancast.table_view import TableView
from rancast.targets import horizon, label


class Part(Document):
    """The labelled rows of one part of the split; `first` and `last` are their times."""

    rows: int
    entities: int
    days: int
    positives: int | None
    first: datetime
    last: datetime


class TableSummary(Document):
    """What is in a training table; rows = labelled + unlabelled + too_recent.

    `unlabelled` rows saw too little of their horizon, or are not asked about (`target.given`).
    `too_recent` ones lie after the last day whose labels are complete, on which the holdout ends.
    `positives` counts the breaches among the labelled rows, and is None for a regression.
    """

    rows: int
    labelled: int
    unlabelled: int
    too_recent: int
    embargoed: int
    positives: int | None
    train: Part
    holdout: Part
    features: tuple[str, ...]
    categories: tuple[str, ...]


class TrainingTable(NamedTuple):
    """The table and its summary."""

    table: pd.DataFrame
    summary: TableSummary


def assemble(
    features: list[pd.DataFrame],
    curated: list[pd.DataFrame],
    view: TableView,
    dataset: AnyDataset,
    end: date,
) -> TrainingTable:
    """Return the labelled rows of X, sorted by time and entity; of a clustering, all rows.

    Columns: entity, time, the features, y (int64 for a classification, else float64), split
    ('train', 'embargo', 'holdout'), and the columns of BASELINES, as `targets` makes them. `end` is
    the exclusive end of the data: a row whose horizon is not over by then has no label yet, and a
    day with such a row is not part of the table, so that the holdout ends with the last day whose
    labels are complete. A clustering foretells nothing: its y is 0, all its rows are labelled, and
    it has no columns of BASELINES. Raises EvidenceError for too few rows or days, and for a train
    or holdout with a single class.
    """
    view.check(dataset)
    X = _stack(features, view, dataset)
    labels = _labels(X, curated, view, dataset)
    complete = _complete_until(X["time"], view, dataset, pd.Timestamp(end, tz="UTC"))
    is_complete = (X["time"] < complete).to_numpy()
    is_labelled = is_complete & labels["y"].notna().to_numpy()
    table = pd.concat([X, labels], axis="columns")[is_labelled].reset_index(drop=True)
    table["split"] = assign(table["time"], view.split, complete)
    if view.problem == "classification":
        table["y"] = table["y"].astype("int64")
        _expect_both_classes(table)
    others = [name for name in ("y", "split", *BASELINES) if name in table.columns]
    columns = ["entity", "time", *view.features.names(), *others]
    return TrainingTable(table[columns], _summarise(table, is_complete, view))


def _stack(features: list[pd.DataFrame], view: TableView, dataset: Dataset) -> pd.DataFrame:
    names = {view.entity: "entity", dataset.time.column: "time"}
    filled = [part for part in features if len(part)] or features
    if not sum(map(len, filled)):
        raise EvidenceError(
            f"there are no features of dataset {dataset.name!r} to train on; ingest its days first."
        )
    X = pd.concat(filled, ignore_index=True).rename(columns=names)
    return X.sort_values(["time", "entity"], kind="stable", ignore_index=True)


def _labels(
    X: pd.DataFrame, curated: list[pd.DataFrame], view: TableView, dataset: Dataset
) -> pd.DataFrame:
    if view.target is None:
        # a clustering has nothing to be right or wrong about; who reads the table finds a column y
        return pd.DataFrame({"y": 0.0}, index=X.index)
    return label(X[["entity", "time"]], curated, view, dataset)


def _complete_until(
    time: "pd.Series[pd.Timestamp]", view: TableView, dataset: Dataset, end: pd.Timestamp
) -> pd.Timestamp:
    """Return the end of the last day all of whose rows have their whole horizon before `end`."""
    ahead = timedelta(0) if view.target is None else horizon(view, dataset)
    is_open = time + ahead >= end
    day = time.dt.floor("D")
    closed = day[day < day[is_open].min()] if is_open.any() else day
    return day.min() if closed.empty else closed.max() + DAY


def _expect_both_classes(table: pd.DataFrame) -> None:
    for part in ("train", "holdout"):
        y = table.loc[table["split"] == part, "y"]
        if y.nunique() < 2:
            outcome = "breach" if y.iloc[0] else "no breach"
            raise EvidenceError(
                f"all {len(y):,} labelled rows of {part} have the same class ({outcome}), so that "
                "nothing can be learned or judged; take a longer history or another target."
            )


def _summarise(
    table: pd.DataFrame, is_complete: NDArray[np.bool_], view: TableView
) -> TableSummary:
    is_classification = view.problem == "classification"
    return TableSummary(
        rows=len(is_complete),
        labelled=len(table),
        unlabelled=int(is_complete.sum()) - len(table),
        too_recent=int((~is_complete).sum()),
        embargoed=int((table["split"] == "embargo").sum()),
        positives=int(table["y"].sum()) if is_classification else None,
        train=_part(table[table["split"] == "train"], is_classification),
        holdout=_part(table[table["split"] == "holdout"], is_classification),
        features=view.features.names(),
        categories=view.features.categories,
    )


def _part(rows: pd.DataFrame, is_classification: bool) -> Part:
    return Part(
        rows=len(rows),
        entities=rows["entity"].nunique(),
        days=rows["time"].dt.floor("D").nunique(),
        positives=int(rows["y"].sum()) if is_classification else None,
        first=rows["time"].min().to_pydatetime(),
        last=rows["time"].max().to_pydatetime(),
    )

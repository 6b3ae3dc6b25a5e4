"""The training table: whole labels only, split by time, and counted."""

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from rancast.errors import EvidenceError
from rancast.features import build
from rancast.tables import TrainingTable, assemble
from rancast.use_cases import UseCase
from tests.rancast.cases import dataset, regression, rows, spec, use_case

KPI = dataset()
D1, D2, D3 = (date(2024, 3, day) for day in (1, 2, 3))


def day_of(day: date, *given: tuple[Any, ...]) -> pd.DataFrame:
    """Return a day's curated rows (cell, HH:MM, load, users, is_busy, band)."""
    return rows(*((cell, f"{day} {at}", *rest) for cell, at, *rest in given))


def assembled(case: UseCase, *curated: pd.DataFrame, end: date) -> TrainingTable:
    """Return the table of all days in `curated`, by the same path as a flow."""
    days = sorted({day for frame in curated for day in frame["at"].dt.date})
    features = [build(list(curated), case.feature_view(), KPI, day) for day in days]
    return assemble(features, list(curated), case.table_view(), KPI, end)


QUIET_THEN_BREACH = (
    ("a", "10:00", 1.0, 1, None, "low"),
    ("a", "10:10", 2.0, 1, None, "low"),
    ("a", "10:20", 95.0, 1, None, "low"),
)
TWO_CELLS = (*QUIET_THEN_BREACH, ("b", "10:00", 3.0), ("b", "10:10", 4.0))


def test_the_table_has_features_labels_split_and_baselines() -> None:
    """Labelled rows of all days, by time and entity, with every column of the contract."""
    case = use_case(spec(features={"current": ["load"], "categories": ["band"]}))
    found = assembled(case, day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS), end=D3)
    train = [["a", 1.0, "low", 1, "train"], ["b", 3.0, "missing", 0, "train"]]
    train.append(["a", 2.0, "low", 1, "train"])
    holdout = [[*row[:-1], "holdout"] for row in train]
    columns = ["entity", "load", "band", "y", "split"]
    assert found.table[columns].values.tolist() == train + holdout
    assert list(found.table) == ["entity", "time", "load", "band", "y", "split"] + [
        "baseline_last_value",
        "baseline_seasonal",
        "baseline_weekly",
    ]
    assert found.table["baseline_seasonal"].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    assert {name: str(kind) for name, kind in found.table.dtypes.items()} == {
        "entity": "str",
        "time": "datetime64[us, UTC]",
        "load": "float64",
        "band": "str",
        "y": "int64",
        "split": "str",
        "baseline_last_value": "float64",
        "baseline_seasonal": "float64",
        "baseline_weekly": "float64",
    }


def test_the_summary_counts_every_row_once() -> None:
    """rows = labelled + unlabelled + too recent, and each part says how much it holds."""
    late = day_of(D3, ("a", "23:40", 1.0), ("a", "23:50", 1.0))
    days = day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS), late
    summary = assembled(use_case(spec()), *days, end=date(2024, 3, 4)).summary
    assert (summary.rows, summary.labelled, summary.unlabelled, summary.too_recent) == (12, 6, 4, 2)
    assert summary.positives == 4
    assert summary.train.model_dump(mode="json") == {
        "rows": 3,
        "entities": 2,
        "days": 1,
        "positives": 2,
        "first": "2024-03-01T10:00:00Z",
        "last": "2024-03-01T10:10:00Z",
    }
    assert summary.features == ("load",)


def test_the_holdout_ends_with_the_last_day_whose_labels_are_complete() -> None:
    """A day with a row whose horizon is not over at `end` waits for the next day's data."""
    open_day = day_of(D3, *TWO_CELLS, ("a", "23:50", 1.0))
    days = day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS), open_day
    found = assembled(use_case(spec()), *days, end=date(2024, 3, 4))
    assert found.summary.holdout.last.date() == D2
    after = date(2024, 3, 5)  # a day later the horizon is over, though nobody was seen in it
    assert assembled(use_case(spec()), *days, end=after).summary.holdout.last.date() == D3


def test_a_horizon_that_ends_with_the_data_is_complete() -> None:
    """The last row may lie one horizon before the end, and not a period later."""
    for at, too_recent in (("23:30", 0), ("23:40", 3)):
        days = day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS[:2], ("a", at, 1.0))
        case = use_case(regression(split={"holdout": "1d", "embargo": "20min"}))
        if too_recent:
            days = (day_of(D1 - timedelta(days=1), *TWO_CELLS), *days)
        assert assembled(case, *days, end=D3).summary.too_recent == too_recent


def test_days_without_rows_do_not_move_the_holdout_into_nothing() -> None:
    """The holdout ends with the last day that has rows, however long ago that is."""
    case = use_case(spec())
    days = day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS)
    found = assembled(case, *days, end=date(2024, 3, 9))
    assert found.table["split"].tolist() == ["train"] * 3 + ["holdout"] * 3


def test_a_regression_keeps_its_values() -> None:
    """y of a regression is float64, and positives are not counted."""
    days = day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS)
    found = assembled(use_case(regression()), *days, end=D3)
    assert found.table["y"].tolist() == [48.5, 4.0, 95.0, 48.5, 4.0, 95.0]
    assert found.summary.positives is found.summary.train.positives is None


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (TWO_CELLS[3:], TWO_CELLS, r"all 1 labelled rows of train .* \(no breach\)"),
        (TWO_CELLS, TWO_CELLS[3:], r"all 1 labelled rows of holdout .* \(no breach\)"),
        (QUIET_THEN_BREACH, TWO_CELLS, r"all 2 labelled rows of train .* \(breach\)"),
    ],
)
def test_a_single_class_is_refused(first: Any, second: Any, reason: str) -> None:
    """Where train or holdout has one class only, there is nothing to learn or to judge."""
    with pytest.raises(EvidenceError, match=reason):
        assembled(use_case(spec()), day_of(D1, *first), day_of(D2, *second), end=D3)


def test_too_few_days_are_refused() -> None:
    """A single day cannot be divided into train and holdout, and no features are no table."""
    case = use_case(spec())
    with pytest.raises(EvidenceError, match="1 days .* no row is left for train"):
        assembled(case, day_of(D1, *TWO_CELLS), end=D2)
    with pytest.raises(EvidenceError, match="no features of dataset 'kpi'"):
        assemble([], [], case.table_view(), KPI, D2)
    with pytest.raises(EvidenceError, match="no labelled row"):
        assembled(case, day_of(D1, ("a", "23:50", 1.0)), end=D2)


def test_the_order_of_partitions_does_not_matter() -> None:
    """The same partitions in another order give the same table."""
    case = use_case(spec())
    days = [day_of(D1, *TWO_CELLS), day_of(D2, *TWO_CELLS)]
    features = [build(days, case.feature_view(), KPI, day) for day in (D1, D2)]
    found = assemble(features, days, case.table_view(), KPI, D3).table
    other = assemble(features[::-1], days[::-1], case.table_view(), KPI, D3).table
    pd.testing.assert_frame_equal(found, other, check_exact=True)

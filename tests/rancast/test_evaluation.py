"""Evaluations: values, intervals, slices, and a reason for whatever is missing."""

import numpy as np
import pandas as pd
import pytest

from rancast.errors import ConfigurationError, EvidenceError
from rancast.evaluation import Interval, evaluate


def frame(rows: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    """Build predictions from (entity, time, y, prediction)."""
    table = pd.DataFrame(rows, columns=["entity", "time", "y", "prediction"])
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table


FOUR = frame(
    [
        ("a", "2024-03-01T10:00", 0.0, 0.2),
        ("a", "2024-03-02T10:00", 1.0, 0.9),
        ("b", "2024-03-01T10:00", 1.0, 0.6),
        ("b", "2024-03-02T10:00", 0.0, 0.4),
    ]
)


def test_values_counts_and_bounds() -> None:
    """Values are scikit-learn's, counts are plain, and the bounds enclose the value."""
    result = evaluate(FOUR, "classification", ("brier", "average_precision"), seed=1)
    assert result.metrics["brier"].value == pytest.approx((0.04 + 0.01 + 0.16 + 0.16) / 4)
    assert result.metrics["average_precision"] == Interval(value=1.0, low=1.0, high=1.0)
    assert (result.rows, result.positives, result.clusters) == (4, 2, {"entity": 2, "day": 2})


def test_bounds_are_the_wider_of_entity_and_day() -> None:
    """Errors that differ by entity, and never by day, still give a wide interval."""
    rows = frame(
        [
            ("a", "2024-03-01T10:00", 0.0, 1.0),
            ("a", "2024-03-02T10:00", 0.0, 1.0),
            ("b", "2024-03-01T10:00", 0.0, 3.0),
            ("b", "2024-03-02T10:00", 0.0, 3.0),
        ]
    )
    result = evaluate(rows, "regression", ("mae",), seed=1)
    assert result.metrics["mae"] == Interval(value=2.0, low=1.0, high=3.0)
    swapped = rows.assign(
        entity=rows["time"].dt.strftime("%d"),
        time=rows["entity"].map({"a": rows["time"].min(), "b": rows["time"].max()}),
    )
    assert evaluate(swapped, "regression", ("mae",), seed=1).metrics == result.metrics


def test_single_class_is_missing_with_its_reason() -> None:
    """A holdout of zeros leaves the metric out and says why, so that a gate on it fails closed."""
    result = evaluate(FOUR.assign(y=0.0), "classification", ("average_precision",), seed=1)
    assert result.metrics == {}
    assert "needs both classes, but 0 of 4" in result.missing["average_precision"]


def test_missing_prediction_voids_the_metric() -> None:
    """A NaN prediction is not left out of the average."""
    broken = FOUR.assign(prediction=[0.1, np.nan, 0.2, 0.3])
    result = evaluate(broken, "regression", ("mae",), seed=1)
    assert result.metrics == {} and "1 of 4 predictions" in result.missing["mae"]


def test_one_day_has_no_day_interval_and_says_so() -> None:
    """Rows of one day are resampled by entity only, which a note tells."""
    result = evaluate(FOUR.iloc[[0, 2]], "regression", ("mae",), seed=1)
    assert result.notes == ("The rows lie in a single day: intervals leave its spread out.",)
    assert result.metrics["mae"].low is not None
    alone = evaluate(FOUR.iloc[[0]], "regression", ("mae",), seed=1)
    assert alone.metrics["mae"] == Interval(value=0.2)


def test_slices_are_scored_by_the_first_metric() -> None:
    """Each value of a slice column gets its rows and the first metric; missing is a value too."""
    sliced = FOUR.assign(kind=pd.Series(["5G", None, "5G", "4G"], dtype="str"))
    result = evaluate(sliced, "classification", ("brier", "log_loss"), seed=1)
    found = [(item.value, item.rows, item.positives, item.score) for item in result.slices]
    assert found[1] == ("5G", 2, 1, pytest.approx((0.04 + 0.16) / 2))
    assert [item[:3] for item in found] == [("4G", 1, 0), ("5G", 2, 1), ("missing", 1, 1)]
    assert result.slices[0].score is None and "both classes" in str(result.slices[0].reason)


def test_a_group_with_few_rows_has_no_number() -> None:
    """Below its support a group says how many rows it has, and nothing else."""
    sliced = FOUR.assign(is_busy_hour=[1.0, 1.0, 0.0, np.nan])
    result = evaluate(sliced, "regression", ("mae",), seed=1, support={"is_busy_hour": 2})
    found = [(item.value, item.rows, item.score, item.reason) for item in result.slices]
    assert found == [
        ("busy hour", 2, pytest.approx(0.15), None),
        ("missing", 1, None, "too few rows: 1, needed are 2"),
        ("other hours", 1, None, "too few rows: 1, needed are 2"),
    ]


def test_probabilities_come_with_their_calibration() -> None:
    """A classification says how calibrated it is; a regression, and one with gaps, does not."""
    result = evaluate(FOUR, "classification", ("brier",), seed=1)
    assert result.reliability is not None
    assert result.reliability.expected_error == pytest.approx((0.2 + 0.1 + 0.4 + 0.4) / 4)
    assert evaluate(FOUR, "regression", ("mae",), seed=1).reliability is None
    gap = FOUR.assign(prediction=[0.1, np.nan, 0.2, 0.3])
    assert evaluate(gap, "classification", ("brier",), seed=1).reliability is None


def test_slice_columns_of_many_values_are_cut() -> None:
    """A column of 150 values gives its 100 largest and a note."""
    rows = frame([("a", f"2024-03-{1 + i % 20:02d}", 0.0, 1.0) for i in range(300)])
    rows["site"] = [f"s{i % 150:03d}" for i in range(300)]
    result = evaluate(rows, "regression", ("mae",), seed=1)
    assert len(result.slices) == 100 and "site has 150 values" in result.notes[-1]


def test_metrics_at_a_threshold() -> None:
    """Alerts per day, precision and recall count predictions at or above the threshold."""
    names = ("alerts_per_day", "precision", "recall")
    result = evaluate(FOUR, "classification", names, seed=1, threshold=0.4)
    values = {name: item.value for name, item in result.metrics.items()}
    assert values == {"alerts_per_day": 1.5, "precision": pytest.approx(2 / 3), "recall": 1.0}


def test_equal_input_gives_equal_documents() -> None:
    """Two evaluations of the same rows are the same document."""
    names = ("average_precision", "log_loss")
    first = evaluate(FOUR, "classification", names, seed=5)
    assert first == evaluate(FOUR, "classification", names, seed=5)


def test_no_rows_missing_labels_and_missing_columns_are_refused() -> None:
    """An empty holdout, unlabelled rows and a frame of another shape are errors."""
    with pytest.raises(EvidenceError, match="no rows to evaluate"):
        evaluate(FOUR.iloc[:0], "regression", ("mae",), seed=1)
    with pytest.raises(EvidenceError, match="1 of 4 holdout rows have no label"):
        evaluate(FOUR.assign(y=[0, 1, np.nan, 0]), "regression", ("mae",), seed=1)
    with pytest.raises(EvidenceError, match="lack prediction"):
        evaluate(FOUR.drop(columns="prediction"), "regression", ("mae",), seed=1)
    with pytest.raises(ConfigurationError, match="'maee' not found; did you mean mae"):
        evaluate(FOUR, "regression", ("maee",), seed=1)

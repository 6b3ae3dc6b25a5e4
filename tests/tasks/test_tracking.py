"""Which numbers of an evaluation a run in MLflow has, and under which names."""

from rancast.evaluation import Evaluation, Interval, SliceScore
from tasks import tracking


def part(value: str, score: float | None) -> SliceScore:
    """Return one group of the holdout by a category."""
    return SliceScore(
        column="technology", value=value, rows=9, positives=None, metric="mae", score=score
    )


def test_groups_of_the_holdout_are_metrics_too() -> None:
    """Names hold only what every MLflow accepts; a group without a number is left out."""
    found = Evaluation(
        problem="regression",
        rows=27,
        positives=None,
        confidence=0.95,
        clusters={"entity": 3, "day": 3},
        metrics={"mae": Interval(value=2.0, low=1.0, high=3.0)},
        slices=(part("5G", 1.5), part("LTE/é:A", 2.5), part("small", None)),
    )
    assert tracking._metrics(found) == {
        "mae": 2.0,
        "mae_low": 1.0,
        "mae_high": 3.0,
        "slice.technology.5G.mae": 1.5,
        "slice.technology.LTE___A.mae": 2.5,
    }
    many = tuple(part(f"cell {number:04}", 1.0) for number in range(2_000))
    names = tracking._metrics(found.model_copy(update={"slices": many}))
    assert len(names) == 3 + tracking.SLICES_LOGGED and "slice.technology.cell 0000.mae" in names

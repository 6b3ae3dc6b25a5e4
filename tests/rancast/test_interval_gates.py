"""The gate of prediction intervals: the promise is held against what came, and fails closed."""

from typing import Any

import pytest

from rancast.decisions import Contender, Decision, Vacancy, decide
from rancast.evaluation import Evaluation, Interval, SliceScore
from rancast.gates import Gates, Intervals
from tests.rancast.test_decisions import comparison

WANTED = Intervals(coverage=0.9, by="technology", tolerance=0.03, minimum_support=100)
HELD = {"4G": (400, 0.88), "5G": (300, 0.92), "LTE": (20, 0.1)}


def groups(held: dict[str, tuple[int, float | None]]) -> tuple[SliceScore, ...]:
    """Return the coverage of each technology: value to (rows, share)."""
    usual: dict[str, Any] = {"column": "technology", "positives": None, "metric": "coverage"}
    return tuple(
        SliceScore(value=value, rows=rows, score=share, **usual)
        for value, (rows, share) in held.items()
    )


def decided(wanted: Intervals | None = WANTED, **changes: Any) -> Decision:
    """Decide on a candidate that passes everything else, its intervals apart."""
    evaluation = Evaluation(
        problem="regression",
        metrics={"mae": Interval(value=2.0), "coverage": Interval(value=0.905)},
        rows=720,
        positives=None,
        clusters={"entity": 20, "day": 7},
        confidence=0.95,
        slices=groups(HELD),
    ).model_copy(update=changes)
    candidate = Contender(candidate="ridge", fingerprint="f" * 64, evaluation=evaluation)
    vacancy = Vacancy(has_registry_answered=True)
    return decide(candidate, vacancy, {"last_value": comparison()}, Gates(), wanted)


def test_coverage_as_promised_is_promoted_in_an_operators_words() -> None:
    """The share that was held stands in the reasons, in all and for each group that is judged."""
    decision = decided()
    assert decision.promote
    judged = {gate.name: gate.sentence for gate in decision.gates if "coverage" in gate.name}
    assert judged == {
        "coverage": "The prediction intervals held 90.5 % of the values that came; 90 % is "
        "promised, and at least 87 % is required.",
        "coverage technology=4G": "For technology 4G (400 rows) the prediction intervals held "
        "88.0 % of the values that came; 90 % is promised, and at least 87 % is required.",
        "coverage technology=5G": "For technology 5G (300 rows) the prediction intervals held "
        "92.0 % of the values that came; 90 % is promised, and at least 87 % is required.",
    }


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"metrics": {"coverage": Interval(value=0.869)}}, "coverage"),
        ({"metrics": {"mae": Interval(value=2.0)}}, "coverage"),
        ({"metrics": {"coverage": Interval(value=float("nan"))}}, "coverage"),
        ({"slices": groups(HELD | {"5G": (100, 0.869)})}, "coverage technology=5G"),
        ({"slices": groups(HELD | {"5G": (100, None)})}, "coverage technology=5G"),
        ({"slices": groups({"LTE": (99, 0.9)})}, "coverage technology"),
        ({"slices": ()}, "coverage technology"),
    ],
)
def test_too_little_or_unknown_coverage_keeps_the_champion(
    changes: dict[str, Any], gate: str
) -> None:
    """Below promise less tolerance, anywhere with enough rows, or not known: no promotion."""
    decision = decided(**changes)
    assert not decision.promote
    assert [result.name for result in decision.gates if not result.passed] == [gate]


def test_the_least_coverage_that_is_accepted_passes() -> None:
    """Exactly promise less tolerance is enough, whatever 0.9 - 0.03 is in binary."""
    assert decided(metrics={"coverage": Interval(value=0.87)}).promote


def test_intervals_of_all_have_one_gate_and_no_intervals_none() -> None:
    """Without groups the share of all rows is judged; without intervals nothing is asked."""
    every = WANTED.model_copy(update={"by": None})
    assert decided(every, slices=()).promote
    assert decided(None, metrics={"mae": Interval(value=2.0)}, slices=()).promote

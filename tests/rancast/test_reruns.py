"""Reruns from a named step on, and what a plan says of each step beforehand."""

from typing import Any

import pytest

from rancast.plans import PlanRow, plan_rows, why_again
from rancast.reruns import STAGES, is_forced
from rancast.steps import StepEntry

BEFORE = StepEntry(
    key="k",
    step="build_features",
    code="c",
    inputs={"curated": [{"uri": "a", "digest": "1"}, {"uri": "b", "digest": "2"}]},
    config={"day": "2024-03-01", "view": {"features": {"lags": [1]}, "grid": {}}},
    outputs={},
)


def test_a_rerun_computes_the_named_step_and_all_after_it() -> None:
    """From features on: what was pulled and validated is used, the rest is computed again."""
    assert [stage for stage in STAGES if is_forced(stage, "features")] == [
        "features",
        "table",
        "audit",
        "fit",
        "evaluate",
    ]
    assert not any(is_forced(stage, None) for stage in STAGES)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"code": "d"}, "its code or a library changed"),
        (
            {"config": {"day": "2024-03-01", "view": {"features": {"lags": [2]}, "grid": {}}}},
            "its configuration changed (view.features)",
        ),
        (
            {"inputs": {"curated": [{"uri": "a", "digest": "1"}, {"uri": "c", "digest": "3"}]}},
            "its data changed (curated: 1 of 2 differ, 2 before)",
        ),
        (
            {"code": "d", "inputs": {"curated": [{"uri": "a", "digest": "1"}]}},
            "its code or a library changed and its data changed (curated)",
        ),
        ({}, "the ledger does not have it any more"),
    ],
)
def test_a_plan_says_what_changed(changes: dict[str, Any], why: str) -> None:
    """Code, configuration and data are told apart, each by the name of what differs."""
    assert why_again(BEFORE, BEFORE.model_copy(update=changes)) == why


def test_what_was_never_computed_has_no_other_reason() -> None:
    """A step without a predecessor is new."""
    assert why_again(None, BEFORE) == "it was not computed before"


def test_a_plan_puts_equal_days_into_one_row_and_work_first() -> None:
    """An operator reads what is computed before what is not, and no row per day."""
    days = [f"2024-03-0{day}" for day in range(1, 6)]
    rows = [
        PlanRow(step="build_features", about=day, verdict="reuse", why="nothing", key=day)
        for day in days
    ]
    new = PlanRow(step="build_features", about="2024-03-06", verdict="recompute", why="new")
    assert plan_rows([*rows, new]) == [
        {"step": "build_features", "for": "2024-03-06", "verdict": "recompute", "why": "new"},
        {
            "step": "build_features",
            "for": "5 days, 2024-03-01 to 2024-03-05",
            "verdict": "reuse",
            "why": "nothing",
        },
    ]

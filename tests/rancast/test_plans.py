"""Why a step is computed again, said by what it depends on."""

from typing import Any

from rancast.plans import why_again
from rancast.steps import StepEntry


def entry(joined: list[str], **config: Any) -> StepEntry:
    """Return a step with these digests of calls, one more dataset and a configuration."""
    calls = [{"uri": f"curated/{one}", "digest": one} for one in joined]
    other = [{"uri": "curated/x", "digest": "x"}]
    return StepEntry(
        key="k",
        step="build_features",
        code="c",
        inputs={"curated": [{"uri": "u", "digest": "d"}], "joined": {"calls": calls, "kpi": other}},
        config={"others": {"calls": {"days": joined}}} | config,
        outputs={},
    )


def test_a_plan_names_the_dataset_that_changed_and_how_many_of_its_days() -> None:
    """Of several joined datasets only the one with other content is named."""
    before, now = entry(["a", "b", "c"]), entry(["a", "B", "c"], others={"calls": {"days": "same"}})
    before = before.model_copy(update={"config": now.config})
    assert why_again(before, now) == "its data changed (joined.calls: 1 of 3 differ, 3 before)"


def test_a_day_that_was_delivered_late_is_named_as_data_and_as_a_day() -> None:
    """The step is told which days there are: a late one changes both."""
    assert why_again(entry(["a", "b"]), entry(["a", "b", "c"])) == (
        "its configuration changed (others.calls) and its data changed "
        "(joined.calls: 1 of 3 differ, 2 before)"
    )

"""Expressions: what they mean, what is unknown, and what is refused."""

import pandas as pd
import pytest

from rancast.errors import ConfigurationError
from rancast.expressions import Expression

FRAME = pd.DataFrame(
    {
        "load": [1.0, 200.0, None, None],
        "loss": [None, None, 200.0, 1.0],
        "users": pd.array([1, None, 3, 4], dtype="Int64"),
        "is_busy": pd.array([True, None, False, True], dtype="boolean"),
        "app": pd.Series(["Video", None, "Call", "Video"], dtype="str"),
    }
)


def outcome(text: str) -> list[object]:
    """Return an expression's value in each row of FRAME."""
    return Expression(text).evaluate(FRAME).tolist()


NA = pd.NA


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("load > 100", [False, True, NA, NA]),
        ("load > 100 or loss > 100", [NA, True, True, NA]),
        ("load > 100 and loss > 100", [False, NA, NA, False]),
        ("not load > 100", [True, False, NA, NA]),
        ("app == 'Video'", [True, NA, False, True]),
        ("app != 'Video'", [False, NA, True, False]),
        ("app in ('Video', 'Game')", [True, NA, False, True]),
        ("app not in ['Video']", [False, NA, True, False]),
        ("users in (1, 3)", [True, NA, True, False]),
        ("users * 2 - 1 >= 5", [False, NA, True, True]),
        ("0 < load < 100", [True, False, NA, NA]),
        ("-load < -100", [False, True, NA, NA]),
        ("is_busy", [True, NA, False, True]),
        ("is_busy == True and users > 1", [False, NA, False, True]),
        ("users / 0 > 1", [NA, NA, NA, NA]),
    ],
)
def test_a_missing_value_makes_unknown_unless_the_outcome_is_settled(
    text: str, expected: list[object]
) -> None:
    """A row is unknown only where the missing value could change the outcome."""
    assert [str(value) for value in outcome(text)] == [str(value) for value in expected]


def test_only_certain_rows_hold() -> None:
    """`holds` counts unknown as not true, and leaves no missing values."""
    assert Expression("load > 100 or loss > 100").holds(FRAME).tolist() == [0, 1, 1, 0]


def test_it_knows_its_columns() -> None:
    """The columns that an expression reads are known without any data."""
    assert Expression("load > 1 and app in ('a', 'b')").columns == {"load", "app"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x') == 1",
        "load.values > 1",
        "load[0] > 1",
        "(lambda: True)()",
        "[load for load in (1, 2)] == 1",
        "f'{load}' == 'a'",
        "load ** 9 > 1",
        "load if load else loss",
        "(x := 1) > 0",
        "load is None",
        "load > 1e400",
        "load > 1j",
        "load > b'1'",
        "load in ()",
        "load in (1, 'a')",
        "load in 3",
        "load == (1, 2)",
        "load = 1",
        "load >",
        "",
        "load > 1; loss > 1",
        "\x00",
        "--" * 300 + "load > 1",
        "(" * 300 + "load" + ")" * 300,
        "load > " + "9" * 900,
        "load > 1 or " * 200 + "load > 1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Calls, attributes, deep nesting and whatever is not in the grammar never reach the data."""
    with pytest.raises(ConfigurationError):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lod > 1", "'lod' is not a column; known: load, loss, users, is_busy, app"),
        ("app > 1", "text and number"),
        ("app in (1, 2)", "differ in type"),
        ("app + 1 > 2", "'app' is not a number"),
        ("load and loss > 1", "'load' is not a condition"),
        ("load + 1", "its outcome is not true or false"),
    ],
)
def test_types_are_checked_without_any_row(text: str, reason: str) -> None:
    """A column of another type is refused on an empty frame already, in a sentence."""
    with pytest.raises(ConfigurationError, match=reason):
        Expression(text).evaluate(FRAME.head(0))

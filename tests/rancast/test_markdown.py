"""Markdown that is shown to people: no text of a file becomes markup."""

import pytest

from rancast.markdown import escape, link, picture, table
from tests.markdown import rows_of


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "![x](http://tracker.example/p.png)",
        "[press me](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "**bold** `code`",
        r"back\slash",
    ],
)
def test_text_is_shown_as_it_is(text: str) -> None:
    """Pictures, links, tags, cells and emphasis of a text are characters, not markup."""
    shown = escape(text)
    for sign in "|[]*`":
        assert shown.count(sign) == shown.count(f"\\{sign}")
    assert "<" not in shown
    assert rows_of("\n".join(table(["text"], [[shown]])))[0]["text"] == text


def test_a_text_stays_on_its_line() -> None:
    """A line break would end the table."""
    assert escape("one\n\n two") == "one two"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://mlflow.example/#/models/tiny", "[MLflow](https://mlflow.example/#/models/tiny)"),
        ("docs/operations.md#crashed", "MLflow, `docs/operations.md#crashed`"),
        ("javascript:alert(1)", "MLflow, `javascript:alert(1)`"),
        ("http://x/) [y](http://z", "MLflow, `http://x/) [y](http://z`"),
    ],
)
def test_only_an_address_becomes_a_link(address: str, shown: str) -> None:
    """What a browser cannot open, or what would end the link, is named instead."""
    assert link("MLflow", address) == shown


def test_a_table_aligns_numbers_and_groups_their_digits() -> None:
    """Counts are read in columns."""
    assert table(("day", "rows"), [("2024-03-01", 1234567), ("2024-03-02", None)], "rows") == [
        "| day | rows |",
        "| --- | --: |",
        "| 2024-03-01 | 1,234,567 |",
        "| 2024-03-02 |  |",
    ]


def test_a_picture_needs_no_other_server() -> None:
    """The picture's bytes are in the page."""
    assert picture(b"PNG", "the plot [1]") == r"![the plot \[1\]](data:image/png;base64,UE5H)"

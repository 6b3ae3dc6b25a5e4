"""YAML as a person would write it, which the strict reader reads back."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rancast.documents import parse_yaml
from rancast.onboarding_yaml import comment, flow, shown


class Anything(BaseModel):
    """A file with one value."""

    key: Any


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["no", "on", "~", "null", "1e3", "007", "-", "a: b", "# x", "'", '"', "\\d", "a\\'b", "{a}", ""]
)


@given(st.lists(TEXTS | st.integers() | st.booleans(), max_size=4) | TEXTS)
def test_values_read_back_as_themselves(value: Any) -> None:
    """Quotes stand where a text could be read as anything else."""
    if isinstance(value, list) and any(abs(item) > 10**18 for item in value if type(item) is int):
        return
    text = f"key: {flow(value)}\n"
    assert parse_yaml(text.encode("utf-8", "surrogatepass"), Anything, "file").key == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"type": "float", "from": ["Load (%)"]}, '{type: float, from: ["Load (%)"]}'),
        (["cell_id", "timestamp"], "[cell_id, timestamp]"),
        (timedelta(minutes=15), "15min"),
        (timedelta(0), "0s"),
        ("no", '"no"'),
        (r"/(?P<value>\d+)/", r"'/(?P<value>\d+)/'"),
    ],
)
def test_values_are_short(value: Any, text: str) -> None:
    """Plain words stay plain, durations are as people write them."""
    assert flow(value) == text


def test_comments_are_wrapped_and_never_end_early() -> None:
    """A sentence with line breaks from a raw file stays within its comment."""
    lines = comment("one " * 60, "two\nkey: 1", indent=2)
    assert all(line.startswith("  # ") and len(line) <= 100 for line in lines)
    assert lines[-1] == "  # two key: 1"


def test_names_from_raw_files_are_shown_harmless() -> None:
    """Control characters and length are cut, so that a comment stays one line of text."""
    assert shown("a\nb\x1b[31m") == "'a�b�[31m'"
    assert shown("x" * 60) == f"'{'x' * 40}…'"

"""The dataset's rule for rows that repeat a key."""

import pandas as pd
import pytest

from rancast.datasets import Dataset
from rancast.duplicates import deduplicate


def dataset(rule: str) -> Dataset:
    """Cells with a number, a count and a word, under a duplicates rule."""
    return Dataset.model_validate(
        {
            "name": "cells",
            "kind": "events",
            "time": {"column": "at"},
            "key": ["cell"],
            "duplicates": rule,
            "columns": {
                "cell": {"type": "string"},
                "at": {"type": "timestamp"},
                "ms": {"type": "float"},
                "n": {"type": "integer"},
                "kind": {"type": "string"},
            },
        }
    )


def rows() -> pd.DataFrame:
    """Cell A once, B twice alike, C alike, differing and alike again (empty cells are alike)."""
    return pd.DataFrame(
        {
            "cell": pd.array(["A", "B", "B", "C", "C", "C"], dtype="str"),
            "at": pd.to_datetime(["2024-01-01"] * 6, utc=True),
            "ms": [1.0, 2.0, 2.0, 4.0, 8.0, 4.0],
            "n": pd.array([1, 2, 2, None, 5, None], dtype="Int64"),
            "kind": pd.array(["4G", "5G", "5G", None, "4G", None], dtype="str"),
            "_line": [2, 3, 4, 5, 6, 7],
        }
    )


@pytest.mark.parametrize(
    "rule, kept, conflicting, duplicates",
    [
        ("quarantine", [2, 3], [5, 6], 2),
        ("first", [2, 3, 5], [], 3),
        ("last", [2, 4, 7], [], 3),
        ("mean", [2, 4, 7], [], 3),
    ],
)
def test_the_rule_says_which_row_of_a_key_stays(
    rule: str, kept: list[int], conflicting: list[int], duplicates: int
) -> None:
    """Equal rows are one whatever the rule, which keeps, averages or sets aside differing ones."""
    done = deduplicate(rows(), dataset(rule))
    assert sorted(done.kept["_line"]) == kept
    assert sorted(done.conflicting["_line"]) == conflicting
    assert done.duplicates == duplicates


def test_the_mean_is_taken_over_rows_that_differ() -> None:
    """Numbers are averaged without empty cells, integers rounded, everything else is the last's."""
    done = deduplicate(rows(), dataset("mean")).kept.set_index("cell").loc["C"]
    assert done["ms"] == 6.0
    assert done["n"] == 5
    assert pd.isna(done["kind"])

"""What is written down of a row that is set aside."""

import json

import numpy as np
import pandas as pd
import pytest

from rancast.quarantine import Finding, quarantine, shape


def rows() -> pd.DataFrame:
    """Two rows of a typed frame, the second with empty cells."""
    return pd.DataFrame(
        {
            "cell": pd.array(["A", None], dtype="str"),
            "ms": [-1.5, np.nan],
            "n": pd.array([7, None], dtype="Int64"),
            "at": pd.to_datetime(["2024-01-01T00:05Z", None]),
            "_blob": ["b.csv", "b.csv"],
            "_line": [2, 3],
        }
    )


def findings() -> list[Finding]:
    """Row 1 breaks two rules, row 2 the second and a third."""
    return [
        Finding("ms at least 0", "ms", np.array([True, False])),
        Finding("cell is known", "cell", np.array([True, True])),
        Finding("too late", "", np.array([False, True])),
    ]


def test_a_row_names_every_broken_rule_and_shows_the_first() -> None:
    """Rules are joined in order; column and value are those of the first one."""
    found = quarantine(rows(), findings(), ["cell", "ms", "n", "at"], is_private=False)
    expected = pd.DataFrame(
        {
            "blob": ["b.csv", "b.csv"],
            "line": [2, 3],
            "column": ["ms", "cell"],
            "rule": ["ms at least 0; cell is known", "cell is known; too late"],
            "value": ["-1.5", ""],
            "record": [
                '{"at":"2024-01-01T00:05:00+00:00","cell":"A","ms":-1.5,"n":7}',
                '{"at":null,"cell":null,"ms":null,"n":null}',
            ],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_a_record_is_json_whatever_its_cells_hold() -> None:
    """Quotes, line breaks, infinities and flags come back from the record as they were."""
    cells = {
        "word": pd.array(['a "b"\n\u00e9\\', None, "x"], dtype="str"),
        "ms": [np.inf, 0.1 + 0.2, -1e-300],
        "n": pd.array([2**53 + 1, None, -1], dtype="Int64"),
        "is_on": pd.array([True, None, False], dtype="boolean"),
    }
    frame = pd.DataFrame({**cells, "_blob": "b.csv", "_line": [2, 3, 4]})
    rule = [Finding("rule", "", np.array([True, True, True]))]
    found = quarantine(frame, rule, list(cells), is_private=False)
    assert [json.loads(record) for record in found["record"]] == [
        {"word": 'a "b"\n\u00e9\\', "ms": "inf", "n": 2**53 + 1, "is_on": True},
        {"word": None, "ms": 0.1 + 0.2, "n": None, "is_on": None},
        {"word": "x", "ms": -1e-300, "n": -1, "is_on": False},
    ]


def test_a_row_of_a_subscriber_shows_no_cell() -> None:
    """Of subscribers' rows only the shape of the cell is told, and no record."""
    found = quarantine(rows(), findings(), ["cell", "ms", "n", "at"], is_private=True)
    assert found["value"].tolist() == ["4 characters", "empty"]
    assert found["record"].tolist() == ["", ""]


@pytest.mark.parametrize(
    "text, words",
    [("262011234567890", "15 digits"), ("Churn", "5 letters"), ("", "empty"), ("1", "1 digit")],
)
def test_a_shape_tells_length_and_kind(text: str, words: str) -> None:
    """A shape says how many characters of which kind, and nothing else."""
    assert shape(text) == words

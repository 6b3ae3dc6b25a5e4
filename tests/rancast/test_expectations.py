"""Suites: what is read, what is refused, and how an expectation reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from rancast.datasets import Dataset, load_dataset
from rancast.errors import ConfigurationError
from rancast.expectations import Suite, load_suite, parse_suite

ROOT = Path(__file__).parents[2]


def expectation(type_: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    """An expectation as GX writes it; its id is made of its type and arguments."""
    name = f"{type_} {kwargs}"
    return {
        "type": type_,
        "kwargs": kwargs,
        "meta": {},
        "notes": "why",
        "id": name,
        "severity": severity,
    }


FRAME = [
    expectation("expect_table_row_count_to_be_between", min_value=1),
    expectation("expect_table_columns_to_match_set", column_set=["cell_id", "latency_ms"]),
]


def suite_text(*expectations: dict[str, Any], **fields: Any) -> bytes:
    """A suite file with the two checks of the frame and the given expectations."""
    return json.dumps({"name": "cells", "expectations": [*FRAME, *expectations], **fields}).encode()


def parse(*expectations: dict[str, Any], **fields: Any) -> Suite:
    """Parse `suite_text` as expectations/cells.json."""
    return parse_suite(suite_text(*expectations, **fields), "expectations/cells.json")


def cells() -> Dataset:
    """A dataset of two columns and a time."""
    return Dataset.model_validate(
        {
            "name": "cells",
            "kind": "events",
            "time": {"column": "timestamp"},
            "key": ["cell_id", "timestamp"],
            "columns": {
                "cell_id": {"type": "string"},
                "latency_ms": {"type": "float"},
                "timestamp": {"type": "timestamp"},
            },
        }
    )


@pytest.mark.parametrize(
    "type_, kwargs, sentence",
    [
        (
            "expect_column_values_to_be_between",
            {"column": "latency_ms", "min_value": 0.0, "max_value": 10000.0},
            "latency_ms between 0 and 10000",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "latency_ms", "min_value": 0, "strict_min": True},
            "latency_ms above 0",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "kind", "value_set": ["4G", "5G"]},
            "kind is one of {4G, 5G}",
        ),
        ("expect_column_values_to_not_be_null", {"column": "cell_id"}, "cell_id is present"),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "high", "column_B": "low", "or_equal": True},
            "high at least low",
        ),
        (
            "expect_column_mean_to_be_between",
            {"column": "latency_ms", "max_value": 0.25},
            "mean of latency_ms at most 0.25",
        ),
        (
            "expect_table_columns_to_match_set",
            {"column_set": ["a", "b"], "exact_match": False},
            "columns include a, b",
        ),
        (
            "expect_column_kl_divergence_to_be_less_than",
            {"column": "a", "threshold": 0.1},
            'column kl divergence to be less than: {"column": "a", "threshold": 0.1}',
        ),
    ],
)
def test_an_expectation_reads_as_a_sentence(
    type_: str, kwargs: dict[str, Any], sentence: str
) -> None:
    """An expectation is told in words with its bounds, whatever its type."""
    suite = parse(expectation(type_, "warning", **kwargs))
    assert suite.expectations[-1].sentence == sentence


def test_a_share_of_rows_is_part_of_the_sentence() -> None:
    """A warning with 'mostly' says in how many of the rows it must hold."""
    item = expectation("expect_column_values_to_not_be_null", "warning", column="a", mostly=0.95)
    assert parse(item).expectations[-1].sentence == "a is present in at least 0.95 of the rows"


@pytest.mark.parametrize(
    "item, words",
    [
        (
            expectation("expect_column_values_to_not_be_null", column="a", mostly=0.9),
            ["expectation 3", "on a", "'mostly'", "critical"],
        ),
        (
            expectation("expect_column_values_to_be_json_parseable", column="a"),
            ["expectation 3", "cannot be critical", "expect_column_values_to_be_between"],
        ),
        (
            expectation("expect_compound_columns_to_be_unique", column_list=["a", "b"]),
            ["expectation 3", "'duplicates'", "warning"],
        ),
        (
            expectation(
                "expect_column_values_to_not_be_null", column="a", row_condition='col("b") > 1'
            ),
            ["expectation 3", "row_condition"],
        ),
        (
            expectation("expect_column_values_to_be_in_set", column="a"),
            ["expectation 3", "value_set"],
        ),
        (
            expectation("expect_column_values_to_be_pretty", "warning", column="a"),
            ["expectation 3", "not known", "expect_column_values_to_be_null"],
        ),
        (
            expectation(
                "expect_column_max_to_be_between", column="a", max_value={"$PARAMETER": "high"}
            ),
            ["expectation 3", "suite parameter"],
        ),
        (
            {**expectation("expect_column_values_to_be_null", column="a"), "severity": "info"},
            ["expectations.2.severity", "'info'", "critical"],
        ),
        (
            {**expectation("expect_column_values_to_be_null", column="a"), "notes": ""},
            ["expectations.2.notes"],
        ),
        (
            {**expectation("expect_column_values_to_be_null", column="a"), "sevrity": "x"},
            ["sevrity", "severity"],
        ),
        (FRAME[0], ["twice"]),
    ],
)
def test_an_expectation_that_cannot_work_is_refused(item: dict[str, Any], words: list[str]) -> None:
    """What a suite may not say is refused by its file, expectation, cause and the way out."""
    with pytest.raises(ConfigurationError) as caught:
        parse(item)
    for word in ["expectations/cells.json", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("missing, wanted", [(0, "row_count"), (1, "columns_to_match")])
def test_a_suite_without_the_checks_of_the_frame_is_refused(missing: int, wanted: str) -> None:
    """A suite must count rows and columns, since an empty frame passes every check of values."""
    text = json.dumps({"name": "cells", "expectations": [FRAME[1 - missing]]}).encode()
    with pytest.raises(ConfigurationError, match=wanted):
        parse_suite(text, "expectations/cells.json")


@pytest.mark.parametrize(
    "text", [b'{"name": "cells", "name": "cells"}', b"{", b"\xff", b"[]", b'{"name": "cells"}']
)
def test_a_file_that_is_no_suite_is_refused_by_name(text: bytes) -> None:
    """Broken JSON, repeated keys and missing parts are errors that name the file."""
    with pytest.raises(ConfigurationError, match="expectations/cells.json"):
        parse_suite(text, "expectations/cells.json")


def test_a_column_that_the_dataset_lacks_is_refused() -> None:
    """A typo in a suite's column is an error with the known ones, not a refused partition."""
    suite = parse(expectation("expect_column_values_to_not_be_null", column="cell"))
    with pytest.raises(ConfigurationError, match="'cell'.*known: cell_id, latency_ms, timestamp"):
        suite.check(cells())


def test_a_rule_on_a_column_that_it_cannot_judge_is_refused() -> None:
    """Bounds on text would quarantine nothing or everything, so they are an error."""
    item = expectation("expect_column_values_to_be_between", column="cell_id", min_value=0)
    with pytest.raises(ConfigurationError, match="'cell_id' of type string"):
        parse(item).check(cells())


def test_an_unknown_suite_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """A name without a file lists what there is."""
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "cells.json").write_bytes(suite_text())
    with pytest.raises(ConfigurationError, match="suite 'cell' not found; known: cells"):
        load_suite(tmp_path, "cell")


def test_a_suite_is_named_as_its_file(tmp_path: Path) -> None:
    """A suite under another's file name is refused."""
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "calls.json").write_bytes(suite_text())
    with pytest.raises(ConfigurationError, match='calls.json says "name": "cells"'):
        load_suite(tmp_path, "calls")


SHIPPED = sorted(
    path
    for folder in ("expectations", "examples/*/expectations")
    for path in ROOT.glob(f"{folder}/*.json")
)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_suite_fits_its_dataset(path: Path) -> None:
    """Each suite that we ship names its dataset's columns, and each expectation says why."""
    home = path.parents[1]
    suite = load_suite(home, path.stem)
    dataset = load_dataset(home, path.stem)
    suite.check(dataset)
    (columns,) = (item for item in suite.expectations if "column_set" in item.kwargs)
    assert set(columns.kwargs["column_set"]) == set(dataset.columns)
    assert all(len(item.note) > 20 for item in suite.expectations)


def test_the_three_datasets_and_the_examples_have_suites() -> None:
    """Every dataset that we ship has a suite."""
    assert {path.stem for path in SHIPPED} >= {
        "network_performance",
        "customer_experience",
        "call_detail_records",
        "ucc_5g",
        "cell_traffic",
    }

"""Great Expectations as it really judges: held against our masks, our words and our promises."""

import gc
import json
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.expectations import (
    ROW_SENTENCES,
    TABLE_SENTENCES,
    Expectation,
    Suite,
    Verdict,
    load_suite,
    parse_suite,
)
from rancast.partitions import Partition
from rancast.quarantine import as_quarantine
from rancast.reading import Inventory
from rancast.references import Source
from rancast.row_rules import ROW_RULES, ROW_TYPES, as_judged, rows_breaking
from tasks import validation
from tasks.validation import judge, validate

ROOT = Path(__file__).parents[2]
DAY = date(2024, 3, 5)
# GX compares pairs of times by Series.values
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")
SUITES = sorted(
    path
    for folder in ("expectations", "examples/*/expectations")
    for path in ROOT.glob(f"{folder}/*.json")
)
NEED_SQL = {
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}


def expectation(type_: str, severity: str = "critical", **kwargs: Any) -> Expectation:
    """An expectation; its id is made of its type and arguments."""
    identity = f"{type_} {json.dumps(kwargs, sort_keys=True)}"
    values = {"type": type_, "kwargs": kwargs, "severity": severity, "notes": "why"}
    return Expectation.model_validate(values | {"id": identity})


def one(type_: str, frame: pd.DataFrame, is_private: bool = False, **kwargs: Any) -> Verdict:
    """Judge a frame by one expectation."""
    suite = Suite(name="one", expectations=(expectation(type_, "warning", **kwargs),))
    (verdict,) = judge(frame, suite, is_private).values()
    return verdict


def test_every_type_of_great_expectations_is_known_as_row_or_table() -> None:
    """A type that a new GX adds or renames must be sorted here before a suite may use it."""
    from great_expectations.expectations import expectation as kinds
    from great_expectations.expectations import registry

    maps = (
        kinds.ColumnMapExpectation,
        kinds.ColumnPairMapExpectation,
        kinds.MulticolumnMapExpectation,
    )
    every = registry.list_registered_expectation_implementations()
    core = {name: registry.get_expectation_impl(name) for name in every}
    rows = {name for name, kind in core.items() if issubclass(kind, maps)}
    assert rows - NEED_SQL == ROW_TYPES
    assert set(core) - rows - NEED_SQL == set(TABLE_SENTENCES)
    assert set(ROW_SENTENCES) <= ROW_TYPES


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_shipped_suite_is_as_great_expectations_writes_it(path: Path) -> None:
    """GX loads each suite that we ship and writes the very same JSON."""
    import great_expectations as gx

    text = json.loads(path.read_text())
    suite = gx.ExpectationSuite(**text)
    assert suite.to_json_dict() == text
    assert parse_suite(path.read_bytes(), path.name).name == path.stem


def test_a_suite_of_great_expectations_is_read_with_all_it_holds() -> None:
    """What GX writes by its own classes is accepted, with notes, ids and severities."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    made = gx.ExpectationSuite(
        name="cells",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(min_value=1, notes="why"),
            gxe.ExpectTableColumnsToMatchSet(column_set=["a"], notes=["why", "again"]),
            gxe.ExpectColumnMaxToBeBetween(column="a", max_value=3, severity="warning", notes="y"),
        ],
    )
    for number, item in enumerate(made.expectations):
        item.id = str(number)
    suite = parse_suite(json.dumps(made.to_json_dict()).encode(), "cells.json")
    assert [item.severity for item in suite.expectations] == ["critical", "critical", "warning"]
    assert suite.expectations[1].note == "why again"


FLOATS = [0.0, -0.0, 1.0, 1.0000000000000002, 10.0, -1.0, 1e300, np.inf, -np.inf, np.nan]
INTEGERS = [0, 1, 10, -1, 2**40, None]
WORDS = ["4G", "5G", "5G\n", "", " ", "nan", "None", "é", "x" * 65, "4g", "1", None]
TIMES = ["2024-03-05T00:00:00Z", "2024-03-05T00:00:00.000001Z", "2024-03-06T00:00:00Z", None]
CELLS = (FLOATS, FLOATS, INTEGERS, INTEGERS[:-1], WORDS, WORDS, [True, False, None], TIMES, TIMES)


def typed(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A frame with every type of column, as the reader types them."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 9
    return pd.DataFrame(
        {
            "a": np.array(columns[0], dtype=float),
            "b": np.array(columns[1], dtype=float),
            "n": pd.array(columns[2], dtype="Int64"),
            "m": pd.array(columns[3], dtype="Int64"),
            "s": pd.array(columns[4], dtype="str"),
            "t": pd.array(columns[5], dtype="str"),
            "is_on": pd.array(columns[6], dtype="boolean"),
            "at": pd.Series(pd.to_datetime(columns[7], format="ISO8601", utc=True)).dt.as_unit(
                "us"
            ),
            "to": pd.Series(pd.to_datetime(columns[8], format="ISO8601", utc=True)).dt.as_unit(
                "us"
            ),
        }
    )


NOON = "2024-03-05T00:00:00+00:00"
RULES = Suite(
    name="every_rule",
    expectations=tuple(
        [
            *[
                expectation(f"expect_column_values_to_{rule}", column=column)
                for column in ("a", "n", "m", "s", "is_on", "at")
                for rule in ("not_be_null", "be_null")
            ],
            *[
                expectation(
                    "expect_column_values_to_be_between", **({"column": column} | bounds | strict)
                )
                for column in ("a", "n", "m")
                for bounds in ({"min_value": 0, "max_value": 10}, {"min_value": 1.0})
                for strict in ({}, {"strict_min": True}, {"strict_min": True, "strict_max": True})
            ],
            *[
                expectation("expect_column_values_to_be_between", column="at", **bounds)
                for bounds in (
                    {"max_value": NOON},
                    {"min_value": NOON, "strict_min": True},
                    {"max_value": NOON, "strict_max": True},
                )
            ],
            *[
                expectation(f"expect_column_values_to_{rule}_set", column=column, value_set=values)
                for rule in ("be_in", "not_be_in")
                for column, values in (
                    ("a", [0, 1, 10]),
                    ("n", [0, 10]),
                    ("m", [0, 2**40]),
                    ("s", ["4G", "5G", "nan", ""]),
                    ("is_on", [True]),
                )
            ],
            *[
                expectation(f"expect_column_values_to_{rule}_regex", column="s", regex=regex)
                for rule in ("match", "not_match")
                for regex in (r"^[45]G$", r"\s", r"^(?!x).*$", "^.{1,64}$", "n")
            ],
            expectation("expect_column_value_lengths_to_equal", column="s", value=2),
            *[
                expectation("expect_column_value_lengths_to_be_between", column="s", **bounds)
                for bounds in (
                    {"min_value": 1, "max_value": 64},
                    {"min_value": 1, "strict_min": True},
                    {"max_value": 2, "strict_max": True},
                    {"min_value": 0, "max_value": 2, "strict_min": True, "strict_max": True},
                )
            ],
            *[
                expectation(
                    "expect_column_pair_values_a_to_be_greater_than_b",
                    column_A=first,
                    column_B=second,
                    **options,
                )
                for first, second in (("a", "b"), ("n", "m"), ("a", "n"), ("at", "to"))
                for options in (
                    {},
                    {"or_equal": True},
                    {"ignore_row_if": "either_value_is_missing"},
                    {"ignore_row_if": "neither"},
                )
            ],
            *[
                expectation(
                    "expect_column_pair_values_to_be_equal",
                    column_A=first,
                    column_B=second,
                    **options,
                )
                for first, second in (("a", "b"), ("n", "m"), ("s", "t"), ("at", "to"))
                for options in ({}, {"ignore_row_if": "either_value_is_missing"})
            ],
        ]
    ),
)


def test_every_mask_is_held_against_great_expectations() -> None:
    """The rules below use every type that has a mask, those of the shipped suites among them."""
    assert {item.type for item in RULES.expectations} == set(ROW_RULES)
    shipped = [parse_suite(path.read_bytes(), path.name) for path in SUITES]
    used = {item.type for suite in shipped for item in suite.expectations if item.is_row}
    assert used <= {*ROW_RULES, *{item for item in ROW_TYPES if "unique" in item}}


@pytest.mark.parametrize("count", [0, 1, 8, 2000])
def test_masks_and_great_expectations_agree(count: int) -> None:
    """On empty cells, NaN, infinities, edges and odd text, a mask counts what GX counts."""
    chance = Random(count)
    frame = typed([tuple(chance.choice(cells) for cells in CELLS) for _ in range(count)])
    verdicts, plain = judge(frame, RULES, is_private=False), as_judged(frame)
    for item in RULES.expectations:
        verdict = verdicts[item.id]
        broken = rows_breaking(plain, item.type, item.kwargs)
        assert verdict.outcome == ("failed" if broken.any() else "passed"), (item.id, verdict)
        assert verdict.unexpected_rows == int(broken.sum()), item.id


def test_masks_mark_the_rows_that_great_expectations_marks() -> None:
    """Not only as many rows, but the same: each row judged alone by GX is as its mask says."""
    rows = [
        (1.0, np.nan, 1, 0, "4G", "4G", True, TIMES[0], TIMES[1]),
        (np.nan, np.nan, None, 1, None, None, None, None, None),
        (np.inf, 10.0, 10, 10, "", " ", False, TIMES[2], TIMES[2]),
    ]
    frame = typed(rows)
    masks = {
        item.id: rows_breaking(as_judged(frame), item.type, item.kwargs)
        for item in RULES.expectations
    }
    for number in range(len(rows)):
        alone = judge(frame.iloc[[number]], RULES, is_private=False)
        for identity, verdict in alone.items():
            assert (verdict.outcome == "failed") == masks[identity][number], (number, identity)


def test_what_could_not_be_evaluated_is_neither_passed_nor_failed() -> None:
    """A missing column and a wrong type are told with their reason, whichever shape GX gives it."""
    frame = pd.DataFrame({"s": pd.array(["4G"], dtype="str")})
    missing = one("expect_column_values_to_not_be_null", frame, column="gone")
    wrong = one("expect_column_values_to_be_between", frame, column="s", min_value=0)
    assert (missing.outcome, wrong.outcome) == ("could_not_evaluate", "could_not_evaluate")
    assert '"gone"' in missing.reason
    assert wrong.reason.startswith("TypeError")


@pytest.mark.parametrize(
    "info, outcome",
    [
        ({"raised_exception": False, "exception_message": None}, "failed"),
        (
            {"raised_exception": True, "exception_traceback": "E\nKeyError: 'x'"},
            "could_not_evaluate",
        ),
        (
            {"metric 1": {"raised_exception": True, "exception_traceback": "E\nKeyError: 'x'"}},
            "could_not_evaluate",
        ),
        ({"metric 1": {"raised_exception": False}}, "failed"),
        ({}, "failed"),
    ],
)
def test_both_shapes_of_exceptions_are_understood(info: dict[str, Any], outcome: str) -> None:
    """GX tells an exception flat or nested by metric."""
    item = expectation("expect_column_max_to_be_between", column="a", max_value=1)
    result = {"success": False, "exception_info": info, "result": {"observed_value": 2}}
    assert validation._verdict(item, result, is_private=False).outcome == outcome


@pytest.mark.parametrize(
    "type_, kwargs",
    [
        ("expect_column_values_to_not_be_null", {"column": "a", "mostly": 7}),
        ("expect_column_max_to_be_between", {"column": "a", "maximum": 7}),
        ("expect_column_quantile_values_to_be_between", {"column": "a"}),
    ],
)
def test_an_expectation_that_great_expectations_cannot_construct_is_an_error(
    type_: str, kwargs: dict[str, Any]
) -> None:
    """Arguments that GX does not take are told with the suite and the expectation."""
    with pytest.raises(ConfigurationError, match=f"expectations/one.json: .*{type_}"):
        one(type_, pd.DataFrame({"a": [1.0]}), **kwargs)


SECRET = "4917012345678"


@pytest.mark.parametrize(
    "type_, kwargs",
    [
        ("expect_column_values_to_be_in_set", {"column": "who", "value_set": ["x"]}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "who", "value_set": ["x"]}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "who", "value_set": ["x"]}),
        ("expect_column_max_to_be_between", {"column": "who", "max_value": 1}),
        (
            "expect_column_values_to_match_strftime_format",
            {"column": "who", "strftime_format": "%Y"},
        ),
    ],
)
def test_verdicts_on_subscribers_hold_no_cell(
    type_: str,
    kwargs: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither verdict nor log nor output repeats a cell, even where GX trips over it."""
    frame = pd.DataFrame({"who": pd.array([SECRET], dtype="str")})
    verdict = one(type_, frame, is_private=True, **kwargs)
    out, err = capfd.readouterr()
    assert verdict.outcome != "passed"
    assert SECRET not in verdict.model_dump_json() + out + err + caplog.text


def test_an_aggregate_over_one_subscriber_is_withheld() -> None:
    """The maximum of a column is somebody's cell; of other datasets it is told."""
    frame = pd.DataFrame({"minutes": [77.0]})
    kwargs = {"column": "minutes", "max_value": 1}
    assert "77" not in one("expect_column_max_to_be_between", frame, True, **kwargs).observed
    assert one("expect_column_max_to_be_between", frame, **kwargs).observed == "77"


@pytest.mark.parametrize("is_private", [True, False])
def test_an_exception_that_quotes_a_cell_is_told_by_its_type(is_private: bool) -> None:
    """Of subscribers only the type of an exception is told, of others its message, too."""
    message = f"could not convert string to float: '{SECRET}'\n{SECRET}"
    trace = f"Traceback (most recent call last):\n  File x\nValueError: {message}\n\nThe above"
    info = {"raised_exception": True, "exception_traceback": trace, "exception_message": message}
    item = expectation("expect_column_max_to_be_between", column="who", max_value=1)
    verdict = validation._verdict(item, {"exception_info": {"metric": info}}, is_private)
    assert verdict.reason.startswith("ValueError")
    assert (SECRET in verdict.reason) != is_private


def test_counts_on_subscribers_are_told() -> None:
    """How many rows and how many different values there were is nobody's secret."""
    frame = pd.DataFrame({"who": pd.array([SECRET, "x"], dtype="str")})
    kwargs = {"column": "who", "min_value": 9}
    verdict = one("expect_column_unique_value_count_to_be_between", frame, True, **kwargs)
    assert (verdict.outcome, verdict.observed) == ("failed", "2")


def test_great_expectations_stays_quiet(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No progress bar, no log line at any level, and the logger is as it was before."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    caplog.set_level(logging.DEBUG)
    one("expect_column_max_to_be_between", pd.DataFrame({"a": [1.0]}), column="a", max_value=0)
    one("expect_column_values_to_be_null", pd.DataFrame({"a": [1.0]}), column="b")
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("great_exp")]
    assert logger.level == before


def test_threads_get_their_own_verdicts() -> None:
    """Partitions validated at the same time in one process are not mixed up."""
    suite = Suite(
        name="cells",
        expectations=(
            expectation("expect_column_values_to_be_between", column="a", min_value=0),
            expectation("expect_table_row_count_to_equal", value=3),
        ),
    )

    def is_right(number: int) -> bool:
        bad, rows = number % 3, 3 + number % 2
        frame = pd.DataFrame({"a": [-1.0] * bad + [1.0] * (rows - bad)})
        values, count = judge(frame, suite, is_private=False).values()
        return (values.unexpected_rows, count.observed) == (bad, str(rows))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_right, range(40)))


def test_validations_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """GX is never entered without the process-wide lock, since its project is process-wide."""
    is_locked = []
    fresh = validation._context

    def context() -> Any:
        is_locked.append(validation._ONE_AT_A_TIME.locked())
        return fresh()

    monkeypatch.setattr(validation, "_context", context)
    one("expect_column_values_to_not_be_null", pd.DataFrame({"a": [1.0]}), column="a")
    assert is_locked and all(is_locked)


def test_a_validated_frame_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """GX's process-wide project must not keep the last partition in memory."""
    kept = []

    def watched(frame: pd.DataFrame) -> pd.DataFrame:
        plain = as_judged(frame)
        kept.append(weakref.ref(plain))
        return plain

    monkeypatch.setattr(validation, "as_judged", watched)
    one("expect_column_values_to_not_be_null", pd.DataFrame({"a": [1.0]}), column="a")
    gc.collect()
    assert kept and all(reference() is None for reference in kept)


def network() -> Dataset:
    """Our network_performance with a generous limit, as far as validation looks at it."""
    return Dataset.model_validate(
        {
            "name": "network_performance",
            "kind": "periodic",
            "time": {"column": "timestamp", "period": "5min"},
            "key": ["cell_id", "timestamp"],
            "entity": "cell_id",
            "duplicates": "last",
            "expected": "daily",
            "quarantine_limit": 0.9,
            "columns": {
                "timestamp": {"type": "timestamp"},
                "cell_id": {"type": "string"},
                "latency_ms": {"type": "float"},
                "packet_loss_ratio": {"type": "float"},
                "throughput_mbps": {"type": "float"},
                "signal_strength_dbm": {"type": "float"},
                "connection_type": {"type": "string"},
            },
        }
    )


GOOD = {
    "timestamp": "2024-03-05T00:00Z",
    "cell_id": "CELL_0001",
    "latency_ms": 20.0,
    "packet_loss_ratio": 0.01,
    "throughput_mbps": 80.0,
    "signal_strength_dbm": -90.0,
    "connection_type": "5G",
}


def network_day(*changes: dict[str, Any], rows: int | None = None) -> Partition:
    """Validate good rows, each changed in some cells, against the shipped suite."""
    records = [
        {**GOOD, "timestamp": f"2024-03-05T{number:02d}:00Z", **change}
        for number, change in enumerate(changes)
    ]
    frame = pd.DataFrame(records, columns=list(GOOD))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).dt.as_unit("us")
    for name, column in network().columns.items():
        if column.type != "timestamp":
            frame[name] = frame[name].astype("str" if column.type == "string" else "float64")
    frame["_blob"] = pd.array(["a.csv"] * len(frame), dtype="str")
    frame["_line"] = np.arange(2, len(frame) + 2)
    nothing = as_quarantine(
        dict.fromkeys(("blob", "line", "column", "rule", "value", "record"), [])
    )
    source = Source(blob="a.csv", sha256="0" * 64, rows=len(frame))
    inventory = Inventory(sources=(source,), refusals=(), entities=("CELL_0001",))
    suite = load_suite(ROOT, "network_performance")
    return validate(frame, nothing, inventory, network(), suite, DAY, ())


def test_the_suite_of_the_network_catches_each_kind_of_nonsense() -> None:
    """Each broken cell sets its row aside with the rule named; the good rows stay."""
    done = network_day(
        {},
        {"latency_ms": -12.5},
        {"throughput_mbps": 1e12},
        {"packet_loss_ratio": 17.3},
        {"cell_id": "cell 12"},
        {"signal_strength_dbm": 90.0, "connection_type": "6G"},
        {"latency_ms": np.inf},
        {"latency_ms": np.nan},
    )
    assert done.report.rows.curated == 2 and not done.report.is_refused
    assert done.quarantined["rule"].tolist() == [
        "latency_ms between 0 and 10000",
        "throughput_mbps between 0 and 10000",
        "packet_loss_ratio between 0 and 1",
        "cell_id matches ^[A-Za-z0-9_.:/-]{1,64}$",
        "signal_strength_dbm between -140 and -20; "
        "connection_type is one of {2G, 3G, 4G, LTE, 5G, NR}",
        "latency_ms between 0 and 10000",
    ]


def test_every_result_is_in_the_report() -> None:
    """The report has each expectation of the suite, then the dataset's own rules."""
    done = network_day({}, {"latency_ms": -1.0})
    suite = load_suite(ROOT, "network_performance")
    results = done.report.results
    assert [item.type for item in results[: len(suite.expectations)]] == [
        item.type for item in suite.expectations
    ]
    assert {item.type for item in results[len(suite.expectations) :]} >= {
        "dataset.columns",
        "dataset.tolerance",
        "dataset.duplicates",
        "dataset.quarantine_limit",
        "dataset.minimum_coverage",
        "dataset.expected",
    }
    broken = [item for item in results if item.quarantined_rows]
    assert [(item.column, item.unexpected_rows) for item in broken] == [("latency_ms", 1)]


def test_an_empty_day_is_refused() -> None:
    """A file with a header alone passes every check of values, and the count refuses it."""
    done = network_day()
    assert done.report.is_refused
    assert "'number of rows at least 1' does not hold (0)" in done.report.refusal
    assert (len(done.curated), len(done.quarantined)) == (0, 0)


def test_a_critical_expectation_that_cannot_be_evaluated_refuses() -> None:
    """A rule that GX trips over lets nothing pass: its reason is the refusal's."""
    suite = load_suite(ROOT, "network_performance")
    broken = expectation(
        "expect_column_values_to_be_between", column="timestamp", min_value="2024-01-01"
    )
    both = suite.model_copy(update={"expectations": (*suite.expectations, broken)})
    day = pd.DataFrame({**GOOD, "_blob": "a.csv", "_line": 2}, index=[0])
    day["timestamp"] = pd.to_datetime(day["timestamp"], utc=True).dt.as_unit("us")
    nothing = as_quarantine(
        dict.fromkeys(("blob", "line", "column", "rule", "value", "record"), [])
    )
    inventory = Inventory(sources=(), refusals=(), entities=("CELL_0001",))
    done = validate(day, nothing, inventory, network(), both, DAY, ())
    assert done.report.is_refused
    assert "could not be evaluated (InvalidComparison: Invalid comp" in done.report.refusal

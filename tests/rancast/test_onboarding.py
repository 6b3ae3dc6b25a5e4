"""A draft from a sample: it loads, it reads its own sample, and it says why it guesses what."""

import json
import re
from datetime import date
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rancast.documents import parse_yaml
from rancast.errors import ConfigurationError, DataError
from rancast.features import build
from rancast.frames import to_parquet
from rancast.onboarding import Draft, draft, typed_table
from rancast.schemas import schema_text
from rancast.targets import label
from rancast.use_cases import UseCase
from tests.rancast.drafts import SCHEMAS, column, csv, drafted, sample, stamps, text_of

CELLS = ("Dublin-1", "Dublin-2", "Cork-1")
KPIS = csv(
    "CellName,PeriodStart,Latency(ms),Loss,Tech",
    (
        (cell, at, 10 + place % 17 / 4, place % 13 / 100, "5G" if cell == "Cork-1" else "LTE")
        for place, at in enumerate(stamps(288))
        for cell in CELLS
    ),
)


def test_a_periodic_feed_is_drafted() -> None:
    """One row per cell and five minutes: kind, period, key, entity, names and types follow."""
    dataset = drafted(KPIS).dataset
    assert dataset.model_dump(
        include={"kind", "key", "entity", "duplicates", "expected"}, exclude_none=True
    ) == {
        "kind": "periodic",
        "key": ("cell_name", "period_start"),
        "entity": "cell_name",
        "duplicates": "quarantine",
        "expected": "no",
    }
    assert (str(dataset.time.period), dataset.time.stamped_at) == ("0:05:00", "start")
    assert {name: (item.type, item.aliases) for name, item in dataset.columns.items()} == {
        "cell_name": ("string", ("CellName",)),
        "period_start": ("timestamp", ("PeriodStart",)),
        "latency_ms": ("float", ("Latency(ms)",)),
        "loss": ("float", ("Loss",)),
        "tech": ("string", ("Tech",)),
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "# yaml-language-server: $schema=../docs/schemas/dataset.json",
        "864 records of 1 file",
        "861 of 861 gaps between rows of one cell_name are 5 min",
        "cell_name and period_start tell all 864 different rows of the sample apart",
        "0 rows repeat another in every column; 0 repeat a key and differ",
        "ISO 8601: 864 of 864 cells, 2024-03-01 00:00 to 2024-03-01 23:55",
        "UNKNOWN: the stamps have no offset",
        "the column is called the start of something",
        "cut at each comma, 200 of 200 lines have 5 fields",
        "864 cells are numbers, 10 to 14",
        "unit unknown: a share of 1? then end it with _ratio",
        "2 different texts of 2 to 3 characters",
    ],
)
def test_each_guess_has_its_evidence(sentence: str) -> None:
    """Comments say in numbers what a guess was made from."""
    text = " ".join(line.strip("# ") for line in drafted(KPIS).dataset_yaml.splitlines())
    assert sentence.strip("# ") in text


def test_every_column_stands_under_a_comment() -> None:
    """A person finds the evidence right above each column but the clock, whose is at `time`."""
    lines = drafted(KPIS).dataset_yaml.splitlines()
    for name in ("cell_name", "latency_ms", "loss", "tech"):
        (place,) = [at for at, line in enumerate(lines) if line.startswith(f"  {name}: {{")]
        assert lines[place - 1].startswith("  # ")


def test_the_suite_says_what_held() -> None:
    """Sure rules are critical, extents of a sample warn, and each has notes."""
    suite = drafted(KPIS).suite
    found = {
        (rule.type.removeprefix("expect_"), rule.columns, rule.severity)
        for rule in suite.expectations
    }
    assert found == {
        ("table_columns_to_match_set", (), "critical"),
        ("table_row_count_to_be_between", (), "critical"),
        ("column_values_to_not_be_null", ("cell_name",), "critical"),
        ("column_values_to_not_be_null", ("period_start",), "critical"),
        ("column_proportion_of_non_null_values_to_be_between", ("latency_ms",), "warning"),
        ("column_proportion_of_non_null_values_to_be_between", ("loss",), "warning"),
        ("column_proportion_of_non_null_values_to_be_between", ("tech",), "warning"),
        ("column_values_to_be_between", ("latency_ms",), "warning"),
        ("column_values_to_be_between", ("loss",), "warning"),
        ("column_values_to_be_in_set", ("cell_name",), "warning"),
        ("column_values_to_be_in_set", ("tech",), "warning"),
        ("compound_columns_to_be_unique", ("cell_name", "period_start"), "warning"),
    }
    (latency,) = [
        rule.kwargs for rule in suite.expectations if rule.sentence.startswith("latency_ms between")
    ]
    assert latency == {"column": "latency_ms", "min_value": 8.0, "max_value": 16.0}
    assert all(rule.note for rule in suite.expectations)


def test_a_first_use_case_fits_the_draft() -> None:
    """The use case forecasts a measure of the feed, and its embargo covers the horizon."""
    found = drafted(KPIS, use_case="latency_soon")
    text = found.use_case_yaml or ""
    assert text.startswith("# yaml-language-server: $schema=../docs/schemas/use_case.json")
    case = yaml.safe_load(text)
    assert case["target"] == {"within": "30min", "mean": "latency_ms", "observed": 0.8}
    assert case["features"]["current"] == ["latency_ms", "loss"]
    assert case["split"]["embargo"] == "30min"


@pytest.mark.parametrize(
    "word", ["null", "Null", "yes", "no", "on", "OFF", "true", "~", "1:30", ".nan"]
)
@pytest.mark.parametrize("header", ["{},cell,load", "at,{},load", "at,cell,{}"])
def test_columns_whose_names_are_values_of_yaml_are_drafted(word: str, header: str) -> None:
    """As the time, the entity or the measure: quoted, so that the name stays a name."""
    rows = [
        (at, cell, place % 17 / 4)
        for place, at in enumerate(stamps(288))
        for cell in ("Cork", "Dublin")
    ]
    found = drafted(csv(header.format(word), rows), use_case="soon")
    (guess,) = [guess for guess in found.guesses.columns if guess.raw == word]
    assert guess.name in found.dataset.columns
    plain = set(yaml.safe_load(found.dataset_yaml)["columns"])
    assert plain == set(found.dataset.columns)


CARRIERS = csv(
    "Time,CELL,Carrier,DL Volume (MB),Latency(ms),class",
    (
        (at, cell, carrier, size + place % 50, 20 + place % 17 / 4, place % 90)
        for place, at in enumerate(stamps(120, minutes=60))
        for cell in ("C0", "C1")
        for carrier, size in (("L0800", 1000), ("L1800", 10), ("L2600", 1))
    ),
)


def test_rows_of_carriers_are_added_up_to_the_cell() -> None:
    """Where a cell has a row per carrier, the draft names KPIs and says why; what a use case makes
    of the sample by them is the sum or the mean of all carriers, and never one carrier's."""
    found = drafted(CARRIERS, use_case="first")
    dataset, case = found.dataset, case_of(found)
    assert (dataset.key, dataset.entity) == (("cell", "carrier", "timestamp"), "cell")
    assert {name: (kpi.numerator, kpi.denominator) for name, kpi in dataset.kpis.items()} == {
        "total_dl_volume_mb": ("dl_volume_mb", None),
        "mean_latency_ms": ("latency_ms", "1"),
    }
    why = "one cell has several rows at a time, which differ in carrier"
    assert why in words_of(found.dataset_yaml) and why in words_of(str(found.use_case_yaml))
    day = date(2024, 3, 3)
    X = build([found.pulled.typed], case.feature_view(), dataset, day)
    places = [48 + hour for hour in range(24)] * 2
    assert X["total_dl_volume_mb"].tolist() == [1011 + 3 * (place % 50) for place in places]
    assert X["mean_latency_ms"].tolist() == pytest.approx([20 + p % 17 / 4 for p in places])
    at = X[["cell", "timestamp"]].set_axis(["entity", "time"], axis="columns")
    y = label(at, [found.pulled.typed], case.table_view(), dataset)["y"]
    assert y.tolist()[:23] == pytest.approx(X["mean_latency_ms"].tolist()[1:24])


def case_of(found: Draft) -> UseCase:
    """Return the drafted use case."""
    return parse_yaml(str(found.use_case_yaml).encode(), UseCase, "first")


def words_of(text: str) -> str:
    """Return a draft without its line breaks within comments."""
    return re.sub(r"\n *# *", " ", text)


@pytest.mark.parametrize("kind", ["dataset", "use_case"])
def test_drafts_satisfy_the_published_schema(kind: str) -> None:
    """An editor has no complaint about a drafted file."""
    found = drafted(KPIS, use_case="latency_soon")
    text = found.dataset_yaml if kind == "dataset" else found.use_case_yaml or ""
    jsonschema.Draft202012Validator(json.loads(schema_text(kind))).validate(yaml.safe_load(text))


def test_equal_samples_give_equal_drafts() -> None:
    """Nothing in a draft depends on chance or on the time of day."""
    assert text_of(drafted(KPIS, use_case="soon")) == text_of(drafted(KPIS, use_case="soon"))


def test_a_table_without_a_time_takes_the_day_of_its_folder() -> None:
    """No column is a time: the folder's day is, and all columns together are the key."""
    rows = [(1, 0.5, "x"), (1, 0.5, "y"), (2, 0.25, "x"), (2, 0.75, "x"), (2, 0.75, "x")]
    found = drafted(csv("calls,share,kind", rows))
    assert found.dataset.key == ("calls", "share", "kind", "delivery_day")
    assert found.dataset.time.column == "delivery_day"
    assert "1 row repeat another in every column" in found.dataset_yaml
    assert found.pulled.typed["delivery_day"].nunique() == 1


def test_a_use_case_needs_a_time_and_an_entity() -> None:
    """Where the sample has neither, no use case is drafted, and the error says why."""
    rows = [(place, place / 7) for place in range(40)]
    with pytest.raises(DataError, match="its sample has no time and no entity"):
        drafted(csv("calls,share", rows), use_case="soon")


def test_a_name_that_is_none_is_refused() -> None:
    """The dataset's name has a form, told before anything is written."""
    with pytest.raises(ConfigurationError, match="name"):
        draft(sample(KPIS), "My Feed", SCHEMAS)


def test_parquet_is_drafted_from_its_own_types() -> None:
    """Times and numbers that a file stores as such need no format."""
    frame = pd.DataFrame(
        {
            "cell": ["A"] * 4,
            "at": pd.date_range("2024-03-01", periods=4, freq="15min", tz="UTC"),
            "load": [1.5, 2.5, np.nan, 0.5],
        }
    )
    found = drafted(to_parquet(frame), suffix="parquet")
    assert (found.dataset.kind, found.dataset.time.format) == ("periodic", None)
    assert "Parquet stores them as times" in found.dataset_yaml
    assert "format:" not in found.dataset_yaml
    assert column(found, "load").type == "float"


def test_a_column_that_some_files_lack_is_not_required() -> None:
    """A file of last year without the new counter is no fault."""
    old = csv("timestamp,cell_id,load", [(at, "A", 1) for at in stamps(4)])
    new = csv(
        "timestamp,cell_id,load,users", [(at, "A", 1, 2) for at in stamps(4, day="2024-03-02")]
    )
    found = drafted(old, new)
    assert not found.dataset.columns["users"].required and found.dataset.columns["load"].required
    assert "in 1 of 2 files only" in found.dataset_yaml


def test_files_of_two_feeds_are_told_apart() -> None:
    """Files whose headers have little in common are not one dataset."""
    with pytest.raises(DataError, match="files are of 2 feeds: a.csv and b.csv share 1 of 5"):
        drafted(KPIS, csv("CellName", [["A"]]))


def test_what_the_reader_would_reject_becomes_text() -> None:
    """A second look by the product's own reader: a column it cannot type loses no row."""
    repaired = ["soon", *stamps(39)]
    rows = [(at, "A", cell, 1.5) for at, cell in zip(stamps(40), repaired, strict=True)]
    found = drafted(csv("timestamp,cell_id,repaired_on,load", rows))
    assert found.dataset.columns["repaired_on"].type == "string"
    assert "1 cell would be rejected as timestamp" in found.dataset_yaml


def test_a_table_is_typed_for_an_audit() -> None:
    """The same guesses give numbers, times and texts under the raw names."""
    frame = typed_table(sample("Time;Load;Kind\n01.03.2024 10:00;1,5;a\n13.03.2024 10:00;-;b\n"))
    assert frame["Load"].tolist()[0] == 1.5 and np.isnan(frame["Load"].iloc[1])
    assert frame["Time"].dt.day.tolist() == [1, 13] and frame["Kind"].tolist() == ["a", "b"]


WORDS = st.sampled_from(["-", "NULL", "NA", "", "n/a", "x", "007", "1.5", "2", "-3", "1e3", "true"])
FEW = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\n\"'"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(WORDS, st.floats(-1e6, 1e6, width=32).map(str), st.integers(0, 9), FEW),
        min_size=1,
        max_size=40,
    )
)
def test_no_sample_loses_a_record_by_its_own_draft(rows: list[tuple[Any, ...]]) -> None:
    """Whatever stands in the cells: the draft loads, and reads its sample with nothing rejected."""
    frame = pd.DataFrame(rows, columns=["mark", "number", "count", "note"]).astype(str)
    frame.insert(0, "at", stamps(len(rows)))
    drafted(frame.to_csv(index=False, lineterminator="\n"))

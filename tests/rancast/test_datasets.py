"""Dataset files: typos and contradictions are refused by name, and those that we ship load."""

import json
from pathlib import Path
from typing import Any

import pytest

from rancast.datasets import Dataset, known_datasets, load_dataset, schema
from rancast.documents import canonical_json, parse_yaml
from rancast.errors import ConfigurationError
from tests.rancast.feeds import CALLS, CELLS
from tests.servers import CHECKOUT

SHIPPED = [(CHECKOUT, name) for name in known_datasets(CHECKOUT)] + [
    (home, name)
    for home in sorted((CHECKOUT / "examples").iterdir())
    for name in known_datasets(home)
]


def refusal(changes: dict[str, Any], usual: dict[str, Any] = CELLS) -> str:
    """Parse a dataset with some keys replaced, which is refused, and return the error."""
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml(json.dumps(usual | changes).encode(), Dataset, "datasets/x.yaml")
    return str(caught.value)


@pytest.mark.parametrize(("home", "name"), SHIPPED)
def test_shipped_datasets_load(home: Path, name: str) -> None:
    """Each of them, and none is without a word on what it is."""
    assert load_dataset(home, name).description


def test_the_three_feeds_of_an_operator_are_there() -> None:
    """With the columns that its use cases build upon, and subscribers in one domain."""
    assert known_datasets(CHECKOUT) == [
        "call_detail_records",
        "customer_experience",
        "network_performance",
    ]
    domains = {
        domain
        for name in known_datasets(CHECKOUT)
        for domain in load_dataset(CHECKOUT, name).pseudonymise.values()
    }
    assert domains == {"subscriber"}


def test_an_unknown_dataset_is_refused_with_the_known_ones() -> None:
    """A typo shows what was meant."""
    with pytest.raises(ConfigurationError) as caught:
        load_dataset(CHECKOUT, "network_performence")
    assert str(caught.value) == (
        "dataset 'network_performence' not found; known: call_detail_records, "
        "customer_experience, network_performance."
    )


def test_the_name_inside_is_the_name_of_the_file(tmp_path: Path) -> None:
    """Else two files could claim one dataset."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "other.yaml").write_text(json.dumps(CELLS))
    with pytest.raises(ConfigurationError, match="make the two names equal"):
        load_dataset(tmp_path, "other")


def test_a_dataset_survives_json() -> None:
    """As the arguments of a task do; the digest is then the same."""
    for usual in (CELLS, CALLS):
        dataset = Dataset.model_validate(usual)
        again = Dataset.model_validate_json(canonical_json(dataset))
        assert again == dataset
        assert canonical_json(again) == canonical_json(dataset)


def test_the_schema_for_editors_speaks_as_the_files_do() -> None:
    """`from`, as people write it."""
    column = schema()["$defs"]["Column"]["properties"]
    assert "from" in column
    assert "aliases" not in column


def test_expected_no_needs_no_quotes() -> None:
    """In YAML 1.1 it would be false."""
    text = json.dumps({key: CELLS[key] for key in CELLS if key != "expected"})[:-1]
    dataset = parse_yaml((text + ",\nexpected: no}").encode(), Dataset, "x.yaml")
    assert dataset.expected == "no"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expectd": "daily"}, "'expectd' is not a known key; known here: name, description"),
        ({"key": ["cell"]}, "key names 'cell', which is not among the columns: cell_id, timestamp"),
        ({"entity": "cell"}, "entity names 'cell', which is not among the columns"),
        ({"entity": None}, "a periodic dataset needs an entity"),
        ({"key": ["cell_id"]}, "its key must hold 'cell_id' and 'timestamp'"),
        ({"time": {"column": "timestamp"}}, "a periodic dataset needs time.period"),
        ({"time": {"column": "cell_id"}}, "the time column 'cell_id' must have type timestamp"),
        ({"volume": [1, 2]}, "volume is for events"),
        ({"tolerance": "-1h"}, "tolerance is -1 day, 23:00:00; it cannot be negative"),
        ({"tolerance": 3}, "'tolerance' is '3': 3 is not a duration"),
        ({"from_path": {"note": "("}}, "the pattern of 'note' does not compile"),
        ({"from_path": {"note": "x"}}, "the pattern of 'note' has no group (?P<value>...)"),
        ({"ignore": ["note"]}, "the raw name 'note' stands for two things"),
        ({"pseudonymise": {"latency_ms": "x"}}, "identifiers are strings"),
        ({"columns": {}}, "'columns'"),
        ({"columns": {"Cell Id": {"type": "string"}}}, "'Cell Id': a name has lower-case letters,"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    """The error names the key and what is wrong with it."""
    assert message in refusal(changes)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"typ": "float"}, "'columns.x.typ' is not a known key; known here: type, from, missing"),
        ({"type": "number"}, "'columns.x.type' is 'number'"),
        ({"type": "float", "missing": [-200]}, "write it in quotes, such as '-200'"),
        ({"type": "float", "missing": [None]}, "write it in quotes"),
        ({"type": "string", "values": {"a": True}}, "write it in quotes"),
        ({"type": "integer", "scale": 10}, "scale and offset need type float, not integer"),
        ({"type": "float", "scale": 0}, "scale is 0"),
        ({"type": "float", "from": ["note"]}, "the raw name 'note' stands for two things"),
    ],
)
def test_bad_columns_are_refused(column: dict[str, Any], message: str) -> None:
    """With the column's name in the key."""
    assert message in refusal({"columns": CELLS["columns"] | {"x": column}})


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ({"timezone": "Europe/Cork"}, "'Europe/Cork' is not an IANA time zone"),
        ({"format": "%Q"}, "'%Q' is not a strptime format"),
        ({"format": "%c %Z"}, "names of zones are ambiguous"),
        ({"format": "%Y-%m-%d %I:%M"}, "has the hours of a half day without %p"),
        ({"format": "%H:%M"}, "does not say the year, the month and the day"),
        ({"period": "0s"}, "it must be longer than nothing"),
        ({"period": "1 fortnight"}, "'1 fortnight' is not a duration"),
        ({"period": None, "stamped_at": "end"}, "'stamped_at: end' needs the period"),
    ],
)
def test_bad_times_are_refused(time: dict[str, Any], message: str) -> None:
    """Before any file is read."""
    assert message in refusal({"time": CELLS["time"] | time})


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"delimiter": ",,"}, "',,' cannot separate fields"),
        ({"delimiter": '"'}, "cannot separate fields"),
        ({"encoding": "utf-16"}, "'utf-16' is not an encoding"),
        ({"encoding": "klingon"}, "'klingon' is not an encoding"),
        ({"encoding": "cp037"}, "'cp037' does not contain ASCII"),
        ({"header": False}, "'names' goes with 'header: false'"),
        ({"names": ["a"]}, "'names' goes with 'header: false'"),
        ({"header": False, "names": ["cell_id", "cell_id"]}, "names has 'cell_id' twice"),
        ({"header": False, "names": ["x"]}, "format.names has 'x', which no column is taken from"),
        ({"header": False, "names": ["cell_id"]}, "leads to the required column 'timestamp'"),
    ],
)
def test_bad_formats_are_refused(form: dict[str, Any], message: str) -> None:
    """The dialect must be one that can be read."""
    assert message in refusal({"format": form})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum_coverage": 0.5}, "minimum_coverage is for periodic datasets"),
        ({"volume": [9, 1]}, "volume is [9, 1]: the fewest rows come first"),
        ({"from_path": {"caller_id": "(?P<value>.)"}}, "taken from the blob's name"),
        ({"pseudonymise": {"caller": "subscriber"}}, "pseudonymise names 'caller'"),
    ],
)
def test_contradictions_of_events_are_refused(changes: dict[str, Any], message: str) -> None:
    """Events have a volume and subscribers, and neither coverage nor names in paths."""
    assert message in refusal(changes, CALLS)

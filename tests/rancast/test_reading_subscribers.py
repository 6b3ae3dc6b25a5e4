"""Datasets with subscribers: pseudonyms in the typed rows, and nobody's cells anywhere else."""

import gzip

import pandas as pd
import pytest

from rancast.datasets import Dataset
from rancast.errors import ConfigurationError
from rancast.pseudonyms import pseudonym
from rancast.reading import Pulled, read_partition
from tests.rancast.feeds import CALLS, KEY, read

CANARY = "353861234567"
HEADER = b"call_id,timestamp,caller_id,seconds\n"
GOOD = b"C1,2024-03-01T10:00:00Z,353861234567,60\n"
DATASET = Dataset.model_validate(CALLS)


def told(pulled: Pulled) -> str:
    """Everything that leaves the reader, as one text."""
    frames = (frame.to_csv() for frame in (pulled.typed, pulled.rejected))
    return "".join([*frames, pulled.inventory.model_dump_json()])


def test_identifiers_become_pseudonyms() -> None:
    """One person written in three ways is one pseudonym, and the number is gone."""
    rows = GOOD + GOOD.replace(b"3538", b"+353 8") + GOOD.replace(b"3538", b"003538")
    pulled = read(HEADER + rows, DATASET)
    assert pulled.typed["caller_id"].tolist() == [pseudonym(CANARY, "subscriber", KEY)] * 3
    assert pulled.typed["caller_id"].dtype == "str"
    assert CANARY not in told(pulled)


def test_a_missing_identifier_stays_missing() -> None:
    """A pseudonym of nothing would join strangers."""
    pulled = read(HEADER + GOOD.replace(b"353861234567", b""), DATASET)
    assert pulled.typed["caller_id"].isna().all()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            HEADER + GOOD + b"C2,2024-03-01T10:00:00Z,353861234567,353861234567x\n",
            ("seconds", "seconds is not a whole number", "13 characters"),
        ),
        (
            HEADER + GOOD + b"C2,353861234567,353861234567,60\n",
            ("timestamp", "timestamp is not an ISO 8601 time", "12 digits"),
        ),
        (HEADER + GOOD + b"C2,353861234567\n", ("", "record has 2 fields instead of 4", "15 char")),
        (HEADER + GOOD + b",2024-03-01T10:00:00Z,353861234567,1\n", ("call_id", "", "empty")),
    ],
)
def test_a_rejected_record_shows_shapes_only(data: bytes, expected: tuple[str, str, str]) -> None:
    """Blob, line, column, rule and shape suffice to find the cell in the raw container."""
    pulled = read(data, DATASET)
    (found,) = pulled.rejected.to_dict("records")
    column, rule, shape = expected
    assert (found["column"], found["line"], found["record"]) == (column, 3, "")
    assert found["rule"].startswith(rule)
    assert found["value"].startswith(shape)
    assert CANARY not in told(pulled)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", GOOD * 2),  # no header: its first cells would be unknown columns
        ("a.csv", HEADER.replace(b"seconds", b"353861234567") + GOOD),
        ("a.csv", HEADER.replace(b"caller_id", b"353861234567") + GOOD),
        ("a.csv", HEADER.replace(b"call_id", b"353861234567,353861234567") + GOOD),
        ("a.csv", b'"353861234567\n' + GOOD),
        ("a.csv", HEADER + GOOD * 3 + GOOD.replace(b"C1", b"\xff") * 3),
        ("a.csv.gz", gzip.compress(HEADER + GOOD * 50, mtime=0)[:-9]),
        ("a.parquet", HEADER + GOOD),
        ("a.txt", HEADER + GOOD),
    ],
)
def test_a_refused_file_shows_nobody(name: str, data: bytes) -> None:
    """Not in the refusal, and not in the records that it rejects."""
    pulled = read(data, DATASET, name)
    assert pulled.typed.empty
    assert len(pulled.inventory.refusals) == 1
    assert CANARY not in told(pulled)
    assert set(pulled.rejected["record"]) <= {""}


def test_an_unknown_column_is_told_by_its_place_and_shape() -> None:
    """It might be the first cell of a file without a header."""
    pulled = read(HEADER.replace(b"seconds", b"353861234567") + GOOD, DATASET)
    (refusal,) = pulled.inventory.refusals
    assert "has the unknown column of 12 digits (number 4)" in refusal


def test_a_short_key_is_refused() -> None:
    """Pseudonyms under a guessable key are none."""
    with pytest.raises(ConfigurationError, match="RANCAST_PSEUDONYM_KEY has 3 bytes"):
        read_partition({}, DATASET, b"key")


def test_datasets_join_on_pseudonyms() -> None:
    """The customer of one dataset is the caller of another, under one domain and one key."""
    columns = {"customer_id": {"type": "string"}, "timestamp": {"type": "timestamp"}}
    customers = Dataset.model_validate(
        CALLS
        | {
            "name": "customers",
            "key": ["customer_id"],
            "columns": columns,
            "pseudonymise": {"customer_id": "subscriber"},
        }
    )
    one = read(b"customer_id,timestamp\n+353-86-1234567,2024-03-01T00:00:00Z\n", customers).typed
    two = read(HEADER + GOOD, DATASET).typed
    joined = pd.merge(one, two, left_on="customer_id", right_on="caller_id", validate="1:m")
    assert joined["seconds"].tolist() == [60]

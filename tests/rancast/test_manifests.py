"""The manifest of a partition: what a reader finds, and what it refuses to take for one."""

import json
from datetime import date
from typing import Any

import pandas as pd
import pytest

from rancast.documents import canonical_json
from rancast.errors import DataError
from rancast.manifests import count_by_rule, parse_manifest, partition_folder
from rancast.references import Reference
from rancast.steps import StepEntry, manifest_of
from tests.rancast.outcomes import partition

CURATED = Reference(uri="curated/kpis/x.parquet", digest="d", rows=9, key="k")


def manifest(**changes: Any) -> bytes:
    """Return the manifest of a validated partition, some of its fields replaced."""
    entry = StepEntry(
        key="k",
        step="validate_partition",
        code="c",
        inputs={},
        config={},
        outputs={"curated": CURATED},
        facts={"manifest": partition(1).model_dump(mode="json")},
    )
    return canonical_json(manifest_of(entry) | changes)


def test_what_a_step_writes_is_what_a_reader_finds() -> None:
    """The facts of a partition, its files and its digest come back as they were."""
    found = parse_manifest(manifest(), "m")
    assert (found.schema_version, found.step, found.key) == (1, "validate_partition", "k")
    assert (found.date, found.rows, found.curated) == (date(2024, 3, 1), partition(1).rows, CURATED)
    assert found.digest == json.loads(manifest())["digest"]


@pytest.mark.parametrize("data", [manifest(schema_version=2), manifest(rows=None), b"{", b"[]"])
def test_what_this_version_does_not_read_is_an_error_with_the_next_step(data: bytes) -> None:
    """Another schema version, a lost field and broken JSON name the manifest and what to do."""
    with pytest.raises(DataError, match=r"curated/m.json .* version 1: .*run the ingest"):
        parse_manifest(data, "curated/m.json")


def test_partitions_lie_by_dataset_and_day() -> None:
    """The folder of a partition is what people outside of the code rely on."""
    assert partition_folder("kpis", date(2024, 3, 1)) == "curated/kpis/date=2024-03-01"


def test_a_row_counts_for_the_first_rule_that_it_broke() -> None:
    """Rows are counted once each, by name of rule, however many rules they broke."""
    rules = pd.DataFrame({"rule": ["b is present", "a is a number; b is present", "b is present"]})
    assert count_by_rule(rules) == {"a is a number": 1, "b is present": 2}
    assert count_by_rule(rules[:0]) == {}

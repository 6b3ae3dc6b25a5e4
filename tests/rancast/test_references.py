"""References and counts: what steps hand each other is plain, and says what it must."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from rancast.references import RawBlob, Reference, RowCounts, jsonable


@pytest.mark.parametrize("duplicates", [0, 2])
def test_rows_that_do_not_add_up_cannot_be_told(duplicates: int) -> None:
    """raw = curated + quarantined + duplicates: a lost row is refused, and an invented one."""
    assert RowCounts(raw=10, curated=7, quarantined=2, duplicates=1).raw == 10
    with pytest.raises(ValidationError, match="10 raw rows are not 7 curated"):
        RowCounts(raw=10, curated=7, quarantined=2, duplicates=duplicates)


def test_when_a_blob_was_changed_is_not_written_down() -> None:
    """A listing's times are for people, and would make equal content differ."""
    at = datetime(2024, 3, 1, tzinfo=UTC)
    blob = RawBlob(name="a.csv", size=3, etag="e", modified=at)
    assert blob.model_dump() == {"name": "a.csv", "size": 3, "etag": "e", "md5": None}


def test_documents_become_plain_values_at_any_depth() -> None:
    """Documents in lists and mappings, dates and lengths of time become JSON's own values."""
    reference = Reference(uri="a", digest="d")
    plain = {"uri": "a", "digest": "d", "rows": None, "key": None}
    given = {"inputs": [reference, (reference,)], "day": date(2024, 3, 1), "n": 1}
    assert jsonable(given) == {"inputs": [plain, [plain]], "day": "2024-03-01", "n": 1}
    assert jsonable(timedelta(minutes=30)) == "P0DT0H30M0S"

"""References and counts: what steps hand each other is plain, and says what it must."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rancast.references import RawBlob, Reference, RowCounts, jsonable


@pytest.mark.parametrize(
    "counts, expected", [((10, 7, 2, 1), True), ((10, 7, 2, 0), False), ((10, 7, 2, 2), False)]
)
def test_rows_add_up_or_do_not(counts: tuple[int, int, int, int], expected: bool) -> None:
    """raw = curated + quarantined + duplicates: a lost row shows, and an invented one."""
    raw, curated, quarantined, duplicates = counts
    rows = RowCounts(raw=raw, curated=curated, quarantined=quarantined, duplicates=duplicates)
    assert rows.add_up() is expected


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

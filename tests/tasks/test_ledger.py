"""The ledger: the first to pin wins, and the champion moves only from the expected one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rancast.champions import Champion, Kind, Pointer, Promotion
from rancast.errors import ChampionChanged, RegistryError, StorageError, WriteConflict
from tasks.ledger import Ledger
from tasks.storage import open_store

AT = datetime(2024, 3, 20, tzinfo=UTC)


@pytest.fixture()
def ledger(tmp_path: Path) -> Ledger:
    """A ledger in an empty folder."""
    return Ledger(open_store((tmp_path / "lake").as_uri(), setting="RANCAST_LAKE_URL"))


def promotion(version: int, after: Pointer | None, fingerprint: str = "") -> Promotion:
    """Return the entry that makes `version` champion after `after`."""
    return Promotion(
        sequence=(after.sequence if after else 0) + 1,
        kind="promotion",
        champion=Champion(
            version=version,
            fingerprint=fingerprint or f"f{version}",
            model_sha256="s",
            candidate="ridge",
            training_key="t",
            train_end="2024-03-13T00:00:00+00:00",
        ),
        previous=after.champion.version if after else None,
        reasons=("better",),
        by="schedule",
        at=AT,
    )


def test_the_first_pin_wins(ledger: Ledger) -> None:
    """Whoever pins second gets the first value back."""
    assert ledger.pinned("mlflow/runs/k") is None
    assert ledger.pin("mlflow/runs/k", {"run_id": "a"}) == {"run_id": "a"}
    assert ledger.pin("mlflow/runs/k", {"run_id": "b"}) == {"run_id": "a"}
    assert ledger.pinned("mlflow/runs/k") == {"run_id": "a"}


def test_sixteen_at_once_agree_on_one_pin(ledger: Ledger) -> None:
    """Concurrent pins all return the same value."""
    with ThreadPoolExecutor(16) as pool:
        values = list(pool.map(lambda n: ledger.pin("x", {"n": n})["n"], range(16)))
    assert len(set(values)) == 1


def test_no_champion_before_the_first_promotion(ledger: Ledger) -> None:
    """A ledger without a pointer says so, and does not invent one."""
    assert ledger.pointer("network_degradation") is None


def test_a_promotion_appends_to_the_history(ledger: Ledger) -> None:
    """Each promotion keeps all earlier entries and names what was champion before."""
    first = ledger.advance("uc", None, promotion(1, None))
    second = ledger.advance("uc", first, promotion(2, first))
    assert [entry.champion.version for entry in second.history] == [1, 2]
    assert (second.champion.version, second.previous, second.sequence) == (2, 1, 2)
    assert ledger.pointer("uc") == second


def test_an_unexpected_champion_stops_the_promotion(ledger: Ledger) -> None:
    """A decision made against another champion than the present one changes nothing."""
    first = ledger.advance("uc", None, promotion(1, None))
    ledger.advance("uc", first, promotion(2, first))
    with pytest.raises(WriteConflict, match="its version is now 2"):
        ledger.advance("uc", first, promotion(3, first))
    pointer = ledger.pointer("uc")
    assert pointer is not None and pointer.champion.version == 2


@pytest.mark.parametrize("kind", ["promotion", "approval", "manual", "rollback", "revert"])
def test_a_conflict_says_whether_a_retry_decides_anew(ledger: Ledger, kind: Kind) -> None:
    """A decision by gates or an answer is decided again by a retry, a change by hand is not."""
    first = ledger.advance("uc", None, promotion(1, None))
    ledger.advance("uc", first, promotion(2, first))
    late = promotion(3, first).model_copy(update={"kind": kind})
    with pytest.raises(WriteConflict) as caught:
        ledger.advance("uc", first, late)
    is_decided_again = kind in ("promotion", "approval")
    assert isinstance(caught.value, ChampionChanged) is not is_decided_again
    assert ("Retry the run" in str(caught.value)) is is_decided_again


def test_promoting_the_champion_again_changes_nothing(ledger: Ledger) -> None:
    """A retried promotion finds its model champion and adds no second entry."""
    first = ledger.advance("uc", None, promotion(1, None))
    assert ledger.advance("uc", None, promotion(1, None)) == first
    assert ledger.pointer("uc") == first


def test_of_sixteen_first_promotions_one_wins(ledger: Ledger) -> None:
    """Concurrent first promotions of different models leave one champion and 15 conflicts."""

    def attempt(version: int) -> bool:
        try:
            ledger.advance("uc", None, promotion(version, None))
        except WriteConflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(attempt, range(1, 17)))
    pointer = ledger.pointer("uc")
    assert won.count(True) == 1 and pointer is not None and pointer.sequence == 1
    assert pointer.champion.version == won.index(True) + 1


def test_of_sixteen_equal_promotions_all_agree(ledger: Ledger) -> None:
    """Copies that promote the same model at once all see it champion, with one entry."""
    with ThreadPoolExecutor(16) as pool:
        pointers = list(
            pool.map(lambda _: ledger.advance("uc", None, promotion(1, None)), range(16))
        )
    assert {pointer.content() for pointer in pointers} == {pointers[0].content()}
    assert pointers[0].sequence == 1


def test_history_cannot_be_rewritten(ledger: Ledger) -> None:
    """An entry that does not follow the present champion is refused."""
    first = ledger.advance("uc", None, promotion(1, None))
    with pytest.raises(RegistryError, match="sequence"):
        ledger.advance("uc", first, promotion(2, None))


def test_history_answers_who_was_champion_at_a_time(ledger: Ledger) -> None:
    """Before the first promotion nobody was; afterwards the latest entry before that time."""
    pointer = ledger.advance("uc", None, promotion(1, None))
    assert pointer.champion_at(datetime(2024, 3, 19, tzinfo=UTC)) is None
    champion = pointer.champion_at(datetime(2024, 3, 21, tzinfo=UTC))
    assert champion is not None and champion.version == 1


def test_an_unreadable_entry_is_an_error_with_the_next_step(ledger: Ledger) -> None:
    """A damaged pointer never counts as 'no champion yet'."""
    ledger.lake.write("ledger/promotions/uc.json", b'{"use_case": "uc"}')
    with pytest.raises(StorageError, match="restore it from a backup"):
        ledger.pointer("uc")

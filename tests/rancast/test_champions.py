"""The history of champions: it only grows, and each entry follows the one before."""

from datetime import UTC, datetime, timedelta

import pytest

from rancast.champions import (
    Change,
    Kind,
    Pointer,
    Promotion,
    advance,
    check_inputs,
    declared,
    history_rows,
    rollback_target,
    stated,
)
from rancast.documents import parse_yaml
from rancast.errors import ModelRefused, RegistryError, RequestRefused
from rancast.use_cases import UseCase
from tests.faults import tiny
from tests.rancast.outcomes import fit, history, pointer, promotion

HAND: Kind = "manual"


def change(expected: Pointer | None, version: int = 6) -> Change:
    """A rollback that was planned against this history."""
    return Change(
        use_case="tiny",
        kind="rollback",
        champion=promotion(version).champion,
        expected=expected,
        reasons=("alarms at night",),
        by="Ada",
        flow_run="run-1",
    )


def test_the_first_promotion_begins_the_history() -> None:
    """Without a pointer, sequence 1 after nobody is accepted."""
    first = advance(None, "tiny", promotion(4))
    assert (first.champion.version, first.previous, first.sequence) == (4, None, 1)
    assert first.use_case == "tiny"


def test_a_promotion_keeps_all_earlier_entries() -> None:
    """The newest entry names the champion and who was before; the others stay as they are."""
    second = advance(pointer(promotion(4)), "tiny", promotion(6, 4, 2))
    assert (second.champion.version, second.previous, second.sequence) == (6, 4, 2)
    assert second.history[0] == promotion(4)


@pytest.mark.parametrize(
    "entry", [promotion(6, None, 1), promotion(6, 4, 1), promotion(6, 3, 2), promotion(6, 4, 3)]
)
def test_an_entry_that_does_not_follow_is_refused(entry: Promotion) -> None:
    """Another predecessor, or a sequence number that is not the next one, rewrites nothing."""
    with pytest.raises(RegistryError, match=r"version 6 .* champion 4 at sequence 1"):
        advance(pointer(promotion(4)), "tiny", entry)


def test_who_was_champion_at_a_moment() -> None:
    """Nobody before the first entry; then the last entry up to that moment, its own included."""
    history = pointer(promotion(4), promotion(6, 4, 2))
    moments = [datetime(2024, 2, 29, tzinfo=UTC), *(entry.at for entry in history.history)]
    found = [history.champion_at(moment) for moment in moments]
    assert [champion and champion.version for champion in found] == [None, 4, 6]


def test_equal_histories_at_other_times_have_equal_content() -> None:
    """When it happened is not part of what happened; who, and in which order, is."""
    later = promotion(4).model_copy(update={"at": datetime(2025, 1, 1, tzinfo=UTC)})
    assert pointer(promotion(4)).content() == pointer(later).content()
    assert pointer(promotion(4)).content() != pointer(promotion(5)).content()


def test_two_clocks_that_differ_leave_the_history_in_order() -> None:
    """An entry whose writer's clock is late gets the time of the one before; at each time there is
    one champion."""
    late = promotion(6, 4, 2).model_copy(update={"at": datetime(2024, 2, 1, tzinfo=UTC)})
    second = advance(pointer(promotion(4)), "tiny", late)
    assert second.history[1].at == second.history[0].at
    assert [second.champion_at(entry.at) for entry in second.history] == [second.champion] * 2
    assert second.champion_at(second.history[0].at - timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    "entries, earlier",
    [
        ([(1, "promotion")], None),
        ([(1, "promotion"), (2, "promotion")], 1),
        ([(1, "promotion"), (2, "promotion"), (3, "approval"), (2, "rollback")], 1),
        ([(1, "promotion"), (2, "promotion"), (1, "rollback")], None),
        ([(1, "promotion"), (2, "promotion"), (1, "rollback"), (3, "promotion")], 1),
        ([(1, "promotion"), (2, HAND), (1, HAND), (3, "promotion"), (1, "rollback")], 2),
        ([(1, "promotion"), (2, "promotion"), (3, "promotion"), (1, "rollback")], None),
        # a change that failed its check counts as not made
        ([(1, "promotion"), (2, "promotion"), (3, HAND), (2, "revert")], 1),
        ([(1, "promotion"), (2, "promotion"), (1, "rollback"), (2, "revert")], 1),
    ],
)
def test_each_rollback_goes_one_champion_further_back(
    entries: list[tuple[int, Kind]], earlier: int | None
) -> None:
    """Without a version, a rollback leads to the champion before, and never to one that was itself
    rolled back."""
    found = history(*entries).earlier
    assert (found and found.version) == earlier


def test_a_rollback_names_its_target_or_takes_the_champion_before() -> None:
    """A version that was champion is taken by its number, and by default it is the one before."""
    known = history((1, "promotion"), (2, "promotion"), (3, "promotion"))
    assert rollback_target(known, "tiny", None) == 2
    assert rollback_target(known, "tiny", 1) == 1


@pytest.mark.parametrize(
    "entries, version, sentence",
    [
        ([], None, "no champion yet"),
        ([(4, "promotion")], None, "no champion before it"),
        ([(4, "promotion"), (6, "promotion")], 6, "is the champion of tiny already"),
        ([(4, "promotion"), (6, "promotion")], 5, r"never champion.*champions so far: 4, 6"),
    ],
)
def test_a_rollback_to_nowhere_is_refused(
    entries: list[tuple[int, Kind]], version: int | None, sentence: str
) -> None:
    """Without a champion before, to the present one, and to one that never was, there is no way
    back; the error says what there is."""
    known = history(*entries) if entries else None
    with pytest.raises(RequestRefused, match=sentence):
        rollback_target(known, "tiny", version)


def test_a_change_is_an_entry_and_its_revert_is_one_more() -> None:
    """A change names who asked, why, in which run; taken back, the champion before is champion
    again, and the history has both."""
    before = history((4, "promotion"), (6, "promotion"))
    at = datetime(2024, 4, 1, tzinfo=UTC)
    entry = change(before, 4).entry(at)
    assert (entry.kind, entry.by, entry.reasons) == ("rollback", "Ada", ("alarms at night",))
    moved = advance(before, "tiny", entry)
    assert moved.entry_of("run-1", "rollback") == entry and not moved.entry_of("run-1", "revert")
    reverted = advance(moved, "tiny", change(before, 4).revert(moved, "golden row 3.", at))
    assert (reverted.champion.version, reverted.previous, reverted.sequence) == (6, 4, 4)
    assert (
        reverted.history[:3] == moved.history and "golden row 3" in reverted.history[3].reasons[0]
    )


def test_the_first_champion_cannot_be_taken_back() -> None:
    """Where there was nobody before, a failed check says what to do, and history stays."""
    first = advance(None, "tiny", change(None).entry(datetime(2024, 4, 1, tzinfo=UTC)))
    with pytest.raises(RegistryError, match="no champion before it to go back to"):
        change(None).revert(first, "golden row 3.", datetime(2024, 4, 1, tzinfo=UTC))


def test_a_model_that_people_took_back_is_known_until_it_is_champion_again() -> None:
    """A rollback and a failed check take a model back; a better champion does not."""
    known = history((1, "promotion"), (2, "promotion"), (1, "rollback"), (3, "promotion"))
    taken = known.withdrawal_of("f2")
    assert taken is not None and taken.kind == "rollback"
    assert known.withdrawal_of("f1") is None and known.withdrawal_of("f3") is None
    again = history((1, "promotion"), (2, "promotion"), (1, "rollback"), (2, "manual"))
    assert again.withdrawal_of("f2") is None
    beaten = history((1, "promotion"), (2, "promotion"), (1, "rollback"), (2, "manual"), (3, HAND))
    assert beaten.withdrawal_of("f2") is None


@pytest.mark.parametrize(
    "signature, features, sentence",
    [
        (("load_ratio", "other"), "load_ratio", "differs from its card in other"),
        (("load_ratio",), "latency_ms", "needs the features load_ratio, which use case tiny"),
    ],
)
def test_a_model_that_the_use_case_no_longer_feeds_is_refused(
    signature: tuple[str, ...], features: str, sentence: str
) -> None:
    """Card, MLflow signature and the features of the use case have to agree."""
    use_case = with_features(features)
    with pytest.raises(ModelRefused, match=sentence):
        check_inputs(fit("ridge", 1.0).card, signature, use_case)
    check_inputs(fit("ridge", 1.0).card, ("load_ratio",), with_features("load_ratio"))


def with_features(*current: str) -> UseCase:
    """The tiny use case, which makes these features."""
    text = tiny.USE_CASE.replace(
        "current: [load_ratio, latency_ms]", f"current: [{', '.join(current)}]"
    )
    return parse_yaml(text.encode(), UseCase, "tiny.yaml")


def test_a_change_has_a_reason_and_a_name_as_declared() -> None:
    """An empty reason is refused with the field named; who gives no name is so recorded."""
    assert stated("  alarms\n at night ", "reason") == "alarms at night"
    with pytest.raises(RequestRefused, match="^reason is empty"):
        stated(" \n", "reason")
    assert (declared(" Ada "), declared(" "), declared(None)) == ("Ada", *["not declared"] * 2)


def test_the_history_as_a_table_is_newest_first_and_without_gaps() -> None:
    """Each row ends where the next begins, the newest is champion now, and names are labelled."""
    rows = history_rows(history((4, "promotion"), (6, "approval"), (4, "rollback")))
    assert [(row["version"], row["kind"]) for row in rows] == [
        (4, "rollback"),
        (6, "approval"),
        (4, "promotion"),
    ]
    assert rows[0]["until"] == "now" and rows[1]["until"] == rows[0]["from"]
    assert rows[2]["until"] == rows[1]["from"] and rows[0]["by (as declared)"] == "schedule"

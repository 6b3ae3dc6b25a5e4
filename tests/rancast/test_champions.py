"""The history of champions: it only grows, and each entry follows the one before."""

from datetime import UTC, datetime

import pytest

from rancast.champions import Promotion, advance
from rancast.errors import RegistryError
from tests.rancast.outcomes import pointer, promotion


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

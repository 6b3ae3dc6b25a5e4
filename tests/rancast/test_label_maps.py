"""Cluster 3 stays cluster 3: what becomes of numbers when a new model is champion."""

import numpy as np
import pytest

from rancast.errors import DataError
from rancast.label_maps import carry, first_map, numbered


def labels(text: str) -> np.ndarray:
    """Return a row's label for each digit."""
    return np.array([float(digit) for digit in text])


def test_the_first_champion_counts_from_one_by_size() -> None:
    """The largest cluster is 1; one that no row is in comes last."""
    assert first_map(labels("0112222"), range(4)) == {2: 1, 1: 2, 0: 3, 3: 4}


@pytest.mark.parametrize(
    ("new", "champion", "expected"),
    [
        ("111000222", "333111222", {0: 1, 1: 3, 2: 2}),  # the same, numbered otherwise
        ("111000022", "333111122", {0: 1, 1: 3, 2: 2}),
        ("000111122", "333333322", {0: 4, 1: 3, 2: 2}),  # split: the larger part keeps it
        ("000000022", "333311122", {0: 3, 1: 4, 2: 2}),  # merged: the larger one gives it
        ("000111222", "333111111", {0: 3, 1: 1, 2: 4}),  # a cluster more
        ("012012012", "111222333", {0: 4, 1: 5, 2: 6}),  # nothing of the old is left
    ],
    ids=["swapped", "swapped, uneven", "split", "merged", "new", "unrelated"],
)
def test_numbers_are_carried_over(new: str, champion: str, expected: dict[int, int]) -> None:
    """Clusters take over the number of the one they are; others get one above all used."""
    found = carry(labels(new), labels(champion), sorted({int(digit) for digit in "01" + new}), 3)
    assert found == expected


def test_a_number_that_was_used_is_never_used_again() -> None:
    """New clusters count on from the highest number that any champion had."""
    assert carry(labels("0011"), labels("1111"), (0, 1), 7) in ({0: 1, 1: 8}, {0: 8, 1: 1})
    assert carry(labels("0001"), labels("1112"), (0, 1, 2), 7) == {0: 1, 1: 2, 2: 8}


def test_labels_are_shown_by_their_numbers() -> None:
    """The map is applied to a model's labels; one that it does not have is an error."""
    assert numbered(labels("0120"), {0: 5, 1: 1, 2: 3}).tolist() == [5.0, 1.0, 3.0, 5.0]
    with pytest.raises(DataError, match="gave the clusters 2.*known: 0, 1"):
        numbered(labels("012"), {0: 5, 1: 1})

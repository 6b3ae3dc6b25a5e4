"""Pseudonyms: the same person under one word, which only the key can make."""

import pandas as pd
import pytest

from rancast.pseudonyms import canonical, key_id, pseudonym, pseudonymise

KEY = b"sixteen bytes or more"


@pytest.mark.parametrize(
    "written",
    ["353861234567", "+353 86 123 4567", "00353861234567", " 00353-86-1234567 ", "+353(86)123.4567"]
    + ["+353\u00a086\u00a01234567", "\uff13\uff15\uff13861234567"],
)
def test_one_number_in_many_spellings(written: str) -> None:
    """International forms, separators and full-width digits do not matter."""
    assert canonical(written) == "353861234567"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("086 123 4567", "861234567"),  # national: no country is known
        ("000123", "0123"),  # account numbers, padded
        ("00123", "123"),  # too short for a telephone number
        ("C-000123", "C000123"),
        ("ab12", "AB12"),
        ("272011234567890", "0272011234567890"),
    ],
)
def test_different_identifiers_stay_different(one: str, other: str) -> None:
    """Two accounts must not become one person."""
    assert canonical(one) != canonical(other)


def test_a_pseudonym_is_a_keyed_digest() -> None:
    """HMAC-SHA256 of domain, NUL and canonical form; pinned, since a change would cut all joins."""
    assert pseudonym("+353 86 123 4567", "subscriber", KEY) == "fcb7585b0d129b6810a2f0b0ab1e653a"


def test_domain_and_key_matter() -> None:
    """Another domain or another key gives another word."""
    words = {
        pseudonym("353861234567", domain, key)
        for domain in ("subscriber", "device")
        for key in (KEY, KEY + b".")
    }
    assert len(words) == 4


def test_a_column_keeps_its_index_and_its_gaps() -> None:
    """Equal identifiers get equal words, missing ones none."""
    values = pd.Series(["1234567", None, "+1234567"], index=[7, 8, 9], dtype="str")
    word = pseudonym("1234567", "subscriber", KEY)
    expected = pd.Series([word, None, word], index=[7, 8, 9], dtype="str")
    pd.testing.assert_series_equal(pseudonymise(values, "subscriber", KEY), expected)


def test_the_keys_id_tells_keys_apart_and_nothing_more() -> None:
    """Twelve hexadecimal digits, none of the key."""
    assert key_id(KEY) != key_id(KEY + b".")
    assert len(key_id(KEY)) == 12

"""Subscribers' identifiers into keyed pseudonyms: the same person, the same word, nobody's name.

A pseudonym is HMAC-SHA256 under a secret key of the domain and the identifier in canonical form,
its first 32 hexadecimal digits. Without the key it can be neither made nor checked by trying all
numbers; with another key it is another word, which is why the key's id belongs to what is derived.

Canonical form: what may be a telephone number (digits, with blanks and `()-./` between them, and
`+` or `00` before the country code) becomes its digits from the country code on, of which E.164 has
7 to 15. Thus +353 86 123 4567, 00353861234567 and 353861234567 are one person. A number in its
national form (086 123 4567) names no country and remains itself, as does anything else, such as
C-000123, apart from blanks around it: distinct account numbers must not become one person.
"""

import hmac
import re
import unicodedata
from hashlib import sha256

import pandas as pd

from rancast.errors import ConfigurationError

PSEUDONYM_DIGITS = 32
SHORTEST_KEY_BYTES = 16

_TELEPHONE = re.compile(r"\+?[0-9 ()./-]+")
_SEPARATORS = re.compile(r"[ ()./-]+")
_E164 = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")


def canonical(identifier: str) -> str:
    """Return the form in which all spellings of one identifier are equal."""
    plain = unicodedata.normalize("NFKC", identifier).strip()
    if not _TELEPHONE.fullmatch(plain):
        return plain
    number = _E164.fullmatch(_SEPARATORS.sub("", plain))
    return number.group(1) if number else plain


def pseudonym(identifier: str, domain: str, key: bytes) -> str:
    """Return the pseudonym of one identifier; equal in every dataset that names the same domain."""
    message = f"{domain}\0{canonical(identifier)}".encode()
    return hmac.digest(key, message, "sha256").hex()[:PSEUDONYM_DIGITS]


def pseudonymise(values: pd.Series, domain: str, key: bytes) -> pd.Series:
    """Replace identifiers (dtype str) by their pseudonyms; missing ones stay missing.

    Raises ConfigurationError for a key that is too short to be a secret.
    """
    check_key(key)
    codes, unique = pd.factorize(values)
    words = [*(pseudonym(identifier, domain, key) for identifier in unique), None]
    # Missing identifiers have the code -1, which takes the last word
    return pd.Series(words, dtype="str").take(codes).set_axis(values.index)


def check_key(key: bytes) -> None:
    """Raise ConfigurationError for a key that is too short to be a secret."""
    if len(key) < SHORTEST_KEY_BYTES:
        raise ConfigurationError(
            f"RANCAST_PSEUDONYM_KEY has {len(key)} bytes, and pseudonyms need a secret of "
            f"{SHORTEST_KEY_BYTES} at least: set it, for example from `openssl rand -hex 32`."
        )


def key_id(key: bytes) -> str:
    """Return a short name of the key, which does not give it away."""
    return sha256(b"rancast key id:" + key).hexdigest()[:12]

"""What nobody may read: credentials in a text, found by their form and by the values in use.

Logs, states, artifacts and whatever MLflow holds can be read by everyone who may open a UI, and
exceptions of other people's libraries quote what they were given. So texts are scrubbed on their
way out (`tasks/redaction.py`), and what is kept for good is refused where it looks like a secret.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, urlsplit

HIDDEN = "***"
# a shorter value is a word of many texts, and hiding it everywhere would say what it is
SHORTEST = 8

# the names under which our own and our libraries' settings hold a secret
_SECRET_SETTING = re.compile(
    r"(RANCAST|AZURE|MLFLOW|PREFECT|POSTGRES|PG|DASK)_?.*"
    r"(PASSWORD|SECRET|TOKEN|CONNECTION_STRING|AUTH_STRING|_KEY|_URI|_URL|_HEADERS|AUTHORIZATION)$"
)
_ADDRESS_SETTING = re.compile(r".*(_URI|_URL)$")
# addresses that are secrets as a whole: who has a webhook's may post to it
_SECRET_ADDRESSES = frozenset({"RANCAST_ALERT_URL"})
# what a parameter is called that holds one
_SECRET_NAME = re.compile(
    r"(^|[._])(password|passwd|secret|credentials?|connection_string|(account|access|api)_?key)$",
    re.IGNORECASE,
)
_SECRET_BYTES = re.compile(
    rb"AccountKey=|SharedAccess(Signature|Key)=|[?&]sig=|://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE
)

# what ends a value in a connection string, a query, a quoted text
_VALUE = r"""[^;&\s"'<>,)\]}]+"""
_FORMS = (
    (re.compile(rf"\b(AccountKey|SharedAccessKey)=({_VALUE})", re.I), r"\1=" + HIDDEN),
    # a shared access signature is a query of its own: its parts tell what it opens
    (re.compile(r"""\b(SharedAccessSignature)=([^;\s"'<>]+)""", re.I), r"\1=" + HIDDEN),
    (re.compile(rf"((?<![A-Za-z0-9_])|%3F|%26)sig(=|%3D)({_VALUE})", re.I), r"\1sig\2" + HIDDEN),
    # greedy up to the last @: a password may hold one
    (re.compile(r"""://[^/\s"'<>]+@"""), f"://{HIDDEN}@"),
    (
        re.compile(r"""\b(Bearer|Basic)\s+(?=[^\s"']*[0-9=])[A-Za-z0-9+/._~=-]{8,}""", re.I),
        r"\1 " + HIDDEN,
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
    (
        re.compile(
            r"\b(password|passwd|pwd|client_secret|api_?key|access_token|refresh_token)"
            rf"""(["']?\s*=\s*["']?|["']\s*:\s*["'])({_VALUE})""",
            re.I,
        ),
        r"\1\2" + HIDDEN,
    ),
)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without credentials: those of a known form, and the values in `secrets`.

    `secrets` should come longest first, as `secret_values` gives them, so that no part of one is
    left behind. A text that has none is returned as it is.
    """
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text


def looks_secret(name: str, value: bytes, secrets: Iterable[str] = ()) -> bool:
    """Tell whether something is a credential, by the name it goes by or by what it holds."""
    return bool(
        _SECRET_NAME.search(name)
        or _SECRET_BYTES.search(value)
        or any(secret.encode() in value for secret in secrets)
    )


def secret_settings(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return those variables of an environment that may hold a secret, by name."""
    return tuple(
        sorted((name, value) for name, value in environment.items() if _is_secret(name, value))
    )


def _is_secret(name: str, value: str) -> bool:
    if not _SECRET_SETTING.fullmatch(name):
        return False
    return not _is_address(name) or "@" in value


def _is_address(name: str) -> bool:
    return name not in _SECRET_ADDRESSES and _ADDRESS_SETTING.fullmatch(name) is not None


@lru_cache(maxsize=32)
def secret_values(settings: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return each secret in the settings in the ways in which a text may spell it, longest first.

    A connection string is told part by part, an address by its password, USER:PASSWORD also as the
    header that carries it.
    """
    found: set[str] = set()
    for name, value in settings:
        found.update(_address_parts(value) if _is_address(name) else _parts(value))
    spelt = {form for value in found for form in _spellings(value)}
    return tuple(sorted((one for one in spelt if len(one) >= SHORTEST), key=len, reverse=True))


def _spellings(value: str) -> tuple[str, ...]:
    return value, quote(value), quote(value, safe=""), repr(value)[1:-1]


def _parts(value: str) -> set[str]:
    fields = dict(part.partition("=")[::2] for part in value.split(";") if "=" in part)
    keys = {
        content
        for key, content in fields.items()
        if key.lower() in ("accountkey", "sharedaccesskey", "sharedaccesssignature", "password")
    }
    if keys:
        return {value, *keys}
    user, colon, password = value.partition(":")
    if colon and user and password:
        return {value, password, base64.b64encode(value.encode()).decode()}
    return {value}


def _address_parts(address: str) -> set[str]:
    userinfo = urlsplit(address).netloc.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    return {userinfo, password} - {""}

"""The two stores and the ledger as the settings name them, opened once per process."""

from functools import lru_cache
from typing import Literal

from pydantic import SecretStr

from rancast.settings import Settings, load_settings
from tasks.ledger import Ledger
from tasks.storage import Store, open_store


def open_raw(settings: Settings | None = None) -> Store:
    """Open the raw container, read only."""
    return _open("raw", settings or load_settings())


def open_lake(settings: Settings | None = None) -> Store:
    """Open the lake container."""
    return _open("lake", settings or load_settings())


def open_ledger(settings: Settings | None = None) -> Ledger:
    """Open the ledger, which lies in the lake."""
    return Ledger(open_lake(settings))


def _open(which: Literal["raw", "lake"], settings: Settings) -> Store:
    secret = settings.credential(which)
    return _open_once(
        which,
        settings.raw if which == "raw" else settings.lake,
        secret.get_secret_value() if secret else None,
    )


@lru_cache(maxsize=16)
def _open_once(which: str, url: str, connection_string: str | None) -> Store:
    # one client per store and process: a client per blob costs a new connection each time
    return open_store(
        url,
        SecretStr(connection_string) if connection_string else None,
        setting=f"RANCAST_{which.upper()}_URL",
        read_only=which == "raw",
    )

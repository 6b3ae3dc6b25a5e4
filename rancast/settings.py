"""Settings from the environment or RANCAST_HOME/.env, typed; unset, everything is local files."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rancast.errors import ConfigurationError
from rancast.pseudonyms import key_id

DEVELOPMENT_KEY = "rancast-development-key-for-local-files-only"
TASK_RUNNERS = ("thread", "process", "dask")
URL_SETTINGS = ("RANCAST_RAW_URL", "RANCAST_LAKE_URL", "MLFLOW_TRACKING_URI")


class Settings(BaseSettings):
    """Where things are and with which credentials; `load_settings` builds it in a flow or task."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    home: Path = Field(validation_alias="RANCAST_HOME")
    raw_url: str = Field(default="", validation_alias="RANCAST_RAW_URL")
    lake_url: str = Field(default="", validation_alias="RANCAST_LAKE_URL")
    raw_credential: SecretStr | None = Field(
        default=None, validation_alias="RANCAST_RAW_CONNECTION_STRING"
    )
    lake_credential: SecretStr | None = Field(
        default=None, validation_alias="RANCAST_LAKE_CONNECTION_STRING"
    )
    shared_credential: SecretStr | None = Field(
        default=None, validation_alias="AZURE_STORAGE_CONNECTION_STRING"
    )
    results_url: str = Field(default="", validation_alias="RANCAST_RESULTS_URL")
    results_credential: SecretStr | None = Field(
        default=None, validation_alias="RANCAST_RESULTS_CONNECTION_STRING"
    )
    tracking_uri: str = Field(default="", validation_alias="MLFLOW_TRACKING_URI")
    pseudonym_key: SecretStr = Field(
        default=SecretStr(DEVELOPMENT_KEY), validation_alias="RANCAST_PSEUDONYM_KEY"
    )
    task_runner: str = Field(default="thread", validation_alias="RANCAST_TASK_RUNNER")
    # more threads than these mostly wait for Python's lock, which costs time itself
    workers: int = Field(default=2, ge=1, le=64, validation_alias="RANCAST_WORKERS")
    docs_url: str = Field(default="", validation_alias="RANCAST_DOCS_URL")
    mlflow_ui_url: str = Field(default="", validation_alias="RANCAST_MLFLOW_UI_URL")

    # read by `make deploy` only
    timezone: str = Field(default="UTC", validation_alias="RANCAST_TIMEZONE")
    work_pool: str = Field(default="rancast", validation_alias="RANCAST_WORK_POOL")
    alert_url: SecretStr | None = Field(default=None, validation_alias="RANCAST_ALERT_URL")
    alert_authorization: SecretStr | None = Field(
        default=None, validation_alias="RANCAST_ALERT_AUTHORIZATION"
    )

    @field_validator("task_runner")
    @classmethod
    def _is_known_runner(cls, value: str) -> str:
        if value in TASK_RUNNERS or re.fullmatch(r"tls://[^/\s@]+:[0-9]+", value):
            return value
        if value.startswith("tcp://"):
            raise ValueError("a Dask scheduler runs whatever it is sent; use tls://HOST:PORT")
        raise ValueError(f"write {', '.join(TASK_RUNNERS)}, or tls://HOST:PORT of a Dask scheduler")

    @property
    def local(self) -> Path:
        """The folder below which everything lies that is not configured to lie elsewhere."""
        return self.home / ".local"

    @property
    def raw(self) -> str:
        """URL of the raw container."""
        return self.raw_url or (self.local / "raw").as_uri()

    @property
    def lake(self) -> str:
        """URL of the lake container."""
        return self.lake_url or (self.local / "lake").as_uri()

    @property
    def tracking(self) -> str:
        """URI of MLflow's tracking and registry store."""
        return self.tracking_uri or f"sqlite:///{self.local / 'mlflow' / 'mlflow.db'}"

    def credential(self, store: Literal["raw", "lake", "results"]) -> SecretStr | None:
        """Return the connection string of one store; None: a file, or DefaultAzureCredential."""
        url, own = {
            "raw": (self.raw, self.raw_credential),
            "lake": (self.lake, self.lake_credential),
            "results": (self.results_url, self.results_credential),
        }[store]
        return None if url.startswith("file:") else own or self.shared_credential

    @property
    def pseudonym_key_id(self) -> str:
        """Short name of the pseudonym key; part of what is derived with it, and not secret."""
        return key_id(self.pseudonym_key.get_secret_value().encode())

    def pseudonym_secret(self) -> bytes:
        """Return the key of the subscriber pseudonyms.

        Raises ConfigurationError where the development key would meet anything but local data.
        """
        secret = self.pseudonym_key.get_secret_value()
        places = (self.raw, self.lake, self.tracking)
        if secret == DEVELOPMENT_KEY and not all(map(_is_local, places)):
            raise ConfigurationError(
                "RANCAST_PSEUDONYM_KEY is unset, and the development key is refused since the raw "
                "or lake container, or MLflow, is not local: set it to a secret of your own, for "
                "example from "
                "`openssl rand -hex 32`, and keep it, since pseudonyms change with it."
            )
        return secret.encode()


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("file", "sqlite") or parts.hostname in ("127.0.0.1", "localhost", "::1")


def find_home() -> Path:
    """Return RANCAST_HOME, by default the checkout that this module lies in."""
    return Path(os.environ.get("RANCAST_HOME") or Path(__file__).parents[1]).resolve()


def load_settings() -> Settings:
    """Read the settings now; the environment goes before RANCAST_HOME/.env.

    Raises ConfigurationError for a value that cannot be, for a home without datasets, and for a
    worker whose URLs are unset, since it would write into its own folder.
    """
    home = find_home()
    if not (home / "datasets").is_dir():
        raise ConfigurationError(
            f"RANCAST_HOME is {home}, which has no folder 'datasets'; set it to the folder that "
            "holds datasets/, expectations/ and use_cases/."
        )
    file = home / ".env"
    content = file.read_bytes() if file.is_file() else b""
    try:
        settings = _read(home, frozenset(os.environ.items()), content)
    except ValidationError as error:
        found = error.errors()[0]
        raise ConfigurationError(f"{found['loc'][0]} cannot be used: {found['msg']}.") from None
    _refuse_unconfigured_worker(settings)
    return settings


@lru_cache(maxsize=8)
def _read(home: Path, environment: frozenset[tuple[str, str]], content: bytes) -> Settings:
    # a flow asks dozens of times, and parsing costs milliseconds: once for what it is parsed from
    return Settings(_env_file=home / ".env", RANCAST_HOME=home)


def _refuse_unconfigured_worker(settings: Settings) -> None:
    if "PREFECT__FLOW_RUN_ID" not in os.environ:
        return
    given = (settings.raw_url, settings.lake_url, settings.tracking_uri)
    unset = [name for name, value in zip(URL_SETTINGS, given, strict=True) if not value]
    if unset:
        raise ConfigurationError(
            f"This worker has no {', '.join(unset)}, and would write into its own folder "
            f"{settings.local}: set each of them in the environment of the worker or of its pool."
        )

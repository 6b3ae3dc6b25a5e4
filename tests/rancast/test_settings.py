"""Settings come from the environment, then RANCAST_HOME/.env, and refuse what would go wrong."""

from pathlib import Path

import pytest

from rancast.errors import ConfigurationError
from rancast.settings import load_settings

AZURE = "https://account.blob.core.windows.net/lake"


@pytest.fixture()
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing configured."""
    (tmp_path / "datasets").mkdir()
    monkeypatch.setenv("RANCAST_HOME", str(tmp_path))
    return tmp_path


def test_unset_everything_lies_below_local(own: Path) -> None:
    """Without any setting, raw, lake and MLflow are files below RANCAST_HOME/.local."""
    settings = load_settings()
    assert settings.raw == (own / ".local" / "raw").as_uri()
    assert settings.lake == (own / ".local" / "lake").as_uri()
    assert settings.tracking == f"sqlite:///{own}/.local/mlflow/mlflow.db"


def test_the_working_directory_does_not_matter(
    own: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings are the same from any directory."""
    before = load_settings()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert load_settings() == before


def test_the_environment_goes_before_the_file(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value in .env counts until the environment has another; an empty one counts as unset."""
    (own / ".env").write_text("RANCAST_LAKE_URL=file:///from/file\nRANCAST_WORKERS=3\n")
    assert load_settings().lake == "file:///from/file"
    monkeypatch.setenv("RANCAST_LAKE_URL", "file:///from/environment")
    assert load_settings().lake == "file:///from/environment"
    assert load_settings().workers == 3
    monkeypatch.setenv("RANCAST_LAKE_URL", "")
    assert load_settings().lake != "file:///from/environment"
    (own / ".env").write_text("RANCAST_WORKERS=5\n")
    assert load_settings().workers == 5


def test_a_home_without_datasets_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RANCAST_HOME that holds no configuration is an error that names it and the next step."""
    monkeypatch.setenv("RANCAST_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=f"{tmp_path}.*set it to the folder"):
        load_settings()


@pytest.mark.usefixtures("own")
def test_a_worker_without_urls_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that a worker started names the URLs that are unset, and does not write locally."""
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "a run")
    monkeypatch.setenv("RANCAST_RAW_URL", "file:///raw")
    with pytest.raises(ConfigurationError, match="RANCAST_LAKE_URL, MLFLOW_TRACKING_URI"):
        load_settings()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("setting", ["RANCAST_RAW_URL", "RANCAST_LAKE_URL", "MLFLOW_TRACKING_URI"])
def test_the_development_key_is_for_local_data_only(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any URL that is not local, a key of one's own is asked for; with it, it is taken."""
    assert load_settings().pseudonym_secret()
    monkeypatch.setenv(setting, AZURE)
    with pytest.raises(ConfigurationError, match="RANCAST_PSEUDONYM_KEY is unset"):
        load_settings().pseudonym_secret()
    monkeypatch.setenv("RANCAST_PSEUDONYM_KEY", "0123456789abcdef0123456789abcdef")
    assert load_settings().pseudonym_secret() == b"0123456789abcdef0123456789abcdef"


@pytest.mark.usefixtures("own")
def test_each_url_has_its_own_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store's own connection string goes before the shared one; files take none."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "shared")
    monkeypatch.setenv("RANCAST_LAKE_CONNECTION_STRING", "own")
    assert load_settings().credential("lake") is None
    monkeypatch.setenv("RANCAST_LAKE_URL", AZURE)
    monkeypatch.setenv("RANCAST_RAW_URL", AZURE)
    lake, raw = load_settings().credential("lake"), load_settings().credential("raw")
    assert lake is not None and lake.get_secret_value() == "own"
    assert raw is not None and raw.get_secret_value() == "shared"


@pytest.mark.usefixtures("own")
def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing the settings shows no credential and no key."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=canary")
    monkeypatch.setenv("RANCAST_PSEUDONYM_KEY", "canary canary canary")
    assert "canary" not in repr(load_settings())


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "value"), [("RANCAST_TASK_RUNNER", "fork"), ("RANCAST_WORKERS", "0")]
)
def test_an_impossible_value_names_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that cannot be used is an error that names the variable."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


@pytest.mark.usefixtures("own")
def test_the_key_id_names_the_key_without_giving_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key has another id, and the id is not the key."""
    monkeypatch.setenv("RANCAST_PSEUDONYM_KEY", "one key of sixteen")
    one = load_settings().pseudonym_key_id
    monkeypatch.setenv("RANCAST_PSEUDONYM_KEY", "another key of it")
    assert one != load_settings().pseudonym_key_id and "key" not in one

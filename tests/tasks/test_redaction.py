"""Nothing secret passes: log records as they are made, errors as they leave a task or flow."""

import io
import logging
import pkgutil
import uuid
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import flows
import tasks
from rancast.datasets import Dataset
from rancast.errors import DataError, RegistryError
from tasks.redaction import install, known_secrets, no_cells, redacted, scrub

CANARY = "c4nary0Xq/+zz=="
CONNECTION = f"AccountName=operator;AccountKey={CANARY};EndpointSuffix=core.windows.net"
NUMBER = "+353875550199"


@pytest.fixture()
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger below another one that has the handler, as Prefect's loggers are, and its output."""
    sink = io.StringIO()
    handler = logging.StreamHandler(sink)
    parent = logging.getLogger(f"tests.{uuid.uuid4().hex}")
    parent.addHandler(handler)
    parent.propagate = False
    yield parent.getChild("child"), sink
    parent.removeHandler(handler)


def test_a_log_record_says_no_secret(log: tuple[logging.Logger, io.StringIO]) -> None:
    """Not in the message, not in its arguments, not in the traceback of an error and its cause."""
    logger, sink = log
    logger.warning(f"opening {CONNECTION}")
    logger.warning("opening %s, %r", CONNECTION, {"key": CONNECTION})
    logger.warning("%(url)s", {"url": f"http://u:{CANARY[:9]}@mlflow"})
    try:
        try:
            raise OSError(f"cannot open {CONNECTION}")
        except OSError as error:
            raise ValueError("no store") from error
    except ValueError:
        logger.exception("it failed")
    said = sink.getvalue()
    assert "c4nary0Xq" not in said
    assert said.count("***") == 5 and "AccountName=operator" in said
    assert "ValueError: no store" in said and "test_redaction.py" in said


def test_a_setting_is_a_secret_wherever_it_stands(
    log: tuple[logging.Logger, io.StringIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values of the environment and of RANCAST_HOME/.env are hidden without any form."""
    logger, sink = log
    (tmp_path / ".env").write_text("RANCAST_PSEUDONYM_KEY=c4nary0Xq-file\n")
    monkeypatch.setenv("RANCAST_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "c4nary0Xq-environment")
    logger.warning("c4nary0Xq-file and %s", "c4nary0Xq-environment")
    assert sink.getvalue() == "*** and ***\n"
    assert known_secrets() == ("c4nary0Xq-environment", "c4nary0Xq-file")
    (tmp_path / ".env").write_text("RANCAST_PSEUDONYM_KEY=another-c4nary0Xq\n")
    assert scrub("another-c4nary0Xq") == "***"


def test_other_records_are_left_as_they_are() -> None:
    """A record without a secret keeps its template and arguments, for those who group by them; one
    whose arguments do not fit is for logging itself to complain about."""
    install()
    make = logging.getLogRecordFactory()
    plain = make("tests", logging.INFO, "here", 1, "%d of %s", (3, "kpis"), None)
    wrong = make("tests", logging.INFO, "here", 1, "%d of", ("three",), None)
    assert (plain.msg, plain.args) == ("%d of %s", (3, "kpis"))
    assert (wrong.msg, wrong.args) == ("%d of", ("three",))


class Stubborn(Exception):
    """An error whose text is not built from its arguments."""

    def __str__(self) -> str:
        return f"it was {CONNECTION}"


def raising(error: Exception) -> Callable[[], None]:
    """Return a guarded function that raises an error."""

    @redacted
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError, RegistryError])
def test_an_error_keeps_its_class_and_loses_its_secret(kind: type[Exception]) -> None:
    """Retries and callers tell errors by their class; its text is what gets out."""
    error = kind(f"no store at {CONNECTION}")
    with pytest.raises(kind) as caught:
        raising(error)()
    assert caught.value is error
    assert "c4nary0Xq" not in f"{error} {error!r}" and "AccountName=operator" in str(error)


def test_an_error_that_cannot_be_changed_is_replaced() -> None:
    """Its class and its scrubbed text are told, and the traceback has no way back to it."""

    class Form(BaseModel):
        number: int

    with pytest.raises(ValidationError) as invalid:
        Form.model_validate({"number": f"sig={CANARY}"})
    for error, name in ((Stubborn(), "Stubborn"), (invalid.value, "ValidationError")):
        with pytest.raises(RuntimeError, match=name) as caught:
            raising(error)()
        assert "c4nary0Xq" not in str(caught.value)
        assert caught.value.__suppress_context__


def test_an_error_of_ours_says_where_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tasks and flows it passes, the section is named once; others name none."""
    monkeypatch.setenv("RANCAST_DOCS_URL", "https://wiki.example/docs")
    error = RegistryError("gone.")
    outer = redacted(redacted(raising(error)))
    with pytest.raises(RegistryError):
        outer()
    assert str(error) == "gone. [https://wiki.example/docs/operations.md#registryerror]"
    with pytest.raises(KeyError) as caught:
        raising(KeyError("gone"))()
    assert caught.value.args == ("gone",)


def dataset(is_private: bool) -> Dataset:
    """A dataset of events, of subscribers or of things."""
    return Dataset.model_validate(
        {
            "name": "calls",
            "kind": "events",
            "time": {"column": "at", "timezone": "UTC"},
            "key": ["caller", "at"],
            "columns": {"at": {"type": "timestamp"}, "caller": {"type": "string"}},
            "pseudonymise": {"caller": "subscriber"} if is_private else {},
        }
    )


def test_a_foreign_error_about_subscribers_is_told_without_its_text() -> None:
    """What pandas says may quote a number: only its type and place are told, and no cause."""
    with pytest.raises(DataError) as caught:
        with no_cells("pull_partition", {"dataset": dataset(True), "day": "2024-03-01"}):
            float(NUMBER + "x")
    assert NUMBER not in str(caught.value)
    assert "pull_partition of calls failed with ValueError in test_redaction.py" in str(
        caught.value
    )
    assert caught.value.__suppress_context__


def test_our_errors_and_those_about_things_are_told_in_full() -> None:
    """Ours hold no cell; what a dataset of cells or links says may be read."""
    with pytest.raises(DataError, match="line 3"):
        with no_cells("pull_partition", {"dataset": dataset(True)}):
            raise DataError("calls.csv, line 3: 15 digits.")
    with pytest.raises(ValueError, match="could not convert"):
        with no_cells("pull_partition", {"dataset": dataset(False)}):
            float("x")


def declared(kind: str) -> dict[str, Any]:
    """Return every task or flow that our modules define, by its name."""
    found: dict[str, Any] = {}
    for package in (tasks, flows):
        for module in pkgutil.iter_modules(package.__path__):
            for value in vars(import_module(f"{package.__name__}.{module.name}")).values():
                if type(value).__name__ == kind:
                    found[value.name] = value
    return found


def test_every_task_and_flow_is_guarded() -> None:
    """A new one that forgets @redacted would tell Prefect whatever its libraries say."""
    every = declared("Task") | declared("Flow")
    assert len(every) > 20
    assert sorted(name for name, one in every.items() if not hasattr(one.fn, "is_redacted")) == []


def test_every_flow_explains_its_failures() -> None:
    """A failed or crashed run of any flow gets the page that says what to do."""
    from tasks.artifacts import explain

    every = declared("Flow")
    assert {"daily", "ingest", "training"} <= set(every)
    lacking = [
        name
        for name, flow in every.items()
        if explain not in flow.on_failure_hooks or explain not in flow.on_crashed_hooks
    ]
    assert lacking == []


def test_one_file_alone_publishes_artifacts() -> None:
    """Whoever else calls Prefect's functions for artifacts would publish unscrubbed."""
    folder = Path(tasks.__file__).parent
    others = [path for path in folder.glob("*.py") if path.name != "artifacts.py"]
    assert [path.name for path in others if "prefect.artifacts" in path.read_text()] == []

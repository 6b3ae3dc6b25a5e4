"""No secret and no subscriber in what Prefect is told: logs, states and results are scrubbed here.

Log records are scrubbed as they are made. A filter of a logger does not see what the loggers below
it hand up, and filters of handlers are gone when Prefect configures logging anew, which it does in
each process of a run. Errors are scrubbed as they leave a flow or a task, before Prefect makes a
state, an event and a persisted result of them. This file imports no prefect.
"""

import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from dotenv import dotenv_values

from rancast import guidance, redaction
from rancast.errors import DataError, RancastError
from rancast.settings import find_home

P = ParamSpec("P")
R = TypeVar("R")

_FORMAT = logging.Formatter()


def known_secrets() -> tuple[str, ...]:
    """Return the secrets that this process was given, by its environment or RANCAST_HOME/.env."""
    settings = redaction.secret_settings(os.environ)
    file = find_home() / ".env"
    if file.is_file():
        settings += _from_file(file, file.stat().st_mtime_ns)
    return redaction.secret_values(settings)


@lru_cache(maxsize=8)
def _from_file(path: Path, _changed_ns: int) -> tuple[tuple[str, str], ...]:
    given = {name: value for name, value in dotenv_values(path).items() if value}
    return redaction.secret_settings(given)


def scrub(text: str) -> str:
    """Return a text without credentials, those of this process' settings included."""
    return redaction.scrub(text, known_secrets())


# --- logs ---------------------------------------------------------------------------------------


def install() -> None:
    """Scrub every log record of this process from now on; a second call changes nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "scrubs", False):
        return

    def make_scrubbed(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        _scrub_record(record)
        return record

    setattr(make_scrubbed, "scrubs", True)
    logging.setLogRecordFactory(make_scrubbed)


def _scrub_record(record: logging.LogRecord) -> None:
    """Replace what a record says, if it says a secret; any other stays as it is."""
    try:
        said = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # its arguments do not fit: logging itself complains, to the standard error only
    shown = scrub(said)
    if shown != said:
        record.msg, record.args = shown, ()
    if record.exc_info and record.exc_info[0] is not None:
        said = _FORMAT.formatException(record.exc_info)
        shown = scrub(said)
        if shown != said:
            # formatters print `exc_text` where there is one
            record.exc_text, record.exc_info = shown, None


# --- errors -------------------------------------------------------------------------------------


def redacted(function: Callable[P, R]) -> Callable[P, R]:
    """Scrub what a flow or a task raises; an error of ours also says where to read on.

    The error stays the same object where it lets itself be changed, so that retries and callers
    see its class.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            shown = _shown(error)
            if shown is error:
                raise
            # the chained traceback would show what was taken out of the sentence
            raise shown from None

    setattr(call, "is_redacted", True)
    return call


def _shown(error: Exception) -> Exception:
    said = str(error)
    shown = scrub(said)
    if isinstance(error, RancastError):
        shown = guidance.with_section(shown, error, docs_url())
    if shown == said:
        return error
    if isinstance(error, RancastError):
        error.args = (shown,)
    else:
        error.args = tuple(scrub(one) if isinstance(one, str) else one for one in error.args)
    # some classes do not build their text from their arguments
    return error if str(error) == shown else RuntimeError(f"{type(error).__name__}: {shown}")


def docs_url() -> str:
    """Return RANCAST_DOCS_URL; "" where it is unset. It is read without checking the settings,
    whose own errors want it, too.
    """
    name = "RANCAST_DOCS_URL"
    return os.environ.get(name) or dotenv_values(find_home() / ".env").get(name) or ""


@contextmanager
def no_cells(what: str, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Let no error quote a cell, where one of the arguments is a dataset with subscribers, or a
    mapping that has one.

    Our own errors hold none. Of any other, only its type and place are told: pandas, for one,
    says which value it could not convert. Raises DataError in its place.
    """
    try:
        yield
    except RancastError:
        raise
    except Exception as error:
        given = [
            one
            for value in arguments.values()
            for one in (value.values() if isinstance(value, Mapping) else [value])
        ]
        private = [one for one in given if getattr(one, "has_subscribers", False)]
        if not private:
            raise
        place = _place(error)
        raise DataError(
            f"{what} of {private[0].name} failed with {type(error).__name__} in "
            f"{Path(place.filename).name}, line {place.lineno}; what it says is withheld, since "
            "the dataset has subscribers. It is a fault of the program or of a file of that day: "
            "try the same file under a dataset without pseudonymise, on a machine of your own."
        ) from None


def _place(error: Exception) -> traceback.FrameSummary:
    """Return the innermost line of ours that an error went through, else that which raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent.name == "rancast"]
    return (ours or frames)[-1]

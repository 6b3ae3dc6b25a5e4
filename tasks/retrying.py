"""Tasks that ask the world outside: tried again where a fault may pass, and never cached."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from rancast.errors import RegistryError, StorageError, StorageUnreachable, WriteConflict
from tasks.redaction import redacted

P = ParamSpec("P")
R = TypeVar("R")

RETRY_SECONDS = [2.0, 8.0]


def retried_task(run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Return a decorator: the Prefect task of a function, whose errors are scrubbed.

    `run_name` is a template of the function's arguments, such as "pull {day}". Nothing is cached,
    since the answer may have changed: what is computed once is a step's affair.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return task(
            task_run_name=run_name,
            cache_policy=NO_CACHE,
            retries=len(RETRY_SECONDS),
            retry_delay_seconds=RETRY_SECONDS,
            retry_condition_fn=may_pass,
        )(redacted(function))

    return decorate


def may_pass(task: Any, run: Any, state: Any) -> bool:
    """Tell Prefect whether a failure may pass by itself: a fault of the network, never of `fit`.

    Where nobody answers, the store has tried for its own half minute already.
    """
    error = state.data
    return isinstance(error, (StorageError, RegistryError, OSError)) and not isinstance(
        error, (StorageUnreachable, WriteConflict)
    )

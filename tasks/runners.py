"""The task runner that the settings name, chosen when a flow starts and not when it is imported."""

from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.settings import get_current_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from rancast.settings import load_settings


class KeepsResults:
    """Beside a runner whose tasks run elsewhere: tells them by name where their results go.

    Prefect sends them the block itself, which forgets its id on the way, and then keeps nothing
    ("… is not in the subpath of …" in the log, and the task completes).
    """

    def submit(self, task: Any, *given: Any, **named: Any) -> Any:
        """Submit a task, with the block of PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK as its own."""
        block = get_current_settings().results.default_storage_block
        if block and task.result_storage is None:
            task = task.with_options(result_storage=block)
        return super().submit(task, *given, **named)  # type: ignore[misc]


class _ProcessPool(KeepsResults, ProcessPoolTaskRunner):
    """Prefect's pool of processes."""


class _ConfiguredTaskRunner(ThreadPoolTaskRunner[Any]):
    """Becomes the runner of RANCAST_TASK_RUNNER with RANCAST_WORKERS workers as a flow enters it.

    Prefect duplicates a flow's task runner at the start of each run, which is the moment at which
    the environment of that run is known.
    """

    def duplicate(self) -> TaskRunner[Any]:  # type: ignore[override]
        """Return a fresh runner of the kind that the settings name now."""
        settings = load_settings()
        if settings.task_runner == "thread":
            return ThreadPoolTaskRunner(max_workers=settings.workers)
        if settings.task_runner == "process":
            return _ProcessPool(max_workers=settings.workers)
        from tasks.dask import dask_runner  # a second to import, and few runs need it

        return dask_runner(settings)


def configured_task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return what `@flow(task_runner=...)` takes, without reading the settings yet."""
    return cast(TaskRunner[PrefectFuture[Any]], _ConfiguredTaskRunner())

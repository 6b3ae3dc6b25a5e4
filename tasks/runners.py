"""The task runner that the settings name, chosen when a flow starts and not when it is imported."""

from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from rancast.settings import load_settings


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
            return ProcessPoolTaskRunner(max_workers=settings.workers)
        from tasks.dask import dask_runner  # a second to import, and few runs need it

        return dask_runner(settings)


def configured_task_runner() -> TaskRunner[PrefectFuture[Any]]:
    """Return what `@flow(task_runner=...)` takes, without reading the settings yet."""
    return cast(TaskRunner[PrefectFuture[Any]], _ConfiguredTaskRunner())

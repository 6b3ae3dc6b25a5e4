"""Flows tell the story: one file per deployable flow, named as the flow, calls only."""

import tasks as _tasks  # noqa: F401 - defaults that prefect reads when it is imported

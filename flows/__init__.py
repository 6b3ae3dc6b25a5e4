"""Flows tell the story: one file per deployable flow, named as the flow, calls only."""

import tasks as _tasks  # noqa: F401 - puts the libraries' defaults in place before prefect is imported

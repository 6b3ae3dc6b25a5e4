"""How rancast is put to work: on a laptop (`make demo`, `make ui`), and later on servers."""

import tasks as _tasks  # noqa: F401 - its defaults reach every server that is started here

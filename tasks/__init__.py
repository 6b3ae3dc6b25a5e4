"""Tasks touch the world: each outside system in exactly one file, with its retries and timeouts.

Decisions live in `rancast`, the order of things in `flows`.
"""

from tasks.environment import prepare
from tasks.redaction import install

prepare()  # before anything imports prefect
install()  # before anything is logged

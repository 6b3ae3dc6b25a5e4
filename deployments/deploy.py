"""make deploy: put the work pools, deployments and automations of this checkout on the server."""

import os
import sys
from collections.abc import Iterator

from prefect.client.orchestration import get_client

from deployments.automations import ensure_automations
from deployments.declared import apply, read_declared
from deployments.pools import ensure_pool
from deployments.results import BLOCK, ensure_results
from rancast.errors import ConfigurationError, RancastError
from rancast.settings import load_settings


def main() -> int:
    """Deploy, and say what was made or changed; the exit code tells whether all went."""
    try:
        done = [_said(line) for line in deploy()]
    except RancastError as error:
        print(f"\nNothing more was deployed: {error}", file=sys.stderr)
        return 1
    print("Nothing had to be changed." if not done else f"{len(done)} things made or changed.")
    if load_settings().alert_url is None:
        print("RANCAST_ALERT_URL is unset: alerts go where the block rancast-alerts says, if any.")
    return 0


def _said(line: str) -> str:
    print(line, flush=True)
    return line


def deploy() -> Iterator[str]:
    """Have everything on the Prefect server of PREFECT_API_URL as the files declare it.

    Yields a line for each thing that was made or changed, so none the second time. Raises
    ConfigurationError where PREFECT_API_URL is unset or a file cannot be used.
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigurationError(
            "PREFECT_API_URL is unset, so there is no server to deploy to: set it, for example "
            "PREFECT_API_URL=http://127.0.0.1:4200/api, or look at the embedded server with "
            "`make ui`, which deploys by itself."
        )
    settings = load_settings()
    declared = read_declared(settings.timezone, settings.work_pool, settings.home)
    if ensure_results(settings):
        yield f"block {BLOCK}"
    with get_client(sync_client=True) as client:
        for suffix, kind in (("", "process"), ("-docker", "docker")):
            if ensure_pool(client, settings.work_pool + suffix, kind):
                yield f"work pool {settings.work_pool + suffix}"
        for one in declared:
            if apply(client, one)[1]:
                yield f"deployment {one.name}"
        yield from ensure_automations(client, settings)


if __name__ == "__main__":
    sys.exit(main())

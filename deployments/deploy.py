"""make deploy: put the work pools, deployments and automations of this checkout on the server."""

import os
import sys

from prefect.client.orchestration import get_client

from deployments.declared import DEFAULTS, apply, read_declared
from deployments.pools import ensure_pool
from rancast.errors import ConfigurationError, RancastError


def main() -> int:
    """Deploy, and say of each thing whether it changed; the exit code tells whether all went."""
    try:
        for line in deploy():
            print(line, flush=True)
    except RancastError as error:
        print(f"\nNothing more was deployed: {error}", file=sys.stderr)
        return 1
    return 0


def deploy() -> list[str]:
    """Have everything on the Prefect server of PREFECT_API_URL as the files declare it.

    Returns a line for each thing that was made or changed, so none the second time. Raises
    ConfigurationError where PREFECT_API_URL is unset or a file cannot be used.
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigurationError(
            "PREFECT_API_URL is unset, so there is no server to deploy to: set it, for example "
            "PREFECT_API_URL=http://127.0.0.1:4200/api, or look at the embedded server with "
            "`make ui`, which deploys by itself."
        )
    declared = read_declared(os.environ)
    pool = os.environ.get("RANCAST_WORK_POOL") or DEFAULTS["RANCAST_WORK_POOL"]
    done = []
    with get_client(sync_client=True) as client:
        for name, kind in ((pool, "process"), (f"{pool}-docker", "docker")):
            if ensure_pool(client, name, kind):
                done.append(f"work pool {name}")
        for one in declared:
            if apply(client, one)[1]:
                done.append(f"deployment {one.name}")
    return done


if __name__ == "__main__":
    sys.exit(main())

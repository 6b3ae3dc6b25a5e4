"""make ui: the Prefect and MLflow UIs on what was last run, with a worker, until Ctrl-C."""

import os
import signal
import sys

from deployments.local import deploy, environment, mlflow_ui, prefect_server, worker
from rancast.errors import RancastError
from rancast.settings import load_settings


def main() -> int:
    """Run the three until the terminal says stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = load_settings()
        print("Starting Prefect, MLflow and a worker (up to half a minute) ...", flush=True)
        with prefect_server(settings) as api_url, mlflow_ui(settings) as mlflow_url:
            os.environ.update(environment(settings, api_url))
            deploy()
            with worker(settings, api_url):
                print(f"Prefect  {api_url.removesuffix('/api')}/runs", flush=True)
                print(f"MLflow   {mlflow_url}/#/experiments", flush=True)
                print(
                    "Retry a run, or start one, in the Prefect UI. Ctrl-C ends all three.",
                    flush=True,
                )
                signal.pause()
    except KeyboardInterrupt:
        print("\nEnded.")
    except RancastError as error:
        print(f"\nThe UIs did not start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m deployments.exporter: serve the numbers of the lake to Prometheus at /metrics."""

import argparse
import signal
import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from rancast.errors import ObjectNotFound, RancastError
from rancast.settings import load_settings
from tasks.metrics import FOLDER
from tasks.stores import open_lake

PORT = 9464


class Lake(Collector):
    """Reads the files anew at each scrape, so that the exporter itself remembers nothing."""

    def collect(self) -> Iterator[Metric]:
        """Yield one family per name, with the samples of all files."""
        families: dict[str, Metric] = {}
        store = open_lake()
        for blob in store.list(f"{FOLDER}/"):
            try:
                text = store.read(blob.name).decode()
            except ObjectNotFound:  # removed since it was listed
                continue
            for family in text_string_to_metric_families(text):
                families.setdefault(family.name, family)
                if families[family.name] is not family:
                    families[family.name].samples.extend(family.samples)
        yield from families.values()


def serve(port: int, address: str = "127.0.0.1") -> int:
    """Serve /metrics in a thread of its own; return the port, chosen freely for 0."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Lake())
    server, _ = start_http_server(port, address, registry)
    return int(server.server_port)


def main() -> int:
    """Serve until the terminal, or whoever runs this, says stop."""
    parser = argparse.ArgumentParser(prog="python -m deployments.exporter", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--address", default="127.0.0.1", help="loopback unless said otherwise")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        load_settings()
        print(
            f"http://{options.address}:{serve(options.port, options.address)}/metrics", flush=True
        )
        signal.pause()
    except KeyboardInterrupt:
        return 0
    except RancastError as error:
        print(f"The exporter did not start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

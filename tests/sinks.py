"""The other end of the alerts' webhook, on loopback."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.workers import Deployed


class Sink:
    """Keeps what was posted, and with which headers."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((json.loads(body), dict(self.headers)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *given: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def about(self, word: str) -> list[dict[str, Any]]:
        """Return the alerts whose text has a word."""
        return [body for body, _ in self.got if word in body["text"]]


@contextmanager
def alerted(deployed: Deployed) -> Iterator[Sink]:
    """Give a webhook to which `make deploy` has directed the alerts of a server."""
    from deployments.deploy import deploy

    here = Sink()
    with pytest.MonkeyPatch.context() as patch, deployed.client():
        patch.setenv("PREFECT_API_URL", deployed.api_url)
        patch.setenv("RANCAST_HOME", str(deployed.home))
        patch.setenv("RANCAST_ALERT_URL", f"http://127.0.0.1:{here.server.server_port}/alert")
        patch.setenv("RANCAST_ALERT_AUTHORIZATION", "Bearer of the tests")
        list(deploy())
    yield here
    here.server.shutdown()

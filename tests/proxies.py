"""A server between a client and its real one, which loses, cuts and changes what passes."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Exchange:
    """One request and the reply to it, which a fault may change before it is sent on.

    `sent` is how much of the body is sent on before the connection is closed, or kept without
    another byte if `is_stalled`; None means all of it.
    """

    method: str
    path: str
    request: dict[str, str]
    status: int
    reply: list[tuple[str, str]]
    body: bytes
    is_lost: bool = False
    sent: int | None = None
    is_stalled: bool = False


Fault = Callable[[Exchange], None]


class Proxy(ThreadingHTTPServer):
    """Forwards to `target` ("HOST:PORT"), keeps every exchange, and lets `fault` change replies."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fault: Fault | None = None
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.lock = threading.Lock()
        self.ending = threading.Event()
        # bytes of a request's body that are taken at a time, and the pause after each, in seconds
        self.pace: tuple[int, float] = (2**20, 0.0)

    @property
    def address(self) -> str:
        """The proxy's own HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection, with small buffers so that a slow reader is felt by the sender."""
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        with self.lock:
            self.connections += 1
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that give up are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _forward(self) -> None:
        body = b"".join(self._body(int(self.headers.get("Content-Length", 0))))
        upstream = http.client.HTTPConnection(self.server.target, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        reply = upstream.getresponse()
        exchange = Exchange(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            reply.status,
            [item for item in reply.getheaders() if item[0].lower() != "transfer-encoding"],
            reply.read(),
        )
        upstream.close()
        with self.server.lock:
            self.server.exchanges.append(exchange)
        if self.server.fault is not None:
            self.server.fault(exchange)
        self._answer(exchange)

    def _body(self, length: int) -> Iterator[bytes]:
        size, pause_s = self.server.pace
        wait = threading.Event()
        while length > 0:
            piece = self.rfile.read(min(size, length))
            length -= len(piece)
            yield piece
            if pause_s:
                wait.wait(pause_s)

    def _answer(self, exchange: Exchange) -> None:
        if exchange.is_lost:
            self.close_connection = True
            return
        self.send_response_only(exchange.status)
        names = {name.lower() for name, _ in exchange.reply}
        for name, value in exchange.reply:
            self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(exchange.body)))
        self.end_headers()
        self.wfile.write(exchange.body[: exchange.sent])
        if exchange.is_stalled:
            self.server.ending.wait()
        self.close_connection = exchange.sent is not None

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_PATCH = _forward

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the exchanges are kept."""


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Run a proxy in front of the server at `url`."""
    with Proxy(urlsplit(url).netloc) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.ending.set()
            server.shutdown()
            thread.join()


@dataclass
class Once:
    """A fault that happens to the first `times` exchanges that `is_meant` picks."""

    is_meant: Callable[[Exchange], bool]
    change: Fault
    times: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            is_due = self.times > 0 and self.is_meant(exchange)
            self.times -= is_due
        if is_due:
            self.change(exchange)


@contextmanager
def silent_server() -> Iterator[str]:
    """Give the HOST:PORT of a socket that takes connections and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield f"127.0.0.1:{listener.getsockname()[1]}"

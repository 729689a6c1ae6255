"""A server in a thread of its own, and plain sockets to speak to it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any

from labkit.sim.serve import HOST, PATIENCE_S, listen, make_server
from labkit.sim.server import create_app

__all__ = ["ASK", "BODY", "KEY", "Serving", "eventually", "head_of", "post", "request_of"]

KEY = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}
GUARD_S = 20.0
"""What must happen is waited for so long; nothing should ever take it."""


class Serving:
    """Serves the scenario given by keyword on a free port, as long as its `with` block lasts."""

    def __init__(self, *, patience_s: int = PATIENCE_S, **settings: Any) -> None:
        self.door = create_app(**{"speed": 0.0, **settings})
        self.server = make_server(self.door, patience_s=patience_s)
        self.listening = listen(0)
        self.port = int(self.listening.getsockname()[1])
        self._thread = threading.Thread(target=self.server.run, args=([self.listening],))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it, and see that it has stopped."""
        self.server.should_exit = True
        self._thread.join(GUARD_S)
        self.listening.close()
        assert not self._thread.is_alive(), "the server does not stop"

    def connect(self) -> socket.socket:
        """Open a connection; whoever reads from it for too long gets a TimeoutError."""
        return socket.create_connection((HOST, self.port), timeout=GUARD_S)

    def say(self, *pieces: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes until it is closed."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return everything(connection)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        """Send one request with a key; return the response and its body."""
        connection = HTTPConnection(HOST, self.port, timeout=GUARD_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {**KEY, **named})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return one figure of /metrics, 0 if it has not been counted yet."""
        _, text = self.ask("GET", "/metrics")
        lines = dict(line.rsplit(" ", 1) for line in text.decode().splitlines())
        return float(lines.get(name, 0))


def everything(connection: socket.socket) -> bytes:
    """Read until the other side closes or breaks the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def request_of(body: object, *, path: str = "/v1/messages", **headers: str) -> bytes:
    """Write a POST as it goes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = {"host": "sim", **KEY, "content-length": str(len(content)), **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content


ASK = request_of(BODY, connection="close")


def post(serving: Serving, change: dict[str, Any] | None = None) -> tuple[HTTPResponse, bytes]:
    """Ask for a message, the usual one with a change."""
    return serving.ask("POST", "/v1/messages", json.dumps({**BODY, **(change or {})}).encode())


def head_of(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Split one raw answer into status, headers and body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): headers[name] for name in headers}, body


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what must come true."""
    end = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)

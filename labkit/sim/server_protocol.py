"""HTTP/1.1 as uvicorn speaks it, with an end to every wait for a sender, and a way to hang up.

uvicorn waits for the rest of a request for ever.  Here a request must be whole `keep-alive`
seconds after it began, and a connection on which none begins is closed after as long; what is
no HTTP gets its 400 in the API's own shape.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from labkit.sim.server_corking import Corked

__all__ = ["CONNECTION", "Protocol"]

CONNECTION = "connection"
"""Under this name an application finds the `Protocol` in the state of a request's scope."""

LINGER_S = 2.0
"""How long a connection that we have ended may still take in or give out what is on its way."""


class Protocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, CONNECTION: self}, _loop)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        self._corked = Corked(transport, self.loop)
        super().connection_made(self._corked)
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; a request that is not whole must soon be."""
        super().data_received(data)
        sending = self.conn.their_state
        if sending is h11.SEND_BODY or (sending is h11.IDLE and self.conn.trailing_data[0]):
            if self._patience is None:
                self._wait(self.timeout_keep_alive)
        elif self._patience is not None:
            self._wait(None)

    def on_response_complete(self) -> None:
        """After an answer to half a request, take in a little more, so that the answer is read."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._wait(LINGER_S)

    def shutdown(self) -> None:
        """Cut the connection: a server that is switched off finishes no stream."""
        self.transport.abort()

    def hang_up(self) -> None:
        """Break the connection without a word, once what has been sent is out."""
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def add_to_head(self, lines: bytes) -> None:
        """Put header lines, each with its line end, into the head of the answer that comes next.

        They must be sound, and none may say anything about length, encoding or connection.
        """
        self._corked.add_to_head(lines)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg)

    def _wait(self, seconds: float | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if seconds is not None:
            self._patience = self.loop.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.transport.close()
        else:
            self._refuse(408, "The request took too long to arrive.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer in the API's shape and close, or only close where an answer is out already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            error = {"type": "invalid_request_error", "message": message}
            body = json.dumps({"type": "error", "error": error, "request_id": None}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            answer = h11.Response(status_code=status, headers=headers, reason=b"")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

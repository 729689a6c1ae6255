"""HTTP/1.1 as uvicorn speaks it, with an end to every wait for a sender, and a way to hang up.

uvicorn waits for the rest of a request for ever.  Here a request must be whole `keep-alive`
seconds after it began, and a connection on which none begins is closed after as long; what is
no HTTP gets its 400 in the API's own shape.  Usual requests are served by an `Exchange`; once
another one comes, the connection is left to h11.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from labkit.sim.server_exchange import Exchange, read_request

__all__ = ["CONNECTION", "Protocol"]

CONNECTION = "connection"
"""Under this name an application finds the `Protocol` in the state of a request's scope."""

ASGI = {"version": "3.0", "spec_version": "2.3"}
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
        self._exchange: Exchange | None = None
        self._later = b""
        self._is_usual = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait(None)
        if self._exchange is not None:
            self._exchange.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; a request that is not whole must soon be."""
        if self._exchange is not None:
            self._go_on(self._exchange, data)
            return
        if self._is_usual and (heard := read_request(data)) is not None:
            self._begin(*heard)
            return
        self._is_usual = False
        super().data_received(data)
        sending = self.conn.their_state
        if sending is h11.SEND_BODY or (sending is h11.IDLE and self.conn.trailing_data[0]):
            if self._patience is None:
                self._wait(self.timeout_keep_alive)
        elif self._patience is not None:
            self._wait(None)

    def _begin(self, scope: dict[str, Any], body: bytes, length: int) -> None:
        """Serve a usual request."""
        self._exchange = exchange = Exchange(body, length, self.flow, self.transport.write)
        scope |= {"asgi": ASGI, "server": self.server, "client": self.client}
        scope |= {"scheme": self.scheme, "state": self.app_state}
        self._wait(None if exchange.is_whole else self.timeout_keep_alive)
        task = self.loop.create_task(self._serve(exchange, scope))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _go_on(self, exchange: Exchange, data: bytes) -> None:
        """Take in more of a usual request; what comes after it must wait for its answer."""
        beyond = exchange.take(data)
        if exchange.is_whole and self._patience is not None:
            self._wait(None)
        if beyond:
            self._later += beyond
            self.flow.pause_reading()

    async def _serve(self, exchange: Exchange, scope: dict[str, Any]) -> None:
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            self.logger.error("Exception in ASGI application\n", exc_info=error)
        self._exchange = None
        if self.transport.is_closing():
            return
        if not exchange.complete:
            self.transport.close()
            return
        self._wait(self.timeout_keep_alive)
        if self._later:
            data, self._later = self._later, b""
            self.flow.resume_reading()
            self.data_received(data)

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
        is_idle = self._exchange is None
        if is_idle and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
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

"""The simulated API behind a real socket of this machine, for tests of the real path."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply

HURRY = 0.03
"""Real seconds for one simulated second."""


@dataclass(frozen=True)
class Heard:
    """A request as it arrived."""

    headers: dict[str, str]
    body: dict[str, Any]


class Loopback:
    """A server on 127.0.0.1; `script` says for each request "", "cut" or a fault's status."""

    ORGANISATION = "0f8b2c3d-1a2b-4c5d-8e9f-0123456789ab"
    SIGNATURE = "EqQBCkgIARABGAIiQL3mzFQ"

    def __init__(self) -> None:
        self.script: list[str] = []
        self.requests: list[Heard] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, headers: dict[str, str], content: bytes) -> Reply:
        """Decide on a reply; its headers and its words hold what must not be recorded."""
        number = len(self.requests)
        self.requests.append(Heard(headers, json.loads(content)))
        act = self.script[number] if number < len(self.script) else ""
        faults = {"529": [Fault("overloaded")], "cut": [Fault("cut", after=7)]}.get(act, [])
        reply = SimulatedApi(seed=number, faults=faults).reply("POST", path, headers, content, 0.0)
        headers = {**reply.headers, "set-cookie": "session=1"}
        headers["anthropic-organization-id"] = self.ORGANISATION
        signed = self._signed if "event-stream" in headers["content-type"] else self._thoughtful
        chunks = signed(reply) if reply.status == 200 else reply.chunks
        return Reply(reply.status, headers, chunks, reply.ending)

    def _thoughtful(self, reply: Reply) -> tuple[tuple[float, bytes], ...]:
        """Put a signed thought before the words."""
        message = json.loads(reply.body)
        thought = {"type": "thinking", "thinking": self.ORGANISATION, "signature": self.SIGNATURE}
        message["content"].insert(0, thought)
        return ((reply.first_byte_s, json.dumps(message).encode()),)

    def _signed(self, reply: Reply) -> tuple[tuple[float, bytes], ...]:
        """Do the same in a stream, the organisation's id spelled in two pieces."""
        (at, start), *rest = reply.chunks
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        pieces = [self.ORGANISATION[:9], self.ORGANISATION[9:]]
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        deltas.append({"type": "signature_delta", "signature": self.SIGNATURE})
        thought = [("content_block_start", {"content_block": empty})]
        thought += [("content_block_delta", {"delta": delta}) for delta in deltas]
        thought += [("content_block_stop", {})]
        events = [
            f"event: {name}\ndata: {json.dumps({'type': name, 'index': 0, **data})}\n\n".encode()
            for name, data in thought
        ]
        moved = [(then, data.replace(b'"index":0', b'"index":1')) for then, data in rest]
        return ((at, start), *((at, event) for event in events), *moved)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                lowered = {name.lower(): value for name, value in self.headers.items()}
                self._play(server.answer(self.path, lowered, content))

            def _play(self, reply: Reply) -> None:
                reached = 0.0
                for number, (at, data) in enumerate(reply.chunks):
                    time.sleep((at - reached) * HURRY)
                    reached = at
                    if number == 0:
                        self.send_response_only(reply.status)
                        for name, value in reply.headers.items():
                            self.send_header(name, value)
                        self.send_header("transfer-encoding", "chunked")
                        self.end_headers()
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    self.wfile.flush()
                if reply.ending == "complete":
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

"""The usual request, whole and plain, served without an HTTP library in between.

Most requests are a POST with a length, no more than that, and h11 would spend as long on each of
them as the API on its answer.  So what can only be read in one way is read here and answered
here, in the same bytes; `read_request` leaves all else to h11, the wrong and the odd included.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from starlette.types import Message
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES

__all__ = ["Exchange", "Heard", "read_request"]

LARGEST = 64 * 1024
"""Bytes of a body that is taken in without asking the sender to slow down."""
HEAD = re.compile(rb"POST (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~]*\r\n)+)\r\n")
OTHERS = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
"""Headers that ask for more than an answer."""

Headers = list[tuple[bytes, bytes]]
Heard = tuple[dict[str, Any], bytes, int]
"""What a request says of itself in ASGI's words, the body as far as it is here, its length."""


def read_request(data: bytes) -> Heard | None:
    """Read the first bytes on a connection, None unless they are the head of a usual request."""
    head = HEAD.match(data)
    if head is None:
        return None
    target, lines = head.groups()
    headers = [
        (name.lower(), value.strip(b" "))
        for name, _, value in (line.partition(b":") for line in lines.split(b"\r\n")[:-1])
    ]
    length, body = _length(headers), data[head.end() :]
    if length is None or not len(body) <= length <= LARGEST:
        return None
    path, _, query = target.partition(b"?")
    return (
        {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "root_path": "",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
        },
        body,
        length,
    )


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the length of the body, None where these headers are not those of a usual request."""
    length, hosts = b"", 0
    for name, value in headers:
        if name in OTHERS or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            if length or not value.isdigit() or len(value) > 9:
                return None
            length = value
    return int(length) if length and hosts == 1 else None


class Exchange:
    """One request and its answer, for an application of ASGI."""

    __slots__ = (
        "_body", "_chunked", "_flow", "_gone", "_missing", "_news", "_start", "_told",
        "_write", "complete",
    )  # fmt: skip

    def __init__(
        self, body: bytes, length: int, flow: FlowControl, write: Callable[[bytes], None]
    ) -> None:
        self._body, self._missing = body, length - len(body)
        self._flow, self._write = flow, write
        self._news = asyncio.Event()
        self._start: Message | None = None
        self._told = self._gone = self._chunked = self.complete = False

    @property
    def is_whole(self) -> bool:
        """Whether the request is all here."""
        return not self._missing

    def take(self, data: bytes) -> bytes:
        """Add to the body what belongs to it, and return the rest."""
        if self._missing:
            mine, data = data[: self._missing], data[self._missing :]
            self._body += mine
            self._missing -= len(mine)
            self._news.set()
        return data

    def leave(self) -> None:
        """Learn that the client has gone."""
        self._gone = True
        self._news.set()

    async def receive(self) -> Message:
        """Give the application the whole request, and then the news that the client has gone."""
        while not self._gone and (self._told or self._missing):
            self._news.clear()
            await self._news.wait()
        if self._gone:
            return {"type": "http.disconnect"}
        self._told = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take the answer from the application; its head goes out with the first of its body."""
        if self._flow.write_paused:
            await self._flow.drain()
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        body, more = message["body"], message.get("more_body", False)
        start, self._start = self._start, None
        parts = [self._head(start)] if start is not None else []
        if not self._chunked:
            parts.append(body)
        elif body:
            parts += (b"%x\r\n" % len(body), body, b"\r\n")
        if not more:
            self.complete = True
            parts += (b"0\r\n\r\n",) if self._chunked else ()
        self._write(b"".join(parts))

    def _head(self, start: Message) -> bytes:
        status, headers = start["status"], start["headers"]
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, STATUS_PHRASES[status])]
        lines += [b"%b: %b\r\n" % pair for pair in headers]
        self._chunked = all(name != b"content-length" for name, _ in headers)
        lines.append(b"Transfer-Encoding: chunked\r\n\r\n" if self._chunked else b"\r\n")
        return b"".join(lines)

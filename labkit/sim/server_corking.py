"""A transport that joins what is written in one turn of the event loop into one send.

An ASGI server writes an answer's head and its body one after the other; each would be a packet
of its own, and on loopback a packet costs as much as finding out what to say.  Header lines
that the HTTP library need not judge are put into the head on its way out: it would spend more
time on them than on all else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["Corked"]

MOST = 64 * 1024
"""Bytes that are held back at most; from then on flow control is the transport's own again."""


class Corked(asyncio.Transport):
    """Writes through `transport`, a moment later and in larger pieces; all else is the same."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._held = 0
        self._lines = b""

    def add_to_head(self, lines: bytes) -> None:
        """Put header lines, each with its line end, into the head that is written next."""
        self._lines = lines

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send the bytes before the event loop waits again."""
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        if self._lines:
            first, end, rest = bytes(data).partition(b"\r\n")
            data, self._lines = b"".join((first, end, self._lines, rest)), b""
        self._parts.append(bytes(data))
        self._held += len(data)
        if self._held > MOST:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._held = [], 0
            self._transport.write(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send all of these bytes."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close the connection once everything is out."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._parts = []
        self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it has been closed, by either side."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take in nothing for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take in what comes again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Ask the transport."""
        return self._transport.get_extra_info(name, default)

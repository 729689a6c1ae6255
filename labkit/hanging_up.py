"""Hanging up: end a read of another thread by shutting its connection down.

A thread that waits in a system call hears nothing but its socket.  Once that is shut down, the
read returns at once, httpx2 reports a broken connection, and the pool throws it away.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from types import CodeType
from typing import Any

import httpx2

__all__ = ["hang_up", "hang_up_thread"]


def hang_up(response: httpx2.Response) -> bool:
    """Shut down the connection a response comes in on; say whether there was one of its own.

    Calls share a connection of HTTP/2, so that is left alone.
    """
    if response.extensions.get("http_version") == b"HTTP/2":
        return False
    found = _socket_of(response.extensions.get("network_stream"))
    return found is not None and _shut_down(found)


def hang_up_thread(thread: int, inside: CodeType) -> bool:
    """Shut down the connection that a thread waits for; say whether it waits for one.

    Before there is a response, nobody but the thread's own stack knows the connection.  It is
    looked at from the innermost frame out to the first one of the function `inside`, so that
    no connection of the caller's is touched.
    """
    import httpcore2

    found: socket.socket | None = None
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not inside:
        variables = frame.f_locals
        owner = variables.get("self")
        if isinstance(owner, httpcore2.HTTP2Connection):
            return False
        found = found or _socket_of(owner) or _socket_of(variables.get("sock"))
        frame = frame.f_back
    return frame is not None and found is not None and _shut_down(found)


def _socket_of(holder: Any) -> socket.socket | None:
    import httpcore2

    if isinstance(holder, httpcore2.NetworkStream):
        holder = holder.get_extra_info("socket")
    return holder if isinstance(holder, socket.socket) else None


def _shut_down(connection: socket.socket) -> bool:
    with suppress(OSError):  # it was closed a moment ago
        # `ssl.SSLSocket.shutdown` would drop the cipher under the reading thread.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    return True

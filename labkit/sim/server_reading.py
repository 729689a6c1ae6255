"""A request as it comes in over HTTP: headers, target, and no more of the body than fits."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import Receive, Scope

from labkit.sim.request_body import announced_length, largest_body

__all__ = ["headers_of", "origin_of", "read_body", "target_of"]

HOST = re.compile(r"[\w.-]{1,253}(?::\d{1,5})?|\[[\da-fA-F:]{2,45}\](?::\d{1,5})?")


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by name in lower case; what came several times is joined by commas."""
    pairs = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in scope["headers"]]
    headers = dict(pairs)
    if len(headers) < len(pairs):
        for name in headers:
            headers[name] = ", ".join(text for each, text in pairs if each == name)
    return headers


def target_of(scope: Scope) -> str:
    """Return path and query as they were sent; of a whole address, as proxies get it, the path."""
    path = scope["raw_path"].decode("latin-1")
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def origin_of(headers: Mapping[str, str], scope: Scope) -> str:
    """Return the scheme and host that the client came to; a senseless host is our own address."""
    host = headers.get("host", "")
    if not HOST.fullmatch(host):
        address, port = scope.get("server") or ("127.0.0.1", 80)
        host = f"{address}:{port}"
    return f"http://{host}"


async def read_body(receive: Receive, target: str, headers: Mapping[str, str]) -> bytes | None:
    """Return the body, or None if the client left before it was whole.

    A body that announces more than its endpoint takes is not read at all, one that turns out
    to be larger only so far: the API refuses both for their size.
    """
    most = largest_body(target)
    if announced_length(headers) > most:
        return b""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        return bytes(message["body"])
    parts, size = [], 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(message["body"])
        if size > most or not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    return None

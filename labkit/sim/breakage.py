"""Ways in which a reply can break on the wire, each a function from a sound reply to a broken one.

None of them looks at what is said.  Times are seconds since the request arrived, and what comes
after a pause comes that much later.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf

from labkit.sim.reply import Reply

__all__ = [
    "DROP",
    "PING",
    "cut",
    "dripped",
    "is_stream",
    "malformed",
    "overpromised",
    "pinging",
    "unfinished",
    "with_error_event",
]

DROP = 16
"""Bytes in one piece of a dripping answer."""
MOST_PINGS = 10_000
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def is_stream(reply: Reply) -> bool:
    """Whether the reply is a stream of events."""
    return reply.headers.get("content-type", "").startswith("text/event-stream")


def cut(reply: Reply, after: int) -> Reply:
    """Break the connection: a stream after so many events, its last one never, a body half-way."""
    if is_stream(reply):
        passed = min(after, len(reply.chunks) - 1)
        kept, at = reply.chunks[:passed], reply.chunks[passed][0]
        return replace(reply, chunks=kept, ending="reset", ended_s=at)
    at, body = reply.chunks[0]
    return replace(reply, chunks=((at, body[: len(body) // 2]),), ending="reset")


def with_error_event(reply: Reply, after: int, request_id: str) -> Reply:
    """End a stream with an overload after so many events, its last one never among them."""
    passed = min(after, len(reply.chunks) - 1)
    error = {"details": None, "type": "overloaded_error", "message": "Overloaded"}
    body = {"type": "error", "error": error, "request_id": request_id}
    event = f"event: error\ndata: {json.dumps(body)}\n\n".encode()
    return replace(reply, chunks=(*reply.chunks[:passed], (reply.chunks[passed][0], event)))


def unfinished(reply: Reply, after: int) -> Reply:
    """End a stream in good order, but without `message_stop`: after so many events (0: all)."""
    if not is_stream(reply):
        return reply
    passed = min(after or len(reply.chunks), len(reply.chunks) - 1)
    return replace(reply, chunks=reply.chunks[:passed], ended_s=reply.chunks[passed][0])


def malformed(reply: Reply, after: int) -> Reply:
    """Send JSON that ends too early, and all else as it should be.

    Of a stream that is the event after so many (a ping does not count as one), its last at the
    latest; the other events follow.
    """
    events = [at for at, (_, data) in enumerate(reply.chunks) if data != PING]
    place = events[min(after, len(events) - 1)] if is_stream(reply) else 0
    at, data = reply.chunks[place]
    half = data[: len(data) * 2 // 3].decode(errors="ignore").encode()
    broken = half + b"\n\n" if is_stream(reply) else half
    return replace(reply, chunks=(*reply.chunks[:place], (at, broken), *reply.chunks[place + 1 :]))


def overpromised(reply: Reply) -> Reply:
    """Announce more bytes than are sent; the connection then ends, as it must."""
    length = str(2 * len(reply.body) + 1)
    return replace(reply, headers={**reply.headers, "content-length": length}, ending="reset")


def dripped(reply: Reply, every: float) -> Reply:
    """Send a few bytes every so many seconds."""
    body, first = reply.body, reply.first_byte_s
    pieces = [body[at : at + DROP] for at in range(0, len(body), DROP)]
    chunks = tuple((round(first + n * every, 3), piece) for n, piece in enumerate(pieces))
    return replace(reply, chunks=chunks)


def pinging(reply: Reply, every: float, lasts: float) -> Reply:
    """After the first event send only pings, one every so many seconds, then go on.

    For ever is 10,000 pings and then silence, so that a reply is finite.  A body that is not
    streamed comes that much later.
    """
    if not is_stream(reply):
        if lasts == inf:
            return replace(reply, chunks=(), ending="silence")
        return _later(reply, lasts)
    (start, data), *rest = reply.chunks
    count = int(min(lasts / every, MOST_PINGS))
    pings = [(round(start + n * every, 3), PING) for n in range(1, count + 1)]
    if lasts == inf:
        return replace(reply, chunks=((start, data), *pings), ending="silence")
    after = _later(replace(reply, chunks=tuple(rest)), lasts)
    return replace(reply, chunks=((start, data), *pings, *after.chunks))


def _later(reply: Reply, seconds: float) -> Reply:
    return replace(reply, chunks=tuple((round(at + seconds, 3), b) for at, b in reply.chunks))

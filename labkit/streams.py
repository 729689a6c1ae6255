"""Look at the start of a streamed answer without losing a byte of it.

An overload may arrive as an `error` event inside a 200, and a connection may be cut before
the first word.  Until the first content event nothing has been shown to anyone, so such a
stream is a failed attempt like any other.  We read up to that point, judge, and put back
what was read: whoever consumes the stream later sees every byte in order.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from labkit.resumed import Resumed, ResumedAsync, can_be_read
from labkit.verdict import Verdict

__all__ = ["peek", "peek_async", "verdict_of"]


def verdict_of(response: httpx2.Response) -> Verdict | None:
    """Return the verdict of an earlier peek at this response, None if nobody peeked."""
    return getattr(response.stream, "verdict", None)


def peek(response: httpx2.Response, check_time: Callable[[], object]) -> Verdict:
    """Read a streamed response up to its first content event or error, and put it back.

    `check_time` is called after every chunk and may raise, because a server that does nothing
    but ping would hold us for ever.  Raises what it raises, or what the connection raises when
    it breaks before that point (`httpx2.ReadTimeout`, `httpx2.RemoteProtocolError`, ...); the
    response is closed then.  The connection of a stream that failed is given back at once.
    """
    if not isinstance(response.stream, httpx2.SyncByteStream) or not can_be_read(response):
        return Verdict()
    response.stream = stream = Resumed(response)
    try:
        for chunk in stream.rest:
            if stream.sees(chunk):
                break
            check_time()
    except BaseException as error:
        response.close()
        _name_request(error, response)
        raise
    verdict = stream.watch.end()
    if verdict.failed:
        stream.close()
        stream.rest = iter(())
    return verdict


async def peek_async(response: httpx2.Response, check_time: Callable[[], object]) -> Verdict:
    """Do what `peek` does for the async client."""
    if not isinstance(response.stream, httpx2.AsyncByteStream) or not can_be_read(response):
        return Verdict()
    response.stream = stream = ResumedAsync(response)
    try:
        async for chunk in stream.rest:
            if stream.sees(chunk):
                break
            check_time()
    except BaseException as error:
        await response.aclose()
        _name_request(error, response)
        raise
    verdict = stream.watch.end()
    if verdict.failed:
        await stream.aclose()
    return verdict


def _name_request(error: BaseException, response: httpx2.Response) -> None:
    """Do what httpx2 does where it reads a body itself: a transport's error names no request."""
    if isinstance(error, httpx2.RequestError):
        error.request = response.request

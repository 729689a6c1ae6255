"""Look at the start of a streamed answer without losing a byte of it.

An overload may arrive as an `error` event inside a 200, and a connection may be cut before
the first word.  Until the first content event nothing has been shown to anyone, so such a
stream is a failed attempt like any other.  We read up to that point, judge, and put back
what was read: whoever consumes the stream later sees every byte in order.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

__all__ = ["Verdict", "judge", "peek", "peek_async", "verdict_of"]

CONTENT_EVENTS = frozenset({"content_block_delta", "message_delta", "message_stop"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the start of a stream shows: content, an error event, or an end before either."""

    error_type: str | None = None
    error_code: str | None = None
    truncated: bool = False


def judge(start: bytes) -> Verdict | None:
    """Return the verdict on the events that are complete in `start`, None if it is too early."""
    *events, _unfinished = start.replace(b"\r\n", b"\n").split(b"\n\n")
    for event in events:
        name, data = _fields(event)
        if name in CONTENT_EVENTS:
            return Verdict()
        if name == "error":
            error = data.get("error") or {}
            code = (error.get("details") or {}).get("error_code")
            return Verdict(error_type=error.get("type") or "error", error_code=code)
    return None


def _fields(event: bytes) -> tuple[str, dict[str, Any]]:
    name, data = "", ""
    for line in event.decode("utf-8", "replace").split("\n"):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.strip()
        elif field == "data":
            data += value
    if name != "error":
        return name, {}
    try:
        parsed = json.loads(data)
    except ValueError:
        return name, {}
    return name, parsed if isinstance(parsed, dict) else {}


class _Resumed(httpx2.SyncByteStream):
    """A byte stream that gives back what was peeked, then goes on."""

    def __init__(
        self, start: bytes, rest: Iterator[bytes], source: httpx2.SyncByteStream, verdict: Verdict
    ) -> None:
        self._start, self._rest, self._source = start, rest, source
        self.verdict = verdict

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        yield from self._rest

    def close(self) -> None:
        self._source.close()


class _ResumedAsync(httpx2.AsyncByteStream):
    """The same for an async stream."""

    def __init__(
        self,
        start: bytes,
        rest: AsyncIterator[bytes],
        source: httpx2.AsyncByteStream,
        verdict: Verdict,
    ) -> None:
        self._start, self._rest, self._source = start, rest, source
        self.verdict = verdict

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        await self._source.aclose()


def verdict_of(response: httpx2.Response) -> Verdict | None:
    """Return the verdict of an earlier peek at this response, None if nobody peeked."""
    return getattr(response.stream, "verdict", None)


def peek(response: httpx2.Response) -> Verdict:
    """Read a streamed response up to its first content event or error, and put it back.

    Raises what the connection raises (`httpx2.ReadTimeout`, `httpx2.RemoteProtocolError`, ...)
    when it breaks before that point; the response is closed then.
    """
    source = response.stream
    if not isinstance(source, httpx2.SyncByteStream) or "content-encoding" in response.headers:
        return Verdict()
    chunks, start, verdict = iter(source), b"", None
    try:
        while verdict is None:
            chunk = next(chunks, None)
            if chunk is None:
                verdict = judge(start) or Verdict(truncated=True)
            else:
                start += chunk
                verdict = judge(start)
    except BaseException:
        response.close()
        raise
    response.stream = _Resumed(start, chunks, source, verdict)
    return verdict


async def peek_async(response: httpx2.Response) -> Verdict:
    """Do what `peek` does for the async client."""
    source = response.stream
    if not isinstance(source, httpx2.AsyncByteStream) or "content-encoding" in response.headers:
        return Verdict()
    chunks, start, verdict = aiter(source), b"", None
    try:
        while verdict is None:
            chunk = await anext(chunks, None)
            if chunk is None:
                verdict = judge(start) or Verdict(truncated=True)
            else:
                start += chunk
                verdict = judge(start)
    except BaseException:
        await response.aclose()
        raise
    response.stream = _ResumedAsync(start, chunks, source, verdict)
    return verdict

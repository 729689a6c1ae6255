"""What the events of a streamed answer show so far: nothing yet, content, an error, or the end.

The bytes are read as the SDK reads them: chunks may be cut anywhere, lines may end in LF or
CRLF, an event without a name means nothing, and an event counts once its blank line is there.
The real API compresses streams too, so what is judged is decompressed on the side.
"""

from __future__ import annotations

import codecs
import io
import json
import zlib
from dataclasses import dataclass
from typing import Any

__all__ = ["OPAQUE", "Ending", "Verdict", "Watch", "error_in"]

BEFORE_CONTENT = frozenset({"message_start", "content_block_start", "content_block_stop", "ping"})
"""After these nothing has been shown to anyone.  An event we do not know counts as content."""

CLOSING = frozenset({"message_stop", "error"})
"""The end of a stream is a proper end after any of these, and after a stop reason."""

OPAQUE = "opaque"
"""In place of an encoding: there are no events in it at all."""

WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the start of a stream shows: content, an error event, or an end before either."""

    error_type: str | None = None
    error_code: str | None = None
    truncated: bool = False

    @property
    def failed(self) -> bool:
        """Whether the stream failed before anyone was shown any of it."""
        return self.truncated or self.error_type is not None


class Ending:
    """Whether a stream broke while somebody read it: by an error event, a cut, or silence."""

    __slots__ = ("broke",)

    def __init__(self) -> None:
        self.broke = False


class Watch:
    """Follows a stream chunk by chunk.

    `verdict` is None until there is one; `complete` says whether the stream may end here, and
    `closed` that nothing is missing; `contents` counts the events that are no mere sign of life.
    `ending` outlives it and says whether the stream broke after its first content.
    `started` and `ended` are the data of its first and last events that bear a usage.
    A stream in an encoding other than gzip and deflate cannot be read: it passes as good.
    """

    def __init__(self, encoding: str = "") -> None:
        encoding = encoding.strip().lower()
        plain = encoding in ("", "identity")
        self._inflater = None if plain else zlib.decompressobj(WINDOW_BITS.get(encoding, 15))
        self._text = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._unfinished = ""
        self.verdict: Verdict | None = None
        self.complete = self.closed = False
        self.ending = Ending()
        self.contents = 0
        self.started = self.ended = ""
        if not plain and encoding not in WINDOW_BITS:
            self._give_up()

    def feed(self, chunk: bytes) -> Verdict | None:
        """Take the next chunk as it came off the wire and return the verdict, if there is one."""
        if self.complete:
            self.contents += 1
            return self.verdict
        try:
            data = chunk if self._inflater is None else self._inflater.decompress(chunk)
        except zlib.error:
            self._give_up()
            return self.verdict
        self._unfinished += self._text.decode(data)
        *events, self._unfinished = self._unfinished.split("\n\n")
        for event in events:
            self._take(event)
        return self.verdict

    def end(self) -> Verdict:
        """Take note of the end of the stream and return the verdict, by now there is one."""
        if self.verdict is None:
            self.verdict = Verdict(truncated=True)
        return self.verdict

    def _take(self, event: str) -> None:
        name, data = _fields(event)
        self.closed = self.closed or name in CLOSING or _has_stop_reason(name, data)
        self.complete = self.complete or self.closed
        if name == "message_start":
            self.started = data
        elif name == "message_delta":
            self.ended = data
        self.contents += bool(name) and name != "ping"
        if name == "error" and self.verdict is not None:
            self.ending.broke = True
        if self.verdict is None and name and name not in BEFORE_CONTENT:
            self.verdict = Verdict(*error_in(_parsed(data))) if name == "error" else Verdict()

    def _give_up(self) -> None:
        """Let a stream pass that cannot be read; whoever consumes it will see what is wrong."""
        self.verdict, self.complete = self.verdict or Verdict(), True


def _fields(event: str) -> tuple[str, str]:
    name, data = "", []
    for line in event.split("\n"):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value)
    return name, "\n".join(data)


def _has_stop_reason(name: str, data: str) -> bool:
    if name != "message_delta":
        return False
    return _member(_member(_parsed(data), "delta"), "stop_reason") is not None


def _parsed(data: str) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


def error_in(body: object) -> tuple[str, str | None]:
    """Return (type, code) of an error body of the API, whatever it looks like: ("error", None)."""
    error = _member(body, "error")
    kind, code = _member(error, "type"), _member(_member(error, "details"), "error_code")
    kind = kind if isinstance(kind, str) and kind else "error"
    return kind, code if isinstance(code, str) else None


def _member(parsed: object, name: str) -> Any:
    return parsed.get(name) if isinstance(parsed, dict) else None

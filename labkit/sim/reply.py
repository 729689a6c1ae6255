"""What a server does with one request, as a value: status, headers, bytes with their times, ending.

The simulated API answers with a `Reply`, a cassette stores one, and a transport plays it back
on a clock.  So a stream that stalls or breaks looks the same whether simulated or recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["ENDINGS", "UPSTREAM", "Reply"]

ENDINGS = ("complete", "reset", "silence", "refused")
UPSTREAM = "x-envoy-upstream-service-time"
"""The header in which the server reports its own milliseconds up to the first byte."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply.

    `chunks` are (seconds since the request arrived, bytes) in order; the response head goes
    out with the first one.  `ending` says what happens after the last: "complete" (a proper
    end), "reset" (the connection breaks), "silence" (nothing more, ever), or "refused" (there
    was no connection at all; status is 0 then).  `ended_s` is when that happens, where it is
    later than the last chunk.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[tuple[float, bytes], ...] = ()
    ending: str = "complete"
    ended_s: float = 0.0

    @property
    def body(self) -> bytes:
        """All bytes in one piece."""
        return b"".join(data for _, data in self.chunks)

    @property
    def first_byte_s(self) -> float:
        """Seconds until the response head arrives."""
        return self.chunks[0][0] if self.chunks else self.ended_s

    @property
    def duration_s(self) -> float:
        """Seconds until the last byte, or until the connection fails."""
        return max(self.chunks[-1][0], self.ended_s) if self.chunks else self.ended_s

    def delayed(self, seconds: float) -> Reply:
        """Return the reply with everything so much later, the time it reports included."""
        late = tuple((round(at + seconds, 3), data) for at, data in self.chunks)
        headers = dict(self.headers)
        if UPSTREAM in headers:
            headers[UPSTREAM] = str(int(headers[UPSTREAM]) + round(seconds * 1000))
        ended_s = self.ended_s + seconds if self.ended_s or not late else 0.0
        return replace(self, headers=headers, chunks=late, ended_s=ended_s)

    def slowed(self, factor: float) -> Reply:
        """Return the reply with every time multiplied by `factor`, the one it reports included."""
        slow = tuple((round(at * factor, 3), data) for at, data in self.chunks)
        headers = dict(self.headers)
        if UPSTREAM in headers:
            headers[UPSTREAM] = str(round(int(headers[UPSTREAM]) * factor))
        return replace(self, headers=headers, chunks=slow, ended_s=self.ended_s * factor)

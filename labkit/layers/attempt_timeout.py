"""Four timeouts for one attempt: to connect, to the first token, between tokens, and in all.

The SDK's timeout is the longest silence between two reads, and a ping is not silent.  A stream
that only pings, or a server that sends a byte now and then, outlives it; a caller who waits for
words is served by clocks that count words.
"""

from __future__ import annotations

from labkit.drivers import Layer
from labkit.flow import Flow, Outcome, Request, Send, Timeouts

__all__ = ["AttemptTimeout"]


class AttemptTimeout(Layer):
    """End an attempt that keeps its caller waiting; all lengths are seconds, None: no limit.

    `connect` is the longest wait for a connection, from the pool or newly opened.  `first_token`
    runs until the first content of a stream, or until all of a plain answer is there.  `silence`
    runs from content to content of a stream, once some has come: pings and comments do not stop
    it, and the time a reader takes between two reads does not count.  `total` runs until the last
    byte, also while the caller reads.

    Place it inside of `Retry`: before the first content, an attempt that is too slow is a
    transient outcome with `anthropic.APITimeoutError`.  After it the reader gets that same error,
    and the connection is closed.  Mind that an attempt given up may be billed all the same.

    Raises ValueError unless at least one length is given and all are positive.
    """

    def __init__(
        self,
        *,
        connect: float | None = None,
        first_token: float | None = None,
        silence: float | None = None,
        total: float | None = None,
    ) -> None:
        self.timeouts = Timeouts(connect, first_token, silence, total)
        given = [length for length in _lengths(self.timeouts) if length is not None]
        if not given or not all(length > 0 for length in given):
            raise ValueError(f"Timeouts are positive numbers of seconds, not {self.timeouts}.")

    def flow(self, request: Request) -> Flow:
        """Send the request on with the timeouts attached."""
        timeouts = self.timeouts
        if request.timeout is not None:
            pairs = zip(_lengths(timeouts), _lengths(request.timeout), strict=True)
            timeouts = Timeouts(*(_shorter(*pair) for pair in pairs))
        outcome: Outcome = yield Send(request.replace(timeout=timeouts))
        return outcome


def _lengths(timeouts: Timeouts) -> list[float | None]:
    return [timeouts.connect, timeouts.first_token, timeouts.silence, timeouts.total]


def _shorter(one: float | None, other: float | None) -> float | None:
    return min((length for length in (one, other) if length is not None), default=None)

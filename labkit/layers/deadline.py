"""A deadline for the whole call: a point in time that every attempt, wait and queue looks at.

A timeout is a length of time for one attempt, and the SDK's is even less: the longest silence
between two bytes.  Two retries of a 600-second timeout can keep a caller waiting for half an
hour.  A deadline answers the only question a caller has: when will I know?
"""

from __future__ import annotations

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.flow import Flow, Now, Outcome, Request, Send

__all__ = ["Deadline"]


class Deadline(Layer):
    """End the whole call `seconds` after it began, whatever the layers inside are doing.

    Place it outside of `Retry`.  Layers inside see the deadline on the request; nothing begins
    after it, and the SDK's timeouts are shortened to what is left.  (A timeout set on the client
    itself is hidden from middleware: beside a deadline, give it per call or by a layer.)

    Whatever is under way at the deadline is ended: under `AsyncAnthropic` it is cancelled, under
    `Anthropic` its connection is shut down.  Either way the layers inside see an attempt that
    timed out, which a breaker counts.  That holds for a stream too while its caller reads it.
    The caller gets `labkit.errors.DeadlineExceeded`, with the failure that was waited out as its
    cause.  (A sync client cannot be called off while it looks up the name of a host, nor while it
    shares a connection of HTTP/2.)

    Raises ValueError unless `seconds` is positive.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"A deadline must be a positive number of seconds, not {seconds}.")
        self.seconds = seconds

    def flow(self, request: Request) -> Flow:
        """Send the request on with the deadline attached."""
        began: float = yield Now()
        limited = request.within(began + self.seconds)
        outcome: Outcome = yield Send(limited)
        if outcome.ok or isinstance(outcome.error, DeadlineExceeded):
            return outcome
        if limited.deadline is not None and (yield Now()) >= limited.deadline:
            late = DeadlineExceeded(
                f"No answer within {limited.deadline - began:g} s; "
                f"the last attempt ended with {outcome.reason}."
            )
            late.__cause__ = outcome.error
            return Outcome(error=late)
        return outcome

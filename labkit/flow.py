"""A pattern as a flow: a generator that asks the world for things and is sent the answers.

A flow imports no clock, no socket and no event loop.  It yields effects:

    outcome = yield Send(request)     pass the request on, be sent what came of it
    yield Sleep(seconds)              wait
    now = yield Now()                 be sent the time, in seconds
    yield Note("retry", attempt=2)    leave a trace: a span event, or a row in a simulation
    opened = yield Wait(gate, until)  wait for somebody else, be sent whether the gate opened
    ticket = yield Start(request)     pass the request on and go on at once: see `first`
    found = yield Do(work)            have a file or a server asked, which takes real time

and it returns the outcome that its caller shall see.  Because it only asks, the same flow
runs under the sync SDK, under the async SDK and in a simulation: see `labkit.drivers`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeAlias, final

from msgspec import field

from labkit.gate import Gate
from labkit.outcome import Outcome, Used
from labkit.records import Record

__all__ = [
    "Do",
    "Effect",
    "Flow",
    "Gate",
    "Note",
    "Now",
    "Outcome",
    "Request",
    "Send",
    "Sleep",
    "Start",
    "Ticket",
    "Timeouts",
    "Used",
    "Wait",
    "first",
]


class Timeouts(Record, frozen=True):
    """The seconds that parts of one attempt may take, None where there is no limit.

    `connect` to get a connection; `first_token` to the first content of a stream, or to the whole
    of a plain answer; `silence` from one content event to the next, however many pings lie in
    between; `total` to the last byte.
    """

    connect: float | None = None
    first_token: float | None = None
    silence: float | None = None
    total: float | None = None


class Request(Record, frozen=True):
    """One request as a layer sees it.

    `body` is the JSON body (never change it in place), `headers` what this call adds to the
    client's, `deadline` the time on the driver's clock at which the caller's patience ends (None:
    never), and `timeout` what one attempt may take (None: as the client is set up).  The layer
    that sends an earlier deadline or another timeout than it was given ends what takes longer.
    """

    body: Mapping[str, Any] = field(default_factory=dict)
    path: str = "/v1/messages"
    method: str = "POST"
    stream: bool = False
    deadline: float | None = None
    timeout: Timeouts | None = None
    sdk_retries: int = 0
    """Retries the SDK itself has already made: above 0 there are two owners of retries."""
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str | None:
        """The model asked for, None where the endpoint has none."""
        model = self.body.get("model")
        return model if isinstance(model, str) else None

    def within(self, deadline: float) -> Request:
        """Return the request with the earlier of its own deadline and this one."""
        earlier = deadline if self.deadline is None else min(deadline, self.deadline)
        if earlier == self.deadline:
            return self
        return self.replace(deadline=earlier)


@final
class Send(Record, frozen=True):
    """Pass the request on to the next layer; the flow is sent its `Outcome`."""

    request: Request


@final
class Sleep(Record, frozen=True):
    """Wait for `seconds`."""

    seconds: float


@final
class Now(Record, frozen=True):
    """Ask for the time; the flow is sent a float of seconds."""


class Note:
    """Leave a trace of what the layer did, with plain values as attributes."""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, /, **attributes: str | int | float | bool) -> None:
        self.name = name
        self.attributes = attributes


@final
class Wait(Record, frozen=True):
    """Wait for a gate, at most until a point in time on the driver's clock (None: for ever).

    The flow is sent True if the gate is open, False if `until` came first.  Whoever opens the
    gate is another call: under the sync SDK that takes another thread and a real clock.
    """

    gate: Gate
    until: float | None = None


@final
class Start(Record, frozen=True):
    """Pass the request on without waiting for what comes of it; the flow is sent a `Ticket`.

    What is still under way when the flow ends, however it ends, is cancelled.  Under the sync
    SDK it takes a thread, so on a virtual clock the call ends with `labkit.errors.UserError`.
    """

    request: Request


@final
class Do(Record, frozen=True):
    """Have `work` done without the flows' lock: it takes real time, soon ends, and never raises."""

    work: Callable[[], Any]


class Ticket:
    """A request that a flow has started: `ended` opens when `outcome` is there."""

    __slots__ = ("ended", "outcome")

    def __init__(self) -> None:
        self.ended = Gate()
        self.outcome: Outcome | None = None


Effect: TypeAlias = Send | Sleep | Now | Note | Wait | Start | Do
Flow: TypeAlias = Generator[Effect, Any, Outcome]


def first(
    tickets: Sequence[Ticket], until: float | None = None
) -> Generator[Effect, Any, Ticket | None]:
    """Wait for the first of some tickets to end and return it, None if `until` comes first.

    Use it as `done = yield from first(tickets)`.  If several have ended already, the one named
    first counts.
    """
    any_ended = Gate()
    for ticket in tickets:
        ticket.ended.subscribe(any_ended.open)
    try:
        yield Wait(any_ended, until)
    finally:
        for ticket in tickets:
            ticket.ended.unsubscribe(any_ended.open)
    return next((ticket for ticket in tickets if ticket.outcome is not None), None)

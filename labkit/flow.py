"""A pattern as a flow: a generator that asks the world for things and is sent the answers.

A flow imports no clock, no socket and no event loop.  It yields effects:

    outcome = yield Send(request)     pass the request on, be sent what came of it
    yield Sleep(seconds)              wait
    now = yield Now()                 be sent the time, in seconds
    yield Note("retry", attempt=2)    leave a trace: a span event, or a row in a simulation

and it returns the outcome that its caller shall see.  Because it only asks, the same flow
runs under the sync SDK, under the async SDK and in a simulation: see `labkit.drivers`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, dataclass_transform, final

from labkit.outcome import Outcome

__all__ = ["Effect", "Flow", "Note", "Now", "Outcome", "Request", "Send", "Sleep"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _record(kind: type[T]) -> type[T]:
    """Make a dataclass that the type checker keeps anybody from changing.

    There are several of them in every attempt, and `frozen=True` would make each cost four times
    as much.
    """
    return dataclass(slots=True)(kind)


@_record
class Request:
    """One request as a layer sees it.

    `body` is the JSON body (never change it in place), `deadline` the point in time, on the
    driver's clock, at which the caller's patience ends (None: never), and `timeout` the
    seconds one attempt may take (None: as the client is set up).
    """

    body: Mapping[str, Any] = field(default_factory=dict)
    path: str = "/v1/messages"
    method: str = "POST"
    stream: bool = False
    deadline: float | None = None
    timeout: float | None = None
    sdk_retries: int = 0
    """Retries the SDK itself has already made: above 0 there are two owners of retries."""

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
        return Request(  # `replace` would take three times as long
            body=self.body,
            path=self.path,
            method=self.method,
            stream=self.stream,
            deadline=earlier,
            timeout=self.timeout,
            sdk_retries=self.sdk_retries,
        )


@final
@_record
class Send:
    """Pass the request on to the next layer; the flow is sent its `Outcome`."""

    request: Request


@final
@_record
class Sleep:
    """Wait for `seconds`."""

    seconds: float


@final
@dataclass(frozen=True, slots=True, init=False)
class Now:
    """Ask for the time; the flow is sent a float of seconds."""


class Note:
    """Leave a trace of what the layer did, with plain values as attributes."""

    __slots__ = ("attributes", "name")

    def __init__(self, name: str, /, **attributes: str | int | float | bool) -> None:
        self.name = name
        self.attributes = attributes


Effect: TypeAlias = Send | Sleep | Now | Note
Flow: TypeAlias = Generator[Effect, Any, Outcome]

"""Run a flow under the official SDK: `Layer` is a middleware for `Anthropic` and `AsyncAnthropic`.

A driver advances a flow under one lock and carries out what it asks for outside of it.  Flows
never block, so layers, and policies shared between layers, are safe by construction.
However a call ends (answer, exception, cancellation), the flow is closed, so that its
`finally` blocks give back what it took, and what it has started is cancelled.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anthropic
from anthropic import APIRequest
from opentelemetry import trace

from labkit.clock import Clock, SystemClock
from labkit.flow import Do, Flow, Note, Now, Outcome, Request, Send, Sleep, Start, Wait
from labkit.metering import FLOW_LOCK
from labkit.racing import AsyncRace, Race
from labkit.sdk import request_of
from labkit.sdk_outcome import close, close_async, deliver, replaced
from labkit.sending import OUTER, hop_to, send, send_async
from labkit.wakening import check_alarms, check_cancelled

__all__ = ["Layer"]

SYSTEM_CLOCK = SystemClock()


class Layer(anthropic.Middleware):
    """One pattern as a middleware.  Subclasses override `flow`; everything else is here.

    Use it as `Anthropic(middleware=[Outer(), Inner()], max_retries=0)`: first listed is
    outermost, and the SDK's own retries are off because the chain runs once per SDK attempt.
    `clock` is the time the layer lives in; the laboratory replaces it with a virtual one.
    """

    clock: Clock = SYSTEM_CLOCK

    def flow(self, request: Request) -> Flow:
        """Return the pattern as a generator; this one passes the request on."""
        outcome: Outcome = yield Send(request)
        return outcome

    def handle(self, request: APIRequest, call_next: anthropic.CallNext) -> Any:
        """Drive the flow for the sync client."""
        outer = OUTER.get()
        asked = request_of(request, outer)
        flow = self.flow(asked)
        answer: object = None
        seen: Outcome | None = None
        race: Race | None = None
        try:
            while True:
                effect = self._advance(flow, answer)
                if type(effect) is Send:
                    if seen is not None:
                        close(seen)
                    hop = outer
                    if hop is None or not hop.serves(effect.request, self.clock):
                        hop = hop_to(effect.request, asked, request, self.clock)
                    answer = seen = send(hop, asked, call_next, self.clock)
                elif isinstance(effect, Outcome):
                    if effect is not seen:
                        close(replaced(seen, effect))
                    if race is not None:
                        race.end(effect)
                    return deliver(effect, request, outer)
                elif type(effect) is Sleep:
                    self.clock.sleep(effect.seconds)
                    answer = None
                else:
                    race = race or Race(partial(self._begin, request, asked, call_next), self.clock)
                    answer = race.carry_out(effect)
        except BaseException:
            _abandon(flow, seen, race)
            raise

    async def handle_async(self, request: APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
        """Drive the flow for the async client."""
        outer = OUTER.get()
        asked = request_of(request, outer)
        flow = self.flow(asked)
        answer: object = None
        seen: Outcome | None = None
        race: AsyncRace | None = None
        try:
            while True:
                effect = self._advance(flow, answer)
                if type(effect) is Send:
                    if seen is not None:
                        await close_async(seen)
                    hop = outer
                    if hop is None or not hop.serves(effect.request, self.clock):
                        hop = hop_to(effect.request, asked, request, self.clock)
                    answer = seen = await send_async(hop, asked, call_next, self.clock)
                elif isinstance(effect, Outcome):
                    if effect is not seen:
                        await close_async(replaced(seen, effect))
                    if race is not None:
                        await race.end(effect)
                    return deliver(effect, request, outer)
                elif type(effect) is Sleep:
                    check_alarms()
                    await self.clock.sleep_async(effect.seconds)
                    answer = None
                else:
                    begin = partial(self._begin_async, request, asked, call_next)
                    race = race or AsyncRace(begin, self.clock)
                    answer = await race.carry_out(effect)
        except BaseException as error:
            await _abandon_async(flow, seen, race)
            check_cancelled(error)
            raise

    def _advance(self, flow: Flow, answer: object) -> Send | Sleep | Wait | Start | Do | Outcome:
        """Advance the flow until it asks for something that takes time, or ends."""
        try:
            while True:
                with FLOW_LOCK:
                    effect = flow.send(answer)
                if type(effect) is Send or type(effect) is Sleep:
                    return effect
                if type(effect) is Now:
                    answer = self.clock.now()
                elif type(effect) is Note:
                    _annotate(effect)
                    answer = None
                elif isinstance(effect, (Wait, Start, Do)):
                    return effect
                else:
                    name = type(self).__name__
                    raise TypeError(f"{name}.flow yielded {effect!r}, not an effect")
        except StopIteration as stop:
            end = stop.value
        if not isinstance(end, Outcome):
            raise TypeError(f"{type(self).__name__}.flow must return an Outcome, not {end!r}")
        return end

    def _begin(
        self, original: APIRequest, asked: Request, call_next: anthropic.CallNext, request: Request
    ) -> Outcome:
        """Send a request that the flow has started."""
        return send(hop_to(request, asked, original, self.clock), asked, call_next, self.clock)

    async def _begin_async(
        self,
        original: APIRequest,
        asked: Request,
        call_next: anthropic.AsyncCallNext,
        request: Request,
    ) -> Outcome:
        hop = hop_to(request, asked, original, self.clock)
        return await send_async(hop, asked, call_next, self.clock)


def _abandon(flow: Flow, seen: Outcome | None, race: Race | None) -> None:
    """Let a flow give back what it took, and hear no more of what it has sent."""
    try:
        with FLOW_LOCK:
            flow.close()
    finally:
        close(seen)
        if race is not None:
            race.end()


async def _abandon_async(flow: Flow, seen: Outcome | None, race: AsyncRace | None) -> None:
    try:
        with FLOW_LOCK:
            flow.close()
    finally:
        if race is not None:
            await race.end()
        await close_async(seen)


def _annotate(note: Note) -> None:
    """Write a note on the call's span; without tracing this is nothing."""
    trace.get_current_span().add_event(f"labkit.{note.name}", note.attributes)

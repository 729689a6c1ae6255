"""Run a flow under the official SDK: `Layer` is a middleware for `Anthropic` and `AsyncAnthropic`.

A driver advances a flow under one lock and carries out what it asks for outside of it.  Flows
never block, so layers, and policies shared between layers, are safe by construction.
However a call ends (answer, exception, cancellation), the flow is closed, so that its
`finally` blocks give back what it took.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from functools import partial
from typing import Any

import anthropic
from anthropic import APIRequest
from opentelemetry import trace

from labkit.clock import Clock, SystemClock
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.limits import check_time, limits_of
from labkit.patience import wait, wait_async
from labkit.sdk import Hop, request_for, request_of
from labkit.sdk_outcome import (
    CAUGHT,
    close,
    close_async,
    deliver,
    failure,
    outcome_of,
    outcome_of_async,
    replaced,
)
from labkit.timeouts import limit_of

__all__ = ["Layer"]

SYSTEM_CLOCK = SystemClock()
FLOW_LOCK = threading.Lock()
"""One lock for all flows: a policy such as a retry budget may be shared between layers."""
_hop: ContextVar[Hop | None] = ContextVar("labkit_hop", default=None)
"""The way out: to the layer that has sent what happens now."""


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
        outer = _hop.get()
        asked = request_of(request, outer)
        flow = self.flow(asked)
        answer: object = None
        seen: Outcome | None = None
        try:
            while True:
                effect = self._advance(flow, answer)
                if type(effect) is Send:
                    if seen is not None:
                        close(seen)
                    hop = outer
                    if hop is None or not hop.serves(effect.request, self.clock):
                        hop = self._hop_to(effect.request, asked, request)
                    answer = seen = self._send(hop, asked, call_next)
                elif type(effect) is Sleep:
                    self.clock.sleep(effect.seconds)
                    answer = None
                else:
                    if effect is not seen:
                        close(replaced(seen, effect))
                    return deliver(effect, request, outer)
        except BaseException:
            self._close(flow)
            close(seen)
            raise

    async def handle_async(self, request: APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
        """Drive the flow for the async client."""
        outer = _hop.get()
        asked = request_of(request, outer)
        flow = self.flow(asked)
        answer: object = None
        seen: Outcome | None = None
        try:
            while True:
                effect = self._advance(flow, answer)
                if type(effect) is Send:
                    if seen is not None:
                        await close_async(seen)
                    hop = outer
                    if hop is None or not hop.serves(effect.request, self.clock):
                        hop = self._hop_to(effect.request, asked, request)
                    answer = seen = await self._send_async(hop, asked, call_next)
                elif type(effect) is Sleep:
                    await self.clock.sleep_async(effect.seconds)
                    answer = None
                else:
                    if effect is not seen:
                        await close_async(replaced(seen, effect))
                    return deliver(effect, request, outer)
        except BaseException:
            self._close(flow)
            await close_async(seen)
            raise

    def _advance(self, flow: Flow, answer: object) -> Send | Sleep | Outcome:
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
                else:
                    name = type(self).__name__
                    raise TypeError(f"{name}.flow yielded {effect!r}, not an effect")
        except StopIteration as stop:
            end = stop.value
        if not isinstance(end, Outcome):
            raise TypeError(f"{type(self).__name__}.flow must return an Outcome, not {end!r}")
        return end

    @staticmethod
    def _close(flow: Flow) -> None:
        with FLOW_LOCK:
            flow.close()

    def _hop_to(self, request: Request, asked: Request, original: APIRequest) -> Hop:
        now = self.clock.now()
        return Hop(request_for(original, asked, request, limit_of(request, now)), request, now)

    def _send(self, hop: Hop, asked: Request, call_next: anthropic.CallNext) -> Outcome:
        token = _hop.set(hop)
        try:
            limits = limits_of(hop.request, asked, self.clock)
            if limits is None:
                return self._ask(hop, call_next)
            return wait(limits, partial(self._ask, hop, call_next))
        finally:
            _hop.reset(token)

    def _ask(self, hop: Hop, call_next: anthropic.CallNext) -> Outcome:
        try:
            check_time(hop.request, self.clock)
            end = call_next(hop.api_request)
            return hop.brings(end) or outcome_of(end, hop, self.clock)
        except CAUGHT as error:
            return hop.brings(error) or failure(error)

    async def _send_async(
        self, hop: Hop, asked: Request, call_next: anthropic.AsyncCallNext
    ) -> Outcome:
        token = _hop.set(hop)
        try:
            limits = limits_of(hop.request, asked, self.clock)
            if limits is None:
                return await self._ask_async(hop, call_next)
            return await wait_async(limits, self._ask_async(hop, call_next))
        finally:
            _hop.reset(token)

    async def _ask_async(self, hop: Hop, call_next: anthropic.AsyncCallNext) -> Outcome:
        try:
            check_time(hop.request, self.clock)
            end = await call_next(hop.api_request)
            return hop.brings(end) or await outcome_of_async(end, hop, self.clock)
        except CAUGHT as error:
            return hop.brings(error) or failure(error)


def _annotate(note: Note) -> None:
    """Write a note on the call's span; without tracing this is nothing."""
    trace.get_current_span().add_event(f"labkit.{note.name}", note.attributes)

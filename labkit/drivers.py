"""Run a flow under the official SDK: `Layer` is a middleware for `Anthropic` and `AsyncAnthropic`.

A driver advances a flow under one lock and carries out what it asks for outside of it.  Flows
never block, so layers, and policies shared between layers, are safe by construction.
However a call ends (answer, exception, cancellation), the flow is closed, so that its
`finally` blocks give back what it took.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import anthropic
from anthropic import APIRequest
from opentelemetry import trace

from labkit.clock import Clock, SystemClock
from labkit.errors import DeadlineExceeded
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.sdk import (
    CAUGHT,
    close,
    close_async,
    deliver,
    failure,
    outcome_of,
    outcome_of_async,
    request_for,
    request_of,
)

__all__ = ["Layer"]

SYSTEM_CLOCK = SystemClock()
FLOW_LOCK = threading.Lock()
"""One lock for all flows: a policy such as a retry budget may be shared between layers."""
_deadline: ContextVar[float | None] = ContextVar("labkit_deadline", default=None)


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
        seen: Outcome | None = None
        asked = request_of(request, _deadline.get())
        flow = self.flow(asked)
        try:
            answer: object = None
            while True:
                effect = self._advance(flow, answer)
                if isinstance(effect, Outcome):
                    if seen is not None and seen is not effect:
                        close(seen)
                    return deliver(effect)
                answer = None
                if type(effect) is Send:
                    if seen is not None:
                        close(seen)
                    answer = seen = self._send(request, asked, effect.request, call_next)
                elif type(effect) is Sleep:
                    self.clock.sleep(effect.seconds)
                elif type(effect) is Now:
                    answer = self.clock.now()
                elif type(effect) is Note:
                    _annotate(effect)
        finally:
            self._close(flow)

    async def handle_async(self, request: APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
        """Drive the flow for the async client."""
        seen: Outcome | None = None
        asked = request_of(request, _deadline.get())
        flow = self.flow(asked)
        try:
            answer: object = None
            while True:
                effect = self._advance(flow, answer)
                if isinstance(effect, Outcome):
                    if seen is not None and seen is not effect:
                        await close_async(seen)
                    return deliver(effect)
                answer = None
                if type(effect) is Send:
                    if seen is not None:
                        await close_async(seen)
                    answer = seen = await self._send_async(
                        request, asked, effect.request, call_next
                    )
                elif type(effect) is Sleep:
                    await self.clock.sleep_async(effect.seconds)
                elif type(effect) is Now:
                    answer = self.clock.now()
                elif type(effect) is Note:
                    _annotate(effect)
        finally:
            self._close(flow)

    def _advance(self, flow: Flow, answer: object) -> Effect | Outcome:
        with FLOW_LOCK:
            try:
                return flow.send(answer)
            except StopIteration as stop:
                outcome = stop.value
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{type(self).__name__}.flow must return the Outcome it was sent")
        return outcome

    @staticmethod
    def _close(flow: Flow) -> None:
        with FLOW_LOCK:
            flow.close()

    def _send(
        self, original: APIRequest, asked: Request, request: Request, call_next: anthropic.CallNext
    ) -> Outcome:
        outgoing = request_for(original, asked, request, self.clock)
        token = _deadline.set(request.deadline)
        try:
            return outcome_of(call_next(outgoing), outgoing)
        except CAUGHT as error:
            return failure(error)
        finally:
            _deadline.reset(token)

    async def _send_async(
        self,
        original: APIRequest,
        asked: Request,
        request: Request,
        call_next: anthropic.AsyncCallNext,
    ) -> Outcome:
        outgoing = request_for(original, asked, request, self.clock)
        token = _deadline.set(request.deadline)
        # Only the layer that sets an earlier deadline enforces it; the others inherit it.
        sets_deadline = request.deadline is not None and request.deadline != asked.deadline
        patience = (request.deadline or 0.0) - self.clock.now() if sets_deadline else None
        try:
            async with asyncio.timeout(patience) as limit:
                return await outcome_of_async(await call_next(outgoing), outgoing)
        except TimeoutError as error:
            if not limit.expired():
                raise
            late = DeadlineExceeded("The deadline passed while the attempt was under way.")
            late.__cause__ = error
            return Outcome(error=late)
        except CAUGHT as error:
            return failure(error)
        finally:
            _deadline.reset(token)


def _annotate(note: Note) -> None:
    """Write a note on the call's span; without tracing this is nothing."""
    trace.get_current_span().add_event(f"labkit.{note.name}", note.attributes)

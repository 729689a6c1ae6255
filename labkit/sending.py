"""The way out: a request to the next layer further in or to the SDK, and the outcome back.

Where one of our layers has sent what happens now, the next finds its request, and leaves its
outcome, in the context variable `OUTER`.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial

import anthropic
from anthropic import APIRequest

from labkit.clock import Clock
from labkit.flow import Outcome, Request
from labkit.limits import check_time, limits_of
from labkit.patience import wait, wait_async
from labkit.sdk import Hop, request_for
from labkit.sdk_outcome import CAUGHT, failure, outcome_of, outcome_of_async
from labkit.timeouts import limit_of
from labkit.wakening import check_alarms, timed_out, woken

__all__ = ["OUTER", "hop_to", "send", "send_async"]

OUTER: ContextVar[Hop | None] = ContextVar("labkit_hop", default=None)


def hop_to(request: Request, asked: Request, original: APIRequest, clock: Clock) -> Hop:
    """Return a hop with what the flow changed in the request."""
    now = clock.now()
    return Hop(request_for(original, asked, request, limit_of(request, now)), request, now)


def send(hop: Hop, asked: Request, call_next: anthropic.CallNext, clock: Clock) -> Outcome:
    """Send for the sync client, and wait no longer than the request's limits allow."""
    token = OUTER.set(hop)
    try:
        limits = limits_of(hop.request, asked, clock)
        if limits is None:
            return _ask(hop, call_next, clock)
        return wait(limits, partial(_ask, hop, call_next, clock))
    finally:
        OUTER.reset(token)


def _ask(hop: Hop, call_next: anthropic.CallNext, clock: Clock) -> Outcome:
    try:
        check_time(hop.request, clock)
        end = call_next(hop.api_request)
        return hop.brings(end) or outcome_of(end, hop, clock)
    except CAUGHT as error:
        return hop.brings(error) or failure(error)


async def send_async(
    hop: Hop, asked: Request, call_next: anthropic.AsyncCallNext, clock: Clock
) -> Outcome:
    """Do the same for the async client."""
    token = OUTER.set(hop)
    try:
        limits = limits_of(hop.request, asked, clock)
        if limits is None:
            return await _ask_async(hop, call_next, clock)
        return await wait_async(limits, _ask_async(hop, call_next, clock))
    finally:
        OUTER.reset(token)


async def _ask_async(hop: Hop, call_next: anthropic.AsyncCallNext, clock: Clock) -> Outcome:
    try:
        check_time(hop.request, clock)
        check_alarms()
        end = await call_next(hop.api_request)
        return hop.brings(end) or await outcome_of_async(end, hop, clock)
    except CAUGHT as error:
        return hop.brings(error) or failure(error)
    except asyncio.CancelledError:
        if not woken():
            raise
        return timed_out(hop.request)

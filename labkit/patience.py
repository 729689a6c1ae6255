"""How a layer waits for what it has sent, and no longer than its limits allow.

A sync wait ends by an alarm that hangs up, an async one by cancellation.  Either way there is an
outcome.  A body that is not yet read is watched on, for whoever reads it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from math import inf

from labkit.alarms import Alarm
from labkit.flow import Outcome
from labkit.hanging_up import hang_up_thread
from labkit.limits import Limits
from labkit.sdk_outcome import close, http_of
from labkit.streams import limit

__all__ = ["wait", "wait_async"]


def wait(limits: Limits, ask: Callable[[], Outcome]) -> Outcome:
    """Return the outcome, or after the limit the failure that hanging up leads to."""
    thread, inside = threading.get_ident(), wait.__code__
    alarm = Alarm(limits.first, lambda: hang_up_thread(thread, inside), thread=thread, repeats=True)
    limits.clock.alarms.set(alarm)
    try:
        outcome = ask()
    finally:
        limits.clock.alarms.drop(alarm)
    if alarm.rung:
        close(outcome)
        return limits.outcome(outcome)
    return _limited(outcome, limits)


async def wait_async(limits: Limits, answer: Awaitable[Outcome]) -> Outcome:
    """Do the same for the async client; what is under way at the limit is cancelled."""
    left = None if limits.first == inf else limits.first - limits.clock.now()
    try:
        async with asyncio.timeout(left) as timer:
            outcome = await answer
    except TimeoutError as error:
        if not timer.expired():
            raise
        return limits.outcome(cause=error)
    return _limited(outcome, limits)


def _limited(outcome: Outcome, limits: Limits) -> Outcome:
    response = http_of(outcome.value)
    if response is not None and outcome.ok:
        limit(response, limits)
    return outcome

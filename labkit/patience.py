"""How a layer waits for what it has sent, and no longer than its limits allow.

A sync wait ends by an alarm that hangs up, an async one by one that cancels.  Either way there is
an outcome, and the layers further in have seen one.  A body that is not yet read is watched on, for
whoever reads it.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from math import inf

import httpx2

from labkit.alarms import Alarm
from labkit.flow import Outcome
from labkit.hanging_up import hang_up_thread
from labkit.limits import Limits
from labkit.reading import Vigil, in_time
from labkit.resumed import Resumed, ResumedAsync
from labkit.sdk_outcome import close, close_async, http_of
from labkit.wakening import AsyncAlarm

__all__ = ["limit", "limit_async", "wait", "wait_async"]


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
    if outcome.ok and (response := http_of(outcome.value)) is not None:
        limit(response, limits)
    return outcome


async def wait_async(limits: Limits, answer: Awaitable[Outcome]) -> Outcome:
    """Do the same for the async client; what is under way at the limit is cancelled.

    The layers inside see that as a timeout: see `labkit.wakening`.
    """
    try:
        with AsyncAlarm(limits.first - limits.clock.now() if limits.first < inf else None) as alarm:
            outcome = await answer
    except TimeoutError as error:
        if not alarm.rung:
            raise
        return limits.outcome(cause=error)
    if alarm.rung and not outcome.ok:
        await close_async(outcome)
        return limits.outcome(outcome)
    if outcome.ok and (response := http_of(outcome.value)) is not None:
        limit_async(response, limits)
    return outcome


def limit(response: httpx2.Response, limits: Limits) -> None:
    """Keep to a layer's limits while somebody reads the response; nothing if it has been read.

    The reader gets `DeadlineExceeded` or `anthropic.APITimeoutError` where they break, and the
    connection is closed.  A stream whose last event has come ends there instead.
    """
    if not _needs(response, limits) or not isinstance(response.stream, httpx2.SyncByteStream):
        return
    stream = response.stream
    stream = stream if isinstance(stream, Resumed) else Resumed(response)
    vigil = Vigil(response, stream.watch, limits)
    stream.vigils.append(vigil)
    stream.rest = vigil.chunks(stream.rest)
    response.stream = stream


def limit_async(response: httpx2.Response, limits: Limits) -> None:
    """Do what `limit` does for the async client."""
    if not _needs(response, limits) or not isinstance(response.stream, httpx2.AsyncByteStream):
        return
    stream = response.stream
    stream = stream if isinstance(stream, ResumedAsync) else ResumedAsync(response)
    stream.rest = in_time(stream.rest, response, stream.watch, limits)
    response.stream = stream


def _needs(response: httpx2.Response, limits: Limits) -> bool:
    read = response.is_closed or response.is_stream_consumed
    return not read and limits.silent_until() < inf

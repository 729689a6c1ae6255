"""Several requests of one flow at once: threads of the sync client, tasks of the async one.

Both end with the flow.  A task is cancelled.  A thread cannot be, but the connection it waits for
can be hung up on; where there is none just then, its answer is closed when it comes.  Context
variables are those of the call, so what is noted goes to the call's span.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any

from labkit.clock import Clock, VirtualClock
from labkit.errors import UserError
from labkit.flow import Do, Outcome, Request, Start, Ticket, Wait
from labkit.hanging_up import hang_up_thread
from labkit.sdk_outcome import close, close_async
from labkit.waiting import at_gate, at_gate_async

__all__ = ["AsyncRace", "Race"]


class Race:
    """What a flow under the sync client does with gates and with requests of its own.

    `begin` sends a request; it is called in a thread.
    """

    def __init__(self, begin: Callable[[Request], Outcome], clock: Clock) -> None:
        self._begin, self._clock = begin, clock
        self._lock = threading.Lock()
        self._over = False
        self._tickets: list[Ticket] = []
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def carry_out(self, effect: Wait | Start | Do) -> object:
        """Wait at a gate, start a request or do work, and return what the flow is sent for it.

        Raises what a request ended with that is no outcome, such as a mistake of the bench, and
        UserError for a start on a virtual clock.
        """
        if type(effect) is Start:
            return self._start(effect.request)
        if type(effect) is Do:
            return effect.work()
        opened = at_gate(effect, self._clock)
        if self._failure is not None:
            raise self._failure
        return opened

    def _start(self, request: Request) -> Ticket:
        if isinstance(self._clock, VirtualClock):
            raise UserError(
                "Two requests of one call at once need the async client where time is virtual, "
                "because threads answer in real time."
            )
        ticket = Ticket()
        self._tickets.append(ticket)
        work = partial(copy_context().run, self._work, request, ticket)
        thread = threading.Thread(target=work, name="labkit-attempt", daemon=True)
        self._threads.append(thread)
        thread.start()
        return ticket

    def end(self, final: Outcome | None = None) -> None:
        """Hear no more: of what has come or will come, only `final` stays open."""
        with self._lock:
            self._over = True
            outcomes = [ticket.outcome for ticket in self._tickets]
        for thread, outcome in zip(self._threads, outcomes, strict=True):
            if outcome is None and thread.ident is not None:
                hang_up_thread(thread.ident, Race._work.__code__)
        for outcome in outcomes:
            if _unread(outcome, final):
                close(outcome)

    def _work(self, request: Request, ticket: Ticket) -> None:
        outcome = failure = None
        try:
            outcome = self._begin(request)
        except BaseException as error:
            failure = error
        with self._lock:
            late = self._over
            if not late:
                ticket.outcome, self._failure = outcome, self._failure or failure
        if late:
            close(outcome)
        ticket.ended.open()


class AsyncRace:
    """Does the same for the async client; requests run as tasks."""

    def __init__(
        self, begin: Callable[[Request], Coroutine[Any, Any, Outcome]], clock: Clock
    ) -> None:
        self._begin, self._clock = begin, clock
        self._tasks: list[asyncio.Task[Outcome]] = []
        self._failure: BaseException | None = None

    async def carry_out(self, effect: Wait | Start | Do) -> object:
        """Do the same; a thread does the work."""
        if type(effect) is Start:
            return self._start(effect.request)
        if type(effect) is Do:
            return await asyncio.to_thread(effect.work)
        opened = await at_gate_async(effect, self._clock)
        if self._failure is not None:
            raise self._failure
        return opened

    def _start(self, request: Request) -> Ticket:
        ticket = Ticket()
        task = asyncio.get_running_loop().create_task(self._begin(request))
        task.add_done_callback(partial(self._done, ticket))
        self._tasks.append(task)
        return ticket

    async def end(self, final: Outcome | None = None) -> None:
        """Cancel what is under way; of what has come only `final` stays open."""
        under_way = [task for task in self._tasks if not task.done()]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
        for task in self._tasks:
            if not task.cancelled() and task.exception() is None:
                outcome = task.result()
                if _unread(outcome, final):
                    await close_async(outcome)

    def _done(self, ticket: Ticket, task: asyncio.Task[Outcome]) -> None:
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._failure = self._failure or failure
        ticket.outcome = task.result() if failure is None else None
        ticket.ended.open()


def _unread(outcome: Outcome | None, final: Outcome | None) -> bool:
    """Say whether nobody will read this outcome because `final` is handed on."""
    return outcome is not None and (final is None or outcome.value is not final.value)

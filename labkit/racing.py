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
from labkit.flow import Outcome, Ticket
from labkit.hanging_up import hang_up_thread
from labkit.sdk_outcome import close, close_async

__all__ = ["AsyncRace", "Race"]


class Race:
    """The requests that a flow under the sync client has started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False
        self._tickets: list[Ticket] = []
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def start(self, send: Callable[[], Outcome], clock: Clock) -> Ticket:
        """Call `send` in a thread of its own.  Raises UserError on a virtual clock."""
        if isinstance(clock, VirtualClock):
            raise UserError(
                "Two requests of one call at once need the async client where time is virtual, "
                "because threads answer in real time."
            )
        ticket = Ticket()
        self._tickets.append(ticket)
        work = partial(copy_context().run, self._work, send, ticket)
        thread = threading.Thread(target=work, name="labkit-attempt", daemon=True)
        self._threads.append(thread)
        thread.start()
        return ticket

    def check(self) -> None:
        """Raise what a request ended with that is no outcome, such as a mistake of the bench."""
        if self._failure is not None:
            raise self._failure

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

    def _work(self, send: Callable[[], Outcome], ticket: Ticket) -> None:
        outcome = failure = None
        try:
            outcome = send()
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
    """The requests that a flow under the async client has started."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Outcome]] = []
        self._failure: BaseException | None = None

    def start(self, send: Coroutine[Any, Any, Outcome]) -> Ticket:
        """Run `send` as a task."""
        ticket = Ticket()
        task = asyncio.get_running_loop().create_task(send)
        task.add_done_callback(partial(self._done, ticket))
        self._tasks.append(task)
        return ticket

    def check(self) -> None:
        """Raise what a request ended with that is no outcome, such as a mistake of the bench."""
        if self._failure is not None:
            raise self._failure

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

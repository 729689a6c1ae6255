"""A selector that jumps to the next timer rather than waiting for it: the heart of virtual time.

When nothing is ready to run, an asyncio loop asks its selector to wait until the next timer.
This one moves the clock to that timer instead.  It waits for real only while a worker thread
is still at work, because a thread's result comes in real time.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

from labkit.clock import VirtualClock
from labkit.errors import Deadlock, SocketRefused, TimeUp

__all__ = ["JumpingSelector", "refusal"]


class JumpingSelector(selectors.DefaultSelector):
    """The selector of a virtual loop; it ends the loop with `TimeUp` at `until` seconds.

    `threads_at_work` counts worker threads whose results are still to come, and
    `others_at_work` is asked about those of another pool.  Once `closed_to_sockets` is set,
    nothing but the loop's own wake-up pipe may be waited for.
    """

    def __init__(self, clock: VirtualClock, until: float | None) -> None:
        super().__init__()
        self.clock = clock
        self.until = until
        self.threads_at_work = 0
        self.others_at_work: Callable[[], int] = lambda: 0
        self.closed_to_sockets = False

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        """Register the loop's own wake-up pipe; refuse everything that comes later."""
        if self.closed_to_sockets:
            raise refusal("wait for a socket")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; if nothing is, move the clock on by `timeout` seconds.

        Raises `Deadlock` if there is no timer either, and `TimeUp` at the end of the time.
        """
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.threads_at_work or self.others_at_work():
            return super().select(None)
        if timeout is None:
            raise Deadlock(
                "Every task on the virtual loop is waiting and no timer is set, so nothing can "
                "ever wake them. Look for an event nobody sets or a queue nobody fills."
            )
        if self.until is not None and self.clock.now() + timeout > self.until:
            self._end(self.until)
        self.clock.advance(timeout)
        return ready

    def _end(self, until: float) -> None:
        """Stop the loop, once: the tasks it cancels then may take their time to clean up."""
        self.clock.advance(until - self.clock.now())
        self.until = None
        raise TimeUp(f"The virtual loop reached its end at {until:g} s of virtual time.")


def refusal(action: str) -> SocketRefused:
    """Return the error that says why a virtual loop does not do this."""
    return SocketRefused(
        f"The virtual loop was asked to {action}. Networks and processes answer in real time; "
        "use the simulated API or a cassette here, or an ordinary asyncio loop."
    )

"""A gate: something to wait for that is opened once, and then calls back whoever subscribed.

It knows nothing of clocks, threads and event loops: each driver subscribes with what wakes its
own kind of waiter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Gate"]


class Gate:
    """Closed until somebody opens it, and open from then on.

    Any thread may open it and any thread may subscribe; each subscriber is called back exactly
    once, in the thread that opens (or, if it is open already, in the subscriber's own).  A
    callback must neither block nor raise.
    """

    __slots__ = ("_subscribers", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._subscribers: deque[Callable[[], object]] = deque()

    def open(self) -> None:
        """Open it and call back everybody who waits; opening it again does nothing."""
        self.is_open = True
        # Whoever takes a subscriber off the queue calls it, so nobody is called twice or missed.
        with suppress(IndexError):
            while True:
                self._subscribers.popleft()()

    def subscribe(self, call_back: Callable[[], object]) -> None:
        """Have `call_back` called as soon as the gate is open."""
        self._subscribers.append(call_back)
        if self.is_open:
            self.open()

    def unsubscribe(self, call_back: Callable[[], object]) -> None:
        """Forget a subscriber that has stopped waiting."""
        with suppress(ValueError):
            self._subscribers.remove(call_back)

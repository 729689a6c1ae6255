"""Load shedding: when there is not room for all, turn the least important away first and at once.

A queue that grows makes everybody wait, until nobody is answered in time.  It is better to say
no early to what can wait, so that what matters keeps its speed.
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Send
from labkit.layers.room import Room

__all__ = ["LoadShedding"]


class LoadShedding(Layer):
    """Lets at most `room` calls be inside at once, waiting or being served, by their priority.

    `priority` is that of all calls of this layer, or a function of the request that names it:
    "critical", "normal" or "batch" unless the room has marks of its own.  Share one `Room`
    between the layers of several clients to weigh them against each other.  A call without room
    gets `Shed`, which says when there will probably be some.  Place it outside of whatever makes
    calls wait (retry, throttle, bulkhead): what waits there takes room too.
    Raises ValueError for a priority without a mark, or room for less than one call.
    """

    def __init__(
        self, room: Room | int, *, priority: str | Callable[[Request], str] = "normal"
    ) -> None:
        self.room = room if isinstance(room, Room) else Room(room)
        self.priority = priority
        if isinstance(priority, str):
            self._checked(priority)

    def flow(self, request: Request) -> Flow:
        """Come in or be turned away; leave however the call ends."""
        given = self.priority
        priority = given if isinstance(given, str) else self._checked(given(request))
        began: float = yield Now()
        wait = self.room.enter(priority)
        if wait is not None:
            yield Note("refused", by="load_shedding", priority=priority, inside=self.room.inside)
            why = f"There is no room for a {priority} call right now."
            return Outcome(error=Shed(why, retry_after=wait))
        took: float | None = None
        try:
            outcome: Outcome = yield Send(request)
            took = (yield Now()) - began
        finally:
            self.room.leave(took)
        return outcome

    def _checked(self, priority: str) -> str:
        if priority not in self.room.marks:
            known = ", ".join(self.room.marks)
            raise ValueError(f"There is no priority {priority!r}; use one of {known}.")
        return priority

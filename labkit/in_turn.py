"""What worker threads bring, in the order in which they were asked: the same on every machine.

Which of two threads ends first is chance.  The async SDK asks one at the first request of a client,
so without turns it would be chance too which of several calls at once is the first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

__all__ = ["InTurn"]


class InTurn:
    """Holds each result back until all that were asked for earlier are there."""

    def __init__(self) -> None:
        self._asked: deque[tuple[asyncio.Future[Any], asyncio.Future[Any]]] = deque()

    def of(self, brought: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Return a future that ends as `brought` does, in its turn; cancelling it cancels both."""
        handed_on: asyncio.Future[Any] = brought.get_loop().create_future()
        self._asked.append((brought, handed_on))
        handed_on.add_done_callback(lambda _: brought.cancel())
        brought.add_done_callback(self._hand_on)
        return handed_on

    def _hand_on(self, _: object) -> None:
        while self._asked and self._asked[0][0].done():
            brought, handed_on = self._asked.popleft()
            if brought.cancelled():
                handed_on.cancel()
                continue
            error = brought.exception()
            if handed_on.done():  # its caller has left
                continue
            if error is None:
                handed_on.set_result(brought.result())
            else:
                handed_on.set_exception(error)

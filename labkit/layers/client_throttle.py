"""Client-side throttling: whoever is turned away often asks less often, without being told to.

An overloaded server spends work on saying no.  A client that sees many rejections therefore
rejects a share of its own calls at home (adaptive throttling, Google's SRE book, chapter
"Handling Overload").  What still arrives is about K times what the server can take, however much
more is wanted: enough to notice at once when it can take more.
"""

from __future__ import annotations

import random

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Send
from labkit.layers.rejections import Rejections

__all__ = ["ClientThrottle"]

REJECTIONS = (429, 529)


class ClientThrottle(Layer):
    """Rejects a share of the calls at home while the server rejects many (429 or 529).

    `k` is the number of requests to make for each one that is accepted: lower spares the server
    more, higher notices its recovery sooner.  Other failures say nothing about overload and do
    not count as rejections.  A call rejected at home gets `Shed`, which says to come back after
    `pause` seconds.  Place it inside of `Retry`, so that each attempt counts.  `seed` makes the
    dice repeatable.  Raises ValueError for a K below 1 or a window that is not above zero.
    """

    def __init__(
        self,
        k: float = 2.0,
        *,
        window: float = 120.0,
        pause: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.rejections = Rejections(k, window=window)
        self.pause = pause
        self._dice = random.Random(seed)

    def flow(self, request: Request) -> Flow:
        """Throw the dice; send or reject; count a rejection by the server."""
        chance, made_in = self.rejections.request((yield Now()))
        if chance > 0 and self._dice.random() < chance:
            self.rejections.reject(made_in)
            yield Note("refused", by="client_throttle", chance=chance)
            why = f"The service is overloaded; {chance:.0%} of calls are not even sent."
            return Outcome(error=Shed(why, retry_after=self.pause))
        outcome: Outcome = yield Send(request)
        if outcome.status in REJECTIONS or outcome.error_type == "overloaded_error":
            self.rejections.reject(made_in)
        return outcome

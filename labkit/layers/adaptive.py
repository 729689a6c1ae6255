"""An adaptive limit: find out how many calls at once the service bears, and follow when it changes.

Additive increase, multiplicative decrease (D. Chiu and R. Jain, 1989): one more call at a time
while answers come as fast as ever, a tenth fewer as soon as it turns calls away, and so many
fewer when it grows slow that answers should be fast again.
Nobody tells a client its right limit, and the right one changes by the hour.
"""

from __future__ import annotations

from math import inf

from labkit.flow import Outcome
from labkit.layers.overload import overloaded

__all__ = ["Adaptive"]

CUT = 0.9
"""What a cut leaves of the limit (resilience.md 1.4: Netflix's AIMD)."""
DEEPEST_CUT = 0.5
FORGETTING = 0.01
"""Share of each new window in the usual time: slowness must last to become usual."""


class Adaptive:
    """A limit for `Bulkhead` between `least` and `most`, which begins at `start`.

    It judges by windows of as many answers as the limit, at least `window`.  After a window with
    a mean time of at most `tolerance` times the usual one the limit grows by 1, if calls used
    half of it; after a slower window it is cut to a tenth below usual / mean of it, which ends the
    queue that the slowness came from; when a call is turned away (`labkit.layers.overload`) or
    times out, it is cut by a tenth.  Calls that were sent before a cut do not cut again:
    they tell of the load before it.  Cancelled calls and wrong requests say nothing.

    For a stream the time counts to its first content, which shows load best; other times also
    depend on how much was asked, so mix like with like.  Raises ValueError unless 1 <= `least` <=
    `start` <= `most`, and `tolerance` is above 1.
    """

    def __init__(
        self,
        start: int = 20,
        *,
        least: int = 1,
        most: int = 200,
        tolerance: float = 1.5,
        window: int = 10,
    ) -> None:
        if not 1 <= least <= start <= most:
            raise ValueError(f"The limits {least}, {start} and {most} are not in order from 1.")
        if not tolerance > 1:
            raise ValueError(f"A tolerance must be above 1, not {tolerance}.")
        self.least, self.most = least, most
        self.tolerance, self.window = tolerance, window
        self.usual_s: float | None = None
        self._exact = float(start)
        self._cut_at = -inf
        self._answers = self._busiest = 0
        self._seconds = 0.0

    @property
    def limit(self) -> int:
        """How many calls may be under way at once."""
        return int(self._exact)

    def learn(self, outcome: Outcome, began: float, now: float, under_way: int) -> None:
        """Take note of a call that ended now, one of `under_way`."""
        if began < self._cut_at:
            return
        if overloaded(outcome) or outcome.unreachable:
            self._cut(now, CUT)
        elif outcome.ok:
            self._answers += 1
            self._seconds += now - began
            self._busiest = max(self._busiest, under_way)
            if self._answers >= max(self.window, self.limit):
                self._judge(now)

    def _judge(self, now: float) -> None:
        mean, busiest = self._seconds / self._answers, self._busiest
        usual = mean if self.usual_s is None else self.usual_s
        self.usual_s = min(mean, usual + FORGETTING * (mean - usual))
        self._clear()
        if mean > self.tolerance * usual:
            self._cut(now, max(DEEPEST_CUT, CUT * usual / mean))
        elif 2 * busiest >= self.limit:
            self._exact = min(float(self.most), self._exact + 1)

    def _cut(self, now: float, share: float) -> None:
        self._exact = max(float(self.least), self._exact * share)
        self._cut_at = now
        self._clear()

    def _clear(self) -> None:
        self._answers, self._seconds, self._busiest = 0, 0.0, 0

"""How often the server turned us away lately, and the chance with which to save it the trouble.

The formula is that of adaptive throttling in Google's SRE book (chapter "Handling Overload"):
with `requests` made and `accepts` of them taken in by the server within the window, a new one is
rejected at home with probability max(0, (requests - K * accepts) / (requests + 1)).

A request is counted when it is made, not when it ends, and passes for accepted until the server
has rejected it: otherwise answers that take half a minute would count as rejections for so long.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Rejections", "Slice"]

Slice = list[int]
"""A slice of time: its number, requests made, requests rejected (there or here)."""


class Rejections:
    """Counts over the last `window` seconds, in `slices` steps; the newest slice is under way.

    A clock that stands still or steps back changes nothing: the newest slice stays the newest.
    Raises ValueError unless `k` is at least 1, and window and slices are above zero.
    """

    def __init__(self, k: float = 2.0, *, window: float = 120.0, slices: int = 60) -> None:
        if not k >= 1:
            raise ValueError(f"K is at least 1 request for each one accepted, not {k}.")
        if not (window > 0 and slices > 0):
            raise ValueError("The window and its slices must be above zero.")
        self.k = k
        self.requests = self.rejected = 0
        self._width = window / slices
        self._length = slices
        self._slices: deque[Slice] = deque()

    def request(self, now: float) -> tuple[float, Slice]:
        """Count a request made now; return its chance to be rejected at home, and its slice."""
        number = int(now // self._width)
        if not self._slices or number > self._slices[-1][0]:
            self._slices.append([number, 0, 0])
            while self._slices[0][0] <= number - self._length:
                _, requests, rejected = self._slices.popleft()
                self.requests -= requests
                self.rejected -= rejected
        accepts = self.requests - self.rejected
        chance = max(0.0, (self.requests - self.k * accepts) / (self.requests + 1))
        newest = self._slices[-1]
        newest[1] += 1
        self.requests += 1
        return chance, newest

    def reject(self, made_in: Slice) -> None:
        """Count a request of that slice as rejected, by the server or at home."""
        made_in[2] += 1
        if made_in[0] >= self._slices[0][0]:  # its slice is still in the window
            self.rejected += 1

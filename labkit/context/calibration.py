"""What replies teach about estimates: a factor to correct them by, and how far off they are.

Each reply reports how many tokens its prompt really had.  The factor is the ratio of reported
to estimated tokens over recent replies, the latest ones counting most; the error is how far
the corrected estimates were off, each judged before its own reply was learnt from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labkit.errors import UserError

__all__ = ["Calibration"]

MEMORY = 0.9
"""Each reply counts nine tenths of the next."""
FIRST_ERROR = 0.3
"""Before any reply: tokenizers differ by about this much on the same text (claude-api.md 1.3)."""
LEAST, MOST = 0.2, 5.0


@dataclass(slots=True)
class Calibration:
    """The correction of one conversation's estimates.

    `error` is the recent relative error of `tokens`, as a share: 0.05 is 5 % off.  Before the
    first reply it is a guess, 0.3.
    """

    factor: float = 1.0
    error: float = FIRST_ERROR
    replies: int = 0
    _estimated: float = 0.0
    _reported: float = 0.0
    _misses: float = 0.0
    _weight: float = 0.0

    def tokens(self, estimated: float) -> int:
        """Correct an estimate."""
        return math.ceil(self.factor * estimated - 1e-9)

    def learn(self, estimated: float, reported: int) -> None:
        """Take in that a prompt, estimated at so many tokens uncorrected, really had `reported`.

        `reported` is the whole prompt: uncached tokens, prompt cache reads and writes together.
        Raises `UserError` unless both are above zero.
        """
        if not (estimated > 0 and reported > 0):
            raise UserError(f"A prompt has tokens: {estimated!r} estimated, {reported!r} reported.")
        self._misses = MEMORY * self._misses + abs(self.tokens(estimated) - reported) / reported
        self._weight = MEMORY * self._weight + 1
        self.error = self._misses / self._weight
        self._estimated = MEMORY * self._estimated + estimated
        self._reported = MEMORY * self._reported + reported
        self.factor = min(MOST, max(LEAST, self._reported / self._estimated))
        self.replies += 1

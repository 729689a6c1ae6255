"""A tree of summaries: summaries of turns, summaries of those, and so on."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.context.summaries import Rolling
from labkit.context.summary_parts import Message, Size, Summary, Task, spoken, told
from labkit.errors import UserError

__all__ = ["Tree"]


class Tree(Rolling):
    """Each block gets a summary of its own; `fan` of one level are summed up in one of the next.

    So a turn is summed up as often as the tree has levels, not once for every block after it.
    """

    def __init__(
        self,
        *,
        high: int,
        low: int,
        size: Size,
        pinned: int = 0,
        summaries: Sequence[Summary] = (),
        fan: int = 4,
    ) -> None:
        super().__init__(high=high, low=low, size=size, pinned=pinned, summaries=summaries)
        if fan < 2:
            raise UserError(f"At least two summaries become one, not {fan}.")
        self.fan = fan

    def _task(self, messages: Sequence[Message]) -> Task | None:
        block = self._block(messages)
        if block is not None:
            turns = messages[self.covered : block]
            return Task(told((), turns), self.covered, block, 0, 0, self._size(turns))
        last = self.summaries[-self.fan :]
        if len(last) < self.fan or len({each.level for each in last}) > 1:
            return None
        tokens, level = self._size([spoken([each.text]) for each in last]), last[0].level + 1
        return Task(told(last, ()), last[0].first, last[-1].end, level, self.fan, tokens)

"""Old turns become a summary, written anew with each block of turns that is folded into it.

    memory = Rolling(high=16_000, low=8_000, size=estimate)
    messages = fit(memory, history, write)           `labkit.context.summarising` has both

The summary stands after what is pinned and before the recent turns, in a user's turn of its own,
and changes only when the next block is folded into it: between two folds the prompt only grows
at its end, so the prompt cache goes on being read (resilience.md 2.6).  A block is let go
whether or not its summary comes: without one the conversation is trimmed, the turns stay with
the caller, and they are folded as soon as summaries come again.

A memory decides and remembers, it calls nobody: `due` says what is to be summed up, `accept` or
`reject` is told what came of it, `view` is what to send.
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.context.summary_parts import Message, Size, Summary, Task, begins, spoken, told
from labkit.errors import UserError

__all__ = ["Rolling", "Summary"]

LONGEST_REST = 32


class Rolling:
    """One summary, written anew from itself and the next block of turns each time.

    Above `high` tokens of messages everything but the last `low` is let go, at the start of an
    exchange, so tool calls and their results stay together; `size` estimates one message.  The
    first `pinned` messages always stay.  `summaries` are those of an earlier memory of the same
    conversation.  After a failure it asks less and less often: after 1, 2, 4, ... turns.
    `failures` counts those in a row, `reason` is the last one's.  Raises `UserError` unless
    0 < low < high.
    """

    def __init__(
        self,
        *,
        high: int,
        low: int,
        size: Size,
        pinned: int = 0,
        summaries: Sequence[Summary] = (),
    ) -> None:
        if not 0 < low < high:
            raise UserError(f"The low water, {low}, lies above 0 and below the high water, {high}.")
        self.high, self.low, self.size, self.pinned = high, low, size, pinned
        self.summaries = tuple(summaries)
        self.start = self.covered
        self.failures, self.reason = 0, ""
        self._rest = self._read = 0
        self._systems: list[Message] = []

    @property
    def covered(self) -> int:
        """The first message that no summary stands for."""
        return self.summaries[-1].end if self.summaries else self.pinned

    def due(self, messages: Sequence[Message]) -> Task | None:
        """Let go what is too much, and return what to sum up now, if anything.

        Raises `UserError` for messages that are not the same conversation, grown.
        """
        if len(messages) < (self.start if self.start > self.pinned else 1):
            raise UserError("This memory is of another conversation, or a longer one.")
        if 0 < self.pinned < len(messages) and not begins(messages[self.pinned]):
            raise UserError("What is pinned ends where an exchange begins.")
        self._let_go(messages)
        if self._rest > 0:
            self._rest -= 1
            return None
        return self._task(messages)

    def accept(self, task: Task, text: str) -> None:
        """Keep a summary; one that is empty, or no shorter than what it stands for, is rejected."""
        summary = Summary(task.first, task.end, text.strip(), task.level)
        if not summary.text:
            return self.reject("the summary was empty")
        if self.size(spoken([summary.text])) >= task.tokens:
            return self.reject("the summary was no shorter than what it stands for")
        kept = len(self.summaries) - task.replaces
        self.summaries = (*self.summaries[:kept], summary)
        self.failures, self.reason = 0, ""
        return None

    def reject(self, reason: str) -> None:
        """Do without a summary for now."""
        self.failures, self.reason = self.failures + 1, reason
        self._rest = min(LONGEST_REST, 2 ** (self.failures - 1))

    def view(self, messages: Sequence[Message]) -> list[Message]:
        """Return what to send: what is pinned, the summary, the recent turns."""
        summed = [spoken([each.text for each in self.summaries])] if self.summaries else []
        recent = list(messages[self.start :])
        asked = next((n for n, each in enumerate(recent) if each["role"] == "assistant"), None)
        recent[asked if asked is not None else len(recent) : 0] = self._systems  # keep instructions
        return [*messages[: self.pinned], *summed, *recent]

    def everything(self, messages: Sequence[Message]) -> str:
        """Return the whole conversation to sum up, for the brief of a fresh start."""
        return told(self.summaries, messages[self.covered :])

    def _let_go(self, messages: Sequence[Message]) -> None:
        """Move the start of the recent turns on if there are too many of them."""
        left = self._size(self.view(messages))
        if left > self.high:
            for place in range(self.start, len(messages)):
                if begins(messages[place]) and place > self.start:
                    self.start = place
                    if left <= self.low:
                        break
                left -= self.size(messages[place])
        for message in messages[max(self._read, self.pinned) : self.start]:
            if message["role"] == "system" and message not in self._systems:
                self._systems.append(message)
        self._read = max(self._read, self.start)

    def _task(self, messages: Sequence[Message]) -> Task | None:
        """Sum up the oldest block that no summary stands for, `high` tokens of it at most."""
        block = self._block(messages)
        if block is None:
            return None
        turns = messages[self.covered : block]
        tokens = self._size(turns) + self._size([spoken([each.text]) for each in self.summaries])
        prompt, first = told(self.summaries, turns), self.pinned
        return Task(prompt, first, block, 0, len(self.summaries), tokens)

    def _block(self, messages: Sequence[Message]) -> int | None:
        """Return where the oldest block ends: as many exchanges as fit, one at least."""
        tokens, end = 0, None
        for place in range(self.covered, self.start):
            tokens += self.size(messages[place])
            if place + 1 == self.start or begins(messages[place + 1]):
                if end is not None and tokens > self.high:
                    break
                end = place + 1
        return end

    def _size(self, messages: Sequence[Message]) -> int:
        return sum(self.size(each) for each in messages)

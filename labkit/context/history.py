"""A conversation read message by message: where it may be cut, and what a cut would lose.

A history only grows, so each message is read once.  A valid cut is in one of two places:

    a question   a user's turn that answers no tool call: everything before it may go
    a step       an assistant's turn after tool results, in the middle of a long tool loop: the
                 question it works on stays in front, the steps between are let go

Whatever lies between two such places stays together: a tool call and its result, thinking and
the call it led to.  Pinned exchanges and system turns in mid-conversation are never lost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from labkit.context.estimates import Generation, blocks_of, estimate_message
from labkit.context.policy import Goal
from labkit.errors import UserError

__all__ = ["Cut", "History", "Message", "Pin"]

Message: TypeAlias = Mapping[str, Any]
Pin: TypeAlias = Callable[[int, Message], bool]
"""Says of a question, by its place in the history and itself, whether its exchange stays."""

ROLES = ("user", "assistant", "system")


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut: `start` is the first message after it and `head` the question kept in front.

    `lost` are the estimated tokens that a cut here loses, `exchange` the number of the exchange
    it lies in, `pins` and `systems` how many pinned exchanges and system turns lie before it.
    """

    start: int = 0
    head: tuple[int, ...] = ()
    exchange: int = 0
    lost: int = 0
    pins: int = 0
    systems: int = 0


class History:
    """What is known of the messages read so far.

    `seen` counts them, `tokens` are their estimated tokens, `cuts` the places to cut in order,
    and `lost` only ever rises from one to the next.  `pins` are the pinned exchanges, as
    (first, end) places, and `systems` the places of system turns outside of them.
    """

    def __init__(self, generation: Generation, pin: Pin | None = None) -> None:
        self.generation, self._pin = generation, pin
        self.seen = self.tokens = self.exchange = 0
        self.cuts: list[Cut] = []
        self.pins: list[tuple[int, int]] = []
        self.systems: list[int] = []
        self.pinned_tokens = 0
        self.unanswered: dict[str, int] = {}
        self._system_tokens = 0
        self._last_system: Message | None = None
        self._turn = ""
        self._question: tuple[int, ...] = ()
        self._question_tokens = 0
        self._asking = self._pinned = False
        self._began = 0

    def read(self, message: Message) -> None:
        """Read the next message.

        Raises `UserError`, and has read nothing, where no cut could make a valid request of it.
        """
        place = self.seen
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ROLES:
            raise UserError(f"Message {place} has the role {role!r}; there are {', '.join(ROLES)}.")
        tokens = estimate_message(message, self.generation)
        if role == "system":
            self._read_system(message, tokens)
        elif role == "assistant":
            self._read_assistant(message, place)
        else:
            self._read_user(message, tokens, place)
        self.seen += 1
        self.tokens += tokens

    def find(self, goal: Goal, left: Callable[[Cut], int]) -> Cut | None:
        """Return the first cut that meets the goal, None without any.

        `left` says how many tokens a cut leaves; from one cut to the next they only get fewer.
        """
        first = 0
        if goal.turns is not None:
            oldest = self.exchange - goal.turns + 1
            first = bisect_left(self.cuts, oldest, key=lambda cut: cut.exchange)
        if goal.tokens is None:
            return self.cuts[first] if first < len(self.cuts) else None
        for tokens in (goal.tokens, goal.or_tokens or goal.tokens):
            place = bisect_left(self.cuts, -tokens, lo=first, key=lambda cut: -left(cut))
            if place < len(self.cuts):
                return self.cuts[place]
        return None

    def forget_before(self, cut: Cut) -> None:
        """Let go of the cuts before this one."""
        del self.cuts[: bisect_left(self.cuts, cut.start, key=lambda each: each.start)]

    def _read_system(self, message: Message, tokens: int) -> None:
        """Keep a system turn for good, once where the same is said again and again."""
        if not self._pinned and message != self._last_system:
            self.systems.append(self.seen)
            self._system_tokens += tokens
            self._last_system = message

    def _read_assistant(self, message: Message, place: int) -> None:
        if not self._turn:
            raise UserError(f"Message {place} is the assistant's: the first turn is the user's.")
        if self._turn == "user":
            self.check_answered()
            if not self._asking and not self._pinned:
                self._add_cut(place, head=self._question)
        for block in blocks_of(message.get("content")):
            if block.get("type") == "tool_use":
                self.unanswered[str(block.get("id"))] = place
        self._turn = "assistant"

    def _read_user(self, message: Message, tokens: int, place: int) -> None:
        results = [
            str(block.get("tool_use_id"))
            for block in blocks_of(message.get("content"))
            if block.get("type") == "tool_result"
        ]
        orphan = next((name for name in results if name not in self.unanswered), None)
        if orphan is not None:
            raise UserError(f"Message {place} has a result for {orphan!r}, which nobody called.")
        if self._turn != "user":
            if self.unanswered and not results:
                self.check_answered()
            self._asking = not results
            if self._asking:
                self._begin_exchange(message, place)
        for name in results:
            self.unanswered.pop(name, None)
        if self._asking:
            self._question = (*self._question, place)
            self._question_tokens += tokens
        self._turn = "user"

    def check_answered(self) -> None:
        """Raise `UserError` while a tool call has no result."""
        if self.unanswered:
            name, place = next(iter(self.unanswered.items()))
            raise UserError(f"The call {name!r} in message {place} is not followed by its result.")

    def _begin_exchange(self, message: Message, place: int) -> None:
        stays = self._pin is not None and self._pin(place, message)
        if self._pinned:
            self.pins.append((self._question[0], place))
            self.pinned_tokens += self.tokens - self._began
        self.exchange += 1
        self._began = self.tokens
        self._question, self._question_tokens = (), 0
        self._add_cut(place)
        self._pinned = stays

    def _add_cut(self, place: int, head: tuple[int, ...] = ()) -> None:
        kept = self.pinned_tokens + self._system_tokens + (self._question_tokens if head else 0)
        counts = self.exchange, self.tokens - kept, len(self.pins), len(self.systems)
        self.cuts.append(Cut(place, head, *counts))

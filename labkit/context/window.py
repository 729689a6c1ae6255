"""One conversation kept within its policy: the whole history in, a valid request out.

    window = Window(Blocks(high=16_000, low=8_000))
    ...
    trimmed = window.fit({"model": ..., "messages": history, ...})
    reply = client.messages.create(**trimmed.body)
    window.learn(trimmed, prompt_tokens)     # what the reply's usage adds up to

The history is the caller's and only grows; the window remembers how far it has read and where
it has cut, so a turn costs the new messages and those that are sent, however long the history.
What is sent begins with pinned exchanges, the same bytes from cut to cut, then the question at
the cut with the system turns that fell before it, then everything after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from labkit.context.assembly import (
    assembled,
    carried_places,
    is_cached,
    is_marked,
    same_message,
)
from labkit.context.calibration import Calibration
from labkit.context.estimates import Generation, estimate_fixed, generation_of
from labkit.context.forecasting import Forecast, Size, forecast
from labkit.context.history import Cut, History, Message, Pin
from labkit.context.policy import Policy
from labkit.errors import ContextLimit, UserError

__all__ = ["Trimmed", "Window"]


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What to send.

    `body` is the request, the one given where nothing is cut; `tokens` its estimated prompt,
    `error` the relative error of that, and `estimated` the same uncorrected, for `learn`.
    `dropped` counts the messages of the history that are not in it, and `whole` is what the
    prompt would be with them.  `cut` says that this request moved the cut, for the price in
    `forecast` if it is known; a forecast without a cut is the reason not to.
    """

    body: Mapping[str, Any]
    tokens: int
    error: float
    estimated: int
    dropped: int
    whole: int
    cut: bool = False
    forecast: Forecast | None = None
    advice: str = ""


class Window:
    """The memory of one conversation; of its messages it keeps those it last sent.

    `pin` says of a question whether its exchange always stays.  Not for several threads at once.
    """

    def __init__(self, policy: Policy, *, pin: Pin | None = None) -> None:
        self.policy, self._pin = policy, pin
        self.calibration = Calibration()
        self._begin("new")

    def fit(self, body: Mapping[str, Any]) -> Trimmed:
        """Return the request with its messages trimmed as the policy says.

        Raises `ContextLimit` where even the deepest valid cut leaves more than the policy's
        budget, and `UserError` for a history of which no valid request can be made: no messages,
        an unknown role, a result without its call.  Either way the history is untouched, and the
        window goes on as if nothing had been asked.
        """
        messages = body.get("messages")
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise UserError("There are no messages: a conversation begins with one of the user's.")
        self._read(messages, generation_of(body.get("model")))
        fixed = estimate_fixed(body, self._history.generation)
        cut, known = self._decide(body, fixed)
        size = self._size(cut, fixed)
        if self.policy.budget is not None and size.tokens > self.policy.budget:
            raise ContextLimit(self.policy.refusal(size))
        moved = cut.start != self._cut.start
        if moved:
            self._move(cut, messages)
        self._unsent, self._fresh = 0, False
        sent = assembled(messages, cut, self._history) if cut.start else messages
        return Trimmed(
            body=body if sent is messages else {**body, "messages": sent},
            tokens=size.tokens,
            error=self.calibration.error,
            estimated=fixed + self._history.tokens - cut.lost,
            dropped=len(messages) - len(sent),
            whole=self._tokens(fixed, Cut()),
            cut=moved,
            forecast=known,
            advice=self.policy.advice(size),
        )

    def learn(self, trimmed: Trimmed, prompt_tokens: int) -> None:
        """Correct later estimates by the whole prompt that a reply reports.

        That is uncached tokens, prompt cache reads and writes together.
        """
        self.calibration.learn(trimmed.estimated, prompt_tokens)

    def _begin(self, generation: Generation) -> None:
        self._history, self._cut = History(generation, self._pin), Cut()
        self._carried: list[tuple[int, Message]] = []
        self._known: list[Message] = []
        self._unsent, self._fresh = 0, True

    def _read(self, messages: Sequence[Message], generation: Generation) -> None:
        """Read what is new; a history that was changed, or is for another tokenizer, anew."""
        history, cut = self._history, self._cut
        if generation != history.generation or not self._is_continued(messages):
            self._begin(generation)
            history = self._history
        before = history.tokens
        for place in range(history.seen, len(messages)):
            history.read(messages[place])
            self._known.append(messages[place])
        history.check_answered()
        self._unsent += history.tokens - before
        if cut.start and not self._cut.start:  # begun anew: the cut stays where it was
            same = next((each for each in history.cuts if each.start == cut.start), None)
            if same is not None:
                self._move(same, messages)

    def _is_continued(self, messages: Sequence[Message]) -> bool:
        """Say whether the messages begin with those we know."""
        start, seen = self._cut.start, self._history.seen
        if len(messages) < seen:
            return False
        known = list(messages[start:seen])
        return all(same_message(messages[place], each) for place, each in self._carried) and (
            known == self._known or all(map(same_message, known, self._known))
        )

    def _decide(self, body: Mapping[str, Any], fixed: int) -> tuple[Cut, Forecast | None]:
        """Find the cut that the policy asks for, and whether it wants it at its price."""
        before = self._size(self._cut, fixed)
        goal = self.policy.goal(before)
        cut = None if goal is None else self._history.find(goal, partial(self._tokens, fixed))
        if cut is None or cut.start <= self._cut.start:
            return self._cut, None
        after = self._size(cut, fixed)
        kept = self.calibration.tokens(fixed) if is_marked(body) else 0
        known = forecast(
            str(body.get("model")),
            before,
            after._replace(new=after.tokens - kept),
            requests=self.policy.horizon,
            cached=is_cached(body),
        )
        forced = self.policy.budget is not None and before.tokens > self.policy.budget
        return (cut if forced or self.policy.wants(known) else self._cut), known

    def _move(self, cut: Cut, messages: Sequence[Message]) -> None:
        """Cut there, and forget what lies before."""
        del self._known[: cut.start - self._cut.start]
        self._history.forget_before(cut)
        self._cut = cut
        places = carried_places(cut, self._history)
        self._carried = [(place, messages[place]) for place in places]

    def _size(self, cut: Cut, fixed: int) -> Size:
        history, tokens = self._history, self._tokens(fixed, cut)
        growth = self.calibration.factor * history.tokens / max(1, history.exchange)
        turns = history.exchange - max(1, cut.exchange) + 1
        new = tokens if self._fresh else min(tokens, self.calibration.tokens(self._unsent))
        return Size(tokens, turns, growth, new)

    def _tokens(self, fixed: int, cut: Cut) -> int:
        return self.calibration.tokens(fixed + self._history.tokens - cut.lost)

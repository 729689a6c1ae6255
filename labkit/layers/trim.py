"""Trim: an ordinary chat loop keeps its whole history and sends only what its policy allows.

The program goes on appending turns to its list.  The layer recognises the conversation, reads
what is new, and sends a valid, shorter request; the list itself is never touched.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

from labkit.context.assembly import bare_message
from labkit.context.calibration import Calibration
from labkit.context.history import Pin
from labkit.context.policy import Policy
from labkit.context.window import Trimmed, Window
from labkit.drivers import Layer
from labkit.errors import ContextLimit
from labkit.flow import Flow, Note, Outcome, Request, Send, Used

__all__ = ["Key", "Trim", "conversation_key"]

BEGINNING = 3
Key: TypeAlias = Callable[[Mapping[str, Any]], Hashable]


class Trim(Layer):
    """Keep conversations within `policy`, for example `Trim(Blocks(high=100_000, low=50_000))`.

    What is cut is noted on the call's span, with the expected cost of cutting and of not cutting.
    Estimates learn from the usage of every reply; a new conversation begins with what the last
    one learnt.  A conversation that cannot be made to fit is refused with `ContextLimit`, and one
    of which no valid request can be made (an orphan tool result, an unknown role) raises
    `UserError`; nothing is sent then.

    `key` tells conversations apart by their request bodies: by default their first messages and
    `metadata.user_id`.  Two with the same key are never mixed, but read anew whenever they take
    turns.  `pin` says of a question whether its exchange stays for good.  The last `keep`
    conversations are remembered; an older one is read again.

    Place it outside of `Retry`.  The newest models bind thinking blocks to what stood before
    them, so after a cut they may refuse those (claude-api.md 1.4): ask for
    `block_binding={"prefix_mismatch_behavior": "drop_block"}` in `thinking` there (a beta).  Where
    the API itself compacts or edits the context, leave that to it.
    """

    def __init__(
        self, policy: Policy, *, key: Key | None = None, pin: Pin | None = None, keep: int = 1000
    ) -> None:
        if keep < 1:
            raise ValueError(f"At least one conversation must be remembered, not {keep}.")
        self.policy, self.pin, self.keep = policy, pin, keep
        self._key: Key = key or conversation_key
        self._windows: OrderedDict[Hashable, Window] = OrderedDict()
        self._learnt = Calibration()

    def flow(self, request: Request) -> Flow:
        """Trim, note, send, and learn how long the prompt really was."""
        if not _has_messages(request):
            passed: Outcome = yield Send(request)
            return passed
        window = self._window(request.body)
        try:
            trimmed = window.fit(request.body)
        except ContextLimit as refusal:
            yield Note("refused", by="trim")
            return Outcome(error=refusal)
        if trimmed.dropped or trimmed.forecast:
            yield Note("trim", **_told(trimmed))
        if trimmed.advice:
            yield Note("advice", text=trimmed.advice)
        sent = request if trimmed.body is request.body else request.replace(body=trimmed.body)
        outcome: Outcome = yield Send(sent)
        outcome.when_used(self._learn, window, trimmed)
        return outcome

    def _learn(self, window: Window, trimmed: Trimmed, used: Used) -> None:
        prompt = used.input_tokens + used.cache_read_tokens + used.cache_written_tokens
        if prompt:
            window.learn(trimmed, prompt)
            self._learnt = window.calibration

    def _window(self, body: Mapping[str, Any]) -> Window:
        key = self._key(body)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(self.policy, pin=self.pin)
            window.calibration = Calibration(self._learnt.factor, self._learnt.error)
        self._windows.move_to_end(key)
        while len(self._windows) > self.keep:
            self._windows.popitem(last=False)
        return window


def conversation_key(body: Mapping[str, Any]) -> Hashable:
    """Tell a conversation by its first three messages and whoever `metadata.user_id` names.

    Many conversations begin with the same greeting; few get the same answer and go on alike.
    """
    first = [
        bare_message(message) if isinstance(message, Mapping) else None
        for message in body["messages"][:BEGINNING]
    ]
    spelled = json.dumps([body.get("metadata"), first], default=str, sort_keys=True)
    return blake2b(spelled.encode(), digest_size=16).digest()


def _has_messages(request: Request) -> bool:
    asks = request.path.partition("?")[0].endswith("/v1/messages")
    return asks and isinstance(request.body.get("messages"), list)


def _told(trimmed: Trimmed) -> dict[str, str | int | float | bool]:
    told: dict[str, str | int | float | bool] = {
        "cut": trimmed.cut,
        "dropped_messages": trimmed.dropped,
        "tokens": trimmed.tokens,
        "tokens_untrimmed": trimmed.whole,
        "token_error": round(trimmed.error, 4),
    }
    expected = trimmed.forecast
    if expected is not None:
        told |= {
            "requests_ahead": expected.requests,
            "cost_uncut": float(expected.cost_before),
            "cost_cut": float(expected.cost_after),
            "read_share_uncut": round(expected.read_share_before, 4),
            "read_share_cut": round(expected.read_share_after, 4),
        }
    return told

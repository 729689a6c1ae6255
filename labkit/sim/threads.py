"""Message threads: the server keeps a conversation, and a continuation sends what is new.

Names, error codes and what a continuation leaves out (system prompt and tools, which the server
keeps too) are those of anthropic 2.12.0 (types/beta, lib/threads).  The whole conversation is
read, and billed, all the same.

Left open there and decided here: the model stays the same, and system prompt and tools do where
they are sent again; a compaction on demand may create a thread, not continue one; `cache_control`
is unsupported at top level and not in blocks; of `thinking` nothing is; nothing expires, but only
the latest answers are held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from labkit.sim.problem import ApiError

__all__ = ["Threads"]

MOST_HELD = 10_000
KEPT = ("system", "tools")
UNSUPPORTED = ("cache_control", "context_management", "fallbacks")


@dataclass(slots=True)
class _State:
    """One answer: the conversation up to and with it, and who went on from it until when."""

    body: Mapping[str, Any]
    messages: list[Any]
    continued_until: float | None = None


class Threads:
    """The conversations that one organisation's threads hold."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

    def resolve(self, body: Mapping[str, Any], now: float) -> Mapping[str, Any] | ApiError:
        """Return the body with the whole conversation in it, or why it cannot be continued."""
        unsupported = tuple(name for name in UNSUPPORTED if body.get(name) is not None)
        if unsupported:
            message = f"thread cannot be combined with {', '.join(unsupported)}."
            return replace(_refused(message, "unsupported_request"), unsupported=unsupported)
        if body["thread"]["type"] == "create":
            return body
        if body.get("compaction") is not None:
            message = "A compaction request cannot continue a thread."
            return _refused(message, "unsupported_request")
        state = self._states.get(body["thread"]["previous_message_id"])
        if state is None:
            text = "No usable thread was found for previous_message_id."
            return ApiError(404, "not_found_error", text, "thread_not_found")
        if state.continued_until is not None:
            if now < state.continued_until:
                return _refused("The thread is being continued already.", "continue_in_flight")
            return _refused("This answer has been continued before.", "already_continued")
        kept = {name: state.body[name] for name in KEPT if name in state.body}
        whole = {**kept, **body}
        different = [name for name in ("model", *KEPT) if whole.get(name) != state.body.get(name)]
        if different:
            told = ", ".join(different)
            return _refused(f"Not the same as in the thread: {told}.", "fingerprint_mismatch")
        new = body.get("messages")
        return {**whole, "messages": [*state.messages, *new]} if isinstance(new, list) else body

    def keep(self, body: Mapping[str, Any], message: Mapping[str, Any], until: float) -> None:
        """Hold a conversation that was answered; `until` is when its answer ends, in seconds."""
        thread = body["thread"]
        if thread["type"] == "continue":
            self._states[thread["previous_message_id"]].continued_until = until
        said = {"role": "assistant", "content": message["content"]}
        self._states[message["id"]] = _State(body, [*body["messages"], said])
        while len(self._states) > MOST_HELD:
            del self._states[next(iter(self._states))]


def _refused(message: str, code: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message, f"thread_{code}")

"""Message threads: the server keeps a conversation, and a continuation sends what is new.

Names and error codes are those of anthropic 2.12.0 (types/beta, claude-api.md 8).  The whole
conversation is read, and billed, all the same.  Left open there and decided here: what must stay
the same across a thread's turns is the model, the system prompt and the tools, and a continuation
sends them again; other fields that manage the context do not go with a thread; nothing expires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.sim.problem import ApiError

__all__ = ["Threads"]

SAME = ("model", "system", "tools")
UNSUPPORTED = ("compaction", "context_management")


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
        for name in UNSUPPORTED:
            if body.get(name) is not None:
                return _refused(f"thread cannot be combined with {name}.", "unsupported_request")
        if body["thread"]["type"] == "create":
            return body
        state = self._states.get(body["thread"]["previous_message_id"])
        if state is None:
            text = "No usable thread was found for previous_message_id."
            return ApiError(404, "not_found_error", text, "thread_not_found")
        if state.continued_until is not None:
            if now < state.continued_until:
                return _refused("The thread is being continued already.", "continue_in_flight")
            return _refused("This answer has been continued before.", "already_continued")
        different = [name for name in SAME if body.get(name) != state.body.get(name)]
        if different:
            told = ", ".join(different)
            return _refused(f"Not the same as in the thread: {told}.", "fingerprint_mismatch")
        new = body.get("messages")
        if not isinstance(new, list):
            return body
        return {**body, "messages": [*state.messages, *new]}

    def keep(self, body: Mapping[str, Any], message: Mapping[str, Any], until: float) -> None:
        """Hold a conversation that was answered; `until` is when its answer ends, in seconds."""
        thread = body["thread"]
        if thread["type"] == "continue":
            self._states[thread["previous_message_id"]].continued_until = until
        said = {"role": "assistant", "content": message["content"]}
        self._states[message["id"]] = _State(body, [*body["messages"], said])


def _refused(message: str, code: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message, f"thread_{code}")

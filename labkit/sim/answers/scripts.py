"""Scripted replies: what to say to which request, in place of what the rules would say.

    script = {
        1: "Hello.",                                        the first request of all
        "refund": [{"type": "text", "text": "Of course."}], a last user turn that holds the word
        re.compile(r"order \\d+"): Said(stop_reason="refusal"),
        lambda body: "tools" in body: lambda body: f"{len(body['tools'])} tools",
    }

The first entry that applies decides; where none does, the rules answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.errors import UserError
from labkit.sim.answers.composed import Block
from labkit.sim.answers.turns import last_user_turn

__all__ = ["REFUSED", "STOP_REASONS", "Said", "Says", "Script", "When", "scripted"]

STOP_REASONS = (
    *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
    "model_context_window_exceeded",
)
REFUSED: Mapping[str, Any] = {
    "type": "refusal",
    "category": None,
    "explanation": "This refusal is simulated: a script or a fault asked for it.",
}
"""`stop_details` of a refusal for which the script gives none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a scripted reply says, and why it stops.

    `content` is a text or a list of content blocks; tool_use blocks may leave out their `id`,
    thinking blocks their `signature`.  `stop_reason` None is tool_use where a tool is called,
    else end_turn.  Raises `UserError` for what the API could not say.
    """

    content: str | Sequence[Block] = ""
    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.stop_reason is not None and self.stop_reason not in STOP_REASONS:
            raise UserError(
                f"There is no stop reason {self.stop_reason!r}; use one of "
                f"{', '.join(STOP_REASONS)}."
            )
        for block in () if isinstance(self.content, str) else self.content:
            _check(block)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The content as blocks."""
        if isinstance(self.content, str):
            return ({"type": "text", "text": self.content},)
        return tuple(self.content)


When = int | str | re.Pattern[str] | Callable[[Mapping[str, Any]], bool]
"""Which request: the n-th, one whose last user turn holds a text (in any case of letters) or
matches a pattern, or one whose body a function says yes to."""
Says = str | Sequence[Block] | Said | Callable[[Mapping[str, Any]], "str | Sequence[Block] | Said"]
Script = Mapping[When, Says]


def scripted(script: Script, body: Mapping[str, Any], number: int) -> Said | None:
    """Return what the script says to request `number` (from 1), None if it says nothing."""
    turn = last_user_turn(body)
    for when, says in script.items():
        if _applies(when, body, number, turn):
            said = says(body) if callable(says) else says
            return said if isinstance(said, Said) else Said(said)
    return None


def _applies(when: When, body: Mapping[str, Any], number: int, turn: str) -> bool:
    if isinstance(when, int):
        return when == number
    if isinstance(when, str):
        return when.lower() in turn.lower()
    if isinstance(when, re.Pattern):
        return when.search(turn) is not None
    return bool(when(body))


NEEDED: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "thinking": ("thinking",),
    "tool_use": ("name", "input"),
}


def _check(block: object) -> None:
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
        raise UserError(f"A content block is an object with a type, and {block!r} is none.")
    missing = [name for name in NEEDED.get(block["type"], ()) if name not in block]
    if missing:
        raise UserError(f"A {block['type']} block needs {' and '.join(missing)}.")
    try:
        json.dumps(block)
    except (TypeError, ValueError) as error:
        raise UserError(f"A {block['type']} block cannot be sent as JSON: {error}.") from None

"""What the simulated API says.  It never pretends to be a model: every answer says "simulated".

The words depend only on the request and the seed.  One rule lets a lesson show memory, or
the lack of it: asked "what is my <thing>?", the answer is the last "my <thing> is <value>"
found in the user's turns of this very request, and an honest "not told" when there is none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["answer"]

QUESTION = re.compile(r"\bwhat(?:'s| is| was) my ([a-z ]{1,60}?)\s*\?", re.IGNORECASE)
SENTENCES = (
    "Each part of the system has a limit, and the limits add up.",
    "A request that fails now may well succeed a little later.",
    "What is not measured is paid for all the same.",
    "The first answer is rarely the slowest one.",
    "Waiting costs less than asking twice.",
    "A queue that only grows is a fault that has not been noticed yet.",
    "The cheapest token is the one that is never sent.",
    "Small delays in one place become long ones in another.",
)


def answer(body: Mapping[str, Any], dice: random.Random) -> str:
    """Return the text for a Messages request body."""
    turns = [_text(message) for message in body["messages"] if message.get("role") == "user"]
    asked = QUESTION.search(turns[-1]) if turns else None
    if asked:
        return _recall(asked.group(1).strip(), turns)
    topic = " ".join(turns[-1].split()[:8]) if turns else "nothing"
    sentences = dice.sample(SENTENCES, k=dice.randint(2, 5))
    return f'Simulated answer to "{topic}". ' + " ".join(sentences)


def _recall(thing: str, turns: list[str]) -> str:
    told = re.compile(rf"\bmy {re.escape(thing)} is ([\w-]+)", re.IGNORECASE)
    for turn in reversed(turns):
        if match := told.search(turn):
            return f"Simulated answer. Your {thing} is {match.group(1)}."
    return f"Simulated answer. This request does not say what your {thing} is."


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content", "")
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in content)

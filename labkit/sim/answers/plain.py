"""The usual answer: a few sentences about waiting, which say that they are simulated.

The words depend only on the request and the dice.  One rule lets a lesson show memory, or
the lack of it: asked "what is my <thing>?", the answer is the last "my <thing> is <value>"
found in the user's turns of this very request, then in its system prompt, and an honest
"does not say" when there is none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from labkit.sim.answers.turns import last_user_turn, system_text, user_turns

__all__ = ["SENTENCES", "answer", "recall"]

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
    recalled = recall(body)
    if recalled is not None:
        return recalled
    words = last_user_turn(body).split()
    topic = " ".join(words[:8]) if user_turns(body) else "nothing"
    sentences = dice.sample(SENTENCES, k=dice.randint(2, 5))
    return f'Simulated answer to "{topic}". ' + " ".join(sentences)


def recall(body: Mapping[str, Any]) -> str | None:
    """Return what the request tells of the thing it asks for, None if it asks for none."""
    asked = QUESTION.search(last_user_turn(body))
    if asked is None:
        return None
    thing = asked.group(1).strip()
    told = re.compile(rf"\bmy {re.escape(thing)} is ([\w-]+)", re.IGNORECASE)
    for turn in (*reversed(user_turns(body)), system_text(body)):
        if match := told.search(turn):
            return f"Simulated answer. Your {thing} is {match.group(1)}."
    return f"Simulated answer. This request does not say what your {thing} is."

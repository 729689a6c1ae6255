"""The memory tool: what is to be remembered goes into files, and comes back from them.

With a `memory_20250818` tool in the request (claude-api.md 8; commands of anthropic 2.12.0,
types/beta) the simulated model writes and reads by two rules, which are made up:

- The user's last turn says "remember" and holds facts (`labkit.sim.answers.facts`): each goes
  into a file of its own under /memories, named after what it is about.
- It asks "what is my <thing>?" and the request itself does not say: that file is viewed.

The tool runs at the client's; what it answers is reported like any tool's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labkit.sim.answers.facts import facts_in
from labkit.sim.answers.plain import QUESTION, recall
from labkit.sim.answers.turns import last_user_turn, listed, mapped, tool_results

__all__ = ["memory_commands"]

KIND = "memory_20250818"
FOLDER = "/memories"
REMEMBER = re.compile(r"\bremember\b", re.IGNORECASE)
ABOUT = re.compile(r"my (.+?) is ", re.IGNORECASE)
UNKNOWN = "does not say what"
WORD = re.compile(r"[a-z0-9]+")
WORDS = 4


def memory_commands(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the inputs of the memory tool's calls that answer a request; none if it has none."""
    kinds = [each.get("type") for each in map(mapped, listed(body.get("tools")))]
    silent = mapped(body.get("tool_choice")).get("type") == "none"
    if KIND not in kinds or silent or tool_results(body):
        return []
    turn = last_user_turn(body)
    if REMEMBER.search(turn):
        return [_create(fact) for fact in facts_in([turn])]
    asked = QUESTION.search(turn)
    if asked is None or UNKNOWN not in str(recall(body)):
        return []
    return [{"command": "view", "path": _path(asked.group(1))}]


def _create(fact: str) -> dict[str, Any]:
    about = ABOUT.match(fact)
    path = _path(about.group(1) if about else fact)
    return {"command": "create", "path": path, "file_text": f"{fact}.\n"}


def _path(about: str) -> str:
    words = WORD.findall(about.lower())[:WORDS] or ["note"]
    return f"{FOLDER}/{'-'.join(words)}.md"

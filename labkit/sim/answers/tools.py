"""Tool calls: which tools a request asks for, and with what input.

The user's last turn asks for a tool if it holds a word of the tool's name (words such as "get"
or "list" do not count unless the name has no others), or two of the longer words of its
description.  Each tool asked for is called once, so two of them are called in parallel.
`tool_choice` any calls the first tool where none is asked for, tool calls the one it names,
none calls nothing.  Once results are back, nothing more is called unless a call is forced.
Where none of these is called, the memory tool may be (`labkit.sim.answers.memory`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from typing import Any

from labkit.sim.answers.hints import read_hints
from labkit.sim.answers.memory import memory_commands
from labkit.sim.answers.samples import sample
from labkit.sim.answers.turns import ToolResult, last_user_turn, listed, mapped, tool_results

__all__ = ["called_tools", "reported", "tool_calls", "tool_use"]

WORD = re.compile(r"[^\W\d_]+")
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
GENERIC = frozenset(
    WORD.findall(
        "a an and by call check do execute fetch find for from get in is it list look lookup make "
        "my of on or read retrieve run set show tell the to tool up use what with your"
    )
)
DULL = frozenset(
    WORD.findall(
        "about current each from give given gets into more over return returned returns some such "
        "tell than that their them then this tool used user using what when where which with"
    )
)
LONG = 4
LONGEST_REPORT = 200


def tool_calls(body: Mapping[str, Any], dice: random.Random) -> list[dict[str, Any]]:
    """Return the tool_use blocks that answer a request; none if it asks for no tool."""
    tools = called_tools(body)
    if not tools:
        return [tool_use("memory", each, dice) for each in memory_commands(body)]
    hints = read_hints(body)
    return [tool_use(each["name"], sample(each["input_schema"], hints), dice) for each in tools]


def tool_use(name: str, value: object, dice: random.Random) -> dict[str, Any]:
    """Return a tool_use block with an id that says "sim", as long as a real one."""
    identifier = f"toolu_sim{dice.getrandbits(84):021x}"
    caller = {"type": "direct"}
    return {"type": "tool_use", "id": identifier, "name": name, "input": value, "caller": caller}


def called_tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the definitions of the tools that a request makes the model call."""
    tools = [
        each
        for each in map(mapped, listed(body.get("tools")))
        if isinstance(each.get("name"), str) and isinstance(each.get("input_schema"), Mapping)
    ]
    choice = mapped(body.get("tool_choice"))
    kind = choice.get("type", "auto")
    if not tools or kind == "none" or (kind == "auto" and tool_results(body)):
        return []
    if kind == "tool":
        return [each for each in tools if each["name"] == choice.get("name")][:1]
    said = set(_words(last_user_turn(body)))
    called = [each for each in tools if _is_asked_for(each, said)]
    if kind == "any" and not called:
        called = tools[:1]
    return called[:1] if choice.get("disable_parallel_tool_use") is True else called


def reported(results: Iterable[ToolResult]) -> str:
    """Return the final text once tools have answered; it repeats what they said."""
    said = ["Simulated answer."]
    for result in results:
        text = " ".join(result.text.split())[:LONGEST_REPORT] or "nothing"
        verb = "failed" if result.failed else "said"
        said.append(f"The tool {result.tool or 'called'} {verb}: {text}")
    return " ".join(said)


def _is_asked_for(tool: Mapping[str, Any], said: set[str]) -> bool:
    name = list(_words(HUMP.sub(" ", tool["name"])))
    telling = [word for word in name if word not in GENERIC] or name
    if said.intersection(telling):
        return True
    description = set(_words(str(tool.get("description") or "")))
    return len({word for word in description & said - DULL if len(word) >= LONG}) > 1


def _words(text: str) -> Iterable[str]:
    """Yield the words of a text in lower case and in the singular."""
    for match in WORD.finditer(text):
        word = match.group().lower()
        yield word[:-1] if len(word) > LONG - 1 and word.endswith("s") else word

"""The places in a request where a breakpoint may stand, and a request with breakpoints there.

tools    after the last tool
system   after the system prompt
shared   after the last block that all requests of the family begin with
turn     after the last block of the turn before, where the request before has ended
end      after the last block of all, which the API finds by itself (automatic)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.prompt_caching.break_even import Lifetime

__all__ = ["PLACES", "Body", "marked", "unmarked"]

PLACES = ("tools", "system", "shared", "turn", "end")
Body = Mapping[str, Any]
CONTROL = "cache_control"


def unmarked(body: Body) -> dict[str, Any]:
    """Return a body without any breakpoint; texts become blocks, which are the same to the API."""
    plain = {name: value for name, value in body.items() if name != CONTROL}
    if "tools" in plain:
        plain["tools"] = [_plain(tool) for tool in plain["tools"]]
    if "system" in plain:
        plain["system"] = _blocks(plain["system"])
    plain["messages"] = [
        {**message, "content": _blocks(message["content"])} for message in body["messages"]
    ]
    return plain


def marked(
    body: Body, places: Mapping[str, Lifetime], shared: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return a body with breakpoints at some places, each with its lifetime, and no others.

    `shared` is the (message, block) at which the family's common beginning ends.  A place that a
    body does not have is left out, and so is the automatic one where the last block has its own:
    with another lifetime the API would refuse the request.
    """
    fresh = unmarked(body)
    messages = fresh["messages"]
    for place, lifetime in places.items():
        control = {"type": "ephemeral", "ttl": lifetime}
        if place in ("tools", "system"):
            _mark(fresh.get(place) or [], -1, control)
        elif place == "turn" and len(messages) > 2:
            _mark(messages[-3]["content"], -1, control)
        elif place == "shared" and shared is not None:
            _mark(messages[shared[0]]["content"], shared[1], control)
    last = messages[-1]["content"][-1:]
    if "end" in places and not any(CONTROL in block for block in last):
        fresh[CONTROL] = {"type": "ephemeral", "ttl": places["end"]}
    return fresh


def _mark(blocks: list[dict[str, Any]], place: int, control: Mapping[str, str]) -> None:
    if blocks:
        blocks[place] = {CONTROL: control, **blocks[place]}


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_plain(block) for block in content]


def _plain(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != CONTROL}

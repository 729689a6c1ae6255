"""Prompt cache breakpoints: at most four, and the longer lifetime never after the shorter.

Rules of claude-api.md 5.  An automatic breakpoint (top-level `cache_control`) lies on the last
block and takes one of the four, unless that block already has one of the same lifetime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["breakpoint_problems"]

MOST = 4
NOTE = "Note that blocks are processed in the following order: `tools`, `system`, `messages`."


def breakpoint_problems(body: Mapping[str, Any]) -> Iterator[str]:
    """Find too many breakpoints, and lifetimes in the wrong order."""
    blocks = list(_walk(body))
    marks = [(path, _ttl(block)) for path, block in blocks if block.get("cache_control")]
    automatic = body.get("cache_control")
    if automatic:
        ttl = automatic.get("ttl", "5m")
        last = blocks[-1][1] if blocks else {}
        if not last.get("cache_control"):
            marks.append(("", ttl))
        elif _ttl(last) != ttl:
            yield (
                f"cache_control: the last block already has a breakpoint with ttl='{_ttl(last)}', "
                f"so the automatic one cannot have ttl='{ttl}'"
            )
    if len(marks) > MOST:
        yield f"A maximum of {MOST} blocks with cache_control may be provided. Found {len(marks)}."
    short = False
    for path, ttl in marks:
        if short and ttl == "1h":
            at = f"{path}.cache_control.ttl" if path else "cache_control.ttl"
            yield (
                f"{at}: a ttl='1h' cache_control block must not come after a ttl='5m' "
                f"cache_control block. {NOTE}"
            )
        short = short or ttl == "5m"


def _ttl(block: Mapping[str, Any]) -> str:
    return str(block["cache_control"].get("ttl", "5m"))


def _walk(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each block that may carry a breakpoint, in the order of the prompt.

    Blocks inside a tool result come before the result that closes over them.
    """
    for place, tool in enumerate(body.get("tools", [])):
        yield f"tools.{place}", tool
    yield from _listed(body.get("system"), "system")
    for place, message in enumerate(body["messages"]):
        yield from _listed(message["content"], f"messages.{place}.content")


def _listed(content: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(content, str) and content:
        yield path, {}
    for place, block in enumerate(content if isinstance(content, list) else []):
        at = f"{path}.{place}"
        if block["type"] == "tool_result":
            yield from _listed(block.get("content"), f"{at}.content")
        yield at, block

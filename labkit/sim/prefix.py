"""A request as a row of blocks: the order in which the prompt cache sees it.

Tools come first, then the system prompt, then the messages.  Each block gets a digest of
everything up to and including it, so two requests share a prefix exactly as long as their
digests agree.  What invalidates a level (claude-api.md 5) is mixed in where the level begins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from labkit.sim.tokens import walk

__all__ = ["Block", "Prefix", "read_prefix"]

LEVELS = ("tools", "system", "messages", "end")
Walked: TypeAlias = tuple[str, Mapping[str, Any], int]
"""(level, block, its tokens), as `labkit.sim.tokens.walk` yields them."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its level, the digest and tokens of the prefix it ends, its breakpoint if any."""

    level: str
    digest: bytes
    tokens: int
    ttl: str | None
    """"5m" or "1h" where the request sets a breakpoint on this block."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """All blocks of a request, in order; the last one is the framing at its end."""

    blocks: tuple[Block, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the whole prompt."""
        return self.blocks[-1].tokens if self.blocks else 0

    @property
    def breakpoints(self) -> list[int]:
        """Positions of the blocks with a breakpoint, in order."""
        return [place for place, block in enumerate(self.blocks) if block.ttl]


def read_prefix(body: Mapping[str, Any], model_id: str, workspace: str = "") -> Prefix:
    """Read a Messages body; an automatic breakpoint (top-level `cache_control`) is placed last."""
    digest = hashlib.blake2b(f"{workspace}/{model_id}".encode(), digest_size=16).digest()
    tokens, before, blocks = 0, "", []
    for level, block, count in sorted(map(_settled, walk(body)), key=_by_level):
        if level not in (before, "end"):
            digest = _mix(digest, level, _salt(level, body))
            before = level
        plain = {key: value for key, value in block.items() if key != "cache_control"}
        digest = _mix(digest, level, plain)
        tokens += count
        control = block.get("cache_control")
        ttl = control.get("ttl", "5m") if isinstance(control, dict) else None
        blocks.append(Block(level, digest, tokens, ttl))
    automatic = body.get("cache_control")
    if isinstance(automatic, dict) and len(blocks) > 1 and blocks[-2].ttl is None:
        blocks[-2] = replace(blocks[-2], ttl=automatic.get("ttl", "5m"))
    return Prefix(tuple(blocks))


def _settled(walked: Walked) -> Walked:
    """Move a web search tool to the system prompt, which it changes instead of the tools."""
    level, block, count = walked
    if level == "tools" and str(block.get("type", "")).startswith("web_search"):
        return "system", block, count
    return walked


def _by_level(walked: Walked) -> int:
    return LEVELS.index(walked[0])


def _mix(digest: bytes, level: str, value: object) -> bytes:
    spelled = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(digest + f"{level}{spelled}".encode(), digest_size=16).digest()


def _salt(level: str, body: Mapping[str, Any]) -> list[Any]:
    """Return the settings whose change makes this level, and what follows, a miss."""
    if level == "tools":
        return []
    speed, blocks = body.get("speed", "standard"), list(_said(body))
    if level == "system":
        return [speed, any(_cites(block) for block in blocks)]
    settings = body.get("output_config")
    effort = settings.get("effort") if isinstance(settings, dict) else None
    images = sum(block.get("type") == "image" for block in blocks)
    return [body.get("tool_choice"), images, body.get("thinking"), effort]


def _said(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (block for level, block, _ in walk(body) if level == "messages")


def _cites(block: Mapping[str, Any]) -> bool:
    citations = block.get("citations")
    return isinstance(citations, dict) and citations.get("enabled") is True

"""A request as a row of blocks: the order in which the prompt cache sees it.

Tools come first, then the system prompt, then the messages.  Each block gets a digest of
everything up to and including it, so two requests share a prefix exactly as long as their
digests agree.  What invalidates a level (claude-api.md 5) is mixed in where the level begins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from labkit.sim.tokens import walk

__all__ = ["Block", "Prefix", "read_prefix"]


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

    def end_of(self, level: str) -> bytes:
        """Return the digest at the end of a level ("tools", "system"), empty if it has no block."""
        digests = [block.digest for block in self.blocks if block.level == level]
        return digests[-1] if digests else b""


def read_prefix(body: Mapping[str, Any], model_id: str, workspace: str = "") -> Prefix:
    """Read a Messages body; an automatic breakpoint (top-level `cache_control`) is placed last."""
    digest = hashlib.blake2b(f"{workspace}/{model_id}".encode(), digest_size=16).digest()
    tokens, before, blocks = 0, "", []
    for level, block, count in walk(body):
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


def _mix(digest: bytes, level: str, value: object) -> bytes:
    spelled = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(digest + f"{level}{spelled}".encode(), digest_size=16).digest()


def _salt(level: str, body: Mapping[str, Any]) -> list[Any]:
    """Return the settings whose change makes this level, and what follows, a miss."""
    if level == "tools":
        return []
    if level == "system":
        return [body.get("speed", "standard")]
    settings = body.get("output_config") or {}
    effort = settings.get("effort") if isinstance(settings, dict) else None
    return [body.get("speed", "standard"), body.get("tool_choice"), body.get("thinking"), effort]

"""Compaction: the server has the model sum up a conversation, and a block stands for all before it.

Two forms (claude-api.md 8, types/beta of anthropic 2.12.0, two recordings).  Above a threshold the
reply begins with a `compaction` block and goes on from it; on demand the reply is that block,
signed, alone.  Either way what the summary cost is in `usage.iterations` and not in the top-level
numbers.

Left open there and decided here: a threshold is crossed when it is reached; after it the model
reads tools, system prompt and summary; a paused reply has zeros at top level, as one on demand
has; a signature is a digest of the summary; `instructions` change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from labkit.sim.answers import Composed
from labkit.sim.answers.skills import skill_of
from labkit.sim.answers.summaries import summary
from labkit.sim.problem import ApiError
from labkit.sim.tokens import count_text
from labkit.sim.validation.hosted import COMPACT

__all__ = [
    "billed_apart",
    "block_problem",
    "compacted",
    "demand_problem",
    "in_effect",
    "in_words",
    "iteration",
    "threshold",
]

TRIGGER = 150_000
KIND = "compaction"
SIGNED = "simulated-"
Message = Mapping[str, Any]


def threshold(body: Mapping[str, Any]) -> tuple[int, bool] | None:
    """Return (input tokens that trigger a compaction, whether to pause after it), None for none."""
    for edit in (body.get("context_management") or {}).get("edits", []):
        if edit["type"] == COMPACT:
            value = (edit.get("trigger") or {"value": TRIGGER})["value"]
            return int(value), bool(edit.get("pause_after_compaction"))
    return None


def in_effect(messages: Sequence[Message]) -> list[Message]:
    """Return the messages from the last compaction block on; one without content is nothing."""
    found: list[Message] = []
    for message in messages:
        content = message["content"]
        kept: list[Any] = []
        for block in content if isinstance(content, list) else ():
            if block.get("type") == KIND and block.get("content") is None:
                continue
            if block.get("type") == KIND:
                found, kept = [], []
            kept.append(block)
        if kept or isinstance(content, str) or not content:
            found.append({**message, "content": kept} if kept else message)
    return found


def in_words(messages: Sequence[Message]) -> list[Message]:
    """Return messages with the summary as a user's text, as the simulated model reads it."""
    told: list[Message] = []
    for message in messages:
        for block in _compactions(message):
            told.append({"role": "user", "content": str(block["content"])})
        rest = message["content"]
        if isinstance(rest, list):
            rest = [block for block in rest if block.get("type") != KIND]
        if rest:
            told.append({**message, "content": rest})
    return told


def compacted(body: Mapping[str, Any], *, seed: int, signed: bool) -> Composed:
    """Return the block that sums up a conversation; without a block where it does not fit."""
    words = {**body, "messages": in_words(body["messages"])}
    name = str(body["model"])
    text = summary(words, skill_of(name), seed=seed)
    tokens, most = count_text(text, name), int(body["max_tokens"])
    if tokens > most:
        return Composed((), "max_tokens", output_tokens=most)
    block = {"type": KIND, "content": text}
    if signed:
        block["signature"] = _signature(text)
    return Composed((block,), KIND, output_tokens=tokens)


def iteration(usage: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return one entry of `usage.iterations`, in the order of the recordings."""
    names = (
        *("input_tokens", "output_tokens", "cache_read_input_tokens"),
        *("cache_creation_input_tokens", "cache_creation"),
    )
    return {**{name: usage[name] for name in names}, "type": kind}


def billed_apart(message: dict[str, Any]) -> None:
    """Move a message's usage to the iterations: a compaction and nothing else."""
    usage = message["usage"]
    nothing: dict[str, Any] = {name: 0 for name in usage if name.endswith("_tokens")}
    nothing["cache_creation"] = dict.fromkeys(usage["cache_creation"], 0)
    message["usage"] = {**usage, **nothing, "iterations": [iteration(usage, KIND)]}


def block_problem(messages: Sequence[Message]) -> ApiError | None:
    """Return what is wrong with the compaction blocks that come back."""
    blocks = [(place, block) for place, each in enumerate(messages) for block in _compactions(each)]
    signed = [(place, block) for place, block in blocks if block.get("signature") is not None]
    for place, block in blocks:
        if not isinstance(block["content"], str) or not block["content"]:
            return _refused(f"messages.{place}: the content of a compaction block is text or null")
        if messages[place]["role"] == "system":
            return _refused("A compaction block cannot be in a system message.", "block_misplaced")
    if len(signed) > 1:
        return _refused("Send only the compaction block returned last.", "block_ambiguous")
    for place, block in signed:
        if place or messages[0]["content"][0] is not block:
            text = "A compaction block is the first block of the conversation."
            return _refused(text, "block_misplaced")
        if not str(block["signature"]).startswith(SIGNED):
            return _refused(
                "The compaction block's signature does not verify.", "signature_invalid"
            )
        if block["signature"] != _signature(block["content"]):
            return _refused("The compaction block's content was changed.", "content_mismatch")
    return None


def demand_problem(messages: object) -> ApiError | None:
    """Return why there is nothing to compact on demand; other faults are found elsewhere."""
    listed = messages if isinstance(messages, list) else []
    turns = [each for each in listed if isinstance(each, dict)]
    if turns and not any(each.get("role") in ("user", "assistant") for each in turns):
        return _refused("There is nothing to summarize.", "nothing_to_summarize")
    last = turns[-1] if turns else {}
    calls = [each for each in last.get("content") or () if isinstance(each, dict)]
    if last.get("role") == "assistant" and any(each.get("type") == "tool_use" for each in calls):
        return _refused("The last assistant turn is not finished.", "incomplete_turn")
    return None


def _compactions(message: Message) -> Iterator[Mapping[str, Any]]:
    content = message["content"]
    for block in content if isinstance(content, list) else ():
        if block.get("type") == KIND and block.get("content") is not None:
            yield block


def _signature(text: str) -> str:
    return SIGNED + blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _refused(message: str, code: str | None = None) -> ApiError:
    full = None if code is None else f"compaction_{code}"
    return ApiError(400, "invalid_request_error", message, full)

"""The most that a request can cost, before it is sent: what a budget has to reserve.

Every byte of the request counts as a token, at the model's dearest input price and in its
dearest region, and all of `max_tokens` as output.  Whatever is not plain text may fill the
whole window.  What has no bound that could be known beforehand is refused.  A simulated fleet's
request has sizes instead of words, and those count too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from labkit.catalog import Model, model
from labkit.errors import BudgetSpent
from labkit.flow import Request
from labkit.pricing import BATCH_SHARE, Usage, cost, total

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["BATCHES", "FREE_PATHS", "worst_case"]

PATH, BATCHES = "/v1/messages", "/v1/messages/batches"
FREE_PATHS = ("/v1/messages/count_tokens",)
BOUNDED = frozenset(
    {"model", "max_tokens", "messages", "system", "stream", "stop_sequences", "metadata"}
    | {"tools", "tool_choice", "thinking", "output_config", "cache_control"}
    | {"service_tier", "inference_geo", "speed", "temperature", "top_p", "top_k"}
    | {"diagnostics", "prompt_tokens", "output_tokens"}
)
"""Fields of a request that bring no cost of their own beyond prompt and answer."""
TOOLS = ("custom", "bash_", "text_editor_", "memory_", "computer_")
"""How the types of tools begin that the client runs, so that they cost their tokens alone."""
PLAIN = frozenset({"text", "thinking", "redacted_thinking", "tool_use", "tool_result"})
HIDDEN_TOKENS = 1000
"""At least what tools and output formats add to a prompt unseen (claude-api.md 1.3: to 804)."""
MOST_OUTPUT = 128_000


def worst_case(request: Request) -> Decimal:
    """Return the most that a Messages request can cost in dollars, or a whole batch of them.

    Raises `BudgetSpent` for what has no known bound, `UnknownModel` and `UnknownPrice`.
    """
    body = request.body
    if request.path == BATCHES and set(body) == {"requests"}:
        return total(_row(row) for row in body["requests"]) * BATCH_SHARE
    unbounded = next(_unbounded(request.path, body), None)
    if unbounded is not None:
        raise BudgetSpent(
            f"What {unbounded} can cost is not known beforehand, so a budget does not let it "
            "through."
        )
    asked = model(str(request.model))
    usage = Usage(
        cache_creation_1h=_prompt(body, asked),
        output_tokens=_output(body, asked),
        speed=body.get("speed"),
        inference_geo=_region(body, asked),
    )
    return cost(asked, usage)


def _row(row: Mapping[str, Any]) -> Decimal:
    return worst_case(Request(body=row["params"]))


def _unbounded(path: str, body: Mapping[str, Any]) -> Iterator[str]:
    if path.partition("?")[0].rstrip("/") != PATH:
        yield f"a request to {path}"
    for name in body:
        if name not in BOUNDED:
            yield f"the field {name!r}"
    for tool in body.get("tools") or ():
        kind = str(tool.get("type") or "custom") if isinstance(tool, Mapping) else "custom"
        if not kind.startswith(TOOLS):
            yield f"the server tool {kind!r}"


def _prompt(body: Mapping[str, Any], asked: Model) -> int:
    """Return the most tokens the prompt can have; a longer one than the window is refused."""
    size = len(json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    if "tools" in body or "output_config" in body:
        size += HIDDEN_TOKENS
    told = body.get("prompt_tokens")
    size = max(size, told) if type(told) is int else size
    if asked.context_window is None:
        return size
    plain = all(map(_is_plain, _contents(body)))
    return min(size, asked.context_window) if plain else asked.context_window


def _contents(body: Mapping[str, Any]) -> Iterator[Any]:
    yield body.get("system")
    for message in body.get("messages") or ():
        yield message.get("content") if isinstance(message, Mapping) else message


def _is_plain(content: Any) -> bool:
    """Whether each token of it takes at least a byte of the request."""
    if not isinstance(content, list | tuple):
        return content is None or isinstance(content, str)
    return all(
        isinstance(block, Mapping)
        and block.get("type") in PLAIN
        and (block["type"] != "tool_result" or _is_plain(block.get("content")))
        for block in content
    )


def _output(body: Mapping[str, Any], asked: Model) -> int:
    most = body.get("max_tokens")
    if type(most) is int and most >= 0:
        return most
    return asked.max_output or MOST_OUTPUT


def _region(body: Mapping[str, Any], asked: Model) -> str | None:
    """Return the dearest region that a workspace's default may mean."""
    region: str | None = body.get("inference_geo")
    return "us" if region is None and asked.us_only_inference else region

"""Tool definitions and the choice among them: shapes, names, and what must fit together.

Names of a tool match `^[a-zA-Z0-9_-]{1,128}$`; the server's own tools are told by the family
in their `type`, whatever their date (anthropic 2.12.0, types/tool_union_param.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.sim.validation.blocks import CACHE_CONTROL
from labkit.sim.validation.schema import (
    Check,
    array,
    boolean,
    choice,
    mapping,
    nullable,
    shown,
    string,
    tagged,
)

__all__ = ["TOOLS", "TOOL_CHOICE", "tool_problems"]

FAMILIES = (
    *("advisor", "bash", "browser_toolset", "code_execution", "computer", "computer_toolset"),
    *("memory", "text_editor", "tool_search_tool_bm25", "tool_search_tool_regex"),
    *("web_fetch", "web_search"),
)
SERVER_TOOL = re.compile(rf"(?:{'|'.join(FAMILIES)})_\d{{8}}|mcp_toolset")

OPTIONAL: dict[str, Check] = {
    "cache_control": CACHE_CONTROL,
    "defer_loading": nullable(boolean),
    "description": nullable(string()),
    "strict": nullable(boolean),
}
CUSTOM = mapping(
    {
        "name": string(pattern="[a-zA-Z0-9_-]{1,128}"),
        "input_schema": mapping({"type": choice("object")}, extra=True),
    },
    OPTIONAL,
    extra=True,
)
SERVER = mapping({}, {"name": nullable(string(least=1)), **OPTIONAL}, extra=True)


def _tool(value: object, path: str) -> Iterator[str]:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and SERVER_TOOL.fullmatch(kind):
        yield from SERVER(value, path)
    elif kind in (None, "custom"):
        yield from CUSTOM(value, f"{path}.custom" if isinstance(value, dict) else path)
    else:
        yield f"{path}: Input tag '{shown(kind)}' found using 'type' does not match any of the " + (
            f"expected tags: 'custom', {', '.join(FAMILIES)}"
        )


TOOLS: Check = array(_tool)
PARALLEL = {"disable_parallel_tool_use": boolean}
TOOL_CHOICE: Check = tagged(
    {
        "auto": mapping({}, PARALLEL, extra=True),
        "any": mapping({}, PARALLEL, extra=True),
        "tool": mapping({"name": string(least=1)}, PARALLEL, extra=True),
        "none": mapping({}, extra=True),
    }
)


def tool_problems(body: Mapping[str, Any]) -> Iterator[str]:
    """Find names used twice, and a choice of a tool that is not there."""
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools if tool.get("name") is not None]
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    chosen = body.get("tool_choice")
    if chosen is None:
        return
    if not tools and not body.get("mcp_servers") and chosen["type"] != "none":
        yield "tool_choice: tool_choice may only be specified while providing tools"
    elif chosen["type"] == "tool" and chosen["name"] not in names:
        yield f"tool_choice: Tool '{chosen['name']}' not found in provided tools"

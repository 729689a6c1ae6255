"""Which requests a response cache is for, and whose answers they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from labkit.flow import Request
from labkit.layers.cache_key import Key, key_of

__all__ = ["Tenant", "scope", "user_of"]

Tenant: TypeAlias = str | Callable[[Request], str]
"""Whose answer it is: one name for all, or a function that finds it in the request."""
RAW = "x-stainless-raw-response"
"""The SDK's header of calls by `with_raw_response`, which want a response and no Message."""
ELSEWHERE = ("container", "mcp_servers", "thread")
"""Fields that make an answer depend on, or change, what lies on a server."""


def user_of(request: Request) -> str:
    """Return the `metadata.user_id` of a request, "" where it names no user."""
    metadata = request.body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    return user if isinstance(user, str) else ""


def scope(request: Request, tenant: Tenant, frozen_sample: bool) -> Key | str:
    """Return the key of a request, or why it has none: "" if it asks for no Message."""
    if request.method != "POST" or not request.path.partition("?")[0].endswith("/v1/messages"):
        return ""
    if any(name.lower() == RAW for name in request.headers):
        return "a raw response is asked for"
    for field in ELSEWHERE:
        if request.body.get(field):
            return f"{field} lies on a server"
    if not frozen_sample and request.body.get("temperature"):
        return "a temperature above 0 asks for variety"
    try:
        return key_of(request, tenant if isinstance(tenant, str) else tenant(request))
    except (TypeError, ValueError):
        return "the body is no JSON"

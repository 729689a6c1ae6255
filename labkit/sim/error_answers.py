"""An error answer on the wire: status, headers and the JSON of the API's own shape."""

from __future__ import annotations

import json
from collections.abc import Mapping

from labkit.sim.reply import UPSTREAM, Reply

__all__ = ["ERROR_LATENCY_S", "PROXY_LATENCY_S", "error_reply"]

ERROR_LATENCY_S = 0.05
"""Assumed time of an error answer."""
PROXY_LATENCY_S = 0.02
"""Assumed time of a 503, which comes from a proxy in front of the API."""


def error_reply(
    status: int,
    error_type: str,
    message: str,
    *,
    request_id: str,
    latency_s: float = ERROR_LATENCY_S,
    headers: Mapping[str, str] | None = None,
    error_code: str | None = None,
) -> Reply:
    """Return an error answer in the API's own shape."""
    error: dict[str, object] = {"type": error_type, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    body = {"type": "error", "error": error, "request_id": request_id}
    all_headers = {
        "content-type": "application/json",
        "request-id": request_id,
        UPSTREAM: str(round(latency_s * 1000)),
        **(headers or {}),
    }
    return Reply(status, all_headers, ((latency_s, json.dumps(body).encode()),))

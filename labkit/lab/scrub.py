"""What may be written into a cassette: an allow-list, so that what nobody thought of stays out.

Headers not listed are dropped, keys and cookies among them.  Inside bodies, thinking
signatures and encrypted tool content are replaced: the real API's carry the organisation's id
readable inside their base64 (toolchain.md, vcrpy).  Requests are scrubbed by the same rule as
answers, so a conversation that sends a signature back still finds its recording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["SCRUBBED", "canonical", "scrub_body", "scrub_headers"]

SCRUBBED = "scrubbed"
REQUEST_HEADERS = frozenset({"anthropic-beta", "anthropic-version", "content-type"})
RESPONSE_HEADERS = frozenset(
    {
        "cache-control",
        "content-type",
        "date",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "server-timing",
        "x-envoy-upstream-service-time",
        "x-should-retry",
    }
)
RATE_LIMITS = "anthropic-ratelimit-"
SEALED = frozenset({"signature", "encrypted_content", "encrypted_index", "data", "credit_token"})
"""Body fields whose value is an opaque token ("data" only in a redacted thinking block)."""
ORGANISATION = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?:org|wrkspc)_\w{10,}"
)
KEY = re.compile(r"\bsk-ant-[\w-]+")


def scrub_headers(headers: Mapping[str, str], *, response: bool) -> dict[str, str]:
    """Return the headers that may be kept, names in lower case."""
    allowed = RESPONSE_HEADERS if response else REQUEST_HEADERS
    lowered = {name.lower(): value for name, value in headers.items()}
    return {
        name: value
        for name, value in lowered.items()
        if name in allowed or (response and name.startswith(RATE_LIMITS))
    }


def scrub_body(body: bytes) -> bytes:
    """Return a body, JSON or stream of events, without sealed tokens, ids of accounts and keys."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        scrubbed = _scrub_line(text)
    else:
        lines = text.split("\n")
        scrubbed = "\n".join(
            "data: " + _scrub_line(line[5:].strip()) if line.startswith("data:") else line
            for line in lines
        )
    return ORGANISATION.sub(SCRUBBED, KEY.sub(SCRUBBED, scrubbed)).encode()


def _scrub_line(text: str) -> str:
    try:
        data = json.loads(text)
    except ValueError:
        return text
    cleaned = _scrub(data)
    if cleaned == data:
        return text
    return json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)


def _scrub(value: Any) -> Any:
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if not isinstance(value, dict):
        return value
    sealed = SEALED if value.get("type") == "redacted_thinking" else SEALED - {"data"}
    return {
        key: SCRUBBED if key in sealed and isinstance(item, str) and item else _scrub(item)
        for key, item in value.items()
    }


def canonical(body: bytes | str | None) -> str:
    """Return a request body in one spelling: scrubbed, keys sorted, one field a line."""
    raw = body.encode() if isinstance(body, str) else body or b""
    text = scrub_body(raw).decode()
    try:
        return json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False)
    except ValueError:
        return text

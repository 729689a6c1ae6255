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
from urllib.parse import urlsplit

__all__ = ["SCRUBBED", "canonical", "scrub_body", "scrub_headers", "scrub_text", "scrub_url"]

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
QUERY = frozenset({"after_id", "before_id", "beta", "limit"})
RATE_LIMITS = "anthropic-ratelimit-"
SEALED = re.compile(r"signature|encrypted_\w+|(?:\w+_)?token")
"""Fields whose value, a text, is an opaque token; "data" is one in a redacted thinking block."""
SEALED_IN_TEXT = re.compile(rf'("(?:{SEALED.pattern}|data)"\s*:\s*")(?:[^"\\]|\\.)*')
"""The same in JSON that cannot be read, such as the last event of a stream that was cut."""
ACCOUNT = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?:org|wrkspc)_[0-9a-z]{10,}",
    re.IGNORECASE,
)
KEY = re.compile(r"sk-ant-[\w-]+")
# Neither asks what stands before: in text that cannot be read as JSON it may be an escape.
SURROGATE = re.compile("[\ud800-\udfff]")


def scrub_headers(headers: Mapping[str, str], *, response: bool) -> dict[str, str]:
    """Return the headers that may be kept, names in lower case."""
    allowed = RESPONSE_HEADERS if response else REQUEST_HEADERS
    lowered = {name.lower(): scrub_text(value) for name, value in headers.items()}
    return {
        name: value
        for name, value in lowered.items()
        if name in allowed or (response and name.startswith(RATE_LIMITS))
    }


def scrub_url(url: str) -> str:
    """Return an address without user name and password, and of its query only what is listed."""
    parts = urlsplit(url)
    kept = (pair for pair in parts.query.split("&") if pair.partition("=")[0] in QUERY)
    query = "&".join(kept)
    place = parts.netloc.rpartition("@")[2]
    return scrub_text(parts._replace(netloc=place, query=query, fragment="").geturl())


def scrub_text(text: str) -> str:
    """Return a text without keys and ids of accounts."""
    return ACCOUNT.sub(SCRUBBED, KEY.sub(SCRUBBED, text))


def scrub_body(body: bytes) -> bytes:
    """Return a body, JSON or stream of events, without sealed tokens, ids of accounts and keys.

    What is neither keeps every byte that is no secret.
    """
    text = body.decode("utf-8", "surrogateescape")
    if text.lstrip().startswith(("{", "[")):
        scrubbed = _scrub_json(text)
    else:
        scrubbed = "\n".join(map(_scrub_line, text.split("\n")))
    return scrub_text(scrubbed).encode("utf-8", "surrogateescape")


def _scrub_line(line: str) -> str:
    if not line.startswith("data:"):
        return line
    scrubbed = _scrub_json(line[5:])
    return line if scrubbed == line[5:] else f"data: {scrubbed.strip()}"


def _scrub_json(text: str) -> str:
    try:
        data = json.loads(text)
        cleaned = _scrub(data)
        if cleaned == data:
            return text
        spelled = json.dumps(cleaned, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return SEALED_IN_TEXT.sub(rf"\g<1>{SCRUBBED}", text)
    return SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", spelled)


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if not isinstance(value, dict):
        return value
    redacted = value.get("type") == "redacted_thinking"
    return {
        scrub_text(key): SCRUBBED
        if isinstance(item, str)
        and item
        and (SEALED.fullmatch(key) or (redacted and key == "data"))
        else _scrub(item)
        for key, item in value.items()
    }


def canonical(body: bytes | str | None) -> str:
    """Return a request body in one spelling: scrubbed, keys sorted, one field a line."""
    raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body or b""
    text = scrub_body(raw).decode("utf-8", "surrogateescape")
    try:
        return json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text

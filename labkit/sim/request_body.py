"""From the bytes of a request to its JSON, or to the refusal of bytes that are none.

The size is judged before anything is read: on the real API a proxy in front of it does that
(claude-api.md 3.2).  Text that cannot be encoded again, such as half a surrogate pair, is no
valid JSON here, as on the real API, so that no later step meets it.  How deeply the real API
lets JSON nest is not established; here it is a fixed depth that every Python version can read
and write again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from labkit.sim.content_encoding import decoded
from labkit.sim.problem import ApiError, invalid

__all__ = [
    "LARGEST_BATCH",
    "LARGEST_MESSAGE",
    "announced_length",
    "largest_body",
    "read_body",
    "read_json",
    "too_large",
]

LARGEST_MESSAGE = 32 * 1024 * 1024
"""Bytes of a Messages or token counting body (claude-api.md 3.2)."""
LARGEST_BATCH = 256 * 1024 * 1024
BATCHES = "/v1/messages/batches"
DEEPEST = 200
"""Objects and arrays within one another, an assumption."""
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def largest_body(path: str) -> int:
    """Return the bytes that the body of a request to this path may have."""
    batch = path.partition("?")[0].rstrip("/") == BATCHES
    return LARGEST_BATCH if batch else LARGEST_MESSAGE


def announced_length(headers: Mapping[str, str]) -> int:
    """Return the bytes that the headers (names in lower case) announce, 0 where they do not."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def too_large(length: int, path: str) -> ApiError | None:
    """Return the 413 for a body of so many bytes, sent or announced, None if that is allowed."""
    if length <= largest_body(path):
        return None
    return ApiError(413, "request_too_large", "Request exceeds the maximum size")


def read_body(content: bytes, path: str, headers: Mapping[str, str]) -> object | ApiError:
    """Return the value that a body of allowed size holds, decompressed where that is needed."""
    plain = decoded(content, headers.get("content-encoding", ""), largest_body(path))
    return plain if isinstance(plain, ApiError) else read_json(plain)


def read_json(content: bytes) -> object | ApiError:
    """Return the value a body holds, or the 400 for one that is not JSON."""
    try:
        value: object = READ(content.decode())
        if content.count(b"[") + content.count(b"{") > DEEPEST and _depth(value) > DEEPEST:
            raise RecursionError
        if SURROGATE.search(content):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return invalid("The request body is not valid JSON: no low surrogate in string")
    except (ValueError, RecursionError) as error:
        return invalid(f"The request body is not valid JSON: {_reason(error)}")
    return value


def _depth(value: object) -> int:
    """Return how many objects and arrays stand within one another, level by level."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, (dict, list))]:
        depth += 1
        level = [x for each in level for x in (each.values() if isinstance(each, dict) else each)]
    return depth


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON value")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)


READ = json.JSONDecoder(parse_constant=_refuse).decode
"""A decoder that is made once: `json.loads` would make one for each request."""

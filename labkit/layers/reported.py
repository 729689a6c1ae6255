"""How long a prompt was by its reply's own account, whichever way the reply came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labkit.flow import Outcome

__all__ = ["reported_prompt_tokens"]

PARTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
FIRST_EVENT = b"event: message_start"


def reported_prompt_tokens(outcome: Outcome) -> int | None:
    """Return the tokens of the whole prompt, None where the reply does not say.

    A stream says it in its first event, which was read before the outcome was known; one that
    arrives compressed keeps it to itself here.
    """
    value = outcome.value
    usage = getattr(value, "usage", None)
    if usage is None and outcome.ok:
        usage = _usage_of(getattr(value, "http_response", None))
    counts = [_member(usage, part) or 0 for part in PARTS]
    if not all(isinstance(count, int) for count in counts):
        return None
    return sum(counts) or None


def _usage_of(response: Any) -> object:
    start = getattr(getattr(response, "stream", None), "start", None)
    try:
        if isinstance(start, bytes):
            event = start[start.index(FIRST_EVENT) :].replace(b"\r\n", b"\n").split(b"\n\n")[0]
            return _member(_member(json.loads(event.partition(b"data:")[2]), "message"), "usage")
        return None if response is None else _member(response.json(), "usage")
    except (ValueError, RuntimeError):  # no JSON; a body that was not read
        return None


def _member(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)

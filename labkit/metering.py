"""What an answer used, read where the SDK keeps it, and told as soon as it is known.

A plain answer says it in its body.  A stream says it in its last `message_delta`, long after the
flows have ended that sent the request; so whoever wants to know leaves a message.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx2

from labkit.outcome import Used
from labkit.verdict import Watch

__all__ = ["FLOW_LOCK", "StreamMeter", "meter_of", "read_usage"]

FLOW_LOCK = threading.Lock()
"""One lock for all flows: a policy such as a retry budget may be shared between layers."""


def meter_of(http_response: httpx2.Response) -> Callable[[Callable[[Used], object]], object]:
    """Return what tells the usage of an answer that came in one piece."""
    return partial(_tell, http_response)


def _tell(http_response: httpx2.Response, tell: Callable[[Used], object]) -> None:
    try:
        body: object = json.loads(http_response.content)
    except (ValueError, httpx2.ResponseNotRead):  # no JSON, or somebody reads it piece by piece
        return
    used = read_usage(_member(body, "usage"))
    if used is not None:
        tell(used)


class StreamMeter:
    """Tells what a stream used once its last numbers have come by."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._waiting: list[Callable[[Used], object]] = []

    def __call__(self, tell: Callable[[Used], object]) -> None:
        """Tell at once, or later; called from a flow, so with the lock held."""
        if self._watch.complete:
            self._tell(tell)
        else:
            self._waiting.append(tell)

    def look(self) -> None:
        """Tell those who wait, if there is something to tell; called from outside of flows."""
        if self._waiting and self._watch.complete:
            with FLOW_LOCK:
                waiting, self._waiting = self._waiting, []
                for tell in waiting:
                    self._tell(tell)

    def _tell(self, tell: Callable[[Used], object]) -> None:
        began = _member(_member(_parsed(self._watch.started), "message"), "usage")
        ended = _member(_parsed(self._watch.ended), "usage")
        if isinstance(began, Mapping) and isinstance(ended, Mapping):
            told = {name: count for name, count in ended.items() if count is not None}
            used = read_usage({**began, **told})
            if used is not None:
                tell(used)


def read_usage(usage: object) -> Used | None:
    """Read the API's `usage`, None where a count is missing or none."""
    counts = (
        _member(usage, "input_tokens"),
        _member(usage, "output_tokens"),
        _member(usage, "cache_read_input_tokens") or 0,
        _member(usage, "cache_creation_input_tokens") or 0,
    )
    whole = all(isinstance(count, int) and count >= 0 for count in counts)
    if whole and isinstance(usage, Mapping):
        return Used(*counts, usage)
    return None


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _member(parsed: object, name: str) -> Any:
    return parsed.get(name) if isinstance(parsed, Mapping) else None

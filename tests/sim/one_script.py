"""One script of requests, sent with the official SDK through whatever door there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIError

from labkit.sim import gate
from labkit.sim.faults import Fault
from labkit.sim.limits import Limits

SMALL = Limits(requests=10, input_tokens=20_000, output_tokens=450)
"""So that a short script meets every limit."""
FAULTS = (
    Fault("overloaded", start=3.0, end=9.0, share=0.5),
    Fault("stream_error", start=9.0, end=15.0, share=0.4, after=4),
    Fault("cut", start=15.0, share=0.2, after=3),
    Fault("refused", share=0.05),
    Fault("slow", share=0.2, factor=3.0),
    Fault("internal", share=0.05),
)
MODEL = "claude-haiku-5-5"
CACHED = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
HANDBOOK = {"type": "text", "text": "A queue grows when more comes in than goes out. " * 60, **HOUR}
QUESTIONS = (
    "How does a queue fill up?",
    "Summarize: a queue grows when more comes in than goes out, and nobody looks.",
    "What is 17 * 23?",
    "Why does waiting time explode near full use?",
)


def asks() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (what to do, the request): plain, streamed, counted, batched, cached, too much."""
    for round_ in range(9):
        for place, question in enumerate(QUESTIONS):
            body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
            yield ("stream" if (round_ + place) % 2 else "create"), {**body, "max_tokens": 400}
        yield "count", body
        talk = [{"type": "text", "text": each, **CACHED} for each in QUESTIONS[: 1 + round_ % 2]]
        asked = {"system": [HANDBOOK], "messages": [{"role": "user", "content": talk}]}
        for how in ("create", "stream"):
            yield how, {"model": "claude-sonnet-5-5", "max_tokens": 300, **asked}
        yield "batch", {**body, "max_tokens": 10}
        yield "create", {**body, "max_tokens": 1, "system": "word " * 4000 * (1 + round_)}
        yield "create", {**body, "max_tokens": 9, "model": "no-such-model"}


def send(client: Anthropic, how: str, body: Mapping[str, Any]) -> None:
    """Send one request, take the answer in to its end, and let errors pass."""
    try:
        if how == "count":
            client.messages.count_tokens(**body)
        elif how == "batch":
            rows: Any = [{"custom_id": "a", "params": body}]
            client.messages.batches.create(requests=rows)
        elif how == "stream":
            for _ in client.messages.create(**body, stream=True):
                pass
        else:
            client.messages.create(**body)
    except (APIError, httpx2.HTTPError):
        pass


@contextmanager
def small_limits() -> Iterator[None]:
    """Have limits that a short script meets, at every door of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "tier_limits", lambda _class, _tier: SMALL)
        yield

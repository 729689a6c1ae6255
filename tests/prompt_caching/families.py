"""Families of requests, and what the simulated API says they used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.sim.core import SimulatedApi
from labkit.sim.transport import Simulated
from labkit.usage import Usage
from tests.scenes import Scene

MODEL = "claude-sonnet-5-5"
SYSTEM = "You answer questions about queues, briefly and in plain words. " * 60
DOCUMENT = "A queue grows where more arrives than leaves. " * 100
TOOL = {
    "name": "look_up",
    "description": "Look a word up. " * 150,
    "input_schema": {"type": "object"},
}


def ask(*said: str, **more: Any) -> dict[str, Any]:
    """A request whose messages alternate, the user first."""
    messages = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(said)
    ]
    return {"model": MODEL, "max_tokens": 20, "messages": messages, **more}


def conversation(turns: int, **more: Any) -> list[dict[str, Any]]:
    """The requests of a conversation that grows by a question and an answer each turn."""
    said = [f"This is part {number} of the talk. " * 20 for number in range(2 * turns)]
    return [ask(*said[: 2 * turn + 1], **more) for turn in range(turns)]


def questions(count: int, **more: Any) -> list[dict[str, Any]]:
    """Many questions to one document, which stands in the first message."""
    return [
        {
            **ask(**more),
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": DOCUMENT},
                        {"type": "text", "text": f"Question {number}?"},
                    ],
                }
            ],
        }
        for number in range(count)
    ]


def simulated(bodies: Sequence[Mapping[str, Any]], *, every_s: float) -> list[Usage]:
    """Send the requests at such intervals and return what the answers say about their prompts."""
    scene = Scene(Simulated(SimulatedApi(seed=3)))
    client: Any = scene.client()
    usages = []
    for number, body in enumerate(bodies):
        scene.clock.sleep(max(0.0, number * every_s - scene.clock.now()))
        usage = Usage.from_api(client.messages.create(**body).usage)
        usages.append(
            Usage(
                input_tokens=usage.input_tokens,
                cache_read_input_tokens=usage.cache_read_input_tokens,
                cache_creation_5m=usage.cache_creation_5m,
                cache_creation_1h=usage.cache_creation_1h,
            )
        )
    return usages

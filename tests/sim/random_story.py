"""A random story told to the simulated API: who asks what when, and what came back."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.sim.engine_log import LogLine, parse
from tests.sim.recorded_exchanges import events, whole_message

MODELS = (
    *("claude-haiku-5-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-4-5"),
    *("claude-opus-4-6", "claude-opus-4-7", "nonsense"),
)
HEADERS = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
SIZES = {"a": 400, "b": 2600, "c": 11_000}
"""Characters of a block, by its letter."""
GAPS = (0.0, 0.0, 0.1, 1.0, 5.0, 20.0, 30.0, 45.0, 45.0, 200.0, 299.0, 301.0, 3500.0)

LETTERS, MARKS = "aabbbc", (None, None, "5m", "1h")
LENGTHS = (1, 60, 900)
DEEDS = ("ask", "again", "again", "again", "switch", "count", "create", "poll", "results", "end")
Step = tuple[float, str, dict[str, Any], int]
"""Seconds to wait, what to do, with what request, and how often or in how many rows."""

blocks = st.tuples(st.sampled_from(LETTERS), st.sampled_from(MARKS))
asks = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "system": st.lists(blocks, max_size=3),
        "turn": st.lists(blocks, min_size=1, max_size=3),
        "max_tokens": st.sampled_from(LENGTHS),
        "stream": st.booleans(),
    }
)
steps = st.tuples(
    st.sampled_from(GAPS),
    st.sampled_from(DEEDS),
    asks,
    st.integers(1, 5),
)


def drawn_steps(dice: random.Random, count: int = 40) -> list[Step]:
    """Draw a story of this many steps without Hypothesis."""
    some = [[(dice.choice(LETTERS), dice.choice(MARKS)) for _ in range(3)] for _ in range(count)]
    return [
        (
            dice.choice(GAPS),
            dice.choice(DEEDS),
            {
                "model": dice.choice(MODELS),
                "system": blocks[:2],
                "turn": blocks[2:],
                "max_tokens": dice.choice(LENGTHS),
                "stream": dice.random() < 0.5,
            },
            dice.randint(1, 5),
        )
        for blocks in some
    ]


stories = st.lists(steps, min_size=3, max_size=25) | st.integers(0, 10**6).map(
    lambda seed: drawn_steps(random.Random(seed))
)


class Answered(NamedTuple):
    """A message that was answered with 200: the request, its time, and the message."""

    at: float
    body: dict[str, Any]
    message: dict[str, Any]


@dataclass
class Story:
    """Plays steps, and remembers everything that was said."""

    seed: int = 0
    now: float = 0.0
    lines: list[str] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    batches: dict[str, list[str]] = field(default_factory=dict)
    tallies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    results: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    last: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        messages = "/v1/messages"
        kinds = ("overloaded", "refusal")
        faults = [Fault(kind, share=0.1, path=messages) for kind in kinds]
        self.api = SimulatedApi(seed=self.seed, faults=faults, log=self.lines.append)

    @property
    def log(self) -> list[LogLine]:
        """The log so far."""
        return [parse(line) for line in self.lines]

    def play(self, steps: list[Step]) -> Story:
        """Play every step in order."""
        for gap, what, ask, size in steps:
            self.now += gap
            if what == "switch" and self.last is not None:
                self.last = {**self.last, "model": ask["model"]}
                self._ask(self.last)
            elif what == "again" and self.last is not None:
                for _ in range(size):
                    self._ask(self.last)
            elif what in ("ask", "again", "switch"):
                self.last = body_of(ask)
                self._ask(self.last)
            elif what == "count":
                self.count(body_of(ask))
            elif what == "create":
                self._create(body_of(ask), size)
            else:
                self._visit(what)
        return self

    def _send(self, method: str, path: str, body: object = None) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.api.reply(method, path, HEADERS, content, self.now)
        self.replies.append(reply)
        return reply

    def _ask(self, body: dict[str, Any]) -> None:
        reply = self._send("POST", "/v1/messages", body)
        if reply.status == 200:
            text = reply.body.decode()
            self.answered.append(Answered(self.now, body, _message(text)))

    def count(self, body: dict[str, Any]) -> int | None:
        """Ask how long a prompt is; None where that is refused."""
        asked = {key: body[key] for key in ("model", "system", "messages") if key in body}
        reply = self._send("POST", "/v1/messages/count_tokens", asked)
        return json.loads(reply.body)["input_tokens"] if reply.status == 200 else None

    def _create(self, body: dict[str, Any], size: int) -> None:
        names = [f"r{n}" for n in range(size)]
        rows = [{"custom_id": name, "params": body} for name in names]
        reply = self._send("POST", "/v1/messages/batches", {"requests": rows})
        if reply.status == 200:
            batch = json.loads(reply.body)
            self.batches[batch["id"]] = names
            self.tallies.append((batch["id"], batch["request_counts"]))

    def _visit(self, what: str) -> None:
        """Poll, read or cancel the latest batch."""
        path = f"/v1/messages/batches/{next(reversed(self.batches), 'msgbatch_none')}"
        name = path.rpartition("/")[2]
        if what == "results":
            reply = self._send("GET", f"{path}/results")
            if reply.status == 200:
                self.results.append((name, [json.loads(x) for x in reply.body.splitlines()]))
            return
        method, place = ("POST", f"{path}/cancel") if what == "end" else ("GET", path)
        reply = self._send(method, place)
        if reply.status == 200:
            self.tallies.append((name, json.loads(reply.body)["request_counts"]))


def _message(text: str) -> dict[str, Any]:
    if not text.startswith("event: "):
        return dict(json.loads(text))
    told = events(text)
    whole = whole_message(told)
    return {**whole, "usage": {**whole["usage"], **told[-2]["usage"]}}


def body_of(ask: dict[str, Any]) -> dict[str, Any]:
    """Spell a request."""
    return {
        "model": ask["model"],
        "max_tokens": ask["max_tokens"],
        "messages": [{"role": "user", "content": [_block(*each) for each in ask["turn"]]}],
        **({"system": [_block(*each) for each in ask["system"]]} if ask["system"] else {}),
        **({"stream": True} if ask["stream"] else {}),
    }


def _block(letter: str, ttl: str | None) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": letter * SIZES[letter]}
    return block if ttl is None else {**block, "cache_control": {"type": "ephemeral", "ttl": ttl}}

"""A batch job on a simulated API and a virtual clock, and what the simulator billed for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
from anthropic import Anthropic

from labkit.batches import BatchJob
from labkit.clock import VirtualClock
from labkit.pricing import Usage, cost, total
from labkit.sim.batches import BatchStore
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from labkit.sim.transport import ReplyTransport, Simulated

FOR_EVER = 40 * 86_400.0


def row(custom_id: str, text: str = "What is 2 + 2?", **params: Any) -> dict[str, Any]:
    """A row as the API has it."""
    usual = {"model": "claude-haiku-5-5", "max_tokens": 50}
    messages = [{"role": "user", "content": text}]
    return {"custom_id": custom_id, "params": {**usual, "messages": messages, **params}}


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of different questions, one at a time."""
    return (row(f"row-{place}", f"What is {place} + 2?") for place in range(count))


def billed(store: BatchStore) -> tuple[Counter[str], Decimal]:
    """How often the simulator answered each question, and what it billed for all of them."""
    asked: Counter[str] = Counter()
    costs = []
    for batch in store._batches.values():
        questions = {each["custom_id"]: each["params"] for each in batch.rows}
        for line in map(json.loads, batch.results(store.answer)):
            if line["result"]["type"] == "succeeded":
                message = line["result"]["message"]
                asked[questions[line["custom_id"]]["messages"][0]["content"]] += 1
                costs.append(cost(message["model"], Usage.from_api(message["usage"])))
    return asked, total(costs)


Trick = Callable[[httpx2.Request, Callable[[], Reply]], Reply]
"""Sees a request and a way to have it answered; returns what the client gets, or raises."""


class Bench:
    """A simulated API whose wire can be tampered with, and jobs on it."""

    def __init__(
        self, folder: Path, *, faults: Sequence[Fault] = (), tier: str | None = "start"
    ) -> None:
        self.folder = folder
        self.api = SimulatedApi(faults=faults, tier=tier)
        self.clock = VirtualClock()
        self.source = Simulated(self.api)
        self.trick: Trick | None = None
        self.calls: list[str] = []
        http = httpx2.Client(transport=ReplyTransport(self, self.clock))
        self.client = Anthropic(api_key="k", max_retries=2, http_client=http)

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:
        """Answer one request, or do what the trick does."""
        self.calls.append(f"{request.method} {request.url.path.removeprefix('/v1/messages')}")
        if self.trick is None:
            return self.source.reply_to(request, now)
        return self.trick(request, lambda: self.source.reply_to(request, now))

    def job(self, **options: Any) -> BatchJob:
        """Open the job, as a new process would."""
        usual: dict[str, Any] = {"name": "test", "poll_s": 600.0}
        path = self.folder / "job.db"
        job = BatchJob(self.client, path, clock=self.clock, **{**usual, **options})
        job.file.db.execute("PRAGMA synchronous = OFF")  # no test here pulls the plug
        return job

    @property
    def batches(self) -> int:
        """How many batches the API has taken in."""
        return len(self.api.batches._batches)

    def billed(self) -> tuple[Counter[str], Decimal]:
        """What the simulator billed."""
        return billed(self.api.batches)


def creates(request: httpx2.Request) -> bool:
    """Say whether a request creates a batch."""
    return request.method == "POST" and request.url.path == "/v1/messages/batches"

"""Every fault against a full stack over loopback, in all four ways of calling: what comes of it.

`python -m tests.fault_matrix` writes the table that `labkit/layers/faults.md` shows.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2

from labkit.drivers import Layer
from labkit.errors import LabkitError
from labkit.flow import Flow, Outcome, Request, Send
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.backoff import FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.deadline import Deadline
from labkit.layers.fallback import Fallback, rung_of
from labkit.layers.retry import Retry
from labkit.layers.rungs import canned
from labkit.layers.throttle import Throttle
from labkit.sim.fault_kinds import BATCH_FAULTS, FAULTS
from labkit.sim.faults import Fault
from labkit.sim.server import create_app
from tests.sim.serving import BODY, Serving, eventually

__all__ = ["CASES", "DOCUMENT", "WAYS", "Cell", "Stack", "document", "row"]

DOCUMENT = Path(__file__).parents[1] / "labkit/layers/faults.md"
DEADLINE_S, PATIENCE_S, ATTEMPTS = 5.0, 0.35, 3
SPEED = 20.0
CASES = [(kind, 0) for kind in FAULTS if kind not in BATCH_FAULTS] + [
    (kind, 4) for kind in ("cut", "malformed_json", "no_message_stop", "stream_error")
]
"""Kinds of faults, and after how many events of a stream they strike where that matters."""
WAYS = ("sync, plain", "async, plain", "sync, streamed", "async, streamed")
HEAD = """# Every fault against a full stack

What a caller gets when every single request to the API meets the same fault (simulated, over a
real connection), behind `Deadline`, `Fallback`, `Retry`, `Breaker`, `Throttle`, `Bulkhead` and
`AttemptTimeout`, and how many requests were sent for it.  "full" is the answer of the model that
was asked; "canned" is the lowest rung of the ladder, and says so.  An error reaches whoever has
read a part of a stream already, since nothing may be put in its place behind their back, and
whoever parses an answer that is no JSON, which nobody but the reader finds out.  A test draws this
table anew and compares.

"""


@dataclass(frozen=True)
class Cell:
    """What one call came to: the label of its answer or the name of its error, and how it went."""

    label: str
    attempts: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.label}, {self.attempts}"


class _Count(Layer):
    """Counts what is sent."""

    def __init__(self) -> None:
        self.attempts = 0

    def flow(self, request: Request) -> Flow:
        self.attempts += 1
        outcome: Outcome = yield Send(request)
        return outcome


class Stack:
    """A full stack for one call, with its parts at hand."""

    def __init__(self) -> None:
        self.breaker, self.throttle, self.bulkhead = Breaker(seed=1), Throttle(), Bulkhead(1)
        self.count = _Count()
        self.layers: list[anthropic.Middleware] = [
            Deadline(DEADLINE_S),
            Fallback(canned("Please try again in a few minutes.")),
            Retry(ATTEMPTS, backoff=FullJitter(0.01, 0.02), spread=0.0, longest_wait=1.0, seed=1),
            self.breaker,
            self.throttle,
            self.bulkhead,
            AttemptTimeout(first_token=PATIENCE_S, silence=PATIENCE_S),
            self.count,
        ]

    def holds_nothing(self) -> bool:
        """Say whether every place, turn and permit has been given back."""
        in_line = sum(len(desk.line) for desk in self.throttle.desks.values())
        probing = sum(len(circuit._probing) for circuit in self.breaker.circuits.values())
        return self.bulkhead.places.under_way == self.bulkhead.places.waiting == in_line == probing


def row(serving: Serving, kind: str, after: int) -> tuple[list[Cell], list[Stack]]:
    """Let every request meet a fault and call in all four ways at once."""
    faults = (Fault(kind, after=after, factor=1000.0),)
    serving.door.api = create_app(faults=faults, speed=SPEED).api
    stacks = [Stack() for _ in WAYS]
    cells = asyncio.run(_four(serving.url, stacks))
    eventually(lambda: serving.door.log.under_way == 0)
    return cells, stacks


async def _four(url: str, stacks: list[Stack]) -> list[Cell]:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        found = await asyncio.gather(
            loop.run_in_executor(pool, lambda: _call(url, stacks[0], stream=False)),
            _call_async(url, stacks[1], stream=False),
            loop.run_in_executor(pool, lambda: _call(url, stacks[2], stream=True)),
            _call_async(url, stacks[3], stream=True),
        )
    while asyncio.all_tasks() != {asyncio.current_task()}:  # noqa: ASYNC110  (or it hangs)
        await asyncio.sleep(0.001)
    return list(found)


def _call(url: str, stack: Stack, *, stream: bool) -> Cell:
    options: Any = {"base_url": url, "api_key": "k", "max_retries": 0}
    with anthropic.Anthropic(middleware=stack.layers, **options) as client:
        began = time.monotonic()
        try:
            end: Any = client.messages.create(**BODY, stream=stream)
            if stream:
                list(end)
            label = rung_of(end) or "no label"
        except (LabkitError, anthropic.APIError, httpx2.TransportError, ValueError) as error:
            label = type(error).__name__
        return Cell(label, stack.count.attempts, time.monotonic() - began)


async def _call_async(url: str, stack: Stack, *, stream: bool) -> Cell:
    options: Any = {"base_url": url, "api_key": "k", "max_retries": 0}
    async with anthropic.AsyncAnthropic(middleware=stack.layers, **options) as client:
        began = time.monotonic()
        try:
            end: Any = await client.messages.create(**BODY, stream=stream)
            if stream:
                _ = [event async for event in end]
            label = rung_of(end) or "no label"
        except (LabkitError, anthropic.APIError, httpx2.TransportError, ValueError) as error:
            label = type(error).__name__
        return Cell(label, stack.count.attempts, time.monotonic() - began)


def document(table: dict[tuple[str, int], list[Cell]]) -> str:
    """Write the page that shows the table."""
    lines = [f"| fault | {' | '.join(WAYS)} |", "| --- " * (len(WAYS) + 1) + "|"]
    for (kind, after), cells in table.items():
        name = f"`{kind}`" + (f" after {after} events" if after else "")
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Draw the table and write it where the docs show it."""
    with Serving(speed=SPEED) as serving:
        table = {case: row(serving, *case)[0] for case in CASES}
    DOCUMENT.write_text(document(table), encoding="utf-8")
    print(document(table))
    print(f"slowest: {max(cell.seconds for cells in table.values() for cell in cells):.1f} s")


if __name__ == "__main__":
    main()

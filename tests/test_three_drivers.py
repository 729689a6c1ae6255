"""One story, told three times: by the sync SDK, by the async SDK and by a fleet.

The same layers with the same seeds meet the same API with the same seed.  What may differ:
the wire rounds times to the millisecond, names exceptions as the SDK does, and a throttle
estimates the words of a prompt, where a fleet knows its size (so here the number of requests is
what it limits).  A fleet's requests have the sizes that the words had.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import httpx2
import pytest
from anthropic import APIError

from labkit.drivers import Layer
from labkit.errors import LabkitError
from labkit.flow import Flow, Now, Outcome, Request, Send
from labkit.layers.backoff import FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.circuit import Circuit
from labkit.layers.deadline import Deadline
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.fleet import Fleet
from labkit.sim.reply import Reply
from labkit.sim.rows import Kept
from labkit.sim.traffic import Arrival
from labkit.sim.transport import Simulated
from tests.world import World, at_once, notes_of

MODEL = "claude-haiku-5-5"
PATIENCE_S = 7.0
APART, OVERLAPPING, CROWDED = 31.0, 1.7, 0.3
"""Seconds between calls: beyond the deadline, so that one caller can make them all, or not."""
CALLS = 70
CLOSE = 0.02
"""Seconds.  Each attempt is rounded, and a call has up to four."""
SDK_NAMES = {
    "ConnectionRefusedError": "APIConnectionError",
    "ConnectionResetError": "APIConnectionError",
    "TimeoutError": "APITimeoutError",
}
"""What a fleet's failures are called by the SDK."""


def faults(length: float) -> list[Fault]:
    """Return troubles of every kind that a layer tells apart, over so many seconds."""
    return [
        Fault("overloaded", start=0.1 * length, end=0.25 * length, share=0.4),
        Fault("rate_limited", start=0.3 * length, end=0.4 * length, share=0.6, retry_after=2),
        Fault("overloaded", start=0.5 * length, end=0.6 * length),
        Fault("rate_limited", start=0.7 * length, end=0.8 * length, share=0.5, retry_after=40),
        Fault("unavailable", share=0.05),
        Fault("refused", share=0.05),
        Fault("reset", share=0.05),
        Fault("slow", share=0.1, factor=2.0),
        Fault("slow", share=0.05, factor=30.0),
        Fault("silence", start=0.62 * length, end=0.68 * length),
        Fault("silence", share=0.03),
        Fault("spend_limit", start=0.9 * length, share=0.2),
    ]


class Seen(NamedTuple):
    """What a layer saw of one request."""

    start_s: float
    end_s: float
    status: int | None
    error_type: str | None
    unreachable: bool
    ended_late: bool


class Watch(Layer):
    """Writes down what it sees; outermost these are calls, innermost attempts."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def flow(self, request: Request) -> Flow:
        """Send, and write down."""
        start: float = yield Now()
        outcome: Outcome = yield Send(request)
        error = type(outcome.error).__name__
        late = error == "DeadlineExceeded"
        kind = error if isinstance(outcome.error, LabkitError) else outcome.error_type
        end: float = yield Now()
        self.seen.append(Seen(start, end, outcome.status, kind, outcome.unreachable, late))
        return outcome


class Told(NamedTuple):
    """A story: calls, attempts, what layers noted, and the log of the API's decisions."""

    calls: list[Seen]
    attempts: list[Seen]
    notes: list[tuple[str, dict[str, Any]]]
    log: list[list[str]]


class Stack:
    """Fresh layers, and the watches around them."""

    max_tokens = 300

    def __init__(self, apart: float) -> None:
        self.calls, self.attempts = Watch(), Watch()
        self.layers: list[Layer] = [
            self.calls,
            Deadline(PATIENCE_S),
            Retry(4, backoff=FullJitter(0.5, 2.0), spread=1.0, seed=5),
            Breaker(
                lambda: Circuit(
                    minimum=3, window=7.7 * apart, rest=2.6 * apart, dice=random.Random(6)
                )
            ),
            Throttle(requests=450 / apart, input_tokens=1e9, output_tokens=1e9, longest_wait=4.0),
            self.attempts,
        ]

    def told(self, notes: Sequence[tuple[str, dict[str, Any]]], log: list[str]) -> Told:
        """Return the story, in order of the calls' and attempts' beginnings."""
        calls, attempts = sorted(self.calls.seen), sorted(self.attempts.seen)
        return Told(calls, attempts, list(notes), [line.split() for line in log])


class Measured(Simulated):
    """The simulated API, and the sizes of the latest attempt of each call, whose name it bears."""

    def __init__(self, api: SimulatedApi) -> None:
        super().__init__(api)
        self.sizes: dict[int, tuple[int, int]] = {}

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:
        """Answer, and measure."""
        reply = super().reply_to(request, now)
        decided = self.api.engine.decided
        if decided is not None:
            number = int(request.content.split(b'"user_id":"')[1].split(b'"')[0])
            self.sizes[number] = (decided.prompt_tokens, decided.output_tokens)
        return reply


def by_the_sdk(
    kind: str, seed: int, apart: float, make: type[Stack] = Stack
) -> tuple[Told, Measured]:
    """Make the calls with the sync or the async client on virtual time."""
    world, stack, log = World(kind), make(apart), list[str]()
    api = SimulatedApi(seed=seed, faults=faults(CALLS * apart), tier=None, log=log.append)
    source = Measured(api)

    async def call(client: Any, number: int) -> None:
        wait = number * apart - world.clock.now()
        if kind == "sync":
            world.clock.sleep(wait)
        else:
            await world.clock.sleep_async(wait)
        words = [{"role": "user", "content": f"Why do queues grow? I ask for the {number}th time."}]
        with suppress(APIError, LabkitError):
            await client.create(
                model=MODEL,
                max_tokens=stack.max_tokens,
                messages=words,
                metadata={"user_id": str(number)},
            )

    async def scene(client: Any) -> None:
        tasks = [call(client, number) for number in range(CALLS)]
        if kind == "async":
            await asyncio.gather(*tasks)
        else:
            for task in tasks:
                at_once(task)

    world.run(scene, source, stack.layers)  # type: ignore[arg-type]
    spans = sorted(world.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    return stack.told(notes_of(spans), log), source


def by_the_fleet(
    seed: int, apart: float, sizes: dict[int, tuple[int, int]], make: type[Stack] = Stack
) -> Told:
    """Let arrivals of the same sizes come to the same layers."""
    stack, kept, log = make(apart), Kept(), list[str]()
    usual = (20, 100)
    calls = [
        Arrival(number * apart, MODEL, *sizes.get(number, usual), stack.max_tokens)
        for number in range(CALLS)
    ]
    engine = Engine(seed=seed, faults=faults(CALLS * apart), tier=None, log=log.append)
    Fleet(stack.layers, engine, kept).run(calls)
    in_order = sorted(kept.notes, key=lambda note: note.call)
    return stack.told([(note.note, note.attributes) for note in in_order], log)


def assert_same(one: Told, other: Told, close: float = CLOSE) -> None:
    """Compare two stories: what happened exactly, and when within rounding."""
    for ours, theirs in ((one.calls, other.calls), (one.attempts, other.attempts)):
        assert [seen[2:] for seen in ours] == [seen[2:] for seen in theirs]
        assert [seen[0] for seen in ours] == pytest.approx([x[0] for x in theirs], abs=close)
        assert [seen[1] for seen in ours] == pytest.approx([x[1] for x in theirs], abs=close)
    assert [name for name, _ in one.notes] == [name for name, _ in other.notes]
    for (_, said), (_, told) in zip(one.notes, other.notes, strict=True):
        assert said.keys() == told.keys()
        for key, value in said.items():
            expected = SDK_NAMES.get(told[key], told[key])
            is_time = isinstance(value, float)
            assert value == (pytest.approx(expected, abs=close) if is_time else expected)
    assert [(line[0], *line[2:5]) for line in one.log] == [
        (line[0], *line[2:5]) for line in other.log
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_three_drivers_tell_the_same_story(seed: int) -> None:
    """Call by call, attempt by attempt, wait by wait, transition by transition."""
    sync, source = by_the_sdk("sync", seed, APART)
    async_, _ = by_the_sdk("async", seed, APART)
    fleet = by_the_fleet(seed, APART, source.sizes)
    assert_same(sync, async_, close=1e-6)
    assert_same(sync, fleet)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calls_that_overlap_tell_the_same_story_too(seed: int) -> None:
    """With the async SDK and in a fleet, where calls share a breaker and a throttle at once."""
    async_, source = by_the_sdk("async", seed, OVERLAPPING)
    assert_same(async_, by_the_fleet(seed, OVERLAPPING, source.sizes))


class Crowded(Stack):
    """Calls that queue for a few places, and hedges."""

    max_tokens = 5
    """So few that all answers to a question are of one length, whichever attempt wins."""

    def __init__(self, apart: float) -> None:
        super().__init__(apart)
        hedge = Hedge(0.4, budget=0.5, quiet=1.0)
        self.layers[-1:] = [Bulkhead(2, queue=3, longest_wait=2.0), hedge]
        self.layers.append(self.attempts)


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_queues_and_races_tell_the_same_story_too(seed: int) -> None:
    """With the async SDK and in a fleet: who waits, who is refused, who wins."""
    async_, source = by_the_sdk("async", seed, CROWDED, Crowded)
    assert_same(async_, by_the_fleet(seed, CROWDED, source.sizes, Crowded))


def test_the_crowded_story_meets_what_it_is_to_meet() -> None:
    """Waits, a full queue, hedges that win and that lose, and hedges not begun."""
    told, _ = by_the_sdk("async", 1, CROWDED, Crowded)
    ways = {(name, facts.get("won") or facts.get("because")) for name, facts in told.notes}
    assert {
        *(("queued", None), ("refused", "queue full"), ("not_hedged", "overload")),
        *(("hedged", "first"), ("hedged", "second")),
    } <= ways


@pytest.mark.parametrize(("apart", "seed"), [(APART, 1), (OVERLAPPING, 2)])
def test_the_story_meets_what_it_is_to_meet(apart: float, seed: int) -> None:
    """Retries, waits, every transition, refusals of ours, attempts cut off, and answers."""
    told, _ = by_the_sdk("async", seed, apart)
    names = {name for name, _ in told.notes}
    assert {"retry", "circuit", "throttled", "refused"} <= names
    moves = {(facts["was"], facts["now"]) for name, facts in told.notes if name == "circuit"}
    assert {("closed", "open"), ("open", "half-open"), ("half-open", "closed")} <= moves
    ends = {(seen.status, seen.error_type) for seen in told.calls}
    assert {(200, None), (None, "CircuitOpen"), (None, "DeadlineExceeded")} <= ends
    assert any(seen.unreachable for seen in told.attempts)
    deadlines = {seen.end_s for seen in told.calls if seen.ended_late}
    assert any(seen.end_s in deadlines for seen in told.attempts if seen.unreachable)
    assert any(seen.status == 429 for seen in told.attempts)


def test_another_seed_tells_another_story() -> None:
    """So that sameness means something."""
    one, other = (by_the_sdk("sync", seed, APART)[0] for seed in (1, 2))
    assert one != other

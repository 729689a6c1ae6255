"""The throttle's promise: nearly all of the limit is used, and next to nothing is turned away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from labkit.errors import Shed
from labkit.flow import Request
from labkit.layers.throttle import Throttle
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.limits import Limits
from labkit.sim.prefix import Block, Prefix
from labkit.sim.rows import AttemptRow, Kept
from labkit.sim.traffic import Arrival, Task, merged, requests, steady
from labkit.sim.transport import Simulated
from tests.layers.small_limits import MODEL, fleet, limits
from tests.scenes import Scene

FROM_S, UNTIL_S = 60.0, 360.0
"""The bucket of the first minute is full from the start, so it does not count."""
TASK = Task("question", prompt=900, output=200)
BINDING = {
    "requests": {"requests": 600},
    "input": {"input_tokens": 400_000},
    "output": {"output_tokens": 100_000},
}


class Seen(NamedTuple):
    """Shares: of the calls that were sent, turned away; of the limit that binds, used."""

    refused: float
    used: float


def seen(rows: list[AttemptRow], allowed: Limits) -> Seen:
    """Work the shares out."""
    minutes = (UNTIL_S - FROM_S) / 60
    ok = [row for row in rows if row.status == 200 and FROM_S <= row.start_s < UNTIL_S]
    written = sum(row.cache_written_5m + row.cache_written_1h for row in ok)
    used = (
        len(ok) / allowed.requests,
        (sum(row.input_tokens for row in ok) + written) / allowed.input_tokens,
        sum(row.output_tokens for row in ok) / allowed.output_tokens,
    )
    return Seen(sum(row.status == 429 for row in rows) / len(rows), max(used) / minutes)


def too_much(per_second: float = 15.0) -> Iterator[Arrival]:
    """Half as many calls again as any of the limits lets through."""
    return requests(steady(per_second), until=UNTIL_S, mix=[TASK], seed=1)


def known(allowed: Limits) -> Throttle:
    """Make a throttle that is told its limits."""
    return Throttle(
        requests=allowed.requests,
        input_tokens=allowed.input_tokens,
        output_tokens=allowed.output_tokens,
        longest_wait=20,
    )


def unknown(_: Limits) -> Throttle:
    """Make a throttle that has to learn them."""
    return Throttle(longest_wait=20)


@pytest.mark.parametrize("make", [known, unknown])
@pytest.mark.parametrize("which", BINDING)
def test_a_fleet_uses_95_per_cent_of_each_limit_and_hears_next_to_no_429(
    which: str, make: Callable[[Limits], Throttle]
) -> None:
    """Whichever of the three binds, told or learnt."""
    with limits(**BINDING[which]) as allowed:
        rows = fleet(too_much(), [make(allowed)]).attempts
    found = seen(rows, allowed)
    assert found.refused < 0.005
    assert 0.95 <= found.used <= 1.02


def test_without_a_throttle_a_fifth_of_the_same_traffic_is_turned_away() -> None:
    """So the promise is the throttle's doing."""
    with limits(requests=600) as allowed:
        rows = fleet(too_much(), []).attempts
    assert seen(rows, allowed).refused > 0.2


def cached(arrivals: Iterator[Arrival]) -> Iterator[Arrival]:
    """Let nine tenths of every prompt be a prefix that all share."""
    handbook = Block("system", b"handbook", 9_000, "5m")
    for number, arrival in enumerate(arrivals):
        rest = Block("messages", b"%d" % number, 10_000, None)
        yield arrival.replace(prompt_tokens=10_000, prefix=Prefix((handbook, rest)))


def test_reads_from_the_prompt_cache_leave_the_limit_to_others() -> None:
    """Prompts of 10,000 tokens of which 9,000 are read: ten times as many calls go through."""
    with limits(input_tokens=400_000) as allowed:
        rows = fleet(cached(too_much()), [known(allowed)]).attempts
    found = seen(rows, allowed)
    assert found.refused < 0.005
    assert 0.95 <= found.used <= 1.02
    assert sum(row.cache_read_tokens for row in rows) > 8 * sum(row.input_tokens for row in rows)


def test_two_programs_that_share_a_key_share_its_limit_without_a_storm_of_refusals() -> None:
    """Each is told the whole limit; what is left stands in the headers."""
    with limits(requests=600) as allowed:
        one, other = known(allowed), known(allowed)
        layers = Both(one, other)
        rows = fleet(too_much(), [layers]).attempts
    found = seen(rows, allowed)
    assert found.used >= 0.95
    assert found.refused < 0.1


class Both:
    """Two programs, calls in turn."""

    def __init__(self, *programs: Throttle) -> None:
        self.programs = programs
        self.calls = 0

    def flow(self, request: Request) -> Any:
        """Let the next one have it."""
        self.calls += 1
        return self.programs[self.calls % len(self.programs)].flow(request)


def mean_wait(kept: Kept, kind: str) -> float:
    """Return the mean seconds that answered calls of a kind took."""
    took = [row.end_s - row.start_s for row in kept.calls if row.ok and row.kind == kind]
    return sum(took) / len(took)


def test_a_heavy_tenant_cannot_starve_a_light_one() -> None:
    """Three times the limit from one, a tenth of it from the other, who hardly waits."""
    heavy = requests(steady(30), until=120, mix=[Task("heavy", 101, 20, spread=0)], seed=2)
    light = requests(steady(1), until=120, mix=[Task("light", 100, 20, spread=0)], seed=3)
    shares = Throttle(
        requests=600, longest_wait=30, tenant=lambda request: str(request.body["prompt_tokens"])
    )
    with limits(requests=600):
        kept = fleet(merged(heavy, light), [shares])
    assert all(row.ok for row in kept.calls if row.kind == "light")
    assert mean_wait(kept, "light") < 2
    assert mean_wait(kept, "heavy") > 15


def test_a_steep_rise_is_refused_and_a_ramp_is_not() -> None:
    """The acceleration limit: a minute may bring twice what the busiest before it brought."""
    refused = []
    for ramp in (None, 1.5):
        with limits(input_tokens=400_000) as allowed:
            throttle = Throttle(
                requests=allowed.requests, input_tokens=400_000, ramp=ramp, longest_wait=20
            )
            rows = fleet(too_much(), [throttle], Engine(seed=1, ramp=2.0)).attempts
        refused.append(sum(row.status == 429 for row in rows))
    assert refused[0] > 2
    assert refused[1] == 0


@pytest.mark.parametrize(
    ("which", "stream"),
    [("requests", False), ("input", False), ("output", False), ("output", True)],
)
def test_the_async_sdk_uses_95_per_cent_of_each_limit_and_hears_no_429(
    which: str, stream: bool
) -> None:
    """The same under the real SDK, limits learnt and small enough for rounding to matter."""
    allowed = {"requests": 60, "input": 1_250, "output": 5_000}[which]
    name = which if which == "requests" else f"{which}_tokens"
    log: list[str] = []
    with limits(**{name: allowed}):
        scene = Scene(Simulated(SimulatedApi(seed=1, log=log.append)))
        client = scene.async_client(Throttle(longest_wait=30))

        async def main() -> None:
            async with client:
                await asyncio.gather(*(ask(client, n * 0.8, n, stream) for n in range(200)))

        scene.run(main)
    decisions = [line.split() for line in log]
    assert sum(fields[4] != "-" for fields in decisions) / len(decisions) < 0.005
    column = {"input": 5, "output": 9}.get(which)
    used = sum(
        1 if column is None else int(fields[column])
        for fields in decisions
        if 30 <= float(fields[1]) < 150 and fields[4] == "-"
    )
    assert used >= 0.95 * 2 * allowed


async def ask(client: Any, at: float, number: int, stream: bool) -> None:
    """Ask at a time, and be answered or refused at home."""
    await asyncio.sleep(at)
    question = {"role": "user", "content": f"Question {number}: why do queues grow?"}
    body = {"model": MODEL, "max_tokens": 200, "messages": [question]}
    with contextlib.suppress(Shed):
        if stream:
            async with client.messages.stream(**body) as opened:
                await opened.get_final_message()
        else:
            await client.messages.create(**body)

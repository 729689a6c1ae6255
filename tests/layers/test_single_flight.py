"""Single flight: of identical calls at once one is sent, whoever comes, fails or is cancelled."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Outcome, Request
from labkit.layers.cache_store import MemoryStore, Store
from labkit.layers.deadline import Deadline
from labkit.layers.response_cache import ResponseCache
from labkit.layers.sqlite_store import SqliteStore
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival
from tests.layers.crowd import Crowd
from tests.layers.flows import OK, OVERLOADED, every_yield
from tests.wire import CALL, EVENTS, MODEL, answer, message, refusal, stream
from tests.world import Script, World

MANY = 20
ACTS = (
    "come",
    "come other",
    "answer",
    "fail",
    "cancel a wait",
    "cancel on the way",
    "wake",
    "late",
)
USES_TOOL = message(stop_reason="tool_use", content=[])


def stores(kind: str, folder: Path) -> Store:
    """Make a store."""
    return MemoryStore() if kind == "memory" else SqliteStore(folder / "cache.db")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_twenty_threads_ask_once(kind: str, tmp_path: Path) -> None:
    """The server answers when all of them have come, and they all get that answer."""
    requests: list[httpx2.Request] = []
    cache = ResponseCache(stores(kind, tmp_path))
    asking = threading.Semaphore(0)

    def serve(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        for _ in range(MANY):
            assert asking.acquire(timeout=20)
        return httpx2.Response(200, json=message("One"))

    http = httpx2.Client(transport=httpx2.MockTransport(serve))
    with anthropic.Anthropic(api_key="k", http_client=http, middleware=[cache]) as client:

        def ask(_: int) -> str:
            asking.release()
            found: Any = client.messages.create(**CALL)
            text: str = found.content[0].text
            return text

        with ThreadPoolExecutor(MANY) as pool:
            assert list(pool.map(ask, range(MANY))) == ["One"] * MANY
    assert len(requests) == 1
    assert len(cache._flights) == 0


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("streamed", [False, True])
def test_twenty_tasks_ask_once(kind: str, streamed: bool, tmp_path: Path) -> None:
    """Plain or as streams; nobody waits longer than the one who was sent."""
    world, server = World("async"), Script(stream(*EVENTS) if streamed else answer("Hello"))

    async def scene(api: Any) -> list[Any]:
        ask = api.final if streamed else api.create
        return await asyncio.gather(*(ask() for _ in range(MANY)))

    found = world.run(scene, server, [ResponseCache(stores(kind, tmp_path))])
    assert [one.content[0].text for one in found] == ["Hello"] * MANY
    assert len(server.requests) == 1
    assert world.clock.now() < 1


def test_twenty_calls_of_a_fleet_ask_once() -> None:
    """A body without words is a key like any other; a second model is a second request."""
    traffic = [Arrival(0.001 * n, MODEL, 500, 200) for n in range(MANY)]
    traffic += [Arrival(1.0, "claude-haiku-5-5", 500, 200), Arrival(90.0, MODEL, 500, 200)]
    result = simulate(traffic, stack=[ResponseCache(MemoryStore())], api={"tier": None})
    assert result.calls["ok"].all()
    assert len(result.attempts) == 2
    last = result.calls.set_index("call").loc[MANY + 2]
    assert last["end_s"] == last["start_s"]


def test_in_a_fleet_stale_answers_bridge_an_outage() -> None:
    """Everybody is answered, and the notes tell the two apart."""
    cache = ResponseCache(MemoryStore(), ttl=30, stale_if_error=300, seed=1)
    traffic = [Arrival(5.0 * n, MODEL, 500, 50) for n in range(40)]
    outage = Fault("overloaded", start=60, end=150)
    result = simulate(traffic, stack=[cache], api={"tier": None, "faults": [outage]})
    assert result.calls["ok"].all()
    notes = result.notes[result.notes["note"] == "cache"]
    stale = notes[notes["verdict"] == "stale"]["at_s"]
    assert stale.between(60, 151).all()
    assert len(stale) > 10


def test_a_leader_that_is_cancelled_hands_over_to_the_next(tmp_path: Path) -> None:
    """Two requests in all: the one that was cut short, and its successor's for nineteen."""

    async def scene(api: Any) -> list[Any]:
        tasks = [asyncio.create_task(api.create()) for _ in range(MANY)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for kind in ("memory", "sqlite"):
        world, server = World("async"), Script(answer("Hello", latency_s=5.0))
        cache = ResponseCache(stores(kind, tmp_path))
        gone, *rest = world.run(scene, server, [cache])
        assert isinstance(gone, asyncio.CancelledError)
        assert [one.content[0].text for one in rest] == ["Hello"] * (MANY - 1)
        assert server.arrivals == pytest.approx([0, 1], abs=0.1)
        assert len(cache._flights) == 0


def test_a_leader_whose_patience_ends_hands_over_too() -> None:
    """Its deadline is its own; who has more time gets the answer."""
    world, server = World("async"), Script(answer("Hello", latency_s=5.0))
    cache = ResponseCache(MemoryStore())

    async def scene(api: Any) -> list[Any]:
        hurried = api.client.with_options(middleware=[_on(world, Deadline(2)), cache])
        first = asyncio.create_task(hurried.messages.create(**CALL))
        await asyncio.sleep(1)
        rest = [asyncio.create_task(api.create()) for _ in range(3)]
        return await asyncio.gather(first, *rest, return_exceptions=True)

    late, *rest = world.run(scene, server, [cache])
    assert type(late).__name__ == "DeadlineExceeded"
    assert [one.content[0].text for one in rest] == ["Hello"] * 3
    assert len(server.requests) == 2


def test_in_a_fleet_too_a_leaders_patience_is_its_own() -> None:
    """The second call goes on its way when the first one gives up, and not with its failure."""
    silence = Fault("silence", end=1.5)
    traffic = [Arrival(at, MODEL, 500, 50) for at in (0.0, 9.0)]
    stack = [Deadline(10), ResponseCache(MemoryStore())]
    result = simulate(traffic, stack=stack, api={"tier": None, "faults": [silence]})
    assert list(result.calls["ok"]) == [False, True]
    assert list(result.attempts["start_s"]) == [0, 10]


def _on(world: World, layer: Deadline) -> Deadline:
    layer.clock = world.clock
    return layer


def test_a_failure_of_the_service_is_everybodys() -> None:
    """Twenty retries of an overload would make it worse."""
    world, server = World("async"), Script(refusal())

    async def scene(api: Any) -> list[Any]:
        return await asyncio.gather(*(api.create() for _ in range(MANY)), return_exceptions=True)

    found = world.run(scene, server, [ResponseCache(MemoryStore())])
    assert {type(one) for one in found} == {anthropic.OverloadedError}
    assert len(server.requests) == 1


def test_an_answer_that_may_not_be_kept_is_shared_with_nobody() -> None:
    """The others ask for themselves, all at once and not in turn."""
    tool = json.dumps(USES_TOOL).encode()
    world = World("async")
    server = Script(Reply(200, {"content-type": "application/json"}, ((1.0, tool),)))

    async def scene(api: Any) -> None:
        await asyncio.gather(*(api.create() for _ in range(MANY)))

    world.run(scene, server, [ResponseCache(MemoryStore())])
    assert len(server.requests) == MANY
    assert world.clock.now() == pytest.approx(2.0, abs=0.1)


def test_a_flight_has_its_own_deadline() -> None:
    """Of those who wait for one that takes too long, one leads the next; the others wait on."""
    world, server = World("async"), Script(answer(latency_s=100.0), answer(latency_s=1.0))

    async def scene(api: Any) -> list[float]:
        async def timed() -> float:
            await api.create()
            return world.clock.now()

        return await asyncio.gather(*(timed() for _ in range(5)))

    ends = world.run(scene, server, [ResponseCache(MemoryStore(), patience=10)])
    assert server.arrivals == pytest.approx([0, 10])
    assert ends == pytest.approx([100, 11, 11, 11, 11])


# -- whatever happens -----------------------------------------------------------------------------


def act(crowd: Crowd, name: str, dice: Any) -> None:
    """Do something of this name to somebody, if there is anybody to do it to."""
    waiting = crowd.waiting(granted=False) + crowd.waiting(granted=True)
    if name.startswith("come"):
        crowd.come(Request({"model": name}))
    elif name == "wake":
        crowd.wake()
    elif name == "late":
        crowd.now += 7.0
        for number in crowd.waiting(granted=False):
            if crowd.asks[number].until <= crowd.now:  # type: ignore[union-attr, operator]
                crowd.give_up(number)
    elif name == "cancel a wait" and waiting:
        crowd.cancel(dice.choice(waiting))
    elif crowd.on_the_way and name in ("answer", "fail", "cancel on the way"):
        number = dice.choice(crowd.on_the_way)
        if name == "cancel on the way":
            crowd.cancel(number)
        else:
            crowd.finish(number, OK if name == "answer" else OVERLOADED)


@given(st.lists(st.sampled_from(ACTS), max_size=50), st.randoms(use_true_random=False))
def test_whatever_happens_everybody_ends_and_few_are_sent(acts: list[str], dice: Any) -> None:
    """One on the way for each key and stretch of patience; in the end nothing is left."""
    cache = ResponseCache(MemoryStore(), ttl=50, patience=10)
    crowd = Crowd(cache)
    for name in acts:
        act(crowd, name, dice)
        crowd.wake()
        assert not crowd.waiting(granted=True)
        waiting = crowd.waiting(granted=False)
        assert not waiting or crowd.on_the_way
        assert len(crowd.on_the_way) <= 2 * (1 + crowd.now // 10)
    while crowd.on_the_way:
        crowd.finish(crowd.on_the_way[0])
        crowd.wake()
    assert not crowd.asks
    assert len(cache._flights) == 0


def test_a_call_cut_short_at_any_yield_ends_its_flight() -> None:
    """Then the next one is a new leader."""

    def play(step: int) -> bool:
        cache = ResponseCache(MemoryStore())
        flow, effect, answers = cache.flow(Request()), None, {"Now": 0.0, "Send": OK}
        try:
            for _ in range(step + 1):
                effect = flow.send(None if effect is None else answers.get(type(effect).__name__))
        except StopIteration:
            return False
        flow.close()
        assert len(cache._flights) == 0
        return True

    assert every_yield(play) > 3


def test_a_refusal_of_our_own_is_not_shared() -> None:
    """A budget or a full bulkhead is one caller's; the next one tries."""
    crowd = Crowd(ResponseCache(MemoryStore()))
    for _ in range(3):
        crowd.come()
    crowd.finish(0, Outcome(error=TimeoutError("ours")))
    crowd.wake()
    assert crowd.on_the_way == [1]
    crowd.finish(1)
    crowd.wake()
    assert [crowd.outcomes[number].ok for number in range(3)] == [False, True, True]
    assert crowd.sent == [0, 1]

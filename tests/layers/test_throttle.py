"""The throttle: three limits at once, turns in order, refusals in time, and what it settles."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from labkit.errors import DeadlineExceeded, Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Sleep, Used
from labkit.layers.learning import LearningDesk
from labkit.layers.throttle import Throttle
from tests.layers.flows import OK, OVERLOADED, World, every_yield, sends
from tests.wire import EVENTS, answer, stream
from tests.world import Script
from tests.world import World as Sdk

ASK = Request({"model": "claude-haiku-5-5", "prompt_tokens": 1_000})
REFUSED = Outcome(status=429, headers={"retry-after": "10"}, error_type="rate_limit_error")
LATE = Outcome(error=DeadlineExceeded("No answer in time."))
LOST = Outcome(error=TimeoutError("late"), unreachable=True)


def tell(used: Used, listener: Any) -> None:
    """Be the meter of an answer."""
    listener(used)


def throttle(**settings: Any) -> Throttle:
    """Make one that only the setting under test can slow down."""
    wide = {"requests": 60_000, "input_tokens": 60_000_000, "output_tokens": 60_000_000}
    return Throttle(**{**wide, **settings})


def desk(layer: Throttle) -> LearningDesk:
    """Return the desk of the only model asked so far."""
    (found,) = layer.desks.values()
    return found


def taken(layer: Throttle) -> tuple[float, float, float]:
    """Return what has been taken of requests, input and output."""
    at = desk(layer)
    return at.requests.taken, at.input.taken, at.output.taken


@pytest.mark.parametrize(
    "settings",
    [
        {"requests": 60},
        {"input_tokens": 60_000},
        {"output_tokens": 6_000, "expected_output": 100},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_each_limit_makes_calls_wait(settings: dict[str, float]) -> None:
    """Once the burst is used up, a call a second."""
    layer, world = throttle(**settings), World()
    for _ in range(30):
        world.run(layer.flow(ASK))
    gaps = [b - a for a, b in zip(world.sent_at[-5:], world.sent_at[-4:], strict=False)]
    assert gaps == [pytest.approx(1.0)] * 4


def test_a_wait_is_noted_once() -> None:
    """With its seconds, however often the caller looks again."""
    layer, world = throttle(requests=60), World()
    for _ in range(7):
        world.run(layer.flow(ASK))
    assert world.notes == [("throttled", {"wait_s": pytest.approx(1.0)})]


def test_a_turn_after_the_deadline_is_refused_at_once_and_costs_nothing() -> None:
    """The caller hears it now, not when it is too late."""
    layer, world = throttle(requests=60), World()
    for _ in range(6):
        world.run(layer.flow(ASK))
    before = taken(layer)
    refused = world.run(layer.flow(ASK.within(0.5)))
    assert isinstance(refused.error, Shed)
    assert refused.error.retry_after == pytest.approx(1.0)
    assert taken(layer) == before
    assert len(desk(layer).line) == 0
    assert world.notes == [("refused", {"by": "throttle", "wait_s": pytest.approx(1.0)})]


def test_a_turn_too_far_away_is_refused() -> None:
    """Beyond the longest wait nobody is kept."""
    layer, world = throttle(requests=60, longest_wait=2.5), World()
    flows = [layer.flow(ASK) for _ in range(10)]
    noted = []
    for flow in flows:
        next(flow)
        effect = flow.send(0.0)
        noted.append(getattr(effect, "name", "sent"))
    assert noted == ["sent"] * 6 + ["throttled"] * 2 + ["refused"] * 2
    assert world.sent_at == []


def asked_by(user: str) -> Request:
    """Return the request of a user."""
    return Request({**ASK.body, "metadata": {"user_id": user}})


def wait_in_line(flow: Flow, world: World) -> Flow:
    """Play a flow up to its first `Sleep`."""
    effect = next(flow)
    while not isinstance(effect, Sleep):
        effect = flow.send(world.answer(effect))
    return flow


def test_a_deadline_that_another_tenant_pushed_out_of_reach_ends_the_wait() -> None:
    """Whoever is pushed back hears it at the next look, and has lost no more time than that."""
    layer, world = throttle(requests=60), World()
    for _ in range(6):
        world.run(layer.flow(ASK))
    waiting = [wait_in_line(layer.flow(asked_by("heavy")), world) for _ in range(20)]
    last = wait_in_line(layer.flow(asked_by("heavy").within(22.0)), world)
    waiting += [wait_in_line(layer.flow(asked_by("light")), world) for _ in range(5)]
    assert isinstance(last.send(None), Now)
    refused = last.send(1.0)
    assert isinstance(refused, Note)
    assert (refused.name, refused.attributes["by"]) == ("refused", "throttle")
    assert len(desk(layer).line) == len(waiting)


@pytest.mark.parametrize(("busy", "yields"), [(0, 1), (6, 6)], ids=["at once", "after a wait"])
def test_a_call_cut_short_before_it_is_sent_gives_everything_back(busy: int, yields: int) -> None:
    """At any yield before its `Send`: now, the note, two sleeps and the time after each."""

    def play(step: int) -> bool:
        layer, world = throttle(requests=60), World()
        for _ in range(busy):
            world.run(layer.flow(ASK))
        flow = layer.flow(ASK)
        effect = next(flow)
        before, sent = taken(layer), len(world.sent_at)
        for _ in range(step):
            if type(effect).__name__ == "Send":
                break
            effect = flow.send(world.answer(effect))
        reached = type(effect).__name__ != "Send"
        flow.close()
        if reached:
            assert taken(layer) == before
            assert len(desk(layer).line) == 0
            assert len(world.sent_at) == sent
        return reached

    assert every_yield(play) == yields


@pytest.mark.parametrize(
    ("outcome", "output"),
    [(OK, 300), (LOST, 300), (LATE, 300), (OVERLOADED, 0)],
    ids=["no usage told", "lost", "too late", "529"],
)
def test_what_was_sent_is_used(outcome: Outcome, output: float) -> None:
    """The API has counted it, whatever came of it; only an error has produced no tokens."""
    layer, world = throttle(), World(outcome)
    world.run(layer.flow(ASK))
    assert taken(layer) == (1, 1_000, output)


def test_a_call_cut_short_on_its_way_has_used_what_it_booked() -> None:
    """A client that leaves does not take its request out of the API's count."""
    layer, world = throttle(), World()
    flow = layer.flow(ASK)
    sends(flow, world)
    flow.close()
    assert taken(layer) == (1, 1_000, 300)


@pytest.mark.parametrize(
    "outcome", [Outcome(status=429), Outcome(error=Shed("no room"))], ids=["429", "Shed"]
)
def test_what_was_refused_is_given_back(outcome: Outcome) -> None:
    """By the API, or by a layer further in: it counts for nothing."""
    layer, world = throttle(), World(outcome)
    world.run(layer.flow(ASK))
    assert taken(layer) == (0, 0, 0)


def test_an_answer_settles_its_booking_when_its_usage_is_known() -> None:
    """Even when that is long after the flow has ended, as with a stream."""
    listeners: list[Any] = []
    layer = throttle()
    World(Outcome(status=200, meter=listeners.append)).run(layer.flow(ASK))
    assert taken(layer) == (1, 1_000, 300)
    listeners[0](Used(700, 20, cache_read_tokens=300))
    assert taken(layer) == (1, 700, 20)


def test_the_next_booking_expects_what_the_last_answers_used() -> None:
    """Answers ten times as long as thought, prompts that mostly come from the prompt cache."""
    meter = partial(tell, Used(100, 3_000, cache_read_tokens=900))
    layer = throttle()
    for _ in range(100):
        World(Outcome(status=200, meter=meter)).run(layer.flow(ASK))
    booked = desk(layer).book(1_000)
    assert booked.prompt == pytest.approx(100)
    assert booked.answer == pytest.approx(3_000, rel=0.01)


def test_a_429_holds_back_everybody() -> None:
    """Ten seconds, and then one after the other."""
    layer, world = throttle(requests=60), World(REFUSED)
    for _ in range(4):
        world.run(layer.flow(ASK))
    assert world.sent_at == pytest.approx([0, 11, 12, 13])


def test_models_have_limits_of_their_own() -> None:
    """A pause for one is none for another, unless they are said to share a pool."""
    other = Request({"model": "claude-opus-5-5", "prompt_tokens": 10})
    for pool, expected in ((None, [0, 0]), (lambda _: "all", [0, 10])):
        layer, world = throttle(pool=pool), World(REFUSED)
        world.run(layer.flow(ASK))
        world.run(layer.flow(other))
        assert world.sent_at == pytest.approx(expected, abs=0.1)


def test_tenants_are_told_apart_by_the_user_of_the_request() -> None:
    """One waits behind its own crowd, the other behind one call of it."""
    layer, world = throttle(requests=60), World()
    for _ in range(6):
        world.run(layer.flow(asked_by("crowd")))
    crowd = [wait_in_line(layer.flow(asked_by("crowd")), world) for _ in range(30)]
    world.notes.clear()
    world.run(layer.flow(asked_by("somebody")))
    assert len(desk(layer).line) == len(crowd)
    assert world.notes == [("throttled", {"wait_s": pytest.approx(2.0)})]


def test_words_are_estimated_and_tools_count() -> None:
    """About two and a half characters a token."""
    bare = {"model": "m", "messages": [{"role": "user", "content": "word " * 500}]}
    small, large = throttle(), throttle()
    World().run(small.flow(Request(bare)))
    World().run(large.flow(Request({**bare, "tools": [{"name": "x" * 5_000}]})))
    used = [taken(layer)[1] for layer in (small, large)]
    assert used[0] == pytest.approx(1_000, rel=0.05)
    assert used[1] - used[0] == pytest.approx(2_000, rel=0.05)


def test_calls_wait_for_their_turn_under_the_sdk() -> None:
    """Ten tasks at once: six go, four follow a second apart."""
    server, layer = Script(answer()), throttle(requests=60)

    async def scene(api: Any) -> None:
        await asyncio.gather(*(api.create() for _ in range(10)))

    Sdk("async").run(scene, server, [layer])
    assert server.arrivals == pytest.approx([0] * 6 + [1, 2, 3, 4])


def test_a_cancelled_task_leaves_the_line() -> None:
    """The one behind it gets its turn."""
    server, layer = Script(answer()), throttle(requests=60)

    async def scene(api: Any) -> None:
        tasks = [asyncio.ensure_future(api.create()) for _ in range(8)]
        await asyncio.sleep(0.5)
        tasks[6].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    Sdk("async").run(scene, server, [layer])
    assert server.arrivals == pytest.approx([0] * 6 + [1.0], abs=0.9)
    assert len(server.arrivals) == 7
    assert len(desk(layer).line) == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", ["create", "events", "final"])
def test_plain_and_streamed_answers_are_settled_under_the_sdk(kind: str, way: str) -> None:
    """With the usage of the body, or of the stream's last event."""
    layer = throttle()
    server = Script(answer() if way == "create" else stream(*EVENTS))

    async def scene(api: Any) -> None:
        await getattr(api, way)()

    Sdk(kind).run(scene, server, [layer])
    assert taken(layer) == pytest.approx((1, 3, 2))


@pytest.mark.parametrize("ramp", [1.0, 0.5, float("inf")])
def test_a_ramp_grows(ramp: float) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="grows"):
        Throttle(ramp=ramp)


def test_limits_are_above_zero() -> None:
    """And the mistake shows at once, not with the first call."""
    with pytest.raises(ValueError, match="above zero"):
        Throttle(requests=0)

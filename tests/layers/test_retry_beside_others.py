"""What experts check in retries, on the SDK's own and on those of other libraries.

The points are those of resilience.md 2.1.  What ours do is proved in `test_retry.py`, under the
same numbers; here is what happens without them, so that the claim is measured and not told.  Point
8, the budget that has to fit the spare capacity, is played in `test_metastable.py`.
`python -m tests.layers.rivals_retry` prints points 1 and 9 as a table.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from contextlib import suppress

import anthropic
import pytest
import tenacity

from labkit.layers.backoff import honour
from labkit.layers.retry import Retry
from tests.layers.rivals_retry import LIMITS, RETRIES, seconds_under_a_limit, table, waits
from tests.scenes import ASK, Scene
from tests.scenes import Scripted as Replies
from tests.wire import BLOCK, EVENTS, OVERLOAD, SILENCE, START, WORD, answer, refusal, stream
from tests.world import Api, Passing, Script, World


@pytest.mark.parametrize("name", ["stamina", "tenacity, additive"])
def test_1_additive_jitter_is_lost_at_the_cap(name: str) -> None:
    """Twenty clients that failed together come back together: the wait is the cap for all."""
    assert {waits(name)[-1] for _ in range(20)} == {5.0 if name == "stamina" else 8.0}


@pytest.mark.parametrize("name", ["labkit", "SDK", "tenacity, full"])
def test_1_jitter_drawn_below_the_cap_survives_it(name: str) -> None:
    """Twenty clients, twenty waits."""
    assert len({waits(name)[-1] for _ in range(20)}) == 20


def herd(spread: float, clients: int = 500, per_second: int = 50) -> tuple[int, int]:
    """Let clients call until each has been served once; return (calls, most in 0.1 s).

    A bucket serves so many a second and tells everybody else to come back in one.
    """
    dice, level, refilled = random.Random(3), float(per_second), 0.0
    due = [(0.0, client) for client in range(clients)]
    arrivals: list[float] = []
    while due:
        now, client = heapq.heappop(due)
        arrivals.append(now)
        level = min(per_second, level + (now - refilled) * per_second)
        refilled = now
        if level >= 1:
            level -= 1
            continue
        wait = honour(1.0, spread, 60, dice)
        assert wait is not None
        heapq.heappush(due, (now + wait, client))
    crowds = Counter(int(at * 10) for at in arrivals if at > 0)
    return len(arrivals), max(crowds.values())


def test_2_a_whole_second_header_makes_a_herd_and_a_spread_dissolves_it() -> None:
    """500 clients and 50 a second: 2750 calls, 450 at once; spread over 10 s, a third of them."""
    assert herd(0) == (2750, 450)
    calls, most = herd(10)
    assert 800 < calls < 1100
    assert most < 20


def test_2_the_sdk_waits_whatever_it_is_told_and_adds_nothing() -> None:
    """An hour three times over in one call, and every client at the same second."""
    for _ in range(3):
        server, world = Script(refusal(429, "rate_limit_error", retry_after="3600")), World("async")

        async def call(api: Api) -> None:
            with suppress(anthropic.RateLimitError):
                await api.create()

        world.run(call, server, [], max_retries=3)
        assert server.arrivals == pytest.approx([0, 3600.1, 7200.2, 10800.3])


def test_3_two_owners_of_retries_multiply() -> None:
    """Five of an outer loop times three of the SDK are fifteen; with one owner it is five."""
    sent = {}
    for retries in (2, 0):
        server = Script(refusal(latency_s=0.0))

        async def call(api: Api) -> None:
            stop = tenacity.stop_after_attempt(5)
            retrying = tenacity.AsyncRetrying(stop=stop, wait=tenacity.wait_none(), reraise=True)
            with suppress(anthropic.InternalServerError):
                await retrying(api.create)

        World("async").run(call, server, [], max_retries=retries)
        sent[retries] = len(server.requests)
    assert sent == {2: 15, 0: 5}


def test_4_the_sdk_retries_a_limit_on_money() -> None:
    """A 429 that no waiting lifts: three requests of the SDK's, one of ours."""
    sent = {}
    for owner in ("SDK", "labkit"):
        server = Script(refusal(429, "rate_limit_error", error_code="enforced_spend_limit_reached"))
        layers, retries = ([], 2) if owner == "SDK" else ([Retry(3, seed=1)], 0)

        async def call(api: Api) -> None:
            with suppress(anthropic.RateLimitError):
                await api.create()

        World("async").run(call, server, layers, max_retries=retries)
        sent[owner] = len(server.requests)
    assert sent == {"SDK": 3, "labkit": 1}


def test_5_the_sdk_does_not_retry_an_error_in_a_stream(world: World) -> None:
    """It arrives as a 200, so the SDK raises and has asked once; our layer asks again."""
    broken = Script(stream(START, OVERLOAD), stream(*EVENTS))
    with pytest.raises(anthropic.APIStatusError) as caught:
        world.run(lambda api: api.events(), broken, [], max_retries=2)
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    assert len(broken.requests) == 1
    healed = Script(stream(START, OVERLOAD), stream(*EVENTS))
    world.run(lambda api: api.events(), healed, [Retry(seed=1)])
    assert len(healed.requests) == 2


def test_6_the_sdk_takes_a_cut_stream_for_an_answer(world: World) -> None:
    """Its message has no stop reason, and no error says so; behind any layer of ours one does."""
    cut = stream(START, BLOCK, WORD)
    final = world.run(lambda api: api.final(), Script(cut))
    assert (final.content[0].text, final.stop_reason) == ("Hello", None)
    with pytest.raises(Exception, match="without a stop reason"):
        world.run(lambda api: api.final(), Script(cut), [Passing()])


def test_7_an_attempt_that_was_given_up_may_have_been_billed_and_is_in_the_ledger() -> None:
    """Nothing makes a retried POST free, so both attempts are rows."""
    scene = Scene(Replies(SILENCE, answer()))
    scene.client(Retry(seed=1)).messages.create(**ASK, timeout=5)
    assert len(scene.ledger.attempts) == 2
    assert [call.attempts for call in scene.ledger.calls] == [2]


def test_9_a_limit_of_time_that_interrupts_nothing_is_none() -> None:
    """Half a second for a call of two: three libraries return after two, our deadline in time."""
    took = {name: seconds_under_a_limit(name) for name in LIMITS}
    assert took.pop("labkit") == pytest.approx(0.5, abs=0.05)
    assert took == dict.fromkeys(took, pytest.approx(2.0))
    assert len(took) == 3


def test_the_table_can_be_printed() -> None:
    """A column for each library."""
    heading, *lines = table()
    assert all(name in heading for name in RETRIES)
    assert len(lines) == 2

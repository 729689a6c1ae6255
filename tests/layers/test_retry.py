"""Retry: what may succeed later, when the caller can wait for it, within what the budget allows.

The tests named after a check are those of the resilience study, section 2.1.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.errors import BudgetSpent, CircuitOpen, DeadlineExceeded, Shed
from labkit.flow import Flow, Now, Outcome, Request
from labkit.layers.backoff import (
    AdditiveJitter,
    Backoff,
    DecorrelatedJitter,
    EqualJitter,
    Exponential,
    Fixed,
    FullJitter,
    SdkBackoff,
    SmoothJitter,
)
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.layers.retry_budget import RetryBudget
from tests.wire import (
    BLOCK,
    CALL,
    EVENTS,
    OVERLOAD,
    PING,
    REFUSED,
    RESET,
    SILENCE,
    START,
    WORD,
    answer,
    event,
    message,
    refusal,
    stream,
)
from tests.world import Api, Passing, Script, World

LATENCY = 0.1
"""Seconds that a scripted refusal takes."""


def waits(server: Script) -> list[float]:
    """Return the seconds between the end of an attempt and the beginning of the next."""
    return [round(b - a - LATENCY, 9) for a, b in pairwise(server.arrivals)]


def attempts(world: World, *replies: Any, call: str = "create", **options: Any) -> int:
    """Return how often the server was asked, whatever came of it."""
    server = Script(*replies)
    with suppress(anthropic.AnthropicError, httpx2.TransportError):
        world.run(lambda api: getattr(api, call)(), server, [Retry(seed=1, **options)], timeout=5)
    return len(server.arrivals)


# -- the checks of the study ----------------------------------------------------------------------


def test_2_1_check_1_jitter_survives_the_cap(world: World) -> None:
    """Clients whose waits have grown to the cap still do not come back together."""
    sixth_waits = set()
    for seed in range(20):
        server = Script(refusal())
        retry = Retry(attempts=7, backoff=FullJitter(base=1, cap=2), seed=seed)
        with pytest.raises(anthropic.InternalServerError):
            world.run(lambda api: api.create(), server, [retry])
        sixth_waits.add(waits(server)[5])
    assert len(sixth_waits) == 20
    assert max(sixth_waits) < 2


@pytest.mark.parametrize("seed", range(5))
def test_2_1_check_2_a_servers_wait_is_kept_and_spread(world: World, seed: int) -> None:
    """Never shorter than asked, and not all clients at the same moment."""
    server = Script(refusal(429, "rate_limit_error", retry_after="20"), answer())
    world.run(lambda api: api.create(), server, [Retry(spread=5, seed=seed)])
    [wait] = waits(server)
    assert 20 < wait < 25


def test_2_1_check_2_clients_told_the_same_second_come_back_one_by_one() -> None:
    """A hundred clients, one whole-second header: a tenth of them a second, no herd."""
    arrivals = []
    for seed in range(100):
        server = Script(refusal(429, "rate_limit_error", retry_after="1"), answer())
        World("sync").run(lambda api: api.create(), server, [Retry(spread=10, seed=seed)])
        arrivals.append(server.arrivals[1])
    busiest = max(sum(at <= other < at + 0.1 for other in arrivals) for at in arrivals)
    assert busiest < 10


def test_2_1_check_2_a_wait_beyond_the_cap_is_not_waited(world: World) -> None:
    """The caller gets the server's own error at once, and can see why."""
    server = Script(refusal(429, "rate_limit_error", retry_after="3600"), answer())
    with pytest.raises(anthropic.RateLimitError):
        world.run(lambda api: api.create(), server, [Retry(longest_wait=60)])
    assert world.clock.now() == LATENCY
    [(name, facts)] = world.notes
    assert (name, facts["because"]) == ("gave_up", "retry-after")


@pytest.mark.parametrize("asked", ["30", "3600"])
def test_2_1_check_2_a_wait_beyond_the_deadline_fails_now_and_says_so(
    world: World, asked: str
) -> None:
    """Whether or not it is beyond the cap too."""
    server = Script(refusal(429, "rate_limit_error", retry_after=asked), answer())
    stack = [Deadline(10), Retry(longest_wait=60, spread=0)]
    with pytest.raises(DeadlineExceeded, match=f"would begin in {asked}.0 s, but only 9.9 s"):
        world.run(lambda api: api.create(), server, stack)
    assert world.clock.now() == LATENCY


def test_2_1_check_3_a_second_owner_of_retries_is_noticed() -> None:
    """The SDK's retries around ours multiply the attempts, and the layer says so."""
    server, world = Script(refusal()), World("async")
    with (
        pytest.warns(RuntimeWarning, match="max_retries=0"),
        pytest.raises(anthropic.InternalServerError),
    ):
        world.run(lambda api: api.create(), server, [Retry(attempts=5)], max_retries=2)
    assert len(server.arrivals) == 15


def test_2_1_check_3_one_owner_of_retries_is_no_reason_to_warn(world: World) -> None:
    """With the SDK's retries off, or with nothing for them to do, all is quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attempts(world, refusal()) == 4
        world.run(lambda api: api.create(), Script(answer()), [Retry()], max_retries=2)


RETRIED = {
    "refused": REFUSED,
    "reset": RESET,
    "timeout": SILENCE,
    "408": refusal(408, "timeout_error"),
    "409": refusal(409, "conflict_error"),
    "429 with retry-after": refusal(429, "rate_limit_error", retry_after="1"),
    **{str(status): refusal(status, "api_error") for status in (500, 501, 502, 503, 504)},
    "529": refusal(529),
    "a proxy's 503": refusal(503, "api_error", content_type="text/plain"),
    "advised": refusal(400, "invalid_request_error", x_should_retry="true"),
}
NEVER_RETRIED = {
    **{str(status): refusal(status, "no") for status in (400, 401, 402, 403, 404, 413, 422)},
    "spend limit": refusal(
        429, "rate_limit_error", error_code="enforced_spend_limit_reached", retry_after="1"
    ),
    "429 without retry-after": refusal(429, "rate_limit_error"),
    "advised against": refusal(529, x_should_retry="false"),
    "an answer": answer(),
}


@pytest.mark.parametrize("reply", RETRIED.values(), ids=RETRIED)
@pytest.mark.parametrize("call", ["create", "events"])
def test_2_1_check_4_what_is_safe_and_useful_is_retried(
    world: World, reply: Any, call: str
) -> None:
    """To the last attempt."""
    assert attempts(world, reply, call=call) == 4


@pytest.mark.parametrize("reply", NEVER_RETRIED.values(), ids=NEVER_RETRIED)
def test_2_1_check_4_nothing_else_is_retried(world: World, reply: Any) -> None:
    """The same request would fail again, or has succeeded."""
    assert attempts(world, reply) == 1


def test_2_1_check_4_a_models_refusal_is_an_answer(world: World) -> None:
    """`stop_reason: refusal` comes with a 200; the same question gets it again."""
    asked = []

    def server(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=message(stop_reason="refusal"))

    found = world.run(lambda api: api.create(), server, [Retry()])
    assert found.stop_reason == "refusal"
    assert len(asked) == 1


@pytest.mark.parametrize("kind", [CircuitOpen, Shed, BudgetSpent])
def test_2_1_check_4_a_refusal_of_our_own_is_not_retried(
    world: World, kind: type[CircuitOpen]
) -> None:
    """We said no; asking ourselves again would be odd."""
    tries = []

    class Refusing(Layer):
        def flow(self, request: Request) -> Flow:
            tries.append(request)
            yield Now()
            return Outcome(error=kind("no", retry_after=1))

    with pytest.raises(kind):
        world.run(lambda api: api.create(), Script(answer()), [Retry(), Refusing()])
    assert len(tries) == 1


BAD_REQUEST = event("error", error={"type": "invalid_request_error", "message": "No."})


@pytest.mark.parametrize(
    ("broken", "times"),
    [
        (stream(OVERLOAD), 4),
        (stream(START, PING, BLOCK, OVERLOAD), 4),
        (stream(START, BLOCK, WORD, OVERLOAD), 1),
        (stream(BAD_REQUEST), 1),
        (stream(START, ending="reset"), 4),
        (stream(START, BLOCK, WORD, ending="reset"), 1),
        (stream(START, ending="silence"), 4),
        (stream(START, BLOCK, WORD, ending="silence"), 1),
    ],
)
@pytest.mark.parametrize("call", ["events", "final"])
def test_2_1_check_5_a_stream_is_retried_before_its_first_delta_and_never_after(
    world: World, broken: Any, times: int, call: str
) -> None:
    """An error inside a 200 is an error; once something was shown the caller decides."""
    assert attempts(world, broken, call=call) == times


def test_2_1_check_5_the_wait_of_a_200_is_no_wait(world: World) -> None:
    """A `retry-after` beside the status 200 of a stream that failed means nothing."""
    server = Script(stream(OVERLOAD, retry_after="3000"), stream(*EVENTS))
    world.run(lambda api: api.events(), server, [Retry(seed=1)])
    assert server.arrivals[1] < 1


def test_2_1_check_5_the_callers_error_is_the_sdks_when_all_attempts_failed(world: World) -> None:
    """`APIStatusError` with status 200 and the type, as without a layer."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        world.run(lambda api: api.final(), Script(stream(OVERLOAD)), [Retry(seed=1)])
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


@pytest.mark.parametrize(
    ("cut_off", "times"), [(stream(), 4), (stream(START), 4), (stream(START, BLOCK, WORD), 1)]
)
def test_2_1_check_6_a_stream_without_a_stop_reason_has_failed(
    world: World, cut_off: Any, times: int
) -> None:
    """Before content it is retried, afterwards the caller gets an error and not half an answer."""
    server = Script(cut_off)
    with pytest.raises(httpx2.RemoteProtocolError, match="without a stop reason"):
        world.run(lambda api: api.final(), server, [Retry(seed=1)])
    assert len(server.arrivals) == times


def test_2_1_check_7_every_attempt_is_noted(world: World) -> None:
    """Each may have been billed, so each is on the call's span: which, why, and the wait."""
    server = Script(refusal(500, "api_error"), SILENCE, refusal(529), answer())
    world.run(lambda api: api.create(), server, [Retry(backoff=Fixed(2))], timeout=5)
    assert world.notes == [
        ("retry", {"attempt": 1, "reason": "500 api_error", "wait_s": 2}),
        ("retry", {"attempt": 2, "reason": "APITimeoutError", "wait_s": 2}),
        ("retry", {"attempt": 3, "reason": "529 overloaded_error", "wait_s": 2}),
    ]


def test_2_1_check_7_giving_up_is_noted(world: World) -> None:
    """With the reason and what stood in the way."""
    assert attempts(world, refusal(), attempts=1) == 1
    assert world.notes == [
        ("gave_up", {"attempt": 1, "reason": "529 overloaded_error", "because": "attempts"})
    ]


def test_2_1_check_7_every_attempt_sends_the_same(world: World) -> None:
    """There is no idempotency key: what makes attempts one call is the body alone."""
    server = Script(refusal(), refusal(), answer())
    world.run(lambda api: api.create(), server, [Retry(seed=1)])
    assert [request.content for request in server.requests] == [server.requests[0].content] * 3
    assert not [name for name in server.requests[1].headers if "idempotency" in name]


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5])
def test_2_1_check_8_the_budget_bounds_the_amplification(world: World, ratio: float) -> None:
    """However much fails, there are at most (1 + ratio) attempts a call, plus the floor."""
    budget = RetryBudget(ratio, floor=0, window=1000)
    retry, server = Retry(budget=budget, backoff=Fixed(0), seed=1), Script(refusal())

    async def scene(api: Api) -> None:
        for _ in range(100):
            with pytest.raises(anthropic.InternalServerError):
                await api.create()

    world.run(scene, server, [retry])
    assert len(server.arrivals) == round(100 * (1 + ratio))
    assert {facts.get("because") for name, facts in world.notes if name == "gave_up"} == {"budget"}


def test_2_1_check_9_retry_alone_interrupts_nothing(world: World) -> None:
    """An attempt that takes an hour takes an hour; ending it is what `Deadline` is for."""
    server = Script(answer(latency_s=599), answer())
    world.run(lambda api: api.create(), server, [Retry(attempts=1)])
    assert world.clock.now() == 599


# -- how long it waits ----------------------------------------------------------------------------

KINDS: list[Backoff] = [
    Fixed(3),
    Exponential(),
    FullJitter(),
    EqualJitter(),
    DecorrelatedJitter(),
    AdditiveJitter(),
    SmoothJitter(),
    SdkBackoff(),
]


@pytest.mark.parametrize("backoff", KINDS, ids=lambda kind: type(kind).__name__)
def test_every_kind_of_backoff_is_waited_as_drawn(world: World, backoff: Backoff) -> None:
    """The layer hands over the attempt and the previous wait, and rolls its own seeded dice."""
    server = Script(refusal())
    with pytest.raises(anthropic.InternalServerError):
        world.run(lambda api: api.create(), server, [Retry(6, backoff=backoff, seed=7)])
    dice, drawn = random.Random(7), [0.0]
    for attempt in range(5):
        drawn.append(backoff.delay(attempt, drawn[-1], dice))
    assert waits(server) == pytest.approx(drawn[1:])


def test_the_same_seed_waits_the_same_and_another_does_not(world: World) -> None:
    """A lesson can be repeated, and a fleet is not in step."""

    def story(seed: int) -> list[float]:
        server = Script(refusal(), refusal(), refusal(), answer())
        World(world.kind).run(lambda api: api.create(), server, [Retry(seed=seed)])
        return server.arrivals

    assert story(1) == story(1) != story(2)


def test_two_hours_of_the_sdks_own_waiting_take_no_time() -> None:
    """The SDK obeys any `retry-after`: 3600 twice is 7,200 s inside one call."""
    world = World("async")
    server = Script(*[refusal(429, "rate_limit_error", retry_after="3600")] * 2, answer())
    world.run(lambda api: api.create(), server, max_retries=2)
    assert waits(server) == [3600, 3600]
    assert world.clock.now() == pytest.approx(7200 + 3 * LATENCY)


def test_two_hours_of_our_own_waiting_take_no_time(world: World) -> None:
    """For whoever allows it."""
    server = Script(*[refusal(429, "rate_limit_error", retry_after="3600")] * 2, answer())
    world.run(lambda api: api.create(), server, [Retry(longest_wait=3600, spread=0)])
    assert waits(server) == [3600, 3600]


def test_a_wait_that_ends_at_the_deadline_is_not_begun(world: World) -> None:
    """Nothing can be done with no time left."""
    server = Script(refusal(), answer())
    stack = [Deadline(5 + LATENCY), Retry(backoff=Fixed(5))]
    with pytest.raises(DeadlineExceeded) as caught:
        world.run(lambda api: api.create(), server, stack)
    assert len(server.arrivals) == 1
    cause = caught.value.__cause__
    assert isinstance(cause, anthropic.APIStatusError)
    assert cause.status_code == 529


def test_a_wait_that_ends_before_the_deadline_is_waited(world: World) -> None:
    """Some time is left for the attempt."""
    server = Script(refusal(), answer())
    stack = [Deadline(5 + 3 * LATENCY), Retry(backoff=Fixed(5))]
    assert world.run(lambda api: api.create(), server, stack).content[0].text == "Hello"


@given(
    st.floats(0.5, 100),
    st.integers(0, 100),
    st.lists(
        st.sampled_from([refusal(), refusal(429, "rate_limit_error", retry_after="7"), RESET])
    ),
)
def test_no_attempt_ever_begins_after_the_deadline(
    patience: float, seed: int, replies: list[Any]
) -> None:
    """Whatever the server does and however the dice fall; and nobody waits past it either."""
    world, server = World("sync"), Script(*replies, refusal())
    with pytest.raises((DeadlineExceeded, anthropic.APIError)):
        world.run(lambda api: api.create(), server, [Deadline(patience), Retry(9, seed=seed)])
    assert max(server.arrivals) < patience
    assert world.clock.now() <= patience + LATENCY


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_call_has_at_least_one_attempt(wrong: int) -> None:
    """Zero attempts would answer nothing."""
    with pytest.raises(ValueError, match="at least one attempt"):
        Retry(wrong)


def test_a_layer_further_out_sees_one_outcome(world: World) -> None:
    """What happened in between is Retry's affair."""
    outer, inner = Passing(), Passing()
    world.run(lambda api: api.create(), Script(refusal(), answer()), [outer, Retry(), inner])
    assert [outcome.reason for outcome in outer.outcomes] == ["ok"]
    assert [outcome.reason for outcome in inner.outcomes] == ["529 overloaded_error", "ok"]


# -- sharing and cancelling -----------------------------------------------------------------------


def roomy() -> RetryBudget:
    """Make a budget that never runs out here."""
    return RetryBudget(1, floor=100, window=1000)


def test_tasks_that_share_a_layer_and_a_budget_lose_no_counts() -> None:
    """Every call and every retry is counted, however the tasks interleave."""
    budget, world = roomy(), World("async")

    class Fickle(Script):
        def reply_to(self, request: httpx2.Request, now: float) -> Any:
            super().reply_to(request, now)
            tries = [r for r in self.requests if r.content == request.content]
            return refusal() if len(tries) < 3 else answer()

    async def scene(api: Api) -> Any:
        calls = (
            api.create(messages=[{"role": "user", "content": str(number)}]) for number in range(50)
        )
        return await asyncio.gather(*calls)

    server = Fickle(answer())
    assert len(world.run(scene, server, [Retry(budget=budget, seed=1)])) == 50
    counts = budget.statistics(world.clock.now())
    assert (counts.calls, counts.granted) == (50, 100)
    assert len(server.arrivals) == 150


def test_threads_that_share_a_budget_between_two_layers_lose_no_counts() -> None:
    """One budget may serve several layers and clients at once."""
    budget, clock = roomy(), VirtualClock()
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def server(request: httpx2.Request) -> httpx2.Response:
        with lock:
            seen[request.content] = seen.get(request.content, 0) + 1
            good = seen[request.content] == 3
        return httpx2.Response(200 if good else 529, json=message() if good else {})

    clients = []
    for _ in range(2):
        retry = Retry(budget=budget, backoff=Fixed(0))
        retry.clock = clock
        http = httpx2.Client(transport=httpx2.MockTransport(server))
        options: Any = {"api_key": "k", "http_client": http, "max_retries": 0}
        clients.append(anthropic.Anthropic(middleware=[retry], **options))

    def call(number: int) -> Any:
        asked = [{"role": "user", "content": str(number)}]
        return clients[number % 2].messages.create(**{**CALL, "messages": asked})

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(call, range(100)))) == 100
    for client in clients:
        client.close()
    counts = budget.statistics(clock.now())
    assert (counts.calls, counts.granted) == (100, 200)


@given(st.floats(0, 20), st.integers(0, 50))
def test_a_call_cancelled_at_any_moment_gives_back_the_retry_it_did_not_make(
    moment: float, seed: int
) -> None:
    """The budget counts the retries that were sent, and no others."""
    budget, world = RetryBudget(1, floor=10, window=1000), World("async")
    server = Script(refusal(), stream(OVERLOAD), RESET, refusal(), stream(*EVENTS, every_s=1))

    async def scene(api: Api) -> None:
        task = asyncio.ensure_future(api.events())
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.wait([task])

    retry = Retry(6, backoff=FullJitter(base=2, cap=4), budget=budget, seed=seed)
    world.run(scene, server, [retry])
    assert budget.statistics(world.clock.now()).granted == len(server.arrivals[1:])


def test_an_interrupt_while_the_sync_client_waits_gives_the_retry_back() -> None:
    """Ctrl-C during a backoff."""

    class Interrupted(VirtualClock):
        def sleep(self, seconds: float) -> None:
            if seconds == 9:
                raise KeyboardInterrupt
            super().sleep(seconds)

    budget, world, server = roomy(), World("sync"), Script(refusal())
    world.clock = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        world.run(lambda api: api.create(), server, [Retry(budget=budget, backoff=Fixed(9))])
    assert budget.statistics(world.clock.now()).granted == 0


# -- a real server and a pool of one connection ---------------------------------------------------


class Narrow(BaseHTTPRequestHandler):
    """Fails three times in three ways, each with a body, then answers; over real HTTP."""

    protocol_version = "HTTP/1.1"
    asked: list[bytes]

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer somebody else."""
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        """Fail or answer."""
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.requestline.encode())
        number = len(self.asked)
        if number == 1:
            self.reply(529, "application/json", json.dumps({"error": {"type": "o"}}).encode())
        elif number == 2:
            self.reply(200, "text/event-stream", OVERLOAD, then_hang=True)
        elif number == 3:
            self.reply(200, "text/event-stream", START, then_cut=True)
        else:
            self.reply(200, "text/event-stream", *EVENTS)

    def reply(
        self,
        status: int,
        kind: str,
        *chunks: bytes,
        then_hang: bool = False,
        then_cut: bool = False,
    ) -> None:
        """Send chunks one by one; then end, break off, or keep the connection open for nothing."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        if then_hang:
            self.rfile.read(1)  # until the client hangs up
        if then_hang or then_cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def narrow() -> Iterator[tuple[str, list[bytes]]]:
    """Serve on loopback; give the address and the list of what was asked."""
    asked: list[bytes] = []
    handler = type("Handler", (Narrow,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


ONE: dict[str, Any] = {
    "limits": httpx2.Limits(max_connections=1),
    "timeout": httpx2.Timeout(5),
    "trust_env": False,
}


def test_three_retries_need_no_second_connection_sync(narrow: tuple[str, list[bytes]]) -> None:
    """A failed attempt gives its connection back before the next begins, or this would hang."""
    url, asked = narrow
    options: Any = {"api_key": "k", "base_url": url, "max_retries": 0}
    stack = [Passing(), Retry(backoff=Fixed(0)), Passing()]
    http = httpx2.Client(**ONE)
    with anthropic.Anthropic(http_client=http, middleware=stack, **options) as client:
        for _ in range(2):
            with client.messages.stream(**CALL) as opened:
                assert opened.get_final_message().content[0].type == "text"
    assert len(asked) == 5


async def test_three_retries_need_no_second_connection_async(
    narrow: tuple[str, list[bytes]],
) -> None:
    """The same for the async client, on an ordinary loop."""
    url, asked = narrow
    options: Any = {"api_key": "k", "base_url": url, "max_retries": 0}
    stack = [Passing(), Retry(backoff=Fixed(0)), Passing()]
    http = httpx2.AsyncClient(**ONE)
    async with anthropic.AsyncAnthropic(http_client=http, middleware=stack, **options) as client:
        for _ in range(2):
            async with client.messages.stream(**CALL) as opened:
                assert (await opened.get_final_message()).content[0].type == "text"
    assert len(asked) == 5


def test_while_a_call_waits_others_may_use_its_connection(narrow: tuple[str, list[bytes]]) -> None:
    """A stream that failed holds nothing during the backoff, however long that is."""
    url, asked = narrow
    http = httpx2.Client(**ONE)
    meanwhile: list[int] = []

    class Meanwhile(VirtualClock):
        def sleep(self, seconds: float) -> None:
            meanwhile.append(http.get(url).status_code)
            super().sleep(seconds)

    retry = Retry(backoff=Fixed(1))
    retry.clock = Meanwhile()
    options: Any = {"api_key": "k", "base_url": url, "max_retries": 0, "middleware": [retry]}
    with anthropic.Anthropic(http_client=http, **options) as client:
        assert len(list(client.messages.create(**CALL, stream=True))) == len(EVENTS) - 1
    assert meanwhile == [204, 204, 204]
    assert len(asked) == 4

"""Several requests of one call at once under the SDK: threads and tasks, winners and losers."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from labkit.errors import CassetteMiss, DeadlineExceeded, UserError
from labkit.flow import Flow, Note, Outcome, Request, Send, Start, Ticket, Wait
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.deadline import Deadline
from labkit.layers.hedge import Hedge
from tests.scenes import ASK, Scene
from tests.scenes import Scripted as Replies
from tests.wire import CALL, EVENTS, SILENCE, WORD, answer, message, refusal, stream
from tests.world import Script, Scripted, Spy
from tests.world import World as Sdk

LONG = 30.0
"""Seconds of real time that pass only when a test has failed."""


def bodies(name: str) -> bytes:
    """Return a stream that says a name."""
    return b"".join(EVENTS).replace(b"Hello", name.encode())


class Held:
    """A server in this process that holds each request until it is released."""

    def __init__(self) -> None:
        self.arrived: list[threading.Event] = [threading.Event() for _ in range(20)]
        self.released: list[threading.Event] = [threading.Event() for _ in range(20)]
        self.streams: list[HeldStream] = []
        self.lock = threading.Lock()
        self.requests = self.at_once = self.most_at_once = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer the request in its turn with its number, once it may."""
        with self.lock:
            number = self.requests
            self.requests += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.arrived[number].set()
        self.released[number].wait(LONG)
        with self.lock:
            self.at_once -= 1
        if b'"stream":true' in request.content.replace(b" ", b""):
            held = HeldStream(bodies(str(number)))
            self.streams.append(held)
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=held)
        return httpx2.Response(200, json=message(str(number)))


class HeldStream(httpx2.SyncByteStream):
    """A stream that knows when it is closed."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield self.content

    def close(self) -> None:
        """Say so."""
        self.closed.set()


def client(
    server: Callable[[httpx2.Request], httpx2.Response],
    *layers: anthropic.Middleware,
    **options: Any,
) -> anthropic.Anthropic:
    """Return a sync client on the real clock."""
    http = httpx2.Client(transport=httpx2.MockTransport(server))
    return anthropic.Anthropic(
        api_key="k", max_retries=0, middleware=layers, http_client=http, **options
    )


def text(of: Any) -> str:
    """Return the words of a message."""
    words: str = of.content[0].text
    return words


def both(request: Request) -> Flow:
    """Start two, wait for both and return what came of the first."""
    tickets: list[Ticket] = [(yield Start(request)), (yield Start(request))]
    for ticket in tickets:
        yield Wait(ticket.ended)
    assert tickets[0].outcome is not None
    return tickets[0].outcome


def test_threads_race_and_a_late_answer_is_closed_when_it_comes() -> None:
    """The call does not wait for it."""
    server = Held()
    server.released[1].set()
    api = client(server, Hedge(0.0))
    with api.messages.stream(**CALL) as opened:
        assert text(opened.get_final_message()) == "1"
    assert server.arrived[0].is_set()
    server.released[0].set()
    while len(server.streams) < 2:
        server.arrived[5].wait(0.001)
    assert server.streams[1].closed.wait(LONG)


def test_what_threads_note_goes_to_the_call_also_through_another_middleware() -> None:
    """Context variables are those of the call."""

    def noting(request: Request) -> Flow:
        yield Note("inside")
        outcome: Outcome = yield Send(request)
        return outcome

    server, spy, sdk = Held(), Spy(), Sdk("sync")
    for event in server.released:
        event.set()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(sdk.exporter))
    tracing = {"tracer_provider": provider, "propagation": False}
    layers = [Scripted(both), spy, Scripted(noting)]
    assert text(client(server, *layers, open_telemetry=tracing).messages.create(**CALL)) in "01"
    assert sdk.notes == [("inside", {})] * 2
    assert len(spy.requests) == 2


def test_a_deadline_ends_a_race_of_threads_that_both_stand_still() -> None:
    """In time, though neither can be interrupted."""
    server = Held()
    api = client(server, Deadline(0.05), Hedge(0.0))
    with pytest.raises(DeadlineExceeded):
        api.messages.create(**CALL)
    assert server.requests == 2
    for event in server.released:
        event.set()


def test_threads_on_a_virtual_clock_are_refused_in_one_sentence() -> None:
    """They would answer in real time."""

    async def scene(api: Any) -> None:
        await api.create()

    with pytest.raises(UserError, match="async client"):
        Sdk("sync").run(scene, Script(answer()), [Hedge(1.0)])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_mistake_of_the_bench_is_raised_by_the_call(kind: str) -> None:
    """Though it happened in a thread or a task of its own."""
    miss = CassetteMiss("never recorded")

    def missing(_: httpx2.Request) -> httpx2.Response:
        raise miss

    if kind == "sync":
        with pytest.raises(CassetteMiss):
            client(missing, Hedge(60.0)).messages.create(**CALL)
        return

    async def scene(api: Any) -> None:
        await api.create()

    with pytest.raises(CassetteMiss):
        Sdk("async").run(scene, Script(miss), [Hedge(60.0)])


def test_a_bulkhead_holds_between_real_threads() -> None:
    """Twelve threads, three places, and everybody is answered."""
    server, layer = Held(), Bulkhead(3)
    api, answers = client(server, layer), []

    def call() -> None:
        answers.append(text(api.messages.create(**CALL)))

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for number in range(12):
        assert server.arrived[number].wait(LONG)
        if number >= 2:
            server.released[number - 2].set()
    for event in server.released:
        event.set()
    for thread in threads:
        thread.join()
    assert server.most_at_once == 3
    assert sorted(answers, key=int) == [str(number) for number in range(12)]
    assert (layer.places.under_way, layer.places.waiting) == (0, 0)


def test_a_task_that_is_late_gets_company_on_virtual_time() -> None:
    """The same story as by hand: the second starts after one second and wins half a second on."""
    sdk, server = Sdk("async"), Script(answer("slow", latency_s=9), answer("quick", latency_s=0.5))

    async def scene(api: Any) -> tuple[str, float]:
        return text(await api.create()), sdk.clock.now()

    assert sdk.run(scene, server, [Hedge(1.0)]) == ("quick", 1.5)
    assert server.arrivals == [0.0, 1.0]
    assert sdk.notes == [("hedge", {"after_s": 1.0}), ("hedged", {"won": "second"})]


@pytest.mark.parametrize("winner", [0, 1])
def test_a_stream_is_hedged_until_its_first_content_and_read_to_its_end(winner: int) -> None:
    """Whichever wins, in the task of the caller."""
    slow = stream(*EVENTS, every_s=2.0 if winner == 1 else 0.5)
    quick = stream(*EVENTS, every_s=0.1 if winner == 1 else 2.0)
    sdk, server = Sdk("async"), Script(slow, quick)

    async def scene(api: Any) -> tuple[str, float]:
        return text(await api.final()), sdk.clock.now()

    words, ended = sdk.run(scene, server, [Hedge(1.0)])
    assert words == "Hello"
    assert ended == pytest.approx(0.5 * len(EVENTS) if winner == 0 else 1.0 + 0.1 * len(EVENTS))
    assert len(server.requests) == 2


def test_a_stream_that_has_begun_is_not_hedged_however_long_it_takes() -> None:
    """Somebody has seen its first words."""
    sdk, server = Sdk("async"), Script(stream(*EVENTS[:4], *[WORD] * 20, *EVENTS[4:], every_s=0.2))

    async def scene(api: Any) -> tuple[int, float]:
        return len(text(await api.final())), sdk.clock.now()

    length, ended = sdk.run(scene, server, [Hedge(1.0)])
    assert length == 21 * len("Hello")
    assert ended == pytest.approx(5.4)
    assert len(server.requests) == 1
    assert sdk.notes == []


def test_a_loser_has_a_line_of_its_own_in_the_ledger() -> None:
    """Cancelled when the other was there, in the same call."""
    scene = Scene(Replies(answer(latency_s=9.0), answer(latency_s=0.5)))

    async def main() -> None:
        async with scene.async_client(Hedge(1.0)) as api:
            await api.messages.create(**ASK)

    scene.run(main)
    table = scene.ledger.attempts_table()
    assert list(table["call"]) == [1, 1]
    assert list(table["label"]) == ["cancelled", "200"]
    assert list(table["end_s"]) == [1.5, 1.5]
    (call,) = scene.ledger.calls
    assert call.attempts == 2
    assert "hedged(won=second)" in call.layers
    assert call.cost_usd is not None
    assert call.cost_note.startswith("without the attempt that lost")


def test_a_call_that_is_cancelled_cancels_what_it_started() -> None:
    """No task is left, nor a place in the bulkhead."""
    bulkhead = Bulkhead(1)

    async def scene(api: Any) -> None:
        calls = [asyncio.create_task(api.create()) for _ in range(2)]
        await asyncio.sleep(5.0)
        assert len(asyncio.all_tasks()) > 4
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (bulkhead.places.under_way, bulkhead.places.waiting) == (0, 0)

    Sdk("async").run(scene, Script(SILENCE), [bulkhead, Hedge(1.0)])


@pytest.mark.parametrize("seed", range(5))
def test_places_come_back_however_tasks_end(seed: int) -> None:
    """Cancelled at any moment, failed, timed out, refused or answered."""
    dice = random.Random(seed)
    bulkhead = Bulkhead(3, queue=6)
    replies = [answer(latency_s=dice.uniform(0, 3)) for _ in range(20)]
    replies += [refusal(), answer()]
    dice.shuffle(replies)

    async def scene(api: Any) -> int:
        calls = []
        for _ in range(30):
            calls.append(asyncio.create_task(api.create()))
            await asyncio.sleep(dice.choice([0.0, 0.2, 0.5]))
            if dice.random() < 0.4:
                dice.choice(calls).cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        return sum(isinstance(end, BaseException) for end in ends)

    failed = Sdk("async").run(scene, Script(*replies), [Deadline(4), bulkhead, Hedge(1.0)])
    assert 0 < failed < 30
    assert (bulkhead.places.under_way, bulkhead.places.waiting) == (0, 0)


def test_tasks_get_their_places_in_order() -> None:
    """Three at a time, a second each."""
    server = Script(answer(latency_s=1.0))

    async def scene(api: Any) -> None:
        await asyncio.gather(*(api.create() for _ in range(9)))

    Sdk("async").run(scene, server, [Bulkhead(3)])
    assert server.arrivals == [0.0] * 3 + [1.0] * 3 + [2.0] * 3

"""Both drivers run a flow under the real SDK, whatever is called and however it ends."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.errors import CassetteMiss, CircuitOpen, DeadlineExceeded, Deadlock
from labkit.flow import Do, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.annotate import Annotate
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from tests.wire import (
    BLOCK,
    CALL,
    EVENTS,
    MODEL,
    OVERLOAD,
    PING,
    REFUSED,
    RESET,
    SILENCE,
    START,
    WORD,
    answer,
    message,
    refusal,
    stream,
)
from tests.world import Api, Passing, Script, Scripted, Spy, World

MISS = CassetteMiss("nothing like this was recorded")


# -- everything the SDK can call ------------------------------------------------------------------

BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": dict.fromkeys(
        ("processing", "succeeded", "errored", "canceled", "expired"), 0
    ),
    "ended_at": "2026-11-22T00:00:00Z",
    "created_at": "2026-11-21T00:00:00Z",
    "expires_at": "2026-11-22T00:00:00Z",
    "archived_at": None,
    "cancel_initiated_at": None,
    "results_url": "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
}
RESULTS = b"".join(
    json.dumps(
        {"custom_id": name, "result": {"type": "succeeded", "message": message(name)}}
    ).encode()
    + b"\n"
    for name in ("first", "second")
)
PAGE = {"data": [BATCH], "has_more": False, "first_id": None, "last_id": None}
ITEM = {"custom_id": "first", "params": CALL}


class Endpoints:
    """A server with all the endpoints, which counts the requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if path.endswith("/results"):
            kind = {"content-type": "application/x-jsonl"}
            return httpx2.Response(200, headers=kind, content=RESULTS)
        if path.endswith("/batches"):
            return httpx2.Response(200, json=PAGE if request.method == "GET" else BATCH)
        if "/batches/" in path:
            return httpx2.Response(200, json=BATCH)
        if path.endswith("/count_tokens"):
            return httpx2.Response(200, json={"input_tokens": 3})
        if json.loads(request.content).get("stream"):
            kind = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kind, content=b"".join(EVENTS))
        return httpx2.Response(200, json=message())


async def text_of_events(api: Api) -> str:
    """Call `create(stream=True)`."""
    deltas = [one for one in await api.events() if one.type == "content_block_delta"]
    return "".join(one.delta.text for one in deltas)


async def text_of_beta_events(api: Api) -> str:
    """Call `beta.messages.create(stream=True)`."""
    opened = await api.result(api.client.beta.messages.create(**CALL, stream=True))
    found = [one async for one in opened] if hasattr(opened, "__aiter__") else list(opened)
    return "".join(one.delta.text for one in found if one.type == "content_block_delta")


async def ids_of_results(api: Api) -> list[str]:
    """Call `batches.results`."""
    lines = await api.result(api.client.messages.batches.results("msgbatch_1"))
    found = [line async for line in lines] if hasattr(lines, "__aiter__") else list(lines)
    return [f"{line.custom_id} {line.result.message.content[0].text}" for line in found]


async def parsed(response: Any) -> Any:
    """Parse a raw response of either client."""
    found = response.parse()
    return await found if hasattr(found, "__await__") else found


SCENES: dict[str, tuple[Callable[[Any], Awaitable[Any]], Callable[[Any], Any], int]] = {
    "create": (lambda api: api.create(), lambda end: end.content[0].text == "Hello", 1),
    "create(stream=True)": (text_of_events, lambda end: end == "Hello", 1),
    "stream": (lambda api: api.final(), lambda end: end.stop_reason == "end_turn", 1),
    "with_raw_response": (
        lambda api: api.result(api.client.messages.with_raw_response.create(**CALL)),
        lambda end: end.status_code == 200,
        1,
    ),
    "with_streaming_response": (
        lambda api: api.wire_bytes(),
        lambda end: json.loads(end) == message(),
        1,
    ),
    "with_streaming_response(stream=True)": (
        lambda api: api.wire_bytes(stream=True),
        lambda end: end == b"".join(EVENTS),
        1,
    ),
    "count_tokens": (
        lambda api: api.result(
            api.client.messages.count_tokens(model=MODEL, messages=CALL["messages"])
        ),
        lambda end: end.input_tokens == 3,
        1,
    ),
    "batches.create": (
        lambda api: api.result(api.client.messages.batches.create(requests=[ITEM])),
        lambda end: end.id == "msgbatch_1",
        1,
    ),
    "batches.retrieve": (
        lambda api: api.result(api.client.messages.batches.retrieve("msgbatch_1")),
        lambda end: end.processing_status == "ended",
        1,
    ),
    "batches.list": (
        lambda api: api.result(api.client.messages.batches.list()),
        lambda end: [batch.id for batch in end.data] == ["msgbatch_1"],
        1,
    ),
    "batches.cancel": (
        lambda api: api.result(api.client.messages.batches.cancel("msgbatch_1")),
        lambda end: end.id == "msgbatch_1",
        1,
    ),
    "batches.results": (
        ids_of_results,
        lambda end: end == ["first first", "second second"],
        2,  # it looks the address up first
    ),
    "beta.messages.create": (
        lambda api: api.result(api.client.beta.messages.create(**CALL)),
        lambda end: end.content[0].text == "Hello",
        1,
    ),
    "beta.messages.create(stream=True)": (text_of_beta_events, lambda end: end == "Hello", 1),
}


@pytest.mark.parametrize(("scene", "is_right", "requests"), SCENES.values(), ids=SCENES)
@pytest.mark.parametrize("layers", ["none", "passing", "stack"])
def test_every_call_works_as_without_layers(
    world: World,
    scene: Callable[[Any], Awaitable[Any]],
    is_right: Callable[[Any], bool],
    requests: int,
    layers: str,
) -> None:
    """Create, stream, raw and streamed responses, counting, batches, beta: each goes out once."""
    stacks: dict[str, list[Layer]] = {
        "none": [],
        "passing": [Passing()],
        "stack": [Deadline(60), Retry(seed=1), Annotate()],
    }
    server = Endpoints()
    assert is_right(world.run(scene, server, stacks[layers]))
    assert len(server.asked) == requests


def test_a_raw_response_can_be_parsed_after_a_layer(world: World) -> None:
    """What comes out is the SDK's own wrapper."""

    async def scene(api: Api) -> Any:
        return await parsed(await api.result(api.client.messages.with_raw_response.create(**CALL)))

    assert world.run(scene, Endpoints(), [Passing()]).content[0].text == "Hello"


def test_a_stream_of_something_else_is_not_judged_as_an_answer(world: World) -> None:
    """The events of an agent's session are none of a Message's, and may well be none at all."""

    def server(_: httpx2.Request) -> httpx2.Response:
        asked.append(1)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=PING)

    async def scene(api: Api) -> list[Any]:
        opened = await api.result(api.client.beta.sessions.events.stream("sesn_1"))
        return [one async for one in opened] if hasattr(opened, "__aiter__") else list(opened)

    asked: list[int] = []
    assert world.run(scene, server, [Retry(), Passing()]) == []
    assert asked == [1]


# -- the order of layers, and what they change ----------------------------------------------------


def test_the_first_layer_listed_is_the_outermost(world: World) -> None:
    """As in the stack a reader sees."""
    log: list[str] = []
    world.run(lambda api: api.create(), Endpoints(), [Passing("a", log), Passing("b", log)])
    assert log == ["a in", "b in", "b out", "a out"]


def test_a_request_nobody_changed_is_passed_on_as_it_is(world: World) -> None:
    """The conversation is not copied on its way through the stack."""
    before, after = Spy(), Spy()
    passing = Passing()
    world.run(lambda api: api.create(), Endpoints(), [before, passing, Passing(), after])
    assert after.requests == before.requests
    assert passing.requests[0].body is before.requests[0].json


def test_a_changed_body_arrives_on_the_wire_and_nowhere_else(world: World) -> None:
    """Layers further in see it; layers further out, and the caller's own objects, do not."""

    def shorter(request: Request) -> Flow:
        outcome: Outcome = yield Send(request.replace(body={**request.body, "max_tokens": 1}))
        return outcome

    server = Script(answer())
    outer, inner = Passing(), Passing()
    world.run(lambda api: api.create(), server, [outer, Scripted(shorter), inner])
    assert [body["max_tokens"] for body in server.bodies] == [1]
    assert outer.requests[0].body["max_tokens"] == 16
    assert inner.requests[0].body["max_tokens"] == 1
    assert CALL["max_tokens"] == 16


def test_every_attempt_may_have_a_body_of_its_own(world: World) -> None:
    """A flow may send what it likes, as often as it likes; the last outcome is the answer."""

    def courses(request: Request) -> Flow:
        for tokens in (1, 2, 3):
            changed = {**request.body, "max_tokens": tokens}
            outcome: Outcome = yield Send(request.replace(body=changed))
        return outcome

    server = Script(answer("one"), answer("two"), answer("three"))
    found = world.run(lambda api: api.create(), server, [Scripted(courses)])
    assert found.content[0].text == "three"
    assert [body["max_tokens"] for body in server.bodies] == [1, 2, 3]


def test_a_layer_may_answer_with_a_ready_message(world: World) -> None:
    """Then nothing is sent, and layers further out see an answer like any other."""
    ready = Message.model_validate(message("from the cache"))

    def cached(_: Request) -> Flow:
        yield Note("hit", age_s=3.5)
        return Outcome(status=200, value=ready)

    server, outer = Script(answer()), Passing()
    found = world.run(lambda api: api.create(), server, [outer, Retry(), Scripted(cached)])
    assert found is ready
    assert server.requests == []
    assert outer.outcomes[0].ok
    assert world.notes == [("hit", {"age_s": 3.5})]


def test_somebody_elses_middleware_may_stand_between_two_layers(world: World) -> None:
    """What it replaces is what the layers see, the request as well as the end."""

    class Meddling(Spy):
        def handle(self, request: anthropic.APIRequest, call_next: Any) -> Any:
            call_next(request.copy(body={**CALL, "max_tokens": 7}))
            return Message.model_validate(message("replaced"))

        async def handle_async(self, request: anthropic.APIRequest, call_next: Any) -> Any:
            await call_next(request.copy(body={**CALL, "max_tokens": 7}))
            return Message.model_validate(message("replaced"))

    outer, inner = Passing(), Passing()
    stack = [Deadline(60), outer, Meddling(), inner]
    found = world.run(lambda api: api.create(), Script(refusal(400)), stack)
    assert found.content[0].text == "replaced"
    assert outer.outcomes[0].ok
    assert inner.outcomes[0].status == 400
    assert inner.requests[0].body["max_tokens"] == 7
    assert inner.requests[0].deadline == 60


# -- how calls end --------------------------------------------------------------------------------

CLASSES: list[tuple[int, type[anthropic.APIStatusError]]] = [
    (400, anthropic.BadRequestError),
    (401, anthropic.AuthenticationError),
    (403, anthropic.PermissionDeniedError),
    (404, anthropic.NotFoundError),
    (409, anthropic.ConflictError),
    (413, anthropic.APIStatusError),
    (422, anthropic.UnprocessableEntityError),
    (429, anthropic.RateLimitError),
    (500, anthropic.InternalServerError),
    (503, anthropic.InternalServerError),
    (529, anthropic.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), CLASSES)
@pytest.mark.parametrize("call", ["create", "events", "wire_bytes"])
def test_the_sdks_typed_error_reaches_the_caller_unchanged(
    world: World, status: int, kind: type[anthropic.APIStatusError], call: str
) -> None:
    """With and without layers it is the same error, of the same class, with the same text."""

    def fail(layers: list[Layer]) -> anthropic.APIStatusError:
        server = Script(refusal(status, "some_error"))
        with pytest.raises(kind) as caught:
            world.run(lambda api: getattr(api, call)(), server, layers)
        return caught.value

    bare, layered = fail([]), fail([Passing(), Passing()])
    assert type(layered) is type(bare)
    assert str(layered) == str(bare)
    assert layered.body == bare.body
    assert layered.request_id == bare.request_id == "req_1"
    assert layered.__cause__ is None


def test_an_error_status_is_an_outcome_for_a_layer(world: World) -> None:
    """Status, headers, type and code are there to decide on."""
    passing = Passing()
    server = Script(refusal(429, "rate_limit_error", error_code="ramp_limit", retry_after="9"))
    with pytest.raises(anthropic.RateLimitError):
        world.run(lambda api: api.create(), server, [passing])
    [outcome] = passing.outcomes
    assert (outcome.status, outcome.error_type) == (429, "rate_limit_error")
    assert (outcome.error_code, outcome.retry_after) == ("ramp_limit", 9)


@pytest.mark.parametrize(
    ("reply", "kind", "cause"),
    [
        (REFUSED, anthropic.APIConnectionError, httpx2.ConnectError),
        (RESET, anthropic.APIConnectionError, httpx2.RemoteProtocolError),
        (SILENCE, anthropic.APITimeoutError, httpx2.ReadTimeout),
    ],
)
def test_a_lost_connection_is_an_outcome_and_the_sdks_own_error(
    world: World, reply: Any, kind: type[Exception], cause: type[Exception]
) -> None:
    """The layer sees that nobody was reached; the caller sees what the SDK always raised."""
    passing = Passing()
    with pytest.raises(kind) as caught:
        world.run(lambda api: api.create(), Script(reply), [passing], timeout=5)
    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, cause)
    [outcome] = passing.outcomes
    assert outcome.unreachable
    assert outcome.status is None
    assert outcome.error is caught.value


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (stream(START, ending="reset"), anthropic.APIConnectionError),
        (stream(START, ending="silence"), anthropic.APITimeoutError),
    ],
)
def test_a_stream_that_breaks_before_content_is_a_lost_connection(
    world: World, reply: Any, kind: type[Exception]
) -> None:
    """Nobody has seen any of it, so it is no different from a connection that never was."""
    passing = Passing()
    with pytest.raises(kind) as caught:
        world.run(lambda api: api.events(), Script(reply), [passing], timeout=5)
    assert type(caught.value) is kind
    assert passing.outcomes[0].unreachable


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (stream(START, BLOCK, WORD, ending="reset"), httpx2.RemoteProtocolError),
        (stream(START, BLOCK, WORD, ending="silence"), httpx2.ReadTimeout),
        (stream(START, BLOCK, WORD, OVERLOAD), anthropic.APIStatusError),
        (stream(START, BLOCK, WORD), httpx2.RemoteProtocolError),
        (stream(START), httpx2.RemoteProtocolError),
        (stream(OVERLOAD), anthropic.APIStatusError),
    ],
)
@pytest.mark.parametrize("call", ["events", "final"])
def test_how_a_broken_stream_ends_for_the_caller(
    world: World, reply: Any, kind: type[Exception], call: str
) -> None:
    """As with the bare SDK, but that a stream without a stop reason does not pass for whole."""
    with pytest.raises(kind) as caught:
        world.run(lambda api: getattr(api, call)(), Script(reply), [Passing()], timeout=5)
    if isinstance(caught.value, anthropic.APIStatusError):
        assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


def test_2_1_check_6_the_bare_sdk_takes_half_a_stream_for_a_whole_one(world: World) -> None:
    """Why the layers make an error of it: no exception, no stop reason."""
    found = world.run(lambda api: api.final(), Script(stream(START, BLOCK, WORD)))
    assert found.stop_reason is None


def test_an_error_of_a_layers_own_names_the_failure_behind_it(world: World) -> None:
    """What failed as a response had no exception yet, so the cause is made for it."""

    def strict(request: Request) -> Flow:
        yield Send(request)
        return Outcome(error=CircuitOpen("enough of this", retry_after=30))

    with pytest.raises(CircuitOpen) as caught:
        world.run(lambda api: api.create(), Script(refusal(529)), [Scripted(strict)])
    cause = caught.value.__cause__
    assert isinstance(cause, anthropic.APIStatusError)
    assert (cause.status_code, cause.type) == (529, "overloaded_error")


def test_a_refusal_of_a_layer_reaches_the_layers_further_out(world: World) -> None:
    """It is an outcome with an error, and never transient."""

    def shut(_: Request) -> Flow:
        yield Now()
        return Outcome(error=CircuitOpen("open", retry_after=30))

    outer, server = Passing(), Script(answer())
    with pytest.raises(CircuitOpen):
        world.run(lambda api: api.create(), server, [outer, Retry(), Scripted(shut)])
    assert [outcome.transient for outcome in outer.outcomes] == [False]
    assert server.requests == []


def test_a_layer_may_pass_an_outcome_on_with_something_added(world: World) -> None:
    """Another outcome with the same response is no reason to close the response."""

    def marked(request: Request) -> Flow:
        outcome: Outcome = yield Send(request)
        return structs.replace(outcome, headers={**outcome.headers, "seen": "yes"})

    events = world.run(lambda api: api.events(), Script(stream(*EVENTS)), [Scripted(marked)])
    assert events[-1].type == "message_stop"


# -- mistakes in a flow ---------------------------------------------------------------------------


def not_an_effect(request: Request) -> Flow:
    """Forget the `Send`."""
    wrong: Any = request
    outcome: Outcome = yield wrong
    return outcome


def yields_its_outcome(request: Request) -> Flow:
    """Say `yield` for `return`."""
    outcome: Any = yield Send(request)
    yield outcome
    return Outcome()


def returns_nothing(request: Request) -> Any:
    """Forget the `return`."""
    yield Send(request)


def fails_with_nothing(request: Request) -> Flow:
    """Make a failure up and give no error."""
    yield Send(request)
    return Outcome(status=503)


@pytest.mark.parametrize(
    ("course", "complaint"),
    [
        (not_an_effect, "yielded Request.*not an effect"),
        (yields_its_outcome, "yielded Outcome.*not an effect"),
        (returns_nothing, "must return an Outcome, not None"),
        (fails_with_nothing, "neither an error nor a value"),
    ],
)
def test_a_mistake_in_a_flow_is_named(
    world: World, course: Callable[[Request], Flow], complaint: str
) -> None:
    """Silence would give the caller None for an answer."""
    with pytest.raises(TypeError, match=complaint):
        world.run(lambda api: api.create(), Script(answer()), [Scripted(course)])


# -- mistakes of the bench ------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["create", "events", "wire_bytes"])
@pytest.mark.parametrize("stack", [[Passing()], [Deadline(60), Retry(), Passing(), Annotate()]])
def test_a_mistake_of_the_bench_goes_straight_to_the_caller(
    world: World, call: str, stack: list[Layer]
) -> None:
    """No layer sees it, and nobody tries again, the SDK with its own retries included."""
    server = Script(MISS)
    with pytest.raises(CassetteMiss) as caught:
        world.run(lambda api: getattr(api, call)(), server, stack, max_retries=2)
    assert caught.value is MISS
    assert len(server.requests) == 1


def test_a_mistake_of_the_bench_inside_a_stream_goes_straight_to_the_caller(world: World) -> None:
    """A silent server and a client without timeouts would wait for ever: that is no outcome."""
    server = Script(stream(START, ending="silence"))
    with pytest.raises(Deadlock):
        world.run(lambda api: api.events(), server, [Retry()], timeout=None, max_retries=2)
    assert len(server.requests) == 1


def test_without_any_layer_the_sdk_takes_a_mistake_of_the_bench_for_a_lost_connection() -> None:
    """It wraps whatever a transport raises, and retries it: bench clients always have a layer."""
    server, world = Script(MISS), World("async")
    with pytest.raises(anthropic.APIConnectionError) as caught:
        world.run(lambda api: api.create(), server, max_retries=2)
    assert caught.value.__cause__ is MISS
    assert len(server.requests) == 3


def test_an_exception_chain_that_leads_back_to_its_start_is_walked_once(world: World) -> None:
    """`raise error from error` makes one."""
    lost = httpx2.ConnectError("gone")
    lost.__cause__ = lost
    with pytest.raises(anthropic.APIConnectionError):
        world.run(lambda api: api.create(), Script(lost), [Passing()])


# -- cancellation ---------------------------------------------------------------------------------


class Held(Layer):
    """Takes something, sends, waits, sends again, and gives back what it took."""

    def __init__(self) -> None:
        self.taken = self.given_back = 0
        self.kept: list[Flow] = []

    def flow(self, request: Request) -> Flow:
        """Keep hold of the flow, so that nobody but the driver can close it."""
        self.kept.append(self._course(request))
        return self.kept[-1]

    def _course(self, request: Request) -> Flow:
        self.taken += 1
        try:
            yield Send(request)
            yield Note("waiting")
            yield Sleep(10)
            outcome: Outcome = yield Send(request)
            return outcome
        finally:
            self.given_back += 1


@given(st.floats(0, 30))
def test_a_task_cancelled_at_any_moment_gives_back_what_was_taken(moment: float) -> None:
    """In an attempt, between attempts, in a stream's first events: the flow is closed."""
    world, held = World("async"), [Held(), Held()]
    server = Script(stream(*EVENTS, every_s=1))

    async def scene(api: Api) -> Any:
        task = asyncio.ensure_future(api.events())
        await asyncio.sleep(moment)
        task.cancel()
        return await asyncio.wait([task])

    world.run(scene, server, held)
    assert [layer.given_back for layer in held] == [layer.taken for layer in held]


@pytest.mark.parametrize("where", ["send", "sleep"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interrupt_of_the_sync_client_gives_back_what_was_taken(
    where: str, kind: type[BaseException]
) -> None:
    """Ctrl-C may come while an attempt is under way, or while a layer waits."""
    world, held = World("sync"), Held()

    class Interrupted(VirtualClock):
        def sleep(self, seconds: float) -> None:
            if seconds == (10 if where == "sleep" else 0.1):
                raise kind
            super().sleep(seconds)

    world.clock = Interrupted()
    expected: Any = (kind, anthropic.APIConnectionError)
    with pytest.raises(expected):
        world.run(lambda api: api.create(), Script(answer()), [held])
    assert (held.taken, held.given_back) == (1, 1)


class Lines:
    """A transport whose connections can be counted."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.open = 0
        self.most = 0

    def connection(self) -> Line:
        """Open one."""
        self.open += 1
        self.most = max(self.most, self.open)
        return Line(self, self.replies.pop(0))


class Line(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The body of one response."""

    def __init__(self, lines: Lines, body: bytes) -> None:
        self.lines, self.body, self.is_open = lines, body, True

    def __iter__(self) -> Any:
        yield self.body

    async def __aiter__(self) -> Any:
        yield self.body

    def close(self) -> None:
        """Count, once."""
        self.lines.open -= self.is_open
        self.is_open = False

    async def aclose(self) -> None:
        """Count, once."""
        self.close()


def test_no_connection_is_left_open_whatever_the_flow_does_with_outcomes(world: World) -> None:
    """Replaced, dropped for a ready message, or failed: each response is closed."""
    good = b"".join(EVENTS)

    def greedy(request: Request) -> Flow:
        yield Send(request)
        yield Send(request)
        return Outcome(status=200, value="something else")

    lines = Lines(good, OVERLOAD)

    def server(_: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, stream=lines.connection())

    async def scene(api: Api) -> Any:
        return await api.result(api.client.messages.create(**CALL, stream=True))

    assert world.run(scene, server, [Scripted(greedy)]) == "something else"
    assert (lines.open, lines.most) == (0, 1)


def test_an_error_in_a_flow_closes_the_response_it_was_looking_at(world: World) -> None:
    """A mistake in a layer must not cost a connection."""
    lines = Lines(b"".join(EVENTS))

    def server(_: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, stream=lines.connection())

    def broken(request: Request) -> Flow:
        outcome: Outcome = yield Send(request)
        raise ZeroDivisionError(outcome.reason)

    with pytest.raises(ZeroDivisionError):
        world.run(lambda api: api.events(), server, [Scripted(broken)])
    assert lines.open == 0


# -- sharing --------------------------------------------------------------------------------------


class Counting(Layer):
    """Counts in the clumsiest way: it reads, lets other threads go first, and writes."""

    def __init__(self) -> None:
        self.count = 0

    def flow(self, request: Request) -> Flow:
        """Count before and after."""
        self._count()
        outcome: Outcome = yield Send(request)
        self._count()
        return outcome

    def _count(self) -> None:
        before = self.count
        for _ in range(20):
            time.sleep(0)  # whoever else can run, runs now
        self.count = before + 1


def test_threads_that_share_a_layer_lose_no_counts() -> None:
    """A flow is never run by two threads at once, so it needs no lock of its own."""
    layer = Counting()
    http = httpx2.Client(transport=httpx2.MockTransport(Endpoints()))
    options: Any = {"api_key": "k", "http_client": http, "max_retries": 0}
    with (
        anthropic.Anthropic(middleware=[layer], **options) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: client.messages.create(**CALL), range(80)))
    assert layer.count == 160


def test_one_layer_may_serve_both_clients_at_once() -> None:
    """It holds nothing of the call it is in."""
    layer = Passing()
    worlds = [World("sync"), World("async")]
    threads = [
        threading.Thread(target=one.run, args=(lambda api: api.create(), Script(answer()), [layer]))
        for one in worlds
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.ok for outcome in layer.outcomes] == [True, True]


# -- the same story -------------------------------------------------------------------------------

FATES = [
    answer(),
    stream(*EVENTS),
    stream(OVERLOAD),
    stream(START, ending="reset"),
    stream(START, BLOCK, WORD, ending="reset"),
    stream(START),
    stream(START, ending="silence"),
    refusal(529),
    refusal(500, "api_error", x_should_retry="false"),
    refusal(429, "rate_limit_error", retry_after="3"),
    refusal(429, "rate_limit_error", retry_after="300"),
    refusal(429, "rate_limit_error"),
    refusal(400, "invalid_request_error"),
    REFUSED,
    SILENCE,
]


@given(
    st.lists(st.sampled_from(FATES), min_size=1, max_size=6),
    st.integers(0, 1000),
    st.sampled_from([4.0, 20.0, 1000.0]),
)
def test_both_drivers_tell_the_same_story(fates: list[Any], seed: int, patience: float) -> None:
    """For the same server and the same seed: attempts, waits, notes, ending, to the second."""

    def story(kind: str) -> Any:
        world, server = World(kind), Script(*fates)
        layers = [Deadline(patience), Retry(attempts=5, seed=seed), Annotate()]
        ending = ""
        try:
            world.run(lambda api: api.events(), server, layers, timeout=30)
        except DeadlineExceeded as error:
            if world.clock.now() >= patience:
                # Here they differ: the async driver cancels, the sync one's attempt times out.
                return server.arrivals, "late"
            ending = str(error)
        except Exception as error:
            ending = f"{type(error).__name__}: {error}"
        return server.arrivals, world.notes, ending

    assert story("sync") == story("async")


def test_work_is_done_without_the_lock_and_off_the_loop(world: World) -> None:
    """Another flow goes on meanwhile; the async client's loop does too."""
    threads: list[int] = []

    def work() -> str:
        threads.append(threading.get_ident())
        other = Passing().flow(Request())
        assert Layer()._advance(other, None) == Send(Request())
        return "done"

    def course(request: Request) -> Flow:
        threads.append(threading.get_ident())
        assert (yield Do(work)) == "done"
        outcome: Outcome = yield Send(request)
        return outcome

    world.run(lambda api: api.create(), Script(answer()), [Scripted(course)])
    assert (threads[0] == threads[1]) is (world.kind == "sync")

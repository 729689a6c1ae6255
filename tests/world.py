"""Both SDK clients in front of a scripted server, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import anthropic
import httpx2
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.flow import Flow, Outcome, Request, Send
from labkit.sim.reply import Reply
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport
from labkit.virtual_loop import run_virtual
from tests.wire import CALL

T = TypeVar("T")


class Script:
    """A server that gives its replies in order and repeats the last; it keeps what it was asked.

    A reply may also be an exception: then the transport raises it.
    """

    def __init__(self, *replies: Reply | BaseException) -> None:
        self.replies = list(replies)
        self.requests: list[httpx2.Request] = []
        self.arrivals: list[float] = []

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:
        """Give the next reply."""
        self.requests.append(request)
        self.arrivals.append(now)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply

    @property
    def bodies(self) -> list[Any]:
        """What arrived on the wire."""
        return [json.loads(request.content) for request in self.requests]


class Api(Protocol):
    """The calls of either client, as awaitables, so that a scene is written once."""

    client: Any

    def create(self, **options: Any) -> Awaitable[Any]:
        """Call `messages.create`."""
        ...

    def events(self, **options: Any) -> Awaitable[list[Any]]:
        """Call `messages.create(stream=True)` and read all events."""
        ...

    def final(self, **options: Any) -> Awaitable[Any]:
        """Call `messages.stream` and return the final message."""
        ...

    def wire_bytes(self, **options: Any) -> Awaitable[bytes]:
        """Call `with_streaming_response` and read the body."""
        ...

    def result(self, of: Any) -> Awaitable[Any]:
        """Await what an async method returned; a sync one returned it already."""
        ...


class SyncApi:
    """The calls of `Anthropic`."""

    def __init__(self, client: anthropic.Anthropic) -> None:
        self.client = client

    async def create(self, **options: Any) -> Any:
        """Call `messages.create`."""
        return self.client.messages.create(**{**CALL, **options})

    async def events(self, **options: Any) -> list[Any]:
        """Call `messages.create(stream=True)` and read all events."""
        return list(self.client.messages.create(**{**CALL, **options}, stream=True))

    async def final(self, **options: Any) -> Any:
        """Call `messages.stream` and return the final message."""
        with self.client.messages.stream(**{**CALL, **options}) as opened:
            return opened.get_final_message()

    async def wire_bytes(self, **options: Any) -> bytes:
        """Call `with_streaming_response` and read the body."""
        calls = self.client.messages.with_streaming_response
        with calls.create(**{**CALL, **options}) as response:
            return b"".join(response.iter_bytes())

    async def result(self, of: Any) -> Any:
        """Return what a sync method returned."""
        return of


class AsyncApi:
    """The calls of `AsyncAnthropic`."""

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        self.client = client

    async def create(self, **options: Any) -> Any:
        """Call `messages.create`."""
        return await self.client.messages.create(**{**CALL, **options})

    async def events(self, **options: Any) -> list[Any]:
        """Call `messages.create(stream=True)` and read all events."""
        opened = await self.client.messages.create(**{**CALL, **options}, stream=True)
        return [found async for found in opened]

    async def final(self, **options: Any) -> Any:
        """Call `messages.stream` and return the final message."""
        async with self.client.messages.stream(**{**CALL, **options}) as opened:
            return await opened.get_final_message()

    async def wire_bytes(self, **options: Any) -> bytes:
        """Call `with_streaming_response` and read the body."""
        calls = self.client.messages.with_streaming_response
        async with calls.create(**{**CALL, **options}) as response:
            return b"".join([chunk async for chunk in response.iter_bytes()])

    async def result(self, of: Any) -> Any:
        """Await what an async method returned."""
        return await of


class World:
    """One client, sync or async, in front of a scripted server, on virtual time."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.clock = VirtualClock()
        self.exporter = InMemorySpanExporter()

    def run(
        self,
        scene: Callable[[Any], Awaitable[T]],
        server: Script | Callable[[httpx2.Request], httpx2.Response],
        layers: Sequence[anthropic.Middleware] = (),
        **options: Any,
    ) -> T:
        """Play a scene to its end and return its result."""
        for layer in layers:
            if isinstance(layer, Layer):
                layer.clock = self.clock
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        options = {
            "api_key": "key",
            "max_retries": 0,
            "middleware": list(layers),
            "open_telemetry": {"tracer_provider": provider, "propagation": False},
            **options,
        }
        if self.kind == "sync":
            return self._sync(scene, server, options)
        return run_virtual(self._async(scene, server, options), self.clock)

    def _sync(self, scene: Callable[[Any], Awaitable[T]], server: Any, options: Any) -> T:
        transport: Any = httpx2.MockTransport(server) if callable(server) else None
        http = httpx2.Client(transport=transport or ReplyTransport(server, self.clock))
        with anthropic.Anthropic(http_client=http, **options) as client:
            return at_once(scene(SyncApi(client)))

    async def _async(self, scene: Callable[[Any], Awaitable[T]], server: Any, options: Any) -> T:
        transport: Any = httpx2.MockTransport(server) if callable(server) else None
        http = httpx2.AsyncClient(transport=transport or AsyncReplyTransport(server, self.clock))
        async with anthropic.AsyncAnthropic(http_client=http, **options) as client:
            return await scene(AsyncApi(client))

    @property
    def notes(self) -> list[tuple[str, dict[str, Any]]]:
        """What the layers noted on the spans that have ended, in order."""
        return notes_of(self.exporter.get_finished_spans())


def notes_of(spans: Iterable[ReadableSpan]) -> list[tuple[str, dict[str, Any]]]:
    """Return the notes of layers on some spans."""
    return [
        (found.name.removeprefix("labkit."), dict(found.attributes or {}))
        for span in spans
        for found in span.events
        if found.name.startswith("labkit.")
    ]


def at_once(scene: Awaitable[T]) -> T:
    """Run a scene that never waits to its end."""
    steps = scene.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a scene of the sync client waited")


class Passing(Layer):
    """Passes everything on and writes down what it saw."""

    def __init__(self, name: str = "passing", log: list[str] | None = None) -> None:
        self.name, self.log = name, log if log is not None else []
        self.requests: list[Request] = []
        self.outcomes: list[Outcome] = []
        self.ended = 0

    def flow(self, request: Request) -> Flow:
        """Write down, send, write down."""
        self.log.append(f"{self.name} in")
        self.requests.append(request)
        try:
            outcome: Outcome = yield Send(request)
        finally:
            self.ended += 1
        self.outcomes.append(outcome)
        self.log.append(f"{self.name} out")
        return outcome


class Scripted(Layer):
    """Runs the flow it was given."""

    def __init__(self, course: Callable[[Request], Flow]) -> None:
        self.course = course

    def flow(self, request: Request) -> Flow:
        """Run it."""
        return self.course(request)


class Spy(anthropic.Middleware):
    """Somebody else's middleware, which sees the SDK's own objects."""

    def __init__(self) -> None:
        self.requests: list[anthropic.APIRequest] = []

    def handle(self, request: anthropic.APIRequest, call_next: Any) -> Any:
        """Look."""
        self.requests.append(request)
        return call_next(request)

    async def handle_async(self, request: anthropic.APIRequest, call_next: Any) -> Any:
        """Look."""
        self.requests.append(request)
        return await call_next(request)

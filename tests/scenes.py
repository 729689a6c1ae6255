"""Clients of the real SDK on a simulated API, a virtual clock and a ledger, for tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx2
from anthropic import Anthropic, AsyncAnthropic

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.layers.annotate import Annotate
from labkit.ledger import Ledger
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport, Simulated, Source
from labkit.tap import AsyncTap, Observer, Tap
from labkit.virtual_loop import run_virtual

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}


class Scripted:
    """A source that plays the replies given, one after the other, and counts requests."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[httpx2.Request] = []

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Play the next one; the last one for ever."""
        self.requests.append(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1]


class Scene:
    """A server, a clock and a ledger; `client` and `async_client` lead to them."""

    def __init__(
        self,
        source: Source | None = None,
        *,
        faults: Sequence[Fault] = (),
        seed: int = 0,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.clock = VirtualClock()
        self.ledger = Ledger(self.clock)
        self.source = source or Simulated(SimulatedApi(seed=seed, faults=faults))
        self.observers = [self.ledger.observe, *observers]

    def client(self, *layers: Layer, **options: Any) -> Anthropic:
        """Return a sync client; without further options the SDK does not retry."""
        transport = Tap(ReplyTransport(self.source, self.clock), self.clock, self.observers)
        return Anthropic(
            http_client=httpx2.Client(transport=transport), **self._with(layers, options)
        )

    def async_client(self, *layers: Layer, **options: Any) -> AsyncAnthropic:
        """Return an async client, to be used inside `run`."""
        transport = AsyncTap(
            AsyncReplyTransport(self.source, self.clock), self.clock, self.observers
        )
        http = httpx2.AsyncClient(transport=transport)
        return AsyncAnthropic(http_client=http, **self._with(layers, options))

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        """Run a coroutine function on virtual time."""

        async def call() -> Any:
            return await main()

        return run_virtual(call(), self.clock)

    def _with(self, layers: Sequence[Layer], options: dict[str, Any]) -> dict[str, Any]:
        stack = [*layers, Annotate()]
        for layer in stack:
            layer.clock = self.clock
        tracing = {"tracer_provider": self.ledger.provider, "propagation": False}
        defaults = {"api_key": "k", "max_retries": 0, "open_telemetry": tracing}
        return {**defaults, "middleware": stack, **options}

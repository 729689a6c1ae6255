"""What a client without words lives through is what a layer sees over the wire."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, AnthropicError, APIError
from msgspec.structs import replace

from labkit.catalog import model
from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.flow import Flow, Outcome, Request, Send
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Ask, Decision, Engine
from labkit.sim.fates import fate
from labkit.sim.faults import FAULTS, Fault
from labkit.sim.transport import ReplyTransport, Simulated

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}
ELSEWHERE = {
    "stream_error": "the fleet streams, so an overload comes as an event; a plain answer is a 529"
}


class Watch(Layer):
    """Keeps what it saw."""

    seen: Outcome | None = None

    def flow(self, request: Request) -> Flow:
        """Send once."""
        self.seen = yield Send(request)
        return self.seen


def over_the_wire(fault: Fault) -> Outcome:
    """Return what a layer sees of a plain answer under a fault."""
    clock, watch = VirtualClock(), Watch()
    watch.clock = clock
    transport = ReplyTransport(Simulated(SimulatedApi(faults=[fault])), clock)
    http = httpx2.Client(transport=transport)
    client = Anthropic(api_key="k", http_client=http, max_retries=0, middleware=[watch])
    with suppress(AnthropicError, ValueError):
        client.messages.create(**ASK)
    assert watch.seen is not None
    return watch.seen


def decided(fault: Fault | None, tokens: int = 100) -> Decision:
    """Let the engine decide on one request under a fault."""
    engine = Engine(faults=[fault] if fault else [], tier=None)
    struck = engine.strike(0.0, model_name="claude-haiku-5-5")
    return engine.decide(Ask(model("claude-haiku-5-5"), 50, 200, tokens), 0.0, struck)


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - set(ELSEWHERE)))
def test_a_fault_is_the_same_to_a_layer_with_and_without_words(kind: str) -> None:
    """Status, type and code agree, and so does whether it may pass."""
    fault = Fault(kind, lasts=30, retry_after=7)
    theirs, ours = over_the_wire(fault), fate(decided(fault), inf).outcome
    for name in ("ok", "status", "error_type", "error_code", "unreachable", "transient"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_nothing_but_what_is_listed_differs() -> None:
    """A difference that is gone must leave the list."""
    for kind in ELSEWHERE:
        fault = Fault(kind)
        assert fate(decided(fault), inf).outcome.status != over_the_wire(fault).status


IN_STREAMS = ("cut", "stream_error")
"""A fleet streams: these end an attempt with its first token."""
BY_SIZE = ("drip",)
"""A drip counts bytes, and an answer without words has a size that is assumed."""


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - set(BY_SIZE)))
def test_a_fault_takes_the_same_time_with_and_without_words(kind: str) -> None:
    """Here for a client that waits as long as the SDK does, to the millisecond."""
    clock, fault = VirtualClock(), Fault(kind, lasts=30, retry_after=7)
    api = SimulatedApi(faults=[fault])
    http = httpx2.Client(transport=ReplyTransport(Simulated(api), clock), timeout=600)
    client = Anthropic(api_key="k", http_client=http, max_retries=0)
    with suppress(APIError, httpx2.HTTPError, ValueError):
        said = client.messages.create(**ASK, stream=kind in IN_STREAMS)
        if kind in IN_STREAMS:
            list(said)
    there = api.engine.decided
    assert there is not None
    if kind == "out_of_tokens":  # the wire has halved the answer before, a fate does it now
        more = there.duration_s - there.first_token_s
        doubled = 2 * there.output_tokens, there.duration_s + more
        there = replace(there, output_tokens=doubled[0], duration_s=doubled[1])
    assert fate(there, 600).seconds == pytest.approx(clock.now(), abs=0.01)


def test_a_late_answer_takes_longer_by_what_the_fault_says() -> None:
    """Pings add their length, slowness multiplies, a drip counts its bytes."""
    usual = fate(decided(None), inf).seconds
    assert fate(decided(Fault("ping_only", lasts=30)), inf).seconds == usual + 30
    assert fate(decided(Fault("slow", factor=3)), inf).seconds == pytest.approx(3 * usual)
    assert fate(decided(Fault("drip", every=2)), inf).seconds == usual + 43 * 2
    assert fate(decided(Fault("ping_only")), 600).outcome.unreachable


def test_a_shorter_answer_is_cheaper_and_sooner_there() -> None:
    """Tokens that are never written are neither waited for nor billed."""
    usual, half = fate(decided(None), inf), fate(decided(Fault("out_of_tokens")), inf)
    assert (usual.output_tokens, half.output_tokens) == (100, 50)
    assert half.seconds < usual.seconds
    assert half.input_tokens == 50


def test_a_refusal_before_any_word_is_free() -> None:
    """One in the middle is not (claude-api.md 1.2)."""
    early, late = (fate(decided(Fault("refusal", after=n)), inf) for n in (0, 10))
    assert (early.input_tokens, early.output_tokens) == (0, 0)
    assert (late.input_tokens, late.output_tokens) == (50, 10)


def test_a_client_that_loses_patience_still_pays() -> None:
    """The answer is made all the same."""
    impatient = fate(decided(None), 0.01)
    assert impatient.outcome.unreachable
    assert (impatient.seconds, impatient.output_tokens) == (0.01, 100)

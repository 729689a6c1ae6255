"""The simulated API's bill: what is charged, and what is not."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest

from labkit.pricing import cost
from labkit.sim.core import SimulatedApi
from labkit.sim.fault_kinds import ANSWERS
from labkit.sim.faults import Fault
from labkit.sim.transport import Simulated
from tests.scenes import ASK, Scene


def billed(fault: Fault | None = None, *, stream: bool = False, **more: Any) -> SimulatedApi:
    """Ask once and return the API with its bill."""
    api = SimulatedApi(faults=[] if fault is None else [fault])
    client = Scene(Simulated(api)).client()
    with contextlib.suppress(anthropic.APIError, httpx2.TransportError, ValueError):
        if stream:
            with client.messages.stream(**{**ASK, **more}) as opened:
                opened.until_done()
        else:
            client.messages.create(**{**ASK, **more})
    return api


def test_an_answer_is_charged_with_its_usage() -> None:
    """The line says for which request and message, and its price is the catalogue's."""
    api = billed()
    (line,) = api.bill.lines
    assert (line.request, line.model) == (1, ASK["model"])
    assert line.message.startswith("msg_sim")
    assert api.bill.total == line.cost == cost(ASK["model"], line.usage) > 0


@pytest.mark.parametrize("kind", [*ANSWERS, "refused", "unavailable", "reset", "refusal"])
def test_what_no_model_has_answered_is_free(kind: str) -> None:
    """Errors, lost requests and a refusal before any output."""
    assert not billed(Fault(kind)).bill.lines


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["silence", "cut", "malformed_json", "wrong_length", "slow"])
def test_an_answer_that_is_lost_on_its_way_is_charged(kind: str, stream: bool) -> None:
    """Whoever asked has caused it."""
    assert billed(Fault(kind, after=2), stream=stream).bill.total == billed().bill.total


def test_a_refusal_in_mid_stream_is_charged() -> None:
    """With the words there were."""
    (line,) = billed(Fault("refusal", after=5)).bill.lines
    assert line.usage.output_tokens == 5


def test_what_has_no_price_is_counted_apart() -> None:
    """Unknown is not zero."""
    api = SimulatedApi()
    message = {"id": "m", "model": "claude-mythos-preview", "stop_reason": "end_turn"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    reply = billed_reply()
    api.bill.charge(1, {**message, "usage": usage}, reply)
    assert (api.bill.total, api.bill.unpriced, api.bill.lines[0].cost) == (Decimal(0), 1, None)


def billed_reply() -> Any:
    """Return a whole reply."""
    from labkit.sim.reply import Reply

    return Reply(200, {}, ((0.1, b"{}"),))


def test_counting_and_batches_are_not_on_it() -> None:
    """One is free, the other has its own results."""
    api = SimulatedApi()
    client = Scene(Simulated(api)).client()
    client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    client.messages.batches.create(requests=[{"custom_id": "a", "params": ASK}])  # type: ignore[typeddict-item]
    assert not api.bill.lines

"""The ledger's sum is the simulated API's bill, and what it cannot know it names.

What no client can know, each with the words of the ledger or its budget:

- an attempt whose answer was lost, timed out or ended in an error event: "without lost attempts";
- a call that ended without its usage, such as a cut stream: its cost is None, with a note;
- the loser of a hedge: "without the attempt that lost";
- a call that ends in an error costs nothing, but its cost is None: it reported no usage.

A budget knows of every one of them: it holds at least what is billed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabkitError
from labkit.layers.budget import Budget
from labkit.layers.deadline import Deadline
from labkit.layers.fallback import Fallback
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.layers.rungs import other_model
from labkit.pricing import total
from labkit.sim.core import SimulatedApi
from labkit.sim.fault_kinds import BATCH_FAULTS, FAULTS
from labkit.sim.faults import Fault
from labkit.sim.transport import Simulated
from tests.scenes import ASK, Scene

WIRE_FAULTS = [kind for kind in FAULTS if kind not in BATCH_FAULTS]
SOME = (anthropic.APIError, httpx2.TransportError, ValueError, LabkitError)
CACHED = {
    "system": [{"type": "text", "text": "Be brief. " * 400}],
    "cache_control": {"type": "ephemeral"},
}


class Books:
    """A simulated API with its bill, a client's ledger, and a budget innermost."""

    def __init__(self, faults: Sequence[Fault], seed: int = 1) -> None:
        self.api = SimulatedApi(seed=seed, faults=faults)
        self.scene = Scene(Simulated(self.api))
        self.budget = Budget(5)

    def call(self, client: Any, *, stream: bool, **more: Any) -> None:
        """Call once, whatever comes of it."""
        with contextlib.suppress(*SOME):
            if stream:
                with client.messages.stream(**{**ASK, **more}) as opened:
                    opened.until_done()
            else:
                client.messages.create(**{**ASK, **more})

    @property
    def unheard(self) -> Decimal:
        """What is billed for attempts that were not the last of their call, or had no usage."""
        known, number = set(), 0
        for call in self.scene.ledger.calls:
            number += call.attempts
            if call.cost_usd is not None:
                known.add(number)
        lines = (line for line in self.api.bill.lines if line.request not in known)
        return total(line.cost for line in lines if line.cost is not None)

    def check(self) -> None:
        """The sums agree, what is left out is named, and the budget covers all of it."""
        ledger, bill = self.scene.ledger, self.api.bill.total
        assert ledger.total() + self.unheard == bill
        notes = [call.cost_note for call in ledger.calls if call.cost_note]
        assert notes or ledger.total() == bill
        assert all(call.cost_note for call in ledger.calls if call.cost_usd is None)
        assert bill <= self.budget.spent
        assert sum(call.attempts for call in ledger.calls) == len(self.budget.lines)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", WIRE_FAULTS)
def test_sums_agree_under_every_fault(kind: str, stream: bool) -> None:
    """One that strikes half of the requests, with retries, and with the prompt cache at work."""
    lasts = 5.0 if kind == "ping_only" else float("inf")
    books = Books([Fault(kind, share=0.5, after=3, lasts=lasts)])
    client = books.scene.client(Deadline(900), Retry(4, seed=1), books.budget)
    for _ in range(4):
        books.call(client, stream=stream, **CACHED)
    books.check()


def test_sums_agree_to_the_cent_where_nothing_goes_wrong() -> None:
    """Reads, writes and all, with nothing left to be named."""
    books = Books([])
    client = books.scene.client(Retry(4, seed=1), books.budget)
    for stream in (False, True, False):
        books.call(client, stream=stream, **CACHED)
    assert books.scene.ledger.total() == books.api.bill.total == books.budget.spent > 0
    assert not any(call.cost_note for call in books.scene.ledger.calls)
    assert any(line.usage.cache_read_input_tokens for line in books.api.bill.lines)


faults = st.builds(
    Fault,
    st.sampled_from([kind for kind in WIRE_FAULTS if kind != "ping_only"]),
    first=st.none() | st.integers(1, 4),
    share=st.sampled_from([0.3, 0.7, 1.0]),
    after=st.integers(0, 12),
)


@settings(max_examples=40)
@given(st.lists(faults, min_size=1, max_size=3), st.booleans(), st.integers(0, 99))
def test_sums_agree_under_any_mixture(struck: list[Fault], stream: bool, seed: int) -> None:
    """Several faults, a ladder down to another model, and retries."""
    books = Books(struck, seed)
    ladder = Fallback(other_model("claude-haiku-4-5"))
    client = books.scene.client(ladder, Retry(3, seed=seed), books.budget)
    for _ in range(3):
        books.call(client, stream=stream)
    books.check()


def test_the_loser_of_a_hedge_is_billed_and_named() -> None:
    """The ledger leaves it out and says so; the budget holds its worst case."""
    books = Books([Fault("slow", first=1, factor=50)])

    async def main() -> None:
        client = books.scene.async_client(Hedge(3.0, budget=1.0), books.budget)
        await client.messages.create(**ASK)

    books.scene.run(main)
    (call,) = books.scene.ledger.calls
    loser, winner = (line.cost for line in books.api.bill.lines)
    assert (loser or 0) > 0
    assert call.cost_usd == winner
    assert call.cost_note.startswith("without the attempt that lost")
    assert books.scene.ledger.total() < books.api.bill.total <= books.budget.spent


def test_a_stream_that_its_reader_gives_up_is_billed_and_named() -> None:
    """Its cost is unknown, and the budget keeps its worst case."""
    books = Books([])
    with books.scene.client(books.budget).messages.stream(**ASK) as opened:
        next(iter(opened))
    (call,) = books.scene.ledger.calls
    assert (call.cost_usd, call.cost_note) == (None, "the call reported no usage, or not all of it")
    assert 0 < books.api.bill.total < books.budget.spent

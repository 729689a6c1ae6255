"""A bill by layer: every call is in the rows of the layers that noted something on it."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import anthropic

from labkit.layer_bill import by_layer
from labkit.layers.retry import Retry
from labkit.layers.route import Route, Rule
from labkit.sim.faults import Fault
from tests.scenes import ASK, Scene


def test_calls_are_found_under_their_notes() -> None:
    """One of three was tried again after a lost answer, all were routed."""
    scene = Scene(faults=[Fault("reset", first=1)])
    client = scene.client(Route(Rule("claude-haiku-4-5")), Retry(3, seed=1))
    for _ in range(3):
        client.messages.create(**ASK)
    rows = {row.note: row for row in by_layer(scene.ledger.calls)}
    assert set(rows) == {"route", "retry"}
    assert (rows["route"].calls, rows["route"].attempts) == (3, 4)
    assert rows["route"].dollars == scene.ledger.total()
    assert (rows["retry"].calls, rows["retry"].incomplete, rows["retry"].unknown) == (1, 1, 0)
    assert 0 < rows["retry"].dollars < rows["route"].dollars


def test_a_call_of_unknown_price_is_counted_and_not_added() -> None:
    """Nor does a call without layers get lost."""
    scene = Scene(faults=[Fault("overloaded")])
    with contextlib.suppress(anthropic.APIStatusError):
        scene.client().messages.create(**ASK)
    (row,) = by_layer(scene.ledger.calls)
    assert (row.note, row.unknown, row.dollars) == ("no layer", 1, Decimal(0))
    assert by_layer([]) == []

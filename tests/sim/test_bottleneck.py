"""A line before one server: who waits, who is dropped, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import role
from labkit.errors import UserError
from labkit.sim.bottleneck import Bottleneck
from labkit.sim.engine import Ask
from labkit.sim.faults import Fault

ASK = Ask(role("fast"), prompt_tokens=100, max_tokens=10, output_tokens=5)


def ends(engine: Bottleneck, *arrivals: float) -> list[float]:
    """Return when each answer is there."""
    return [now + engine.decide(ASK, now, engine.strike(now)).duration_s for now in arrivals]


def test_answers_are_made_one_after_the_other() -> None:
    """Three at once, and one that comes when the line is empty again."""
    assert ends(Bottleneck(4), 0, 0, 0, 2) == pytest.approx([0.25, 0.5, 0.75, 2.25])


def test_in_a_pause_nothing_is_made() -> None:
    """Who comes then, or would have had their turn then, is served after it."""
    engine = Bottleneck(1, pauses=[(1, 5), (6, 8)])
    assert ends(engine, 0, 0.5, 2) == pytest.approx([1, 6, 9])


def test_expired_work_costs_nothing() -> None:
    """It is dropped when its turn comes, is not billed, and the next one is served at once."""
    engine = Bottleneck(1, drops_after=1.5)
    assert ends(engine, 0, 0, 0.1) == [1, 2, inf]
    dropped = engine.decided
    assert dropped is not None
    assert (dropped.prompt_tokens, dropped.output_tokens) == (0, 0)
    assert ends(engine, 1.0) == [3]


def test_a_request_that_never_gets_to_the_service_takes_nobodys_time() -> None:
    """A refused connection is answered by nobody."""
    engine = Bottleneck(1, faults=[Fault("refused", first=1)])
    engine.decide(ASK, 0, engine.strike(0))
    assert ends(engine, 0) == [1]


def test_one_can_see_how_many_wait() -> None:
    """In answers."""
    engine = Bottleneck(10)
    assert engine.waiting(0) == 0
    ends(engine, 0, 0, 0)
    assert engine.waiting(0.1) == pytest.approx(2)
    assert engine.waiting(9) == 0


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 9))
def test_no_more_is_made_than_the_capacity_and_nobody_is_overtaken(
    gaps: list[float], capacity: int
) -> None:
    """Whatever the arrivals: ends are in order, and 1 / capacity apart at least."""
    now, arrivals = 0.0, []
    for gap in gaps:
        now += gap
        arrivals.append(now)
    ready = ends(Bottleneck(capacity), *arrivals)
    for earlier, later in pairwise(ready):
        assert later - earlier >= 1 / capacity - 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bottleneck(0),
        lambda: Bottleneck(1, drops_after=0),
        lambda: Bottleneck(1, pauses=[(5, 1)]),
        lambda: Bottleneck(1, pauses=[(4, 6), (1, 2)]),
    ],
)
def test_nonsense_is_refused(make: Callable[[], Bottleneck]) -> None:
    """In a sentence."""
    with pytest.raises(UserError, match=r"capacity is above 0|Pauses begin"):
        make()

"""A flow asks and is answered: it runs anywhere, and a request is never changed in place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import (
    Effect,
    Flow,
    Note,
    Now,
    Outcome,
    Request,
    Send,
    Sleep,
    Ticket,
    Timeouts,
    Wait,
    first,
)

deadlines = st.none() | st.floats(0, 1e6)
points = st.floats(0, 1e6)


def drive(flow: Flow, world: Callable[[Effect], object]) -> tuple[Outcome, list[Effect]]:
    """Run a flow without any SDK and return (what it returned, what it asked for)."""
    asked: list[Effect] = []
    answer: object = None
    while True:
        try:
            effect = flow.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome, asked
        asked.append(effect)
        answer = world(effect)


def test_a_flow_needs_nothing_but_somebody_who_answers() -> None:
    """Ten lines drive one: no SDK, no clock, no event loop."""

    def twice(request: Request) -> Flow:
        first: Outcome = yield Send(request)
        began: float = yield Now()
        yield Note("again", at=began, reason=first.reason)
        yield Sleep(2.5)
        second: Outcome = yield Send(request)
        return second

    ends = iter([Outcome(status=529), Outcome(status=200)])

    def world(effect: Effect) -> object:
        return next(ends) if isinstance(effect, Send) else 7.0 if isinstance(effect, Now) else None

    outcome, asked = drive(twice(Request()), world)
    assert outcome.ok
    assert [type(effect) for effect in asked] == [Send, Now, Note, Sleep, Send]
    assert isinstance(asked[2], Note)
    assert asked[2].attributes == {"at": 7.0, "reason": "529"}


@given(deadlines, points)
def test_the_earlier_of_two_deadlines_wins(own: float | None, other: float) -> None:
    """A layer further in can only tighten what holds outside."""
    limited = Request(deadline=own).within(other)
    assert limited.deadline == (other if own is None else min(own, other))


@given(deadlines, points, points)
def test_the_order_of_deadlines_does_not_matter(own: float | None, one: float, two: float) -> None:
    """Outer or inner, the caller's patience is the same."""
    request = Request(deadline=own)
    assert request.within(one).within(two) == request.within(two).within(one)


@given(points, points)
def test_a_later_deadline_leaves_the_request_as_it_is(own: float, later: float) -> None:
    """Nobody copies what does not change."""
    request = Request(deadline=own)
    if later >= own:
        assert request.within(later) is request


def test_a_deadline_leaves_the_rest_of_the_request_alone() -> None:
    """Every other field goes on, the body as the same object."""
    request = Request({"model": "m"}, "/v1/other", "PUT", True, None, Timeouts(3.0), 1)
    assert (request.path, request.method, request.stream) != ("/v1/messages", "POST", False)
    limited = request.within(9)
    assert limited == request.replace(deadline=9)
    assert limited.body is request.body
    assert request.deadline is None


@pytest.mark.parametrize(
    ("body", "model"), [({"model": "m"}, "m"), ({}, None), ({"model": 3}, None)]
)
def test_the_model_is_the_bodys(body: dict[str, object], model: str | None) -> None:
    """An endpoint without a model, and a body that is wrong, have none."""
    assert Request(body=body).model == model


def test_a_note_may_have_an_attribute_called_name() -> None:
    """The note's own name does not stand in its way."""
    note = Note("fallback", name="haiku", rung=2)
    assert (note.name, note.attributes) == ("fallback", {"name": "haiku", "rung": 2})


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.integers(0, 4))
def test_the_first_ticket_is_one_that_has_ended_and_nobody_stays_subscribed(
    ended: list[bool], next_to_end: int
) -> None:
    """Those that had ended before count in the order in which they are named."""
    tickets = [Ticket() for _ in ended]
    for ticket, has_ended in zip(tickets, ended, strict=True):
        if has_ended:
            end(ticket)
    waiting = first(tickets, 5.0)
    effect = next(waiting)
    assert isinstance(effect, Wait)
    assert (effect.gate.is_open, effect.until) == (any(ended), 5.0)
    if not any(ended):
        end(tickets[next_to_end % len(tickets)])
        assert effect.gate.is_open
    expected = ended.index(True) if any(ended) else next_to_end % len(tickets)
    with pytest.raises(StopIteration) as done:
        waiting.send(True)
    assert done.value.value is tickets[expected]
    assert not any(ticket.ended._subscribers for ticket in tickets)


def test_no_ticket_is_the_first_if_the_time_comes_first_or_the_flow_is_closed() -> None:
    """Either way nobody stays subscribed."""
    ticket = Ticket()
    waiting = first([ticket], 5.0)
    next(waiting)
    with pytest.raises(StopIteration) as done:
        waiting.send(False)
    assert done.value.value is None
    closed = first([ticket])
    next(closed)
    closed.close()
    assert not ticket.ended._subscribers


def end(ticket: Ticket) -> None:
    """Let a request end."""
    ticket.outcome = Outcome(status=200)
    ticket.ended.open()

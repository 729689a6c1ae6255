"""The crowd of exercises: many watched calls at once, and one call step by step."""

from __future__ import annotations

import pytest

from labkit import Throttle
from labkit.catalog import role
from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Outcome, Request, Send, Sleep
from labkit.lab.exercise_crowd import Call, ask, crowd, small_api
from labkit.lab.exercise_verdict import Wrong
from labkit.sim.traffic import Arrival

PEOPLE = [Arrival(0.0, role("fast").id, 100, 20) for _ in range(60)]


class Waits(Layer):
    """Waits two seconds before it sends."""

    def __init__(self) -> None:
        self.left = 0

    def flow(self, request: Request) -> Flow:
        """Wait and send."""
        try:
            yield Sleep(0.0)
            yield Sleep(2.0)
        except GeneratorExit:
            self.left += 1
            raise
        outcome: Outcome = yield Send(request)
        return outcome


def test_a_crowd_is_not_taken_for_one_call_that_never_stops() -> None:
    """Sixty calls send sixty requests, each watched for itself."""
    result = crowd(Waits(), PEOPLE, small_api())
    assert list(result.attempts["start_s"]) == [2.0] * 60


def test_a_small_api_holds_what_it_refills_in_its_seconds() -> None:
    """Six hundred a minute, of which two seconds at once."""
    statuses = crowd(Waits(), PEOPLE, small_api(requests=600, at_once_s=2)).attempts["status"]
    assert (statuses == 200).sum() == 20


class YieldsNonsense(Layer):
    """Asks for a number."""

    def flow(self, request: Request) -> Flow:  # noqa: ARG002
        """Yield what is no effect."""
        yield 5  # type: ignore[misc]
        return Outcome(status=200)


def test_what_no_flow_may_do_is_met_with_a_wrong() -> None:
    """In a crowd and alone."""
    with pytest.raises(Wrong, match="Your flow yielded `5`"):
        crowd(YieldsNonsense(), PEOPLE, small_api())
    with pytest.raises(Wrong, match="Your flow yielded `5`"):
        Call(YieldsNonsense(), now=0.0)


def test_a_call_is_played_up_to_its_send_and_then_to_its_end() -> None:
    """It says how long it waited, and what it returned."""
    call = Call(Waits(), now=10.0)
    assert (call.sent, call.waited, call.now, call.outcome) == (True, 2.0, 12.0, None)
    answer = Outcome(status=200)
    call.answer(answer)
    assert (call.sent, call.outcome) == (False, answer)


def test_a_caller_may_leave_while_the_call_waits() -> None:
    """The flow is closed at its sleep."""
    layer = Waits()
    call = Call(layer, now=0.0, wait=False)
    assert (call.sent, call.waited) == (False, 0.0)
    call.leave()
    assert layer.left == 1


def test_a_refusal_is_an_outcome_without_a_send() -> None:
    """As a throttle's is."""
    layer = Throttle(requests=60, longest_wait=0.5)
    calls = [Call(layer, now=0.0, request=ask(10)) for _ in range(7)]
    assert [call.sent for call in calls] == [True] * 6 + [False]
    assert calls[-1].outcome is not None
    assert isinstance(calls[-1].outcome.error, Shed)

"""What no flow may do is met with a message that says so, whatever the exercise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import Layer, Note, Now, Outcome, Request, Send, Sleep
from labkit.lab.exercise_stage import play, rehearse
from labkit.lab.exercise_verdict import Wrong


def layer(flow: Callable[[Request], Any]) -> Layer:
    """Return a layer with this flow."""

    class Answer(Layer):
        def flow(self, request: Request) -> Any:
            return flow(request)

    return Answer()


def forgets_yield(request: Request) -> Any:
    """Call it a day at once."""
    return Send(request)


def yields_the_request(request: Request) -> Any:
    """Forget Send."""
    yield request


def yields_seconds(_: Request) -> Any:
    """Forget Sleep."""
    yield 2.5


def yields_a_class(_: Request) -> Any:
    """Forget the brackets."""
    yield Now


def sends_the_outcome(request: Request) -> Any:
    """Mix up what to send."""
    outcome = yield Send(request)
    yield Send(outcome)


def sleeps_backwards(_: Request) -> Any:
    """Subtract in the wrong order."""
    yield Sleep(-1)


def sleeps_for_nothing(_: Request) -> Any:
    """Hand over None, such as a missing retry-after."""
    yield Sleep(None)  # type: ignore[arg-type]


def ends_with_nothing(request: Request) -> Any:
    """Fall off the end."""
    yield Send(request)


def ends_with_the_answer(request: Request) -> Any:
    """Unpack what the caller would unpack."""
    outcome = yield Send(request)
    return outcome.value


def makes_something_up(request: Request) -> Any:
    """Return a failure that nobody can raise."""
    yield Send(request)
    return Outcome(status=529)


def is_async(_: Request) -> Any:
    """Await where a flow yields."""

    async def answer() -> None: ...

    return answer()


def sends_for_ever(request: Request) -> Any:
    """Never give up."""
    while True:
        yield Send(request)


def asks_for_ever(_: Request) -> Any:
    """Wait for a time that does not come."""
    while True:
        yield Now()


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (forgets_yield, "gave a `Send` instead of running step by step"),
        (yields_the_request, "yielded a `Request`. It may yield `Send(request)`"),
        (yields_seconds, "yielded `2.5`"),
        (yields_a_class, "yielded the class `Now`. Call it: `Now(...)`"),
        (sends_the_outcome, "gave it an `Outcome`"),
        (sleeps_backwards, "gave it `-1`"),
        (sleeps_for_nothing, "gave it nothing (`None`)"),
        (ends_with_nothing, "ended with nothing (`None`)"),
        (ends_with_the_answer, "so the failure was swallowed"),
        (makes_something_up, "made up an outcome with nothing in it"),
        (is_async, "gave a `coroutine` instead"),
        (sends_for_ever, "never stops: 50 requests"),
        (asks_for_ever, "asked for 1000 things"),
    ],
)
def test_a_flow_that_is_none_is_told_why(flow: Callable[[Request], Any], message: str) -> None:
    """Under the SDK and in a rehearsal alike."""
    with pytest.raises(Wrong) as under_the_sdk:
        play(layer(flow))
    with pytest.raises(Wrong) as rehearsed:
        rehearse(layer(flow), Outcome(status=529))
    assert message in str(under_the_sdk.value)
    assert message in str(rehearsed.value)


def test_a_flow_that_only_asks_what_it_may_passes() -> None:
    """All four effects are fine, whole seconds too."""

    def good(request: Request) -> Any:
        yield Note("tried", number=1)
        yield Now()
        yield Sleep(1)
        outcome = yield Send(request)
        return outcome

    assert play(layer(good)).sent == [1.0]


def test_a_watched_flow_is_closed_with_its_driver() -> None:
    """What it took is given back when it is stopped half-way."""
    given_back = []

    def takes(request: Request) -> Any:
        try:
            yield Send(request)
            yield "nonsense"
        finally:
            given_back.append("permit")

    with pytest.raises(Wrong):
        play(layer(takes))
    assert given_back == ["permit"]

"""What a layer's deadline and timeouts allow, as points in time."""

from __future__ import annotations

from math import inf

import anthropic
import httpx2
import pytest

from labkit.clock import VirtualClock
from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request, Timeouts
from labkit.limits import Limits, check_time, check_wait, limits_of


@pytest.mark.parametrize("deadline", [None, 100.001, 1e9])
def test_before_the_deadline_nothing_happens(deadline: float | None) -> None:
    """There is time."""
    check_time(Request(deadline=deadline), VirtualClock(100))
    check_wait(Request(deadline=deadline), VirtualClock(100))


@pytest.mark.parametrize("deadline", [100.0, 99.9, 0.0])
def test_from_the_deadline_on_it_is_too_late(deadline: float) -> None:
    """The deadline itself is too late already."""
    with pytest.raises(DeadlineExceeded):
        check_time(Request(deadline=deadline), VirtualClock(100))


def test_what_is_under_way_at_the_deadline_has_timed_out() -> None:
    """It was sent, so the service did not answer in time."""
    with pytest.raises(httpx2.ReadTimeout):
        check_wait(Request(deadline=100.0), VirtualClock(100))


def points(request: Request) -> tuple[float, float, float]:
    """Return when the first content, the last byte and the next content must be there."""
    limits = limits_of(request, Request(), VirtualClock(100))
    assert limits is not None
    return limits.first, limits.last, limits.silent_until()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(deadline=110), (110, 110, 110)),
        (Request(timeout=Timeouts(connect=5)), (inf, inf, inf)),
        (Request(timeout=Timeouts(first_token=3)), (103, inf, inf)),
        (Request(timeout=Timeouts(silence=2)), (inf, inf, 102)),
        (Request(timeout=Timeouts(total=9)), (109, 109, 109)),
        (Request(timeout=Timeouts(5, 3, 2, 9)), (103, 109, 102)),
        (Request(deadline=104, timeout=Timeouts(5, 30, 20, 9)), (104, 104, 104)),
    ],
)
def test_every_length_begins_when_the_layer_sends(
    request_: Request, expected: tuple[float, float, float]
) -> None:
    """And the earliest of them counts."""
    assert points(request_) == expected


def test_a_layer_enforces_only_what_it_has_set_itself() -> None:
    """What it has inherited is enforced further out."""
    asked = Request(deadline=110, timeout=Timeouts(total=3))
    clock = VirtualClock(100)
    assert limits_of(asked, asked, clock) is None
    assert limits_of(Request(body={"a": 1}, deadline=110), Request(deadline=110), clock) is None
    earlier = limits_of(asked.within(105), asked, clock)
    assert earlier is not None
    assert (earlier.first, earlier.timeout) == (105, Timeouts())


def limits(deadline: float | None = None, **timeouts: float) -> Limits:
    """Set limits at second 100."""
    return Limits(VirtualClock(100), Request(), deadline, Timeouts(**timeouts))


def test_a_deadline_that_has_passed_is_named_before_a_timeout() -> None:
    """No further attempt could help."""
    both = limits(105, total=5)
    assert isinstance(both.broken(), anthropic.APITimeoutError)
    assert isinstance(both.clock, VirtualClock)
    both.clock.advance(5)
    assert isinstance(both.broken(), DeadlineExceeded)


def test_a_broken_timeout_is_the_sdks_own_error_and_transient() -> None:
    """It says which timeouts there were, and names the request that was sent."""
    sent = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
    cause = anthropic.APIConnectionError(request=sent)
    found = limits(silence=2).outcome(Outcome(error=cause, unreachable=True))
    assert isinstance(found.error, anthropic.APITimeoutError)
    assert found.transient
    assert found.error.request is sent
    assert found.error.__cause__ is cause
    assert "silence=2" in found.error.__notes__[0]


def test_a_broken_deadline_is_not_transient() -> None:
    """Retry has nothing to do there."""
    found = limits(100).outcome(cause=TimeoutError())
    assert isinstance(found.error, DeadlineExceeded)
    assert not found.transient

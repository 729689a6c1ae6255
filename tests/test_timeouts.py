"""The SDK's timeouts never grow, and never outlast the deadline."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import NotGiven
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Request, Timeouts
from labkit.timeouts import limit_of, shortened, within

lengths = st.none() | st.floats(0.001, 1e4)
numbers = st.integers(1, 10_000) | st.floats(0.001, 1e4)
timeouts: st.SearchStrategy[Any] = (
    st.builds(httpx2.Timeout, connect=lengths, read=lengths, write=lengths, pool=lengths)
    | numbers
    | st.just(NotGiven())
)
FIELDS = ("connect", "read", "write", "pool")


def fields_of(timeout: Any) -> dict[str, float | None]:
    """Spell a timeout out as the SDK would use it."""
    if isinstance(timeout, NotGiven):
        timeout = anthropic.DEFAULT_TIMEOUT
    whole = timeout if isinstance(timeout, httpx2.Timeout) else httpx2.Timeout(timeout)
    return {name: getattr(whole, name) for name in FIELDS}


@given(timeouts, st.floats(0.001, 1e4))
def test_no_length_grows_and_none_passes_the_limit(timeout: Any, limit: float) -> None:
    """Each of the four is the smaller of what it was and what is left."""
    before, after = fields_of(timeout), fields_of(shortened(timeout, limit))
    for name in FIELDS:
        was = before[name]
        assert after[name] == (limit if was is None else min(was, limit))


@given(timeouts, st.floats(0.001, 1e4))
def test_shortening_twice_is_shortening_once(timeout: Any, limit: float) -> None:
    """A layer further in may do it again."""
    once = shortened(timeout, limit)
    assert within(once, limit)
    assert fields_of(shortened(once, limit)) == fields_of(once)


def test_no_timeout_at_all_is_cut_to_the_limit() -> None:
    """A caller who switched timeouts off still has a deadline."""
    assert fields_of(shortened(httpx2.Timeout(None), 7)) == dict.fromkeys(FIELDS, 7)
    assert not within(httpx2.Timeout(None), 7)
    assert not within(None, 7)


@given(timeouts, st.floats(0.01, 1e4))
def test_what_keeps_to_the_limit_is_recognised(timeout: Any, limit: float) -> None:
    """Give or take a millisecond or a hundredth; a timeout nobody gave is not known to."""
    if isinstance(timeout, NotGiven):
        assert not within(timeout, limit)
    else:
        longest = max([inf if one is None else one for one in fields_of(timeout).values()])
        assert within(timeout, limit) == (longest <= limit + max(0.001, limit / 100))


inf = float("inf")


@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        (Request(), None),
        (Request(timeout=Timeouts(total=3)), 3),
        (Request(deadline=110), 10),
        (Request(deadline=110, timeout=Timeouts(total=3)), 3),
        (Request(deadline=110, timeout=Timeouts(total=30)), 10),
        (Request(deadline=100), 0.001),
        (Request(deadline=50), 0.001),
    ],
)
def test_the_limit_is_what_the_timeout_and_the_deadline_leave(
    request_: Request, limit: float | None
) -> None:
    """It is never zero: httpx2 would take that for a poll."""
    assert limit_of(request_, 100) == limit


def test_a_hundredth_more_is_not_worth_a_new_request() -> None:
    """The layers end their own waits, and the SDK's timeouts only stand behind them."""
    assert within(httpx2.Timeout(30.2), 30.0)
    assert not within(httpx2.Timeout(30.4), 30.0)
    assert not within(httpx2.Timeout(0.1), 0.09)


@pytest.mark.parametrize(
    ("timeouts", "plain", "streamed"),
    [
        (Timeouts(connect=5), None, None),
        (Timeouts(first_token=3), 3, None),
        (Timeouts(silence=2), None, None),
        (Timeouts(first_token=3, silence=2), 3, 3),
        (Timeouts(first_token=3, silence=7), 3, 7),
        (Timeouts(first_token=3, silence=7, total=5), 3, 5),
    ],
)
def test_no_silence_that_a_timeout_allows_is_cut_by_the_sdk(
    timeouts: Timeouts, plain: float | None, streamed: float | None
) -> None:
    """The SDK has one length for the first byte and for all others."""
    assert limit_of(Request(timeout=timeouts), 100) == plain
    assert limit_of(Request(timeout=timeouts, stream=True), 100) == streamed


@given(timeouts, st.floats(0.001, 1e4))
def test_only_the_way_there_is_cut_to_the_time_for_connecting(timeout: Any, connect: float) -> None:
    """The pool and the connection; what comes after takes its time."""
    before, after = fields_of(timeout), fields_of(shortened(timeout, inf, connect))
    assert (after["read"], after["write"]) == (before["read"], before["write"])
    for name in ("connect", "pool"):
        was = before[name]
        assert after[name] == (connect if was is None else min(was, connect))
    if None not in (before["read"], before["write"]):
        assert within(shortened(timeout, inf, connect), inf, connect)

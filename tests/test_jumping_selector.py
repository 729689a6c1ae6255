"""The jumping selector: what is ready comes first, and otherwise the clock moves, not the world."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from selectors import EVENT_READ

import pytest

from labkit.clock import VirtualClock
from labkit.errors import Deadlock, SocketRefused, TimeUp
from labkit.jumping_selector import JumpingSelector


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe as (read end, write end)."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def selector() -> Iterator[JumpingSelector]:
    """Give a selector whose clock ends at ten seconds."""
    with JumpingSelector(VirtualClock(), until=10) as made:
        yield made


def test_what_is_ready_is_returned_and_time_stands_still(
    selector: JumpingSelector, pipe: tuple[int, int]
) -> None:
    """A jump past something that has already happened would put events out of order."""
    selector.register(pipe[0], EVENT_READ, "data")
    os.write(pipe[1], b"x")
    [(key, _)] = selector.select(5)
    assert key.data == "data"
    assert selector.clock.now() == 0


def test_nothing_ready_means_a_jump(selector: JumpingSelector) -> None:
    """The wait the loop asked for is over at once."""
    assert selector.select(5) == []
    assert selector.clock.now() == 5


def test_a_poll_moves_nothing(selector: JumpingSelector) -> None:
    """A loop with work to do asks for zero seconds."""
    assert selector.select(0) == []
    assert selector.clock.now() == 0


@pytest.mark.parametrize("pool", ["asyncio", "another"])
def test_a_thread_at_work_is_waited_for(
    selector: JumpingSelector, pipe: tuple[int, int], pool: str
) -> None:
    """It wakes the loop through the pipe; the clock does not move meanwhile."""
    selector.register(pipe[0], EVENT_READ)
    if pool == "asyncio":
        selector.threads_at_work = 1
    else:
        selector.others_at_work = lambda: 1
    threading.Timer(0.01, os.write, (pipe[1], b"x")).start()
    assert len(selector.select(5)) == 1
    assert selector.clock.now() == 0


def test_no_timer_and_nothing_ready_is_a_deadlock(selector: JumpingSelector) -> None:
    """An ordinary loop would hang here."""
    with pytest.raises(Deadlock):
        selector.select(None)


def test_the_end_comes_once(selector: JumpingSelector) -> None:
    """After it the loop may still run what its tasks do to clean up."""
    with pytest.raises(TimeUp):
        selector.select(11)
    assert selector.clock.now() == 10
    selector.select(11)
    assert selector.clock.now() == 21


def test_an_end_that_has_passed_already_does_not_turn_the_clock_back() -> None:
    """A second run on a shared clock may begin after its end."""
    with JumpingSelector(VirtualClock(20), until=10) as selector:
        with pytest.raises(TimeUp):
            selector.select(1)
        assert selector.clock.now() == 20


def test_it_refuses_sockets_once_it_is_closed_to_them(
    selector: JumpingSelector, pipe: tuple[int, int]
) -> None:
    """The loop registers its own pipe first."""
    selector.closed_to_sockets = True
    with pytest.raises(SocketRefused):
        selector.register(pipe[0], EVENT_READ)

"""Alarms end waits at a point in time, and do nothing after they were dropped."""

from __future__ import annotations

import threading
import time
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.alarms import Alarm, Alarms, Watchdog
from labkit.clock import SystemClock, VirtualClock
from labkit.errors import DeadlineExceeded
from tests.sim.serving import eventually

GUARD_S = 20.0


def alarm(due: float, *, repeats: bool = False) -> Alarm:
    """Make an alarm of this thread that ends nothing."""
    return Alarm(due, lambda: True, thread=threading.get_ident(), repeats=repeats)


@given(st.lists(st.floats(0, 100), max_size=6), st.floats(0, 100))
def test_a_sleeper_is_woken_by_the_earliest_of_his_alarms(dues: list[float], length: float) -> None:
    """Or not at all, if none comes before his time is over."""
    clock = VirtualClock()
    for due in dues:
        clock.alarms.set(alarm(due))
    earliest = min(dues, default=inf)
    if earliest < length - 1e-9:
        with pytest.raises(DeadlineExceeded):
            clock.sleep(length)
        assert clock.now() == earliest
    else:
        clock.sleep(length)
        assert clock.now() == length


def test_the_alarms_of_other_threads_wake_nobody_here() -> None:
    """Nor do those that were dropped."""
    clock = VirtualClock()
    clock.alarms.set(Alarm(1, lambda: True, thread=-1, repeats=True))
    dropped = alarm(2)
    clock.alarms.set(dropped)
    clock.alarms.drop(dropped)
    clock.sleep(10)
    assert clock.now() == 10
    assert not dropped.rung


def test_a_sleeper_on_the_machines_clock_is_woken_too() -> None:
    """He sleeps no longer than to the alarm."""
    clock = SystemClock()
    mine = alarm(clock.now() + 0.01, repeats=True)
    clock.alarms.set(mine)
    with pytest.raises(DeadlineExceeded):
        clock.sleep(GUARD_S)
    clock.alarms.drop(mine)
    assert mine.rung


class Bell:
    """Counts how often it is rung; from the ring numbered `finds` on there is something to end."""

    def __init__(self, finds: int = 1) -> None:
        self.finds, self.rings = finds, 0
        self.thread: threading.Thread | None = None

    def end(self) -> bool:
        """Ring."""
        self.rings += 1
        self.thread = threading.current_thread()
        return self.rings >= self.finds


def test_the_watchdog_rings_once_and_forgets() -> None:
    """From a thread of its own, which does not keep the program from ending."""
    dog, bell = Watchdog(time.monotonic), Bell()
    once = Alarm(time.monotonic(), bell.end, repeats=False)
    dog.set(once)
    eventually(lambda: len(dog) == 0)
    assert once.rung
    assert bell.rings == 1
    assert bell.thread is not None
    assert bell.thread.daemon


def test_it_rings_until_there_is_something_to_end() -> None:
    """A call may be between two connections."""
    dog, bell = Watchdog(time.monotonic), Bell(finds=3)
    dog.set(Alarm(time.monotonic(), bell.end, repeats=False))
    eventually(lambda: len(dog) == 0)
    assert bell.rings == 3


def test_a_repeated_alarm_rings_until_it_is_dropped() -> None:
    """A layer inside may have opened another connection."""
    dog, bell = Watchdog(time.monotonic), Bell()
    repeated = Alarm(time.monotonic(), bell.end, repeats=True)
    dog.set(repeated)
    eventually(lambda: bell.rings > 2)
    dog.drop(repeated)
    rings = bell.rings
    time.sleep(0.03)
    assert bell.rings == rings


def test_an_earlier_alarm_is_heard_although_the_watchdog_sleeps() -> None:
    """Whether it is another one or the same one moved."""
    dog, bell = Watchdog(time.monotonic), Bell()
    moved = Alarm(time.monotonic() + 1e6, bell.end, repeats=False)
    dog.set(moved)
    time.sleep(0.02)
    dog.set(Alarm(time.monotonic(), bell.end, repeats=False))
    eventually(lambda: bell.rings == 1)
    moved.due = time.monotonic()
    dog.set(moved)
    eventually(lambda: bell.rings == 2)


def test_a_drop_waits_for_the_ring_that_is_under_way() -> None:
    """After it the connection may belong to somebody else."""
    dog = Watchdog(time.monotonic)
    begun, ended = threading.Event(), threading.Event()

    def slowly() -> bool:
        begun.set()
        time.sleep(0.05)
        ended.set()
        return True

    slow = Alarm(time.monotonic(), slowly, repeats=True)
    dog.set(slow)
    assert begun.wait(GUARD_S)
    dog.drop(slow)
    assert ended.is_set()


def test_an_alarm_may_be_dropped_while_the_watchdog_rings() -> None:
    """A stream that is collected drops its alarm in whatever thread that happens."""
    dog = Watchdog(time.monotonic)
    alarms: list[Alarm] = []

    def drop_all() -> bool:
        for one in alarms:
            dog.drop(one)
        return True

    alarms += [Alarm(time.monotonic(), drop_all, repeats=True) for _ in range(5)]
    for one in alarms:
        dog.set(one)
    eventually(lambda: len(dog) == 0)


def test_alarms_set_by_many_threads_all_ring() -> None:
    """None is lost between setting and sleeping."""
    dog, bells = Watchdog(time.monotonic), [Bell() for _ in range(200)]

    def set_some(mine: list[Bell]) -> None:
        for number, bell in enumerate(mine):
            due = time.monotonic() + number % 7 / 1000
            dog.set(Alarm(due, bell.end, repeats=False))

    threads = [threading.Thread(target=set_some, args=(bells[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(dog) == 0)
    assert [bell.rings for bell in bells] == [1] * 200


def test_an_alarm_that_never_comes_needs_no_watchdog() -> None:
    """No thread begins for it."""
    dog = Watchdog(time.monotonic)
    before = threading.active_count()
    dog.set(alarm(inf))
    assert threading.active_count() == before
    assert isinstance(dog, Alarms)

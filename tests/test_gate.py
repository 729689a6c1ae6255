"""A gate: whoever waits is called back once, whenever they came and whoever opens it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from labkit.gate import Gate

Called = list[str]


def test_who_waits_is_called_back_in_turn_and_once() -> None:
    """Opening it again does nothing."""
    gate, called = Gate(), Called()
    for name in "abc":
        gate.subscribe(partial(called.append, name))
    assert not gate.is_open
    gate.open()
    gate.open()
    assert gate.is_open
    assert called == ["a", "b", "c"]


def test_who_comes_late_is_called_back_at_once() -> None:
    """There is nothing to wait for any more."""
    gate, called = Gate(), Called()
    gate.open()
    gate.subscribe(partial(called.append, "late"))
    assert called == ["late"]


def test_who_has_left_is_not_called_back() -> None:
    """And may leave twice."""
    gate, called = Gate(), Called()
    leaves = partial(called.append, "b")
    gate.subscribe(partial(called.append, "a"))
    gate.subscribe(leaves)
    gate.unsubscribe(leaves)
    gate.unsubscribe(leaves)
    gate.open()
    assert called == ["a"]


def test_no_subscriber_is_missed_or_called_twice_while_threads_open_it() -> None:
    """Subscribing and opening at the same time, over and over."""
    for _ in range(200):
        gate, called, start = Gate(), Called(), threading.Barrier(3)

        def together(act: Callable[[], object], start: threading.Barrier = start) -> None:
            start.wait()
            act()

        subscribing = [partial(gate.subscribe, partial(called.append, name)) for name in "ab"]
        threads = [
            threading.Thread(target=together, args=(act,)) for act in [*subscribing, gate.open]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(called) == ["a", "b"]

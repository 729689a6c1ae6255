"""Ctrl-C during a block that must not be cut short."""

from __future__ import annotations

import signal
import threading

import pytest

from labkit.batch_interrupt import interrupt_held

pytestmark = pytest.mark.usefixtures("ctrl_c")


def press() -> None:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


def test_one_takes_effect_after_the_block() -> None:
    """The block ends first; afterwards Ctrl-C is what it was."""
    before, done = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with interrupt_held():
            press()
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_one_takes_effect_at_once() -> None:
    """Whoever insists is heard, once."""
    done = []

    def work() -> None:
        with interrupt_held():
            press()
            press()
            done.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []


def test_without_one_nothing_happens_and_other_threads_are_left_alone() -> None:
    """Signals belong to the main thread."""
    with interrupt_held():
        pass
    handlers = []

    def elsewhere() -> None:
        with interrupt_held():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]

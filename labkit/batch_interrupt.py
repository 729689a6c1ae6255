"""Hold Ctrl-C back for the moment in which it would lose track of a batch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupt_held"]


@contextmanager
def interrupt_held() -> Iterator[None]:
    """Let a Ctrl-C during the block take effect after it; a second one does so at once.

    Only the main thread ever gets one, so in any other nothing is held.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held = []

    def hold(number: int, frame: object) -> None:
        held.append(number)
        if len(held) > 1:
            before(number, frame)  # type: ignore[arg-type]

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if len(held) == 1:
            signal.raise_signal(signal.SIGINT)

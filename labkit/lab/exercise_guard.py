"""Hold an answer's code while it is checked: no endless loop, no real waiting, the same dice.

Checks run on virtual time.  An answer that sleeps for real, or reads the machine's clock, is
noticed instead of being waited for.
"""

from __future__ import annotations

import ctypes
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["TooLong", "alike", "on_virtual_time", "time_limit"]

CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


class TooLong(BaseException):
    """The time limit passed; not an `Exception`, so that an answer does not catch it by chance."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in this thread, wherever it is in Python code, after `seconds` of real time.

    A thread may raise an exception in another one: that needs no signals, which neither Windows
    nor a process started in the background would deliver.
    """
    thread = threading.get_ident()

    def stop() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(TooLong)
        )

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def on_virtual_time(namespace: dict[str, Any]) -> Iterator[list[str]]:
    """Skip the real sleeps of the code that lives in `namespace`; yield a list of complaints.

    Other code, such as the kernel's own threads, keeps the real functions.
    """
    complaints: list[str] = []
    originals = {name: getattr(time, name) for name in ("sleep", *CLOCKS)}
    stand_ins = {
        original: _stand_in(name, original, namespace, complaints)
        for name, original in originals.items()
    }
    imported = {name: value for name, value in namespace.items() if _is_one_of(value, originals)}
    try:
        for name, original in originals.items():
            setattr(time, name, stand_ins[original])
        namespace.update({name: stand_ins[value] for name, value in imported.items()})
        yield complaints
    finally:
        for name, original in originals.items():
            setattr(time, name, original)
        namespace.update(imported)


def _is_one_of(value: object, originals: dict[str, Callable[..., Any]]) -> bool:
    return any(value is original for original in originals.values())


def _stand_in(
    name: str, original: Callable[..., Any], namespace: dict[str, Any], complaints: list[str]
) -> Callable[..., Any]:
    def stand_in(*args: Any) -> Any:
        if sys._getframe(1).f_globals is not namespace:
            return original(*args)
        if name != "sleep":
            complaints.append(
                f"Your code reads the machine's clock with `time.{name}`. A flow lives on its "
                "driver's clock, which is another: ask for it with `now = yield Now()`."
            )
            return original(*args)
        complaints.append(
            "Your code calls `time.sleep`, which holds up the whole program (and its event loop, "
            "if it has one). A flow only asks for its wait: `yield Sleep(seconds)`."
        )
        return None

    return stand_in


@contextmanager
def alike(seed: int = 0) -> Iterator[None]:
    """Give the global dice a fixed seed, so that every check of an answer goes alike."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)

"""Alarms: a wait of a thread ends at a point in time, even inside of a system call.

A timeout of the SDK is the longest silence between two reads, so a server that sends a byte
now and then outlives every one of them.  An alarm is set for a point in time instead.  On the
machine's clock a watchdog rings it from a thread of its own and ends what is waited for; on a
virtual clock the sleeper itself stops at that time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf

__all__ = ["Alarm", "Alarms", "Watchdog"]

GRACE_S = 0.005
"""An ordinary timeout for the same moment goes first: it knows best what it waited for."""
AGAIN_S = 0.005
"""Seconds to the next ring where the first found nothing to end, or another wait began."""
LONGEST_PAUSE_S = 1.0
ROUNDING_S = 1e-9


class Alarm:
    """One wait of the thread numbered `thread` that shall end at `due`, a time on the clock.

    `end` ends the wait and says whether there was one; `rung` says whether it was ended so.
    With `repeats` it rings on until it is dropped.
    """

    __slots__ = ("due", "end", "repeats", "rung", "thread")

    def __init__(
        self, due: float, end: Callable[[], bool], *, thread: int | None = None, repeats: bool
    ) -> None:
        self.due, self.end, self.repeats = due, end, repeats
        self.thread = thread
        self.rung = False


class Alarms:
    """The alarms that are set on one clock."""

    def __init__(self) -> None:
        self._alarms: set[Alarm] = set()
        # A stream may be collected, and drop its alarm, while this very thread holds the lock.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._alarms)

    def set(self, alarm: Alarm) -> None:
        """Set an alarm, or learn that its `due` was moved."""
        with self._lock:
            self._alarms.add(alarm)

    def drop(self, alarm: Alarm) -> None:
        """Take an alarm away; from now on it does not ring."""
        with self._lock:
            self._alarms.discard(alarm)

    def earliest(self, until: float) -> Alarm | None:
        """Return the first alarm of this thread before `until`, None if there is none."""
        if not self._alarms:
            return None
        thread = threading.get_ident()
        with self._lock:
            mine = [alarm for alarm in self._alarms if alarm.thread == thread]
        first = min(mine, key=lambda alarm: alarm.due, default=None)
        return first if first is not None and first.due < until - ROUNDING_S else None


class Watchdog(Alarms):
    """Rings alarms on the clock `now` from a daemon thread that is there while any are set.

    Whatever an alarm ends is ended under the lock that `drop` takes too: after a `drop` the
    connection may belong to somebody else, and is not touched.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._wakes_at = inf

    def set(self, alarm: Alarm) -> None:
        """Set an alarm, or learn that its `due` was moved."""
        with self._lock:
            self._alarms.add(alarm)
            if alarm.due < self._wakes_at:
                self._wake()

    def _wake(self) -> None:
        if self._thread is not None and self._thread.is_alive():  # after a fork it is not
            self._changed.notify()
            return
        self._thread = threading.Thread(target=self._watch, name="labkit-watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        with self._lock:
            idle = False
            while self._alarms or not idle:
                idle = not self._alarms
                self._ring()
                self._wakes_at = min((alarm.due for alarm in self._alarms), default=inf)
                pause = self._wakes_at + GRACE_S - self._now()
                self._changed.wait(min(max(pause, 0.0), LONGEST_PAUSE_S))
            self._thread, self._wakes_at = None, inf

    def _ring(self) -> None:
        now = self._now()
        for alarm in list(self._alarms):
            if alarm.due + GRACE_S > now:
                continue
            if alarm.end():
                alarm.rung = True
                if not alarm.repeats:
                    self._alarms.discard(alarm)
            alarm.due = now + AGAIN_S

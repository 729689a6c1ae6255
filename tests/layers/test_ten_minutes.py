"""Ten minutes of a fleet at 500 calls a second with an outage: the same seed, the same ten minutes.

Lesson 06 draws them at a smaller rate.  `python -m tests.layers.test_ten_minutes` prints the hash.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from labkit.flow import Outcome
from labkit.layers.breaker import Breaker
from labkit.layers.retry import Retry
from labkit.layers.retry_budget import RetryBudget
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.fleet import Fleet
from labkit.sim.rows import Tally
from labkit.sim.traffic import Task, requests, steady

ROOT = Path(__file__).parents[2]
RATE, LENGTH = 500, 600.0
TROUBLE = Fault("overloaded", start=120, end=240, share=0.8)


class Fingerprint(Tally):
    """Counts, and hashes every call: its number, when it ended, how, after how many attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = hashlib.sha256()
        self.by_minute = [[0, 0] for _ in range(10)]

    def call(self, call: Any, now: float, outcome: Outcome) -> None:
        """Enter a call."""
        super().call(call, now, outcome)
        self.lines.update(f"{call.number} {now!r} {outcome.reason} {call.attempts}\n".encode())
        minute = self.by_minute[int(call.arrival.at // 60)]
        minute[0] += 1
        minute[1] += outcome.ok


def ten_minutes() -> Fingerprint:
    """Play them, and forget each call as soon as it has been entered."""
    seen = Fingerprint()
    chat = Task("chat", prompt=900, output=200)
    stack = [Retry(budget=RetryBudget(0.1), seed=1), Breaker(seed=1)]
    engine = Engine(seed=1, faults=[TROUBLE], tier=None)
    Fleet(stack, engine, seen).run(requests(steady(RATE), until=LENGTH, mix=[chat], seed=1))
    return seen


def test_ten_minutes_at_500_calls_a_second_are_the_same_for_the_same_seed() -> None:
    """Here, and at the same time in another process whose sets and dicts hash otherwise."""
    there = subprocess.Popen(
        [sys.executable, "-m", "tests.layers.test_ten_minutes"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "606"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        here = ten_minutes()
        told, _ = there.communicate()
    finally:
        there.kill()
    assert told.split() == [here.lines.hexdigest()]
    assert abs(here.calls / (RATE * LENGTH) - 1) < 0.01
    before, trouble, after = (share(here, minute) for minute in (0, 3, 6))
    assert before == after == 1
    assert trouble < 0.05


def share(seen: Fingerprint, minute: int) -> float:
    """Return the share of a minute's calls that were answered."""
    calls, answered = seen.by_minute[minute]
    return answered / calls


if __name__ == "__main__":
    print(ten_minutes().lines.hexdigest())

"""An hour of traffic through retry, breaker and throttle: labkit's fleet beside SimPy.

The same scenario is written twice: once with the layers a program ships, once by hand as SimPy
processes.  Both run in one go, in turn; printed are attempts a second of CPU time, the ratio,
what became of the calls on either side, and how much memory a run takes that streams its rows to
files.  The script fails where the two do not agree within four standard errors.

    uv run python benchmarks/fleet.py [--hours 1] [--rate 100] [--rounds 7]
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import mean, median, variance
from typing import Any

import simpy

from labkit.layers.backoff import FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.fleet import Fleet
from labkit.sim.latency import ASSUMED, SPREAD
from labkit.sim.rows import Tally
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival, Task, requests, steady

TASK = Task("question", prompt=900, output=200)
ATTEMPTS, BASE, CAP = 4, 0.5, 30.0
LIMITS: dict[str, Any] = {"requests": 9_000, "input_tokens": 9_000_000, "output_tokens": 2_500_000}
MOST_ERRORS = 4


@dataclass
class Result:
    """What a run counted, and the CPU time it took."""

    calls: int
    answered: int
    attempts: int
    seconds: float

    @property
    def share(self) -> float:
        """Share of calls that were answered."""
        return self.answered / self.calls

    @property
    def pace(self) -> float:
        """Attempts a second."""
        return self.attempts / self.seconds


def trouble(hours: float) -> list[tuple[float, float, float]]:
    """Return (start, end, share that fails) of a brownout, which retries survive, and an outage."""
    length = hours * 3600
    return [(0.4 * length, 0.45 * length, 0.3), (0.7 * length, 0.7 * length + 60, 1.0)]


def stack(seed: int) -> list[Retry | Breaker | Throttle]:
    """Return the layers, outermost first."""
    retry = Retry(ATTEMPTS, backoff=FullJitter(BASE, CAP), seed=seed)
    return [retry, Breaker(seed=seed), Throttle(**LIMITS)]


def engine(hours: float, seed: int) -> Engine:
    """Return the API of the scenario."""
    faults = [Fault("overloaded", start=a, end=b, share=share) for a, b, share in trouble(hours)]
    return Engine(seed=seed, tier=None, faults=faults)


def traffic(hours: float, rate: float, seed: int) -> Iterator[Arrival]:
    """Return the calls."""
    return requests(steady(rate), until=hours * 3600, mix=[TASK], seed=seed)


def with_labkit(hours: float, rate: float, seed: int) -> Result:
    """Run the scenario with labkit's layers and fleet."""
    tally = Tally()
    began = time.process_time()
    Fleet(stack(seed), engine(hours, seed), tally).run(traffic(hours, rate, seed))
    seconds = time.process_time() - began
    return Result(tally.calls, tally.answered, tally.attempts, seconds)


class HandWritten:
    """The same scenario as SimPy processes, with a retry, a breaker and a throttle of its own."""

    def __init__(self, hours: float, rate: float, seed: int) -> None:
        self.env = simpy.Environment()
        self.dice = random.Random(seed)
        self.hours, self.rate = hours, rate
        self.trouble = trouble(hours)
        self.levels = [limit / 10 for limit in LIMITS.values()]
        self.refilled, self.expected = 0.0, 300.0
        self.ends: deque[tuple[float, bool]] = deque()
        self.failures = 0
        self.open_until = -1.0
        self.good_probes, self.probing, self.trips = 0, False, 0
        self.state = "closed"
        self.calls = self.answered = self.attempts = 0

    def traffic(self) -> Generator[Any, Any, None]:
        """Let calls arrive."""
        while True:
            yield self.env.timeout(self.dice.expovariate(self.rate))
            if self.env.now >= self.hours * 3600:
                return
            prompt = max(1, round(TASK.prompt * self.dice.lognormvariate(0, TASK.spread)))
            output = max(1, round(TASK.output * self.dice.lognormvariate(0, TASK.spread)))
            self.env.process(self.call(prompt, output))

    def call(self, prompt: int, output: int) -> Generator[Any, Any, None]:
        """Make a call with retries."""
        self.calls += 1
        for attempt in range(ATTEMPTS):
            verdict = yield from self.guarded(prompt, output)
            if verdict != "failed":
                self.answered += verdict == "answered"
                return
            if attempt + 1 < ATTEMPTS:
                yield self.env.timeout(self.dice.uniform(0, min(CAP, BASE * 2**attempt)))

    def guarded(self, prompt: int, output: int) -> Generator[Any, Any, str]:
        """Ask the breaker, wait for the throttle, send."""
        now = self.env.now
        if self.state == "open":
            if now < self.open_until:
                return "refused"
            self.state, self.good_probes = "half-open", 0
        probe = self.state == "half-open"
        if probe and self.probing:
            return "refused"
        self.probing = self.probing or probe
        gained = (now - self.refilled) / 60
        self.refilled = now
        expected = self.expected
        amounts = (1, prompt, expected)
        wait = 0.0
        for place, limit in enumerate(LIMITS.values()):
            level = min(limit / 10, self.levels[place] + gained * limit) - amounts[place]
            self.levels[place] = level
            wait = max(wait, -level * 60 / limit)
        if wait > 0:
            yield self.env.timeout(wait)
        ok = yield from self.attempt(prompt, output)
        if ok:  # what the answer did not use goes back
            burst = list(LIMITS.values())[2] / 10
            self.levels[2] = min(burst, self.levels[2] + expected - output)
            self.expected += 0.05 * (output - self.expected)
        self.learn(probe, ok)
        return "answered" if ok else "failed"

    def attempt(self, prompt: int, output: int) -> Generator[Any, Any, bool]:
        """Let the API answer, or not."""
        self.attempts += 1
        now = self.env.now
        for start, end, share in self.trouble:
            if start <= now < end and self.dice.random() < share:
                yield self.env.timeout(0.05)
                return False
        speed = ASSUMED["haiku"]
        first = speed.first_token_s + prompt / 1000 * speed.per_1000_prompt_tokens_s
        first *= exp(self.dice.gauss(0, SPREAD))
        pace = exp(self.dice.gauss(0, SPREAD)) / speed.tokens_per_second
        yield self.env.timeout(first + output * pace)
        return True

    def learn(self, probe: bool, ok: bool) -> None:
        """Let the breaker learn how an attempt ended."""
        now = self.env.now
        if probe:
            self.probing = False
            self.good_probes += ok
            if not ok:
                self.trip(now)
            elif self.good_probes >= 2:
                self.state, self.trips, self.failures = "closed", 0, 0
                self.ends.clear()
            return
        self.ends.append((now, ok))
        self.failures += not ok
        while self.ends and self.ends[0][0] <= now - 30:
            self.failures -= not self.ends.popleft()[1]
        if self.state == "closed" and len(self.ends) >= 20 and self.failures * 2 >= len(self.ends):
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open the circuit for a while."""
        ceiling = min(120.0, 5.0 * 2**self.trips)
        self.state, self.trips = "open", self.trips + 1
        self.open_until = now + self.dice.uniform(ceiling / 2, ceiling)


def with_simpy(hours: float, rate: float, seed: int) -> Result:
    """Run the scenario as SimPy processes."""
    scene = HandWritten(hours, rate, seed)
    began = time.process_time()
    scene.env.process(scene.traffic())
    scene.env.run()
    seconds = time.process_time() - began
    return Result(scene.calls, scene.answered, scene.attempts, seconds)


def standard_errors(ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    """Return how many standard errors the two mean shares of answered calls are apart.

    The rounds are the sample: within one, calls share the fate of their circuit.
    """
    one, two = [result.share for result in ours], [result.share for result in theirs]
    error = sqrt((variance(one) + variance(two)) / len(one))
    return abs(mean(one) - mean(two)) / error


def peak_memory(hours: float, rate: float) -> float:
    """Return the most memory in MB that a process held which streams its rows to files."""
    code = f"import fleet; fleet.stream({hours}, {rate})"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=sys.path[0], check=True, capture_output=True, text=True)  # noqa: S603
    return float(run.stdout)


def stream(hours: float, rate: float) -> None:
    """Run the scenario into files and print the most memory in MB that this process held."""
    with tempfile.TemporaryDirectory() as folder:
        calls = traffic(hours, rate, 1)
        simulate(calls, stack=stack(1), api=engine(hours, 1), into=folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def main() -> None:
    """Run both, in turn, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    hours, rate = options.hours, options.rate
    ours, theirs = [], []
    for seed in range(options.rounds):
        ours.append(with_labkit(hours, rate, seed))
        theirs.append(with_simpy(hours, rate, seed))
        print(f"round {seed + 1}:", *map(described, ("labkit", "SimPy"), (ours[-1], theirs[-1])))
    ratios = [one.pace / two.pace for one, two in zip(ours, theirs, strict=True)]
    print(f"labkit's attempts a second against SimPy's: {median(ratios):.2f} (median)")
    apart = standard_errors(ours, theirs)
    print(f"shares of answered calls: {apart:.1f} standard errors apart")
    assert apart <= MOST_ERRORS, "the two scenarios do not agree"
    short, long = peak_memory(hours, rate), peak_memory(10 * hours, rate)
    print(f"most memory held: {short:.1f} MB for the time given, {long:.1f} MB for ten times that")


def described(name: str, result: Result) -> str:
    """Say what came of a run."""
    share = f"{result.share:.3%} of {result.calls:,} answered"
    return f"{name} {result.pace:,.0f} attempts/s, {share}."


if __name__ == "__main__":
    main()

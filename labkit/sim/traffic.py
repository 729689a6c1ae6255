"""Traffic: who calls when, and how much they ask, as a stream of arrivals in order of time.

    requests(steady(100), until=3600, mix=[Task("chat", prompt=900, output=200)], seed=1)

A rate is a function from time (seconds) to calls a second; arrivals are a Poisson process of
that rate (by thinning: P. Lewis and G. Shedler, 1979).  Streams are lazy, so a day of traffic
needs no memory; `merged` puts several together.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, exp, log, pi
from typing import NamedTuple

from labkit.catalog import role
from labkit.errors import UserError
from labkit.sim.dice import bell_pair
from labkit.sim.prefix import Prefix

__all__ = [
    "Arrival",
    "Rate",
    "Task",
    "bursts",
    "conversations",
    "daily",
    "merged",
    "ramp",
    "requests",
    "steady",
]


class Arrival(NamedTuple):
    """A call that somebody makes at `at` (seconds); sizes are in tokens.

    `output_tokens` None lets the engine draw the length; `kind` is free for the scenario.
    `prefix` is the prompt's blocks where prompt caching is asked for: see `labkit.sim.prefix`.
    """

    at: float
    model: str
    prompt_tokens: int
    output_tokens: int | None = None
    max_tokens: int = 4096
    kind: str = ""
    prefix: Prefix | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls a second as a function of time, and the most it ever is (which thinning needs)."""

    at: Callable[[float], float]
    most: float


def steady(per_second: float) -> Rate:
    """The same rate all the time."""
    return Rate(lambda _: per_second, per_second)


def ramp(start: float, end: float, *, over: float) -> Rate:
    """A rate that moves evenly from `start` to `end` within `over` seconds and stays there.

    Raises UserError unless `over` is above zero.
    """
    if not over > 0:
        raise UserError(f"A ramp takes more than 0 seconds, so not {over}.")
    return Rate(lambda t: start + (end - start) * min(1.0, t / over), max(start, end))


def daily(low: float, high: float, *, peak_hour: float = 14.0) -> Rate:
    """A day's wave between `low` and `high`, highest at `peak_hour` (time 0 is midnight)."""

    def at(seconds: float) -> float:
        phase = cos((seconds / 3600 - peak_hour) / 24 * 2 * pi)
        return low + (high - low) * (1 + phase) / 2

    return Rate(at, high)


def bursts(base: float, peak: float, *, every: float, length: float) -> Rate:
    """The base rate, and for `length` seconds at the start of every `every` seconds the peak.

    Raises UserError unless `every` is above zero.
    """
    if not every > 0:
        raise UserError(f"Bursts come more than 0 seconds apart, so not every {every}.")
    return Rate(lambda t: peak if t % every < length else base, max(base, peak))


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of call: median sizes in tokens, their spread, the role of its model, its weight."""

    kind: str
    prompt: int
    output: int
    role: str = "fast"
    weight: float = 1.0
    spread: float = 0.5
    """Sigma of the log-normal factor on both sizes; 0 makes every call alike."""


def requests(
    rate: Rate, *, until: float, mix: Sequence[Task], seed: int = 0, start: float = 0.0
) -> Iterator[Arrival]:
    """Independent calls from `start` until `until` (seconds).  Raises UserError for no tasks."""
    if not mix or not rate.most > 0:
        raise UserError("Traffic needs at least one task and a rate above zero.")
    dice = random.Random(seed)
    weights = [task.weight for task in mix]
    models = {task.role: role(task.role).id for task in mix}
    uniform, rate_at, most = dice.random, rate.at, rate.most
    at, task = start, mix[0]
    while (at := at - log(1.0 - uniform()) / most) < until:  # exponential gaps
        if uniform() * most < rate_at(at):
            if len(mix) > 1:
                task = dice.choices(mix, weights)[0]
            prompt, output = _sizes(task, uniform)
            yield Arrival(at, models[task.role], prompt, output, 4096, task.kind)


def _sizes(task: Task, uniform: Callable[[], float]) -> tuple[int, int]:
    """Draw the tokens of a prompt and of its answer, at least one each."""
    long, wordy = bell_pair(uniform)
    spread = task.spread
    prompt = task.prompt * exp(spread * long) + 0.5
    return int(prompt) or 1, int(task.output * exp(spread * wordy) + 0.5) or 1


def conversations(
    rate: Rate, *, until: float, turns: int, task: Task, think_s: float = 20.0, seed: int = 0
) -> Iterator[Arrival]:
    """Conversations that begin at `rate`; each turn resends everything said before.

    A conversation has 1 to 2 x `turns` - 1 turns; between two of them pass `think_s` seconds
    on average.  Raises UserError unless there are turns and time to think.
    """
    if turns < 1 or not think_s > 0:
        raise UserError("A conversation has at least one turn, and more than 0 seconds to think.")
    dice = random.Random(seed)
    openings = requests(rate, until=until, mix=[task], seed=seed)
    waiting: list[tuple[float, int, int, int]] = []  # (time, tie-breaker, turns left, context)
    opening = next(openings, None)
    order = 0
    while opening is not None or waiting:
        if opening is not None and (not waiting or opening.at <= waiting[0][0]):
            at, left, context = opening.at, dice.randint(1, 2 * turns - 1), 0
            opening = next(openings, None)
        else:
            at, _, left, context = heapq.heappop(waiting)
        prompt, output = _sizes(task, dice.random)
        context += prompt
        yield Arrival(at, role(task.role).id, context, output, kind=task.kind)
        if left > 1:
            order += 1
            later = at + dice.expovariate(1 / think_s)
            heapq.heappush(waiting, (later, order, left - 1, context + output))


def merged(*streams: Iterable[Arrival]) -> Iterator[Arrival]:
    """Several streams as one, in order of time."""
    return heapq.merge(*streams, key=lambda arrival: arrival.at)

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
from math import exp, inf, log

from labkit.catalog import role
from labkit.errors import UserError
from labkit.records import Record
from labkit.sim.dice import bell_pair
from labkit.sim.figures import need_numbers
from labkit.sim.prefix import Prefix
from labkit.sim.rates import Rate, bursts, daily, ramp, steady

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

MOST_SPREAD = 5
"""Already with this one call in a thousand is five million times as large as the median."""
ROUNDING = 1 + 1e-9
"""How far a rate may stray above its most."""


class Arrival(Record, frozen=True):
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
class Task:
    """A kind of call: median sizes in tokens, their spread, the role of its model, its weight.

    Raises UserError for sizes below one token, or a weight or spread that cannot be.
    """

    kind: str
    prompt: int
    output: int
    role: str = "fast"
    weight: float = 1.0
    spread: float = 0.5
    """Sigma of the log-normal factor on both sizes; 0 makes every call alike."""

    def __post_init__(self) -> None:
        figures = {name: getattr(self, name) for name in ("prompt", "output", "weight", "spread")}
        need_numbers("A task", **figures)
        if not (self.prompt >= 1 and self.output >= 1):
            raise UserError(f"A task has at least one token each way, and {self!r} has not.")
        if not (0 < self.weight < inf and 0 <= self.spread <= MOST_SPREAD):
            problem = f"A task's weight is above 0 and its spread from 0 to {MOST_SPREAD}"
            raise UserError(f"{problem}, and {self!r} is otherwise.")


def requests(
    rate: Rate, *, until: float, mix: Sequence[Task], seed: int = 0, start: float = 0.0
) -> Iterator[Arrival]:
    """Independent calls from `start` until `until` (seconds).

    Raises UserError for no tasks, no rate, or a rate that is more than its `most`.
    """
    if not isinstance(rate, Rate):
        raise UserError(f"A rate is steady(...) or another function of time, not {rate!r}.")
    if not isinstance(mix, (list, tuple)) or not mix or not all(isinstance(x, Task) for x in mix):
        raise UserError(f"Traffic is a mix of at least one Task(...), so not {mix!r}.")
    dice = random.Random(seed)
    weights = [task.weight for task in mix]
    models = {task.role: role(task.role).id for task in mix}
    uniform, rate_at, most = dice.random, rate.at, rate.most
    at, task = start, mix[0]
    while (at := at - log(1.0 - uniform()) / most) < until:  # exponential gaps
        wanted = rate_at(at)
        if wanted > most * ROUNDING:
            raise UserError(f"At {at:g} s the rate is {wanted:g}, above its most of {most:g}.")
        if uniform() * most < wanted:
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

"""Door 3: a fleet in one line, the very layers a program ships over a simulated API.

    result = simulate(
        requests(steady(50), until=600, mix=[Task("chat", prompt=900, output=200)]),
        stack=[Retry(seed=1), Breaker(seed=1)],
        api={"tier": "build", "faults": [Fault("overloaded", start=120, end=180, share=0.5)]},
    )
    result.calls, result.attempts, result.notes

Nothing waits and nothing is sent.  Ten minutes of fifty calls a second take about a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

from labkit.errors import UserError
from labkit.sim.engine import Engine
from labkit.sim.figures import need_numbers
from labkit.sim.fleet import Fleet, Layered
from labkit.sim.rows import Kept, ToFiles
from labkit.sim.scenario import Scenario, read_scenario
from labkit.sim.tables import Simulation
from labkit.sim.traffic import Arrival

__all__ = ["Api", "simulate"]

Api: TypeAlias = Engine | Scenario | Mapping[str, Any] | Path | str | None
"""An engine, a scenario, the settings of one as a mapping, or its file."""


def simulate(
    traffic: Iterable[Arrival],
    *,
    stack: Sequence[Layered] = (),
    api: Api = None,
    seed: int | None = None,
    until: float = inf,
    into: Path | str | None = None,
) -> Simulation:
    """Play `traffic` through the layers of `stack`, outermost first, and return what came of it.

    `api` says what the API behind them is like (default: `Scenario()`); `seed` is that of its
    dice, in place of the scenario's.  The simulation ends with the last call, or at `until`
    seconds: calls under way then are given up and leave no row.  `into` names a folder for
    `calls.csv`, `attempts.csv` and `notes.csv`; rows go there as they come into being, so that
    memory stays flat however long the traffic is.

    Layers remember, and so does an engine: make new ones for each simulation, and give layers
    seeds of their own.  Raises UserError for what is not traffic, not a layer or not an API.
    """
    need_numbers("A simulation", until=until, seed=seed)
    if not until >= 0:
        raise UserError(f"A simulation lasts until 0 seconds or later, so not until {until}.")
    engine = _engine(api, seed)
    layers, arrivals = _layers(stack), _arrivals(traffic)
    if into is None:
        kept = Kept()
        Fleet(layers, engine, kept).run(arrivals, until=until)
        return Simulation(kept)
    if not isinstance(into, (str, Path)):
        raise UserError(f"Rows go into a folder, and {into!r} is no name of one.")
    folder = Path(into)
    try:
        files = ToFiles(folder)
    except OSError as error:
        raise UserError(f"Nothing can be written to {folder} ({error.strerror}).") from None
    with files:
        Fleet(layers, engine, files).run(arrivals, until=until)
    return Simulation(folder)


def _engine(api: Api, seed: int | None) -> Engine:
    if isinstance(api, Engine):
        if seed is not None:
            raise UserError("An engine has its own seed: give the seed to the engine instead.")
        if api.requests:
            raise UserError("This engine has served before and remembers it: make a new one.")
        return api
    scenario = _scenario(api)
    return Engine(
        seed=scenario.seed if seed is None else seed,
        faults=scenario.faults,
        tier=scenario.tier,
        comfortable=scenario.comfortable,
        ramp=scenario.ramp,
        spend_cap=scenario.spend_cap,
    )


def _scenario(api: Scenario | Mapping[str, Any] | Path | str | None) -> Scenario:
    if api is None or isinstance(api, Scenario):
        return api if api is not None else Scenario()
    if isinstance(api, (str, Path)):
        return read_scenario(api)
    known = [field.name for field in fields(Scenario)]
    if not isinstance(api, Mapping):
        raise UserError(f"An API is an Engine, a Scenario, its settings or its file, not {api!r}.")
    for name in api:
        if name not in known:
            raise UserError(f"An API has no setting {name!r}; it has {', '.join(known)}.")
    return Scenario(**api)


def _layers(stack: Sequence[Layered]) -> Sequence[Layered]:
    if not isinstance(stack, (list, tuple)):
        raise UserError(f"A stack is a list of layers, outermost first, not {stack!r}.")
    for layer in stack:
        if isinstance(layer, type):
            raise UserError(f"A stack holds layers, not their classes: {layer.__name__}(...).")
        if not callable(getattr(layer, "flow", None)):
            raise UserError(f"A stack is a list of layers, and {layer!r} is none.")
    return stack


def _arrivals(traffic: Iterable[Arrival]) -> Iterator[Arrival]:
    try:
        arrivals = iter(traffic)
    except TypeError:
        raise UserError(f"Traffic is a stream of arrivals, not {traffic!r}.") from None
    first = next(arrivals, None)
    if first is None:
        return arrivals
    if not isinstance(first, Arrival):
        raise UserError(f"Traffic is a stream of arrivals (labkit.sim.traffic), not of {first!r}.")
    return chain([first], arrivals)

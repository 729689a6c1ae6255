"""A scenario: everything a simulated API is told beforehand, in Python or from a small TOML file.

    about = "Half a minute of overload, and one answer that is scripted"
    seed = 7
    tier = "build"              # start, build, scale, or none for no rate limits
    comfortable = 40            # answers at once before everything slows down
    ramp = 2                    # how much more a minute may bring than the ten before, if anything
    spend_cap = 500             # dollars a month, if there is a cap
    speed = 10                  # virtual seconds in a real one, for the server; 0: no waiting

    [[fault]]                   # the fields of labkit.sim.faults.Fault
    kind = "overloaded"
    start = 10
    end = 40

    [[reply]]                   # request = 3, or contains = "...", or matches = "a pattern"
    contains = "refund"
    text = "Of course."         # or content = [{...}], or only a stop_reason

The same in Python is `Scenario(seed=7, tier="build", faults=[Fault("overloaded", start=10,
end=40)], script={"refund": "Of course."})`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from labkit.errors import UserError
from labkit.sim.answers import Script
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.figures import need_numbers
from labkit.sim.scenario_reader import Reader

__all__ = ["Scenario", "parse_scenario", "read_scenario"]

NO_LIMITS = "none"


@dataclass(frozen=True)
class Scenario:
    """What a simulated API does.

    `tier` None lifts the rate limits; `comfortable` is how many answers at once nothing slows
    down for, None for any number.  `ramp` and `spend_cap` are those of `labkit.sim.gate`.
    `speed` is for the server alone.  Raises `UserError` for what cannot be.
    """

    about: str = ""
    seed: int = 0
    tier: str | None = "start"
    comfortable: int | None = None
    ramp: float | None = None
    spend_cap: float | None = None
    speed: float = 1.0
    faults: Sequence[Fault] = ()
    script: Script = field(default_factory=dict)

    def __post_init__(self) -> None:
        Engine(  # raises for nonsense
            seed=self.seed,
            faults=self.faults,
            tier=self.tier,
            comfortable=self.comfortable,
            ramp=self.ramp,
            spend_cap=self.spend_cap,
        )
        if not isinstance(self.script, Mapping):
            raise UserError(f"A script says what to answer to what, so it is not {self.script!r}.")
        need_numbers("A scenario", speed=self.speed)
        if not 0 <= self.speed < inf:
            raise UserError(f"A speed is a number from 0 on, so it cannot be {self.speed}.")


def read_scenario(path: Path | str) -> Scenario:
    """Read a scenario file; raises `UserError`, with line and field, for anything wrong in it."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no scenario file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The scenario file {path} cannot be read: {error}.") from None
    return parse_scenario(text, name=path.name)


def parse_scenario(text: str, *, name: str = "scenario") -> Scenario:
    """Read a scenario from TOML text; `name` is what errors call it."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not valid TOML: {error}.") from None
    reader = Reader(text, name)
    values = reader.settings(table)
    if values.get("tier") == NO_LIMITS:
        values["tier"] = None
    faults = reader.faults(table.get("fault"))
    script = reader.script(table.get("reply"))
    for field_name, value in values.items():
        try:
            Scenario(**{field_name: value})
        except UserError as error:
            raise reader.wrong(error, field=field_name) from None
    return Scenario(faults=faults, script=script, **values)

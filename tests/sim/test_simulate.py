"""Door 3: a fleet in one line, and one sentence for whatever cannot be simulated."""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import UserError
from labkit.layers.retry import Retry
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.scenario import Scenario
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival, Task, requests, steady

FILE = """
seed = 5
tier = "build"
comfortable = 3

[[fault]]
kind = "overloaded"
start = 2
end = 6
share = 0.5
"""
SETTINGS: dict[str, Any] = {
    "seed": 5,
    "tier": "build",
    "comfortable": 3,
    "faults": [Fault("overloaded", start=2, end=6, share=0.5)],
}


def traffic() -> Iterator[Arrival]:
    """Return ten seconds of calls."""
    return requests(steady(5), until=10, mix=[Task("chat", prompt=300, output=40)], seed=2)


def story(**how: Any) -> list[Any]:
    """Return the rows of a simulation."""
    found = simulate(traffic(), stack=[Retry(3, seed=1)], **how)
    return [*found.attempts.itertuples(index=False), *found.calls.itertuples(index=False)]


def test_an_api_is_the_same_however_it_is_described(tmp_path: Path) -> None:
    """A file, its name, a scenario, its settings, an engine."""
    file = tmp_path / "storm.toml"
    file.write_text(FILE)
    told = story(api=SETTINGS)
    assert len(told) > 100
    for api in (file, str(file), Scenario(**SETTINGS), Engine(**SETTINGS)):
        assert story(api=api) == told


def test_the_seed_takes_the_place_of_the_scenarios() -> None:
    """The same one tells the same story, another one another."""
    assert story(api=SETTINGS, seed=5) == story(api=SETTINGS)
    assert story(api=SETTINGS, seed=6) != story(api=SETTINGS)


def test_without_settings_the_api_is_healthy_and_has_limits() -> None:
    """Those of the tier Start: a thousand requests a minute, and what is beyond is refused."""
    calls = [Arrival(0.0, "claude-haiku-5-5", 1, 1)] * 1_100
    found = simulate(calls).calls
    assert found["ok"].sum() == 1_000
    assert set(found["reason"]) == {"ok", "429 rate_limit_error"}


def test_the_end_comes_with_the_last_call_or_earlier() -> None:
    """Which is no row then."""
    found = simulate(traffic(), until=3.0).calls
    assert 0 < len(found) < len(simulate(traffic()).calls)
    assert found["end_s"].max() <= 3.0
    assert len(simulate(traffic(), until=0).calls) == 0


def test_no_traffic_is_no_calls() -> None:
    """And no error."""
    assert len(simulate([]).calls) == 0


def test_a_full_disk_or_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """Before anything is simulated."""
    (tmp_path / "taken").write_text("")
    for into in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(UserError, match="Nothing can be written"):
            simulate(traffic(), into=into)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"traffic": None}, "stream of arrivals"),
        ({"traffic": [1]}, "stream of arrivals"),
        ({"stack": None}, "list of layers"),
        ({"stack": Retry()}, "list of layers"),
        ({"stack": [Retry]}, "not their classes"),
        ({"stack": [3]}, "3 is none"),
        ({"api": 3}, "An API is"),
        ({"api": SimulatedApi()}, "An API is"),
        ({"api": "missing.toml"}, "no scenario file missing.toml"),
        ({"api": {"fault": []}}, "no setting 'fault'"),
        ({"api": {3: []}}, "no setting 3"),
        ({"api": {"tier": "gold"}}, "no tier 'gold'"),
        ({"api": {"comfortable": "many"}}, "comfortable is a number"),
        ({"api": {"ramp": 0.5}}, "A ramp is"),
        ({"api": {"spend_cap": 0}}, "A spend cap is"),
        ({"api": {"faults": [{"kind": "overloaded"}]}}, "Faults are a list"),
        ({"api": {"faults": Fault("overloaded")}}, "Faults are a list"),
        ({"api": {"seed": "seven"}}, "seed is a number"),
        ({"seed": "seven"}, "seed is a number"),
        ({"api": Engine(), "seed": 3}, "has its own seed"),
        ({"until": -1}, "until -1"),
        ({"until": nan}, "until nan"),
        ({"until": "noon"}, "until is a number"),
        ({"into": 3}, "is no name of one"),
    ],
)
def test_what_cannot_be_simulated_is_told_in_a_sentence(how: dict[str, Any], told: str) -> None:
    """Never a traceback of ours."""
    with pytest.raises(UserError) as raised:
        simulate(**{"traffic": traffic(), **how})
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_engine_that_has_served_is_not_used_again() -> None:
    """It remembers: limits, prompt cache, dice."""
    engine = Engine()
    simulate(traffic(), api=engine)
    with pytest.raises(UserError, match="served before"):
        simulate(traffic(), api=engine)

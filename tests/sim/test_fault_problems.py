"""What cannot be is refused in one sentence where it is written."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from labkit.errors import UserError
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.scenario import Scenario


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"kind": "flood"}, "no fault called 'flood'"),
        ({"kind": None}, "no fault called None"),
        ({"kind": "slow", "factor": 0}, "factor is above 0"),
        ({"kind": "slow", "factor": inf}, "factor is above 0"),
        ({"kind": "slow", "factor": nan}, "factor is above 0"),
        ({"kind": "cut", "after": -1}, "cannot be negative"),
        ({"kind": "cut", "after": 1.5}, "after is a whole number"),
        ({"kind": "internal", "first": -1}, "first cannot be -1"),
        ({"kind": "internal", "first": "two"}, "first is a number"),
        ({"kind": "internal", "share": 1.5}, "between 0 and 1"),
        ({"kind": "internal", "share": nan}, "between 0 and 1"),
        ({"kind": "internal", "share": "0.5"}, "share is a number"),
        ({"kind": "internal", "start": 9, "end": 3}, "start at 9 and end at 3"),
        ({"kind": "internal", "start": nan}, "start at nan"),
        ({"kind": "rate_limited", "retry_after": -1}, "cannot be negative"),
        ({"kind": "rate_limited", "retry_after": inf}, "cannot be negative"),
        ({"kind": "rate_limited", "retry_after": "1"}, "retry_after is a number"),
        ({"kind": "drip", "every": 0}, "every is above 0"),
        ({"kind": "drip", "every": inf}, "every is above 0"),
        ({"kind": "ping_only", "lasts": -1}, "lasts cannot be negative"),
        ({"kind": "ping_only", "lasts": nan}, "lasts cannot be negative"),
        ({"kind": "slow", "model": "claude-nonsense"}, "The nearest:"),
        ({"kind": "slow", "model": 3}, "limited to a model there is"),
        ({"kind": "slow", "path": "messages"}, "such as '/v1/messages'"),
        ({"kind": "slow", "path": 3}, "such as '/v1/messages'"),
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_is_refused(how: dict[str, Any], told: str) -> None:
    """A mistyped fault is an error where it is written, not a scene in which nothing happens."""
    with pytest.raises(UserError) as raised:
        Fault(**how)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("maker", [Engine, SimulatedApi, Scenario])
@pytest.mark.parametrize(
    "faults", [None, "overloaded", Fault("overloaded"), [{"kind": "overloaded"}], ["overloaded"]]
)
def test_a_timeline_is_a_list_of_faults(maker: Any, faults: object) -> None:
    """Wherever it is handed over."""
    with pytest.raises(UserError, match="Faults are a list"):
        maker(faults=faults)
    assert maker(faults=[Fault("overloaded")]) is not None
    assert maker(faults=(Fault("overloaded"),)) is not None

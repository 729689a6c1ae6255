"""The states of a circuit and every change it can make, as a table.

The diagram a reader sees is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

__all__ = ["HANDS", "TRANSITIONS", "State", "rows"]


class State(Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced open"
    FORCED_CLOSED = "forced closed"


TRANSITIONS: Mapping[tuple[State, str], State] = MappingProxyType(
    {
        (State.CLOSED, "too many calls failed"): State.OPEN,
        (State.CLOSED, "too many calls were slow"): State.OPEN,
        (State.OPEN, "the rest is over"): State.HALF_OPEN,
        (State.HALF_OPEN, "a probe failed"): State.OPEN,
        (State.HALF_OPEN, "a probe was slow"): State.OPEN,
        (State.HALF_OPEN, "a probe never came back"): State.OPEN,
        (State.HALF_OPEN, "enough probes succeeded"): State.CLOSED,
        **{(state, "an operator opened it"): State.FORCED_OPEN for state in State},
        **{(state, "an operator closed it"): State.FORCED_CLOSED for state in State},
        **{(state, "an operator let go"): State.CLOSED for state in State},
    }
)
"""(state, event) to the next state; every change a circuit can make is here."""

HANDS: Mapping[State, str] = MappingProxyType(
    {
        State.FORCED_OPEN: "an operator opened it",
        State.FORCED_CLOSED: "an operator closed it",
        State.CLOSED: "an operator let go",
    }
)
"""What an operator may make of it, and the event that does."""


def rows() -> list[tuple[str, str, str]]:
    """Return the table as (state, event, next state) for a diagram: a row is an arrow.

    What an operator may do in every state alike is one row from "any".
    """
    hands = set(HANDS.values())
    own = [
        (was.value, event, then.value)
        for (was, event), then in TRANSITIONS.items()
        if event not in hands
    ]
    return own + [("any", event, state.value) for state, event in HANDS.items()]

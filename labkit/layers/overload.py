"""When an outcome says that there is too much load: less should be sent, not more."""

from __future__ import annotations

from labkit.errors import Refused
from labkit.flow import Outcome

__all__ = ["overloaded"]

STATUSES = (429, 503, 529)


def overloaded(outcome: Outcome) -> bool:
    """Say whether the API, or a layer of ours further in, has turned a call away for its load.

    That is a 429, 503 or 529, an overload inside a stream, or a refusal such as an open circuit.
    """
    if outcome.ok:
        return False
    turned_away = outcome.status in STATUSES or outcome.error_type == "overloaded_error"
    return turned_away or isinstance(outcome.error, Refused)

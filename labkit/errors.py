"""Every error labkit raises itself, in one small tree.

    LabkitError
    ├── Refused                   we said no and nothing was sent
    │   ├── CircuitOpen           the breaker keeps callers away from a sick service
    │   ├── Shed                  no room, or not important enough right now
    │   ├── BudgetSpent           the next attempt would cross the budget
    │   └── ContextLimit          the conversation is larger than its limit
    ├── DeadlineExceeded          the caller's patience ran out
    └── BenchError                the bench is wrong, not the service
        ├── CassetteMiss          replay was asked for something never recorded
        ├── CassetteBroken        the cassette file cannot be read
        ├── ArchiveBroken         the archive of conversations cannot be read or written
        ├── SocketRefused         replay or a virtual loop was about to open a socket
        ├── Deadlock              everything on a virtual loop waits for something that cannot come
        ├── TimeUp                a virtual loop reached the end of its allotted time
        ├── UnknownModel          no such model in the catalogue
        ├── UnknownPrice          the catalogue does not know what this costs
        └── UserError             a wrong argument: a lesson, file, mode or command

What the API itself says no to stays the SDK's own exception, untouched
(``anthropic.APIStatusError`` and its children).  A refusal may pass and says when to
come back.  A bench error is never transient and never degraded away.
"""

from __future__ import annotations

__all__ = [
    "ArchiveBroken",
    "BenchError",
    "BudgetSpent",
    "CassetteBroken",
    "CassetteMiss",
    "CircuitOpen",
    "ContextLimit",
    "DeadlineExceeded",
    "Deadlock",
    "LabkitError",
    "Refused",
    "Shed",
    "SocketRefused",
    "TimeUp",
    "UnknownModel",
    "UnknownPrice",
    "UserError",
]


class LabkitError(Exception):
    """The root of everything labkit raises itself."""


class Refused(LabkitError):
    """We said no and nothing was sent; `retry_after` is seconds, None if waiting cannot help."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CircuitOpen(Refused):
    """The circuit breaker is open."""


class Shed(Refused):
    """There is no room for this call, or it matters less than others right now."""


class BudgetSpent(Refused):
    """The next attempt would cross the budget."""


class ContextLimit(Refused):
    """The conversation is larger than the limit set for it."""


class DeadlineExceeded(LabkitError):
    """The whole call's deadline has passed, or the next step could not end before it."""


class BenchError(LabkitError):
    """The bench is wrong: never transient, never retried, never answered by a fallback."""

    def _render_traceback_(self) -> list[str]:
        """Show a notebook's reader the message alone (IPython asks for this)."""
        name = next(kind.__name__ for kind in type(self).__mro__ if kind.__module__ == __name__)
        return [f"{name}: {self}"]


class CassetteMiss(BenchError):
    """Replay was asked for something the cassette does not hold."""


class CassetteBroken(BenchError):
    """A cassette file is missing, truncated or edited into something unreadable."""


class ArchiveBroken(BenchError):
    """The archive's file is damaged, full, locked or forbidden; what it held is left as it is."""


class SocketRefused(BenchError):
    """Something tried to open a network connection where none is allowed."""


class Deadlock(BenchError):
    """A virtual loop has nothing left that could ever wake it."""


class TimeUp(BenchError):
    """A virtual loop reached the end of its allotted virtual time."""


class UnknownModel(BenchError):
    """The catalogue has no model of this name."""


class UnknownPrice(BenchError):
    """The catalogue does not know what this would cost. Unknown is never zero."""


class UserError(BenchError):
    """A wrong argument; the message says what happened and what to do next."""

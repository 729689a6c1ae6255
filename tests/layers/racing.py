"""A flow that starts several requests, driven by hand on a clock of its own."""

from __future__ import annotations

from labkit.flow import Effect, Outcome, Start, Ticket, Wait
from tests.layers.flows import OK, World

Attempt = tuple[float, Outcome]


class RacingWorld(World):
    """Attempts take so many seconds each and end so, in the order in which they are started."""

    def __init__(self, *attempts: Attempt) -> None:
        super().__init__()
        self.attempts = list(attempts)
        self.under_way: list[tuple[float, Ticket, Outcome]] = []

    def answer(self, effect: Effect) -> object:
        """Do what is asked for."""
        if isinstance(effect, Start):
            seconds, outcome = self.attempts.pop(0) if self.attempts else (1.0, OK)
            ticket = Ticket()
            self.sent_at.append(self.now)
            self.under_way.append((self.now + seconds, ticket, outcome))
            return ticket
        if isinstance(effect, Wait):
            return self.wait(effect)
        return super().answer(effect)

    def wait(self, effect: Wait) -> bool:
        """Let attempts end, one after the other, until the gate opens or the time is up."""
        until = float("inf") if effect.until is None else effect.until
        while not effect.gate.is_open:
            next_up = min(self.under_way, key=lambda entry: entry[0], default=None)
            if next_up is None or next_up[0] > until:
                assert until != float("inf"), "the flow would wait for ever"
                self.now = max(self.now, until)
                return False
            self.under_way.remove(next_up)
            self.now, ticket, outcome = next_up
            ticket.outcome = outcome
            ticket.ended.open()
        return True

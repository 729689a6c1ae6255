"""Many flows of one layer driven by hand: who waits, who is on the way, who leaves when."""

from __future__ import annotations

from labkit.drivers import Layer
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Wait
from tests.layers.flows import OK


class Crowd:
    """Calls by number, in the order in which they came; each stops where time would pass."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.now = 0.0
        self.flows: dict[int, Flow] = {}
        self.asks: dict[int, Effect] = {}
        self.sent: list[int] = []
        self.outcomes: dict[int, Outcome] = {}
        self.notes: list[tuple[str, dict[str, object]]] = []

    def come(self, request: Request | None = None) -> int:
        """Let a call arrive and return its number."""
        number = len(self.flows)
        self.flows[number] = self.layer.flow(request or Request())
        self._go_on(number, None)
        return number

    def _go_on(self, number: int, value: object) -> None:
        flow = self.flows[number]
        self.asks.pop(number, None)
        try:
            while True:
                effect = flow.send(value)
                if isinstance(effect, Now):
                    value = self.now
                elif isinstance(effect, Note):
                    self.notes.append((effect.name, dict(effect.attributes)))
                    value = None
                else:
                    self.asks[number] = effect
                    self.sent += [number] * isinstance(effect, Send)
                    return
        except StopIteration as end:
            self.outcomes[number] = end.value

    @property
    def on_the_way(self) -> list[int]:
        """Who has been sent."""
        return [number for number, effect in self.asks.items() if isinstance(effect, Send)]

    def waiting(self, *, granted: bool) -> list[int]:
        """Who stands at a gate that is open, or is not, in order of arrival."""
        return sorted(
            number
            for number, effect in self.asks.items()
            if isinstance(effect, Wait) and effect.gate.is_open is granted
        )

    def wake(self) -> None:
        """Let everybody go on whose gate is open."""
        for number in self.waiting(granted=True):
            self._go_on(number, True)

    def give_up(self, number: int) -> None:
        """Let somebody's time be up at a gate."""
        self._go_on(number, False)

    def finish(self, number: int, outcome: Outcome = OK) -> None:
        """Let a call end that is on its way."""
        self._go_on(number, outcome)

    def cancel(self, number: int) -> None:
        """Close somebody's flow."""
        self.flows[number].close()
        self.asks.pop(number)

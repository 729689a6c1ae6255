"""A flow driven by hand: what it asks for, one effect after the other."""

from __future__ import annotations

from collections.abc import Callable

from labkit.flow import Effect, Flow, Note, Now, Outcome, Send, Sleep

OK = Outcome(status=200)
OVERLOADED = Outcome(status=529, error_type="overloaded_error")


class World:
    """A clock and a service; `run` plays a flow to its end, `until` stops before an effect."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.now = 0.0
        self.outcomes = list(outcomes)
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.sent_at: list[float] = []

    def answer(self, effect: Effect) -> object:
        """Do what is asked for."""
        if isinstance(effect, Now):
            return self.now
        if isinstance(effect, Sleep):
            self.now += effect.seconds
        elif isinstance(effect, Note):
            self.notes.append((effect.name, dict(effect.attributes)))
        else:
            self.sent_at.append(self.now)
            return self.outcomes.pop(0) if self.outcomes else OK
        return None

    def run(self, flow: Flow) -> Outcome:
        """Play a flow and return what it returns."""
        effect = next(flow)
        while True:
            try:
                effect = flow.send(self.answer(effect))
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome

    def cut(self, flow: Flow, steps: int) -> bool:
        """Close a flow at its yield number `steps` (from 0); say whether it got that far."""
        try:
            effect = next(flow)
            for _ in range(steps):
                effect = flow.send(self.answer(effect))
        except StopIteration:
            return False
        flow.close()
        return True


def every_yield(play: Callable[[int], bool]) -> int:
    """Call `play(0)`, `play(1)`, ... until it says that there was no such yield; count them."""
    steps = 0
    while play(steps):
        steps += 1
    return steps


def sends(flow: Flow, world: World) -> Send:
    """Play a flow up to its first `Send` and return that."""
    effect = next(flow)
    while not isinstance(effect, Send):
        effect = flow.send(world.answer(effect))
    return effect

"""What calls of a fleet wait for besides time: gates that others open, and their own branches.

A call that starts several requests becomes a small tree: each request runs as a branch, which is
a call of its own with a stack that begins where its starter's ends.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heapify, heappush
from typing import Any, Protocol, TypeAlias

from labkit.flow import Gate, Outcome, Request, Send, Start, Ticket, Wait
from labkit.sim.fates import Fate
from labkit.sim.under_way import LATER, Call, Steps

__all__ = ["Branch", "Cancelled", "Event", "Grove", "Stage", "Waiting"]


class Cancelled(Exception):
    """An attempt whose answer nobody waits for any more."""


CANCELLED = Outcome(error=Cancelled("the attempt was cancelled"))


class Branch(Call, eq=False, kw_only=True):
    """A request that a call (`root`) has started; it counts its attempts together with it."""

    root: Call

    @classmethod
    def of(cls, starter: Call, turn: int, steps: Steps) -> Branch:
        """Return a branch whose stack begins where its starter's ends."""
        flows = [ABOVE] * (len(starter.flows) - 1) + [steps]
        root = starter.root if isinstance(starter, Branch) else starter
        return cls(starter.number, starter.arrival, flows, turn=turn, root=root)

    def next_attempt(self) -> int:
        """Return the number that the attempt has in the whole call."""
        self.root.attempts += 1
        return self.root.attempts


class Waiting:
    """A call at a gate.  In the heap it stands for the end of the wait, one way or the other."""

    __slots__ = ("call", "gate", "grove", "over")

    def __init__(self, grove: Grove, call: Call, gate: Gate) -> None:
        self.grove, self.call, self.gate = grove, call, gate
        self.over = False
        gate.subscribe(self.wake)

    def wake(self) -> None:
        """Let the call go on now (the gate calls this)."""
        stage = self.grove.stage
        heappush(stage.events, (stage.now, self.call.number, self.call, self))

    def end(self) -> bool:
        """Stop waiting; False if that has happened already and this event is stale."""
        if self.over:
            return False
        self.over = True
        self.gate.unsubscribe(self.wake)
        del self.grove.waiting[self.call]
        return True

    def __lt__(self, other: object) -> bool:
        """Come last of simultaneous events of one call: all but one of them are stale."""
        return False

    def __gt__(self, other: object) -> bool:
        return True


Event: TypeAlias = tuple[float, int, Call, Fate | Waiting | None]


class Stage(Protocol):
    """What is needed of a fleet."""

    now: float
    events: list[Event]

    def advance(self, call: Call, value: Any) -> None:
        """Run a call's flows until they wait for something."""
        ...

    def attempted(self, call: Call, answer: Fate) -> None:
        """Take an attempt that ends now."""
        ...


class _Above:
    """Stands in a branch's stack for the flows of its starter, which are not its own."""

    def send(self, _: Any, /) -> Any:
        raise AssertionError("a branch ends with its own flows")

    def close(self) -> None:
        pass


ABOVE = _Above()


class _Starter:
    """A flow that has started requests: when it ends, those still under way are cancelled."""

    def __init__(self, grove: Grove, flow: Steps) -> None:
        self.grove, self.flow = grove, flow
        self.started: list[tuple[Branch, Ticket]] = []

    def send(self, value: Any, /) -> Any:
        try:
            return self.flow.send(value)
        except BaseException:  # StopIteration brings the flow's outcome
            self.cancel()
            raise

    def close(self) -> None:
        try:
            self.flow.close()
        finally:
            self.cancel()

    def cancel(self) -> None:
        while self.started:
            branch, ticket = self.started.pop()
            if ticket.outcome is None:
                self.grove.fell(branch)


class Grove:
    """The branches of a fleet's calls, and its calls that wait at gates."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.waiting: dict[Call, Waiting] = {}
        self._started = 0

    def wait(self, call: Call, effect: Wait) -> object:
        """Return what the flow is sent at once, or LATER."""
        gate, until, stage = effect.gate, effect.until, self.stage
        if gate.is_open or (until is not None and until <= stage.now):
            return gate.is_open
        waiting = self.waiting[call] = Waiting(self, call, gate)
        if until is not None and until != float("inf"):
            heappush(stage.events, (until, call.number, call, waiting))
        return LATER

    def start(self, call: Call, effect: Start) -> Ticket:
        """Let a branch begin and return its ticket."""
        starter, ticket = call.flows[-1], Ticket()
        if not isinstance(starter, _Starter):
            starter = call.flows[-1] = _Starter(self, starter)
        self._started += 1
        branch = Branch.of(call, self._started, _steps(effect.request, ticket))
        starter.started.append((branch, ticket))
        self.stage.advance(branch, None)
        return ticket

    def fell(self, branch: Branch) -> None:
        """Cancel a branch: an attempt under way ends now, and is billed if its answer would be."""
        stage, waiting = self.stage, self.waiting.get(branch)
        if waiting is not None:
            waiting.end()
        mine = [event for event in stage.events if event[2] is branch]
        if mine:
            stage.events[:] = [event for event in stage.events if event[2] is not branch]
            heapify(stage.events)
        for _, _, _, fate in mine:
            if isinstance(fate, Fate):
                stage.attempted(branch, _cut_short(fate, stage.now - branch.sent_at))
        for flow in reversed(branch.flows):
            flow.close()


def _steps(request: Request, ticket: Ticket) -> Generator[object, Any, None]:
    """Send, hand the outcome over, and stay: a branch's end is not its call's."""
    ticket.outcome = yield Send(request)
    ticket.ended.open()
    yield LATER


def _cut_short(fate: Fate, seconds: float) -> Fate:
    return Fate(seconds, CANCELLED, fate.input_tokens, fate.output_tokens, fate.cached)

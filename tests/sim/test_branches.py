"""A fleet's calls at gates and in branches: who wakes whom, what is cancelled, what is billed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from labkit.errors import Deadlock
from labkit.flow import (
    Flow,
    Gate,
    Note,
    Now,
    Outcome,
    Request,
    Send,
    Sleep,
    Start,
    Ticket,
    Wait,
    first,
)
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.fleet import Fleet, Layered
from labkit.sim.rows import Kept
from labkit.sim.traffic import Arrival

MODEL = "claude-haiku-5-5"
DONE = Outcome(status=200)


class Course:
    """A layer whose n-th call runs the n-th course it was given, the last one for ever."""

    def __init__(self, *courses: Callable[[Request], Flow]) -> None:
        self.courses = list(courses)

    def flow(self, request: Request) -> Flow:
        """Run the next."""
        course = self.courses.pop(0) if len(self.courses) > 1 else self.courses[0]
        return course(request)


def calls(*times: float) -> Iterator[Arrival]:
    """Return calls at these times."""
    return (Arrival(at, MODEL, 100, 10) for at in times)


def play(
    *stack: Layered, at: tuple[float, ...] = (0.0,), until: float = float("inf"), **api: object
) -> Kept:
    """Run a fleet and return its rows."""
    rows = Kept()
    engine = Engine(seed=1, tier=None, **api)  # type: ignore[arg-type]
    Fleet(stack, engine, rows).run(calls(*at), until=until)
    return rows


def waits(gate: Gate, until: float | None = None) -> Callable[[Request], Flow]:
    """Return a course that waits at a gate and notes what came of it and when."""

    def course(_: Request) -> Flow:
        opened = yield Wait(gate, until)
        yield Note("waited", opened=opened, at=(yield Now()))
        return DONE

    return course


def opens(gate: Gate, after: float) -> Callable[[Request], Flow]:
    """Return a course that opens a gate after so many seconds."""

    def course(_: Request) -> Flow:
        yield Sleep(after)
        gate.open()
        return DONE

    return course


@pytest.mark.parametrize(
    ("until", "opened", "at"),
    [
        (None, True, 3.0),
        (float("inf"), True, 3.0),
        (5.0, True, 3.0),
        (3.0, False, 3.0),
        (2.0, False, 2.0),
        (0.0, False, 0.0),
    ],
)
def test_a_call_waits_for_a_gate_or_for_the_time(
    until: float | None, opened: bool, at: float
) -> None:
    """Whichever comes first; what is due at the same moment comes in order of arrival."""
    gate = Gate()
    rows = play(Course(waits(gate, until), opens(gate, 3.0)), at=(0.0, 0.0))
    assert [note.attributes for note in rows.notes] == [{"opened": opened, "at": at}]


def test_an_open_gate_takes_no_time() -> None:
    """Nor does it need anybody."""
    gate = Gate()
    gate.open()
    rows = play(Course(waits(gate)), at=(1.0,))
    assert rows.notes[0].attributes == {"opened": True, "at": 1.0}


def test_all_who_wait_are_woken_once() -> None:
    """A timer that comes after the gate changes nothing any more."""
    gate = Gate()
    rows = play(
        Course(opens(gate, 3.0), waits(gate), waits(gate, 4.0), waits(gate, 9.0)),
        at=(0.0, 1.0, 1.5, 2.0),
    )
    assert [(note.call, note.at_s) for note in rows.notes] == [(2, 3.0), (3, 3.0), (4, 3.0)]
    assert len(rows.calls) == 4


def test_a_second_wait_is_not_ended_by_the_timer_of_the_first() -> None:
    """Also where both would end at the same moment."""
    early, late = Gate(), Gate()

    def twice(_: Request) -> Flow:
        yield Wait(early, 5.0)
        opened = yield Wait(late, 7.0)
        yield Note("waited", opened=opened, at=(yield Now()))
        yield Sleep(0.0)
        return DONE

    rows = play(Course(opens(early, 1.0), twice, opens(late, 5.0)), at=(0.0, 0.0, 0.0))
    assert rows.notes[0].attributes == {"opened": True, "at": 5.0}


def test_who_waits_for_what_nobody_will_do_is_told() -> None:
    """At the end of everything."""
    with pytest.raises(Deadlock, match="2 calls still wait"):
        play(Course(waits(Gate())), at=(0.0, 1.0))


def test_who_still_waits_when_the_time_is_up_is_closed() -> None:
    """Every flow of its stack, and the gate forgets it."""
    gate, ended = Gate(), []

    def outer(request: Request) -> Flow:
        try:
            outcome: Outcome = yield Send(request)
            return outcome
        finally:
            ended.append("outer")

    def inner(_: Request) -> Flow:
        try:
            yield Wait(gate)
            return DONE
        finally:
            ended.append("inner")

    rows = play(Course(outer), Course(inner), until=10.0)
    assert ended == ["inner", "outer"]
    assert rows.calls == []
    gate.open()


def two_at_once(request: Request) -> Flow:
    """Start two, note when the first has ended, and return it."""
    tickets = [(yield Start(request)), (yield Start(request))]
    done = yield from first(tickets)
    assert done is not None
    assert done.outcome is not None
    yield Note("first", number=tickets.index(done))
    return done.outcome


def test_two_requests_of_one_call_are_under_way_at_once() -> None:
    """Numbered in turn; the loser is cut short when the flow ends, and billed."""
    rows = play(Course(two_at_once))
    assert [attempt.attempt for attempt in rows.attempts] in ([1, 2], [2, 1])
    winner, loser = rows.attempts
    assert (winner.start_s, loser.start_s) == (0.0, 0.0)
    assert winner.end_s == loser.end_s == rows.calls[0].end_s
    assert (winner.reason, loser.reason) == ("ok", "Cancelled")
    assert (loser.input_tokens, loser.output_tokens) == (100, 10)
    assert rows.calls[0].attempts == 2


def test_a_branch_runs_through_the_layers_further_in() -> None:
    """Each has flows of its own there: both retries count for themselves."""
    retry = Retry(3, seed=1)
    rows = play(Course(two_at_once), retry, faults=[Fault("internal", first=3)])
    assert rows.calls[0].ok
    assert rows.calls[0].attempts >= 4
    assert sorted(attempt.attempt for attempt in rows.attempts) == list(
        range(1, rows.calls[0].attempts + 1)
    )


def test_a_loser_that_sleeps_or_waits_is_closed_and_leaves_no_attempt() -> None:
    """Nothing of it is on the way."""
    gate, ended = Gate(), []

    def slow(request: Request) -> Flow:
        try:
            yield Sleep(50.0)
            outcome: Outcome = yield Send(request)
            return outcome
        finally:
            ended.append("slow")

    def stuck(_: Request) -> Flow:
        try:
            yield Wait(gate)
            return DONE
        finally:
            ended.append("stuck")

    def three(request: Request) -> Flow:
        tickets = []
        for _ in range(3):
            tickets.append((yield Start(request)))
        done = yield from first(tickets)
        assert done is not None
        assert done.outcome is not None
        return done.outcome

    def quick(request: Request) -> Flow:
        outcome: Outcome = yield Send(request)
        return outcome

    rows = play(Course(three), Course(slow, stuck, quick))
    assert sorted(ended) == ["slow", "stuck"]
    assert len(rows.attempts) == 1
    assert rows.calls[0].end_s < 50


def test_branches_have_branches() -> None:
    """A hedge inside of a race, all cut short together."""
    rows = play(Course(two_at_once), Hedge(0.1), faults=[Fault("ping_only", first=2, lasts=20.0)])
    assert rows.calls[0].ok
    assert len(rows.attempts) == rows.calls[0].attempts == 4
    assert [attempt.reason for attempt in rows.attempts].count("Cancelled") == 3
    assert rows.calls[0].end_s < 5


def test_what_is_started_after_the_deadline_is_not_sent() -> None:
    """Its ticket has ended at once."""

    def late(request: Request) -> Flow:
        ticket: Ticket = yield Start(request.within(-1.0))
        done = yield from first([ticket])
        assert done is ticket
        assert done.outcome is not None
        return done.outcome

    rows = play(Course(late))
    assert rows.attempts == []
    assert rows.calls[0].reason == "DeadlineExceeded"


def test_a_flow_that_ends_before_its_requests_cancels_them() -> None:
    """It need not wait for any."""

    def forgetful(request: Request) -> Flow:
        yield Start(request)
        return DONE

    rows = play(Course(forgetful))
    assert [attempt.reason for attempt in rows.attempts] == ["Cancelled"]
    assert rows.calls[0].end_s == 0.0


def test_a_fleet_that_is_stopped_closes_calls_with_their_branches() -> None:
    """Without rows, like every call that is given up."""
    ended = []

    def inner(request: Request) -> Flow:
        try:
            outcome: Outcome = yield Send(request)
            return outcome
        finally:
            ended.append("inner")

    rows = play(Course(two_at_once), Course(inner), until=0.01)
    assert ended == ["inner", "inner"]
    assert (rows.calls, rows.attempts) == ([], [])


def test_the_same_seed_gives_the_same_rows() -> None:
    """With branches, timers and gates as without."""
    times = tuple(number / 20 for number in range(400))
    faults = [Fault("ping_only", share=0.05, lasts=9.0)]
    one, two = (play(Retry(seed=1), Hedge(1.0), at=times, faults=faults) for _ in range(2))
    assert one.attempts == two.attempts
    assert one.calls == two.calls
    assert one.notes == two.notes

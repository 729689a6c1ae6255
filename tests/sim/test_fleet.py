"""A fleet: calls through layers in order of time, with deadlines, timeouts and clean endings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import DeadlineExceeded, UnknownModel, UserError
from labkit.flow import Do, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit
from labkit.layers.circuit_states import State
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.faults import ERROR_LATENCY_S, Fault
from labkit.sim.fleet import Fleet, Layered
from labkit.sim.rows import Kept, Tally
from labkit.sim.traffic import Arrival, Task, requests, steady

MODEL = "claude-haiku-5-5"
OVERLOADED = Fault("overloaded")


class Course:
    """A layer with the flow it was given."""

    def __init__(self, course: Callable[[Request], Flow]) -> None:
        self.flow = course


def calls_at(*times: float, **sizes: Any) -> list[Arrival]:
    """Return calls at these times."""
    given: dict[str, Any] = {"model": MODEL, "prompt_tokens": 100, "output_tokens": 50, **sizes}
    return [Arrival(at, **given) for at in times]


def played(
    stack: Sequence[Layered],
    traffic: Sequence[Arrival],
    *faults: Fault,
    until: float = inf,
    **settings: Any,
) -> Kept:
    """Play traffic and return the rows."""
    kept = Kept()
    engine = Engine(faults=faults, **{"tier": None, **settings})
    Fleet(stack, engine, kept).run(traffic, until=until)
    return kept


def waits(seconds: float) -> Course:
    """Return a layer that waits before it sends."""

    def flow(request: Request) -> Flow:
        yield Sleep(seconds)
        outcome: Outcome = yield Send(request)
        return outcome

    return Course(flow)


def test_without_layers_a_call_is_an_attempt() -> None:
    """From its arrival to the end of its answer."""
    kept = played([], calls_at(3.0, 4.0))
    assert [(row.start_s, row.attempts, row.reason) for row in kept.calls] == [
        (3.0, 1, "ok"),
        (4.0, 1, "ok"),
    ]
    assert [(row.start_s, row.end_s) for row in kept.attempts] == [
        (row.start_s, row.end_s) for row in kept.calls
    ]


def test_first_listed_is_outermost() -> None:
    """A wait outside of the retry happens once, inside of it for every attempt."""
    outside = played([waits(5), Retry(2, seed=1)], calls_at(0.0), OVERLOADED)
    inside = played([Retry(2, seed=1), waits(5)], calls_at(0.0), OVERLOADED)
    assert outside.attempts[0].start_s == inside.attempts[0].start_s == 5.0
    assert inside.attempts[1].start_s == pytest.approx(outside.attempts[1].start_s + 5)


def test_layers_are_told_the_time_and_leave_notes() -> None:
    """At the moment at which they ask and note."""
    told: list[float] = []

    def flow(request: Request) -> Flow:
        told.append((yield Now()))
        yield Sleep(2.5)
        told.append((yield Now()))
        yield Note("seen", times=len(told))
        outcome: Outcome = yield Send(request)
        return outcome

    kept = played([Course(flow)], calls_at(1.0))
    assert told == [1.0, 3.5]
    assert [(row.call, row.at_s, row.note, row.attributes) for row in kept.notes] == [
        (1, 3.5, "seen", {"times": 2})
    ]


def test_a_wait_that_is_not_positive_takes_no_time() -> None:
    """And the call goes on."""
    assert played([waits(-5)], calls_at(1.0)).attempts[0].start_s == 1.0


def test_what_happens_at_once_happens_in_order_of_arrival() -> None:
    """Whoever called first."""
    kept = played([waits(1)], calls_at(0.0, 0.0, 0.0), OVERLOADED)
    assert [row.call for row in kept.calls] == [1, 2, 3]


# -- deadlines and timeouts -----------------------------------------------------------------------


def test_a_call_ends_at_its_deadline_whatever_is_under_way() -> None:
    """Here a server that says nothing."""
    (row,) = played([Deadline(7)], calls_at(1.0), Fault("silence")).calls
    assert (row.end_s, row.reason) == (8.0, "DeadlineExceeded")


def test_nothing_begins_after_the_deadline() -> None:
    """Whoever sends then is told at once."""
    kept = played([Deadline(3), waits(10)], calls_at(0.0))
    assert kept.attempts == []
    assert kept.calls[0].reason == DeadlineExceeded.__name__


def test_an_attempt_ends_at_its_timeout() -> None:
    """Ten seconds of silence, three times."""
    stack = [Retry(3, seed=1), AttemptTimeout(total=10)]
    kept = played(stack, calls_at(0.0), Fault("silence"))
    lengths = [row.end_s - row.start_s for row in kept.attempts]
    assert lengths == pytest.approx([10, 10, 10])
    assert {row.reason for row in kept.attempts} == {"TimeoutError"}


def test_the_earlier_of_deadline_and_timeout_counts() -> None:
    """The last attempt is shortened to what is left."""
    stack = [Deadline(25), Retry(9, seed=1), AttemptTimeout(total=10)]
    kept = played(stack, calls_at(0.0), Fault("silence"))
    ends = [row.end_s for row in kept.attempts]
    assert ends[0] == 10.0
    assert ends[-1] == kept.calls[0].end_s == 25.0


def test_without_a_timeout_the_usual_patience_is_the_sdks() -> None:
    """Ten minutes of silence."""
    (usual,) = played([], calls_at(0.0), Fault("silence")).attempts
    assert (usual.end_s, usual.reason) == (600.0, "TimeoutError")


@pytest.mark.parametrize("limit", ["first_token", "total"])
def test_an_attempts_timeout_ends_it(limit: str) -> None:
    """A plain answer comes whole, so both limits mean the same; the deadline may be sooner."""
    timeout = AttemptTimeout(**{limit: 5.0})
    (row,) = played([timeout], calls_at(1.0), Fault("silence")).attempts
    assert (row.end_s, row.reason) == (6.0, "TimeoutError")
    (row,) = played([Deadline(2), timeout], calls_at(1.0), Fault("silence")).attempts
    assert row.end_s == 3.0


def test_an_answer_within_the_deadline_is_an_answer() -> None:
    """The deadline changes nothing about it."""
    without, within = (played(stack, calls_at(0.0)) for stack in ([], [Deadline(60)]))
    assert without.calls == within.calls


@given(
    st.floats(0.5, 40),
    st.floats(0.5, 40),
    st.lists(st.sampled_from(["overloaded", "silence", "reset", "internal"]), max_size=5),
    st.integers(0, 99),
)
def test_no_call_outlives_its_deadline_nor_any_attempt_its_timeout(
    deadline: float, timeout: float, kinds: list[str], seed: int
) -> None:
    """Whatever goes wrong, and however often it is tried again."""
    faults = [Fault(kind, share=0.4) for kind in kinds]
    stack = [Deadline(deadline), Retry(5, seed=seed), AttemptTimeout(total=timeout)]
    kept = played(stack, calls_at(0.0, 1.0, 1.5, 30.0), *faults, seed=seed)
    assert len(kept.calls) == 4
    for call in kept.calls:
        assert call.end_s <= call.start_s + deadline + 1e-9
    for attempt in kept.attempts:
        assert attempt.end_s - attempt.start_s <= timeout + 1e-9


# -- the end of the simulation --------------------------------------------------------------------


def test_what_is_under_way_at_the_end_is_given_up() -> None:
    """It leaves no row; later traffic does not begin."""
    kept = played([waits(100)], calls_at(0.0, 50.0, 150.0), OVERLOADED, until=120)
    assert [row.call for row in kept.calls] == [1]
    assert kept.calls[0].end_s == 100 + ERROR_LATENCY_S


@given(st.floats(0, 30))
def test_until_cuts_the_same_story_short(until: float) -> None:
    """What ends before it ends as it would have."""
    traffic = list(requests(steady(2), until=20, mix=[Task("a", 200, 50)], seed=3))
    whole = played([Retry(seed=1)], traffic, Fault("overloaded", share=0.3))
    part = played([Retry(seed=1)], traffic, Fault("overloaded", share=0.3), until=until)
    assert part.calls == [row for row in whole.calls if row.end_s <= until]
    assert part.attempts == [row for row in whole.attempts if row.end_s <= until]
    assert part.notes == [row for row in whole.notes if row.at_s <= until]


def test_a_probe_that_is_given_up_gives_its_permit_back() -> None:
    """A circuit is not half-open for ever because a simulation has ended."""
    breaker = Breaker(lambda: Circuit(minimum=1, rest=5.0))
    faults = Fault("overloaded", first=1), Fault("silence")
    kept = played([breaker], calls_at(0.0, 100.0, 100.5), *faults, until=101)
    (circuit,) = breaker.circuits.values()
    assert [row.reason for row in kept.calls] == ["529 overloaded_error", "CircuitOpen"]
    assert circuit.state is State.HALF_OPEN
    assert circuit.admit(101.0) is not None


def test_layers_are_closed_from_the_inside_out() -> None:
    """So that each may still rely on what is outside of it."""
    closed: list[str] = []

    def named(name: str) -> Course:
        def flow(request: Request) -> Flow:
            try:
                outcome: Outcome = yield Send(request)
            finally:
                closed.append(name)
            return outcome

        return Course(flow)

    played([named("outer"), named("inner")], calls_at(0.0), Fault("silence"), until=5)
    assert closed == ["inner", "outer"]


def test_layers_are_closed_when_traffic_fails_too() -> None:
    """The error goes on, and nothing stays taken."""
    closed: list[bool] = []

    def flow(request: Request) -> Flow:
        try:
            outcome: Outcome = yield Send(request)
        finally:
            closed.append(True)
        return outcome

    with pytest.raises(UserError):
        played([Course(flow)], calls_at(5.0, 1.0))
    assert closed == [True]


# -- prompts beyond the window --------------------------------------------------------------------


def over_the_wire(words: str, *faults: Fault, tier: str | None) -> tuple[int, str | None]:
    """Return status and type of the wire's answer to a prompt."""
    api = SimulatedApi(faults=faults, tier=tier)
    messages = [{"role": "user", "content": words}]
    body = json.dumps({"model": "claude-fable-5-2", "max_tokens": 9, "messages": messages})
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    reply = api.reply("POST", "/v1/messages", headers, body.encode(), 0.0)
    error = json.loads(reply.body).get("error") if reply.body.startswith(b"{") else None
    return reply.status, error and error["type"]


@pytest.mark.parametrize(
    ("size", "tier", "kinds"),
    [
        (999_990, None, ()),
        (1_000_400, None, ()),
        (1_000_400, "start", ()),
        (1_000_400, "scale", ()),
        (1_000_400, None, ("overloaded",)),
        (1_000_400, "start", ("slow",)),
    ],
)
def test_a_prompt_beyond_the_window_is_refused_as_on_the_wire(
    size: int, tier: str | None, kinds: tuple[str, ...]
) -> None:
    """After the allowance of a minute, and not where a fault has struck before."""
    faults = [Fault(kind) for kind in kinds]
    prompt = "ab cd" * ((size - 3) // 2)
    traffic = calls_at(0.0, model="claude-fable-5-2", prompt_tokens=size, max_tokens=9)
    (row,) = played([Retry(3, seed=1)], traffic, *faults, tier=tier).attempts[:1]
    status, kind = over_the_wire(prompt, *faults, tier=tier)
    assert row.reason == ("ok" if kind is None else f"{status} {kind}")


def test_a_prompt_that_is_too_long_is_neither_billed_nor_tried_again() -> None:
    """It will not become shorter."""
    traffic = calls_at(0.0, prompt_tokens=1_000_001)
    kept = played([Retry(3, seed=1)], traffic)
    (row,) = kept.attempts
    assert (row.input_tokens, row.output_tokens) == (0, 0)
    assert kept.calls[0].reason == "400 invalid_request_error"


# -- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "traffic",
    [
        calls_at(5.0, 4.0),
        calls_at(-1.0),
        calls_at(float("nan")),
        calls_at(inf),
        calls_at(0.0, prompt_tokens=-1),
        calls_at(0.0, output_tokens=-1),
        calls_at(0.0, max_tokens=-1),
    ],
    ids=str,
)
def test_traffic_that_cannot_be_is_refused(traffic: list[Arrival]) -> None:
    """In one sentence."""
    with pytest.raises(UserError):
        played([], traffic)


def test_an_unknown_model_is_refused() -> None:
    """With the nearest that there are."""
    with pytest.raises(UnknownModel, match="The nearest"):
        played([], calls_at(0.0, model="gpt"))


def nonsense(_: Request) -> Flow:
    """Yield what is no effect."""
    outcome: Outcome = yield 5  # type: ignore[misc]
    return outcome


def no_outcome(request: Request) -> Flow:
    """Return what is no outcome."""
    yield Send(request)
    return None  # type: ignore[return-value]


@pytest.mark.parametrize("course", [nonsense, no_outcome])
def test_a_flow_that_is_none_is_a_type_error(course: Callable[[Request], Flow]) -> None:
    """As with the SDK."""
    with pytest.raises(TypeError, match="flow"):
        played([Course(course)], calls_at(0.0))


def test_a_tally_counts_what_rows_would_tell() -> None:
    """Calls, answers and attempts."""
    traffic = list(requests(steady(5), until=20, mix=[Task("a", 200, 50)], seed=3))
    fault = Fault("overloaded", share=0.5)
    kept, tally = Kept(), Tally()
    for sink in (kept, tally):
        Fleet([Retry(2, seed=1)], Engine(faults=[fault], tier=None), sink).run(traffic)
    assert tally.calls == len(kept.calls)
    assert tally.answered == sum(row.ok for row in kept.calls)
    assert tally.attempts == len(kept.attempts) == sum(row.attempts for row in kept.calls)


def test_work_that_takes_real_time_takes_none_in_a_fleet() -> None:
    """It is done at once."""

    def course(request: Request) -> Flow:
        found = yield Do(lambda: 42)
        yield Note("found", what=found)
        outcome: Outcome = yield Send(request)
        return outcome

    kept = played([Course(course)], calls_at(1.0))
    assert [(row.at_s, row.attributes) for row in kept.notes] == [(1.0, {"what": 42})]

"""A circuit as a machine: it opens for a rate, probes gently, and is never stuck."""

from __future__ import annotations

import random
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from labkit.lab import charts
from labkit.layers.circuit import TRANSITIONS, Circuit, Permit, State
from labkit.layers.circuit_states import HANDS, rows


def circuit(**settings: float) -> Circuit:
    """Make one whose dice are known."""
    given: dict[str, float] = {"minimum": 4, "window": 30, "rest": 5, **settings}
    return Circuit(dice=random.Random(1), **given)  # type: ignore[arg-type]


def play(one: Circuit, now: float, *ends: bool) -> None:
    """Let calls through one by one; True stands for a failure."""
    for failed in ends:
        permit = one.admit(now)
        assert permit is not None
        one.record(permit, now, failed=failed)


def opened(now: float = 0.0, **settings: float) -> Circuit:
    """Return a circuit that has just opened."""
    one = circuit(**settings)
    play(one, now, True, True, True, True)
    assert one.state is State.OPEN
    return one


def half_open(**settings: float) -> tuple[Circuit, float]:
    """Return a circuit that is about to let probes through, and the time."""
    one = opened(**settings)
    return one, one.statistics(0).rest_left


# -- closed ---------------------------------------------------------------------------------------


def test_2_2_check_1_a_partial_outage_opens_it() -> None:
    """Four failures and a success, over and over: counts in a row would never notice."""
    one = circuit(minimum=19)
    play(one, 0, *([True, True, True, True, False] * 3), True, True, True)
    assert one.admit(0) is not None
    play(one, 0, True)
    assert one.admit(0) is None


def test_2_2_check_2_a_busy_service_with_few_failures_stays_closed() -> None:
    """One failure in a hundred is no outage, however many there are."""
    one = circuit(minimum=20)
    for second in range(60):
        play(one, second, *([True] + [False] * 99))
    assert one.state is State.CLOSED
    assert one.statistics(59).failures >= 27


def test_few_calls_prove_nothing() -> None:
    """Below the minimum nothing opens it."""
    one = circuit(minimum=4)
    play(one, 0, True, True, True)
    assert one.state is State.CLOSED


def test_old_failures_do_not_count() -> None:
    """The window has moved on."""
    one = circuit(minimum=4)
    play(one, 0, True, True, True)
    play(one, 31, True)
    assert one.state is State.CLOSED


def test_slow_calls_open_it_too() -> None:
    """Where somebody said what slow is."""
    one = circuit(slow_after=2, slow_rate=0.5)
    for _ in range(4):
        permit = one.admit(0)
        assert permit is not None
        one.record(permit, 3, failed=False)
    assert one.state is State.OPEN


# -- open and half-open ---------------------------------------------------------------------------


def test_open_it_lets_nobody_through_until_its_rest_is_over() -> None:
    """Then one probe goes first."""
    one = opened()
    left = one.statistics(0).rest_left
    assert 2.5 <= left <= 5
    assert one.admit(left - 0.001) is None
    probe = one.admit(left)
    assert probe is not None
    assert probe.probe
    assert one.state is State.HALF_OPEN


@pytest.mark.parametrize("probes", [1, 3])
def test_2_2_check_3_no_more_probes_at_once_than_allowed(probes: int) -> None:
    """Fifty callers ask at the same moment, and the service is asked once, or thrice."""
    one, now = half_open(probes=probes, successes=5)
    assert sum(one.admit(now) is not None for _ in range(50)) == probes


def test_enough_good_probes_close_it_and_the_past_is_forgotten() -> None:
    """Two in a row."""
    one, now = half_open(successes=2)
    play(one, now, False)
    assert one.state is State.HALF_OPEN
    play(one, now, False)
    assert (one.state, one.statistics(now).calls) == (State.CLOSED, 0)


def test_2_2_check_10_failed_probes_make_the_rest_longer_up_to_a_limit() -> None:
    """Doubled each time, less a random part, so that a fleet does not probe in step."""
    one, now = half_open(rest=5, longest_rest=60)
    rests = []
    for _ in range(6):
        play(one, now, True)
        rests.append(one.statistics(now).rest_left)
        now += rests[-1]
    for rest, ceiling in zip(rests, (10, 20, 40, 60, 60, 60), strict=True):
        assert ceiling / 2 <= rest <= ceiling
    assert len(set(rests)) == 6


def test_a_recovery_makes_the_next_rest_short_again() -> None:
    """Old trouble is not held against it."""
    one, now = half_open()
    play(one, now, True)
    now += one.statistics(now).rest_left
    play(one, now, False, False)
    play(one, now, True, True, True, True)
    assert one.statistics(now).rest_left <= 5


def test_a_slow_probe_is_no_good_probe() -> None:
    """Where somebody said what slow is."""
    one, now = half_open(slow_after=1)
    probe = one.admit(now)
    assert probe is not None
    one.record(probe, now + 2, failed=False)
    assert one.state is State.OPEN


def test_a_probe_that_never_comes_back_does_not_hold_the_place_for_ever() -> None:
    """After the patience for probes it counts as failed, and another gets its turn."""
    one, now = half_open(probe_patience=60)
    assert one.admit(now) is not None
    assert one.admit(now + 60) is None
    assert one.statistics(now + 60).state is State.HALF_OPEN
    assert one.admit(now + 60.1) is None
    assert one.statistics(now + 60.1).state is State.OPEN
    assert one.admit(now + 100) is not None


# -- late, twice, and taken back ------------------------------------------------------------------


def test_2_2_check_6_a_success_from_before_the_trip_does_not_close_it() -> None:
    """Its permit is of another generation."""
    one = circuit()
    late = [one.admit(0) for _ in range(2)]
    play(one, 0, True, True, True, True)
    now = one.statistics(0).rest_left
    assert one.admit(now) is not None
    for permit in late:
        assert permit is not None
        one.record(permit, now, failed=False)
    assert one.state is State.HALF_OPEN


def test_a_probes_result_counts_once() -> None:
    """Whoever reports twice is heard once."""
    one, now = half_open(successes=2)
    probe = one.admit(now)
    assert probe is not None
    one.record(probe, now, failed=False)
    one.record(probe, now, failed=False)
    assert one.state is State.HALF_OPEN


def test_taking_a_permit_back_frees_one_place_and_not_two() -> None:
    """Permits granted in the same instant are not mixed up."""
    one, now = half_open(probes=2, successes=5)
    first, second = one.admit(now), one.admit(now)
    assert first is not None
    assert second is not None
    one.cancel(first)
    one.cancel(first)
    assert one.admit(now) is not None
    assert one.admit(now) is None


@given(st.lists(st.booleans(), max_size=60))
def test_2_2_check_5_a_cancelled_call_says_nothing(ends: list[bool]) -> None:
    """With cancelled calls in between, the circuit is what it would be without."""
    plain, other = circuit(), circuit()
    for number, failed in enumerate(ends):
        for one in (plain, other):
            permit = one.admit(number * 0.1)
            if permit is not None:
                one.record(permit, number * 0.1, failed=failed)
        cancelled = other.admit(number * 0.1) if other.state is State.CLOSED else None
        if cancelled is not None:
            other.cancel(cancelled)
    assert plain.statistics(6.0) == other.statistics(6.0)


# -- the operator ---------------------------------------------------------------------------------


def test_an_operators_hand_is_stronger() -> None:
    """Forced open nothing passes, forced closed everything does, let go it starts anew."""
    one = circuit()
    one.force(State.FORCED_OPEN, 0)
    assert one.admit(10_000) is None
    one.force(State.FORCED_CLOSED, 0)
    play(one, 0, *([True] * 50))
    assert one.state is State.FORCED_CLOSED
    one.force(State.CLOSED, 0)
    assert (one.state, one.statistics(0).calls) == (State.CLOSED, 0)


@pytest.mark.parametrize("state", sorted(set(State) - set(HANDS), key=str))
def test_what_it_finds_by_itself_cannot_be_forced(state: State) -> None:
    """Open and half-open come with times that only it knows."""
    with pytest.raises(ValueError, match="cannot be forced"):
        circuit().force(state, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"failure_rate": 0},
        {"failure_rate": 1.1},
        {"slow_rate": 0},
        {"minimum": 0},
        {"probes": 0},
        {"successes": 0},
        {"window": 0},
        {"rest": 0},
        {"rest": 10, "longest_rest": 5},
        {"probe_patience": 0},
    ],
    ids=str,
)
def test_nonsense_is_refused(settings: dict[str, float]) -> None:
    """With a sentence that says what the figures may be."""
    with pytest.raises(ValueError, match="Rates lie in"):
        circuit(**settings)


# -- the machine ----------------------------------------------------------------------------------


class CircuitMachine(RuleBasedStateMachine):
    """Calls come, end, are cancelled or never heard of again, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.probes = 2
        self.circuit = Circuit(
            minimum=3,
            window=10,
            rest=2,
            longest_rest=16,
            probes=self.probes,
            successes=3,
            probe_patience=20,
            dice=random.Random(7),
        )
        self.out: list[Permit] = []
        self.read_on: list[Permit] = []
        self.states = [self.circuit.state]

    def watch(self) -> None:
        """Write down the state, if it is another one."""
        if self.circuit.state is not self.states[-1]:
            self.states.append(self.circuit.state)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on."""
        self.now += seconds

    @rule()
    def call(self) -> None:
        """Somebody asks; in time the answer of an open circuit changes, hence both watches."""
        self.circuit.statistics(self.now)
        self.watch()
        permit = self.circuit.admit(self.now)
        self.watch()
        if permit is not None:
            assert self.circuit.state is not State.OPEN
            assert permit.probe == (self.circuit.state is State.HALF_OPEN)
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), failed=st.booleans())
    def end(self, data: st.DataObject, failed: bool) -> None:
        """A call ends."""
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        state, stale = self.circuit.state, permit.generation != self.circuit.generation
        self.circuit.record(permit, self.now, failed=failed)
        if stale:
            assert self.circuit.state is state
        if not failed:
            self.read_on.append(permit)
        self.watch()

    @precondition(lambda self: self.read_on)
    @rule(data=st.data())
    def break_later(self, data: st.DataObject) -> None:
        """A stream that looked good breaks while somebody reads it."""
        permit = self.read_on.pop(data.draw(st.integers(0, len(self.read_on) - 1)))
        state, stale = self.circuit.state, permit.generation != self.circuit.generation
        self.circuit.broke(permit, self.now)
        if stale:
            assert self.circuit.state is state
        self.watch()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A call is cut short."""
        state = self.circuit.state
        self.circuit.cancel(self.out.pop(data.draw(st.integers(0, len(self.out) - 1))))
        assert self.circuit.state is state

    @precondition(lambda self: self.out)
    @rule()
    def lose(self) -> None:
        """A caller dies with its permit."""
        self.out.pop()

    @invariant()
    def at_most_so_many_probes(self) -> None:
        """Those of this generation which are out."""
        current = [p for p in self.out if p.probe and p.generation == self.circuit.generation]
        assert len(current) <= self.probes

    @invariant()
    def every_change_is_in_the_table(self) -> None:
        """Nothing moves where no arrow leads."""
        arrows = {(state, after) for (state, _), after in TRANSITIONS.items()}
        assert all(pair in arrows for pair in pairwise(self.states))

    def teardown(self) -> None:
        """Never stuck: whatever happened, a healthy service is let in again before long."""
        for _ in range(200):
            if self.circuit.state is State.CLOSED:
                break
            self.now += 5
            permit = self.circuit.admit(self.now)
            if permit is not None:
                self.circuit.record(permit, self.now, failed=False)
        assert self.circuit.state is State.CLOSED
        assert self.circuit.admit(self.now) is not None


TestCircuitMachine = CircuitMachine.TestCase
TestCircuitMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_the_diagram_is_drawn_from_the_table() -> None:
    """The very rows go into the chart, and every event is in the drawing."""
    table = pd.DataFrame(rows(), columns=["state", "event", "then"])
    drawn = charts.states(table, "state", "event", "then", title="What a circuit does")
    assert len(drawn.figures) == len(rows()) == len(TRANSITIONS) - 3 * len(State) + 3
    for word in {word for row in rows() for cell in row for word in cell.split()}:
        assert word in drawn.svg

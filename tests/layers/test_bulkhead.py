"""The bulkhead: at most so many at once, first come first served, and nothing is ever lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Outcome, Request
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.deadline import Deadline
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.sim.faults import Fault
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Task, requests, steady
from tests.layers.crowd import Crowd
from tests.layers.flows import OK, OVERLOADED, every_yield

LOST = Outcome(error=TimeoutError("late"), unreachable=True)
ACTS = ("come", "finish", "fail", "cancel a wait", "cancel on the way", "give up", "wake", "later")


def act(crowd: Crowd, name: str, dice: random.Random) -> None:
    """Do something of this name to somebody, if there is anybody to do it to."""
    waiting = crowd.waiting(granted=False) + crowd.waiting(granted=True)
    if name == "come":
        crowd.come()
    elif name == "wake":
        crowd.wake()
    elif name == "later":
        crowd.now += dice.uniform(0, 5)
    elif name in ("finish", "fail", "cancel on the way") and crowd.on_the_way:
        number = dice.choice(crowd.on_the_way)
        if name == "cancel on the way":
            crowd.cancel(number)
        else:
            crowd.finish(number, OK if name == "finish" else dice.choice([OVERLOADED, LOST]))
    elif name == "cancel a wait" and waiting:
        crowd.cancel(dice.choice(waiting))
    elif name == "give up" and waiting:
        crowd.give_up(dice.choice(waiting))


@given(
    st.integers(1, 4),
    st.integers(0, 5),
    st.lists(st.sampled_from(ACTS), max_size=60),
    st.randoms(use_true_random=False),
)
def test_places_are_conserved_whatever_happens(
    limit: int, queue: int, acts: list[str], dice: random.Random
) -> None:
    """Nobody is lost, nobody overtakes, no place stays empty while somebody waits."""
    layer = Bulkhead(limit, queue=queue, longest_wait=1e9)
    crowd, places = Crowd(layer), layer.places
    for name in acts:
        act(crowd, name, dice)
        granted, queued = crowd.waiting(granted=True), crowd.waiting(granted=False)
        assert places.under_way == len(crowd.on_the_way) + len(granted) <= limit
        assert places.waiting == len(queued) <= queue
        assert not queued or places.under_way == limit
        assert not queued or not granted or max(granted) < min(queued)
    for number in list(crowd.asks):
        crowd.cancel(number)
    assert (places.under_way, places.waiting) == (0, 0)


@given(st.integers(1, 3), st.lists(st.sampled_from(ACTS), max_size=60), st.randoms())
def test_calls_are_sent_in_the_order_in_which_they_came(
    limit: int, acts: list[str], dice: random.Random
) -> None:
    """As long as those who may go do so at once."""
    crowd = Crowd(Bulkhead(limit, longest_wait=1e9))
    for name in acts:
        act(crowd, name, dice)
        crowd.wake()
    assert crowd.sent == sorted(crowd.sent)


@pytest.mark.parametrize("others", [0, 1], ids=["at once", "after a wait"])
def test_a_call_cut_short_at_any_yield_leaves_nothing_behind(others: int) -> None:
    """Neither a place nor one in the queue."""

    def play(step: int) -> bool:
        layer = Bulkhead(1)
        crowd = Crowd(layer)
        ahead = [crowd.come() for _ in range(others)]
        flow = layer.flow(Request())
        effect = next(flow)
        for _ in range(step):
            name = type(effect).__name__
            if name == "Wait":
                for number in ahead:
                    crowd.finish(number)
            answer = {"Now": 0.0, "Wait": True, "Send": OK}.get(name)
            try:
                effect = flow.send(answer)
            except StopIteration:
                return False
        flow.close()
        for number in crowd.on_the_way:
            crowd.finish(number)
        assert (layer.places.under_way, layer.places.waiting) == (0, 0)
        return True

    assert every_yield(play) == (3 if others == 0 else 6)


def test_a_full_queue_is_refused_at_once_with_the_wait_where_it_is_known() -> None:
    """Nothing is sent, and the caller hears when to come back."""
    crowd = Crowd(Bulkhead(1, queue=1))
    for _ in range(3):
        crowd.come()
    refused = crowd.outcomes[2].error
    assert isinstance(refused, Shed)
    assert refused.retry_after is None
    crowd.now = 6.0
    crowd.finish(0)
    crowd.wake()
    crowd.come()
    number = crowd.come()
    refused = crowd.outcomes[number].error
    assert isinstance(refused, Shed)
    assert refused.retry_after == pytest.approx(12.0)
    assert crowd.notes[-1] == ("refused", {"by": "bulkhead", "because": "queue full"})


@pytest.mark.parametrize("patience", ["deadline", "longest wait"])
def test_a_wait_that_cannot_end_in_time_is_not_begun(patience: str) -> None:
    """Two are ahead at five seconds each; eight seconds are too few, eleven are enough."""
    crowd = Crowd(Bulkhead(1, longest_wait=11 if patience == "longest wait" else 100))
    crowd.come()
    crowd.now = 5.0
    crowd.finish(0)
    crowd.come()
    crowd.come()
    if patience == "deadline":
        assert crowd.come(Request().within(16.0)) in crowd.waiting(granted=False)
        assert isinstance(crowd.outcomes[crowd.come(Request().within(13.0))].error, Shed)
    else:
        assert crowd.come() in crowd.waiting(granted=False)
        assert isinstance(crowd.outcomes[crowd.come()].error, Shed)


def test_who_waits_in_vain_is_refused_at_the_earlier_of_deadline_and_longest_wait() -> None:
    """The flow waits exactly so long."""
    crowd = Crowd(Bulkhead(1, longest_wait=30))
    crowd.come()
    for deadline, last in ((None, 30.0), (7.0, 7.0), (90.0, 30.0)):
        asked = Request() if deadline is None else Request().within(deadline)
        number = crowd.come(asked)
        assert getattr(crowd.asks[number], "until", None) == last
        crowd.now = last
        crowd.give_up(number)
        assert isinstance(crowd.outcomes[number].error, Shed)
        crowd.now = 0.0
    assert crowd.layer.places.waiting == 0  # type: ignore[attr-defined]


def test_a_place_that_comes_in_the_last_moment_is_used() -> None:
    """The time was up, but before the call noticed it was its turn."""
    crowd = Crowd(Bulkhead(1))
    crowd.come()
    late = crowd.come()
    crowd.finish(0)
    crowd.give_up(late)
    assert crowd.on_the_way == [late]


@pytest.mark.parametrize(
    "settings", [{"queue": -1}, {"longest_wait": -1.0}, {"longest_wait": float("nan")}]
)
def test_settings_must_make_sense(settings: dict[str, float]) -> None:
    """Better at once than in the first storm."""
    with pytest.raises(ValueError, match="makes no sense"):
        Bulkhead(1, **settings)  # type: ignore[arg-type]


def at_once(simulation: object) -> int:
    """Return the most attempts that were ever under way at once."""
    table = simulation.attempts  # type: ignore[attr-defined]
    ends = [(at, -1) for at in table["end_s"]]
    begins = [(at, 1) for at in table["start_s"]]
    most = under_way = 0
    for _, change in sorted(ends + begins):
        under_way += change
        most = max(most, under_way)
    return most


def test_in_a_fleet_with_everything_around_it_the_limit_holds_and_all_places_come_back() -> None:
    """Deadlines cut calls short, faults strike, retries come again, and the queue is full."""
    bulkhead = Bulkhead(8, queue=20, longest_wait=5)
    stack: list[Layer] = [Deadline(6), Retry(3, seed=1), bulkhead]
    faults = [Fault("overloaded", share=0.1), Fault("silence", share=0.02)]
    simulation = simulate(
        requests(steady(12), until=200, mix=[Task("chat", 500, 60)], seed=2),
        stack=stack,
        api={"tier": None, "faults": faults},
        seed=3,
    )
    assert at_once(simulation) == 8
    assert (bulkhead.places.under_way, bulkhead.places.waiting) == (0, 0)
    reasons = set(simulation.calls["reason"])
    assert {"ok", "Shed", "DeadlineExceeded"} <= reasons


def test_a_fleet_that_is_stopped_gives_every_place_back() -> None:
    """Those in the queue as well as those on their way."""
    bulkhead = Bulkhead(3)
    simulate(
        requests(steady(20), until=100, mix=[Task("chat", 500, 300)], seed=2),
        stack=[bulkhead, Hedge(0.5)],
        api={"tier": None},
        until=10,
    )
    assert (bulkhead.places.under_way, bulkhead.places.waiting) == (0, 0)

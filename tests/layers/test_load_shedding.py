"""Load shedding: the least important first, at once, and room given back however a call ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import Shed
from labkit.flow import Request
from labkit.layers.load_shedding import LoadShedding
from labkit.layers.room import MARKS, Room
from labkit.sim.engine import Engine
from labkit.sim.traffic import Task, merged, requests, steady
from tests.layers.flows import OK, World, every_yield, sends
from tests.layers.small_limits import fleet

ASK = Request({"model": "claude-haiku-5-5"})


def size(request: Request) -> str:
    """Tell priorities by the size of the prompt, as a fleet's traffic differs by nothing else."""
    return {100: "critical", 101: "normal"}.get(request.body["prompt_tokens"], "batch")


def test_each_priority_fills_the_room_up_to_its_mark() -> None:
    """Of ten places: six for batch, eight for normal calls, all for critical ones."""
    room = Room(10)
    let_in = dict.fromkeys(MARKS, 0)
    for name in MARKS:
        while room.enter(name) is None:
            let_in[name] += 1
    assert list(let_in.values()) == [6, 2, 2]


def test_a_call_without_room_is_told_when_to_come_back() -> None:
    """By Little's law: ten inside that take two seconds each, one has to leave."""
    room = Room(10)
    for _ in range(10):
        room.enter("critical")
    room.leave(took_s=2.0)
    room.enter("critical")
    assert room.enter("critical") == pytest.approx(0.2)
    assert room.enter("batch") == pytest.approx(1.0)


def test_the_refusal_names_the_layer_and_the_priority() -> None:
    """And carries the seconds."""
    layer, world = LoadShedding(1, priority="batch"), World()
    inside = layer.flow(ASK)
    sends(inside, world)
    refused = world.run(layer.flow(ASK))
    assert isinstance(refused.error, Shed)
    assert refused.error.retry_after == pytest.approx(1.0)
    assert world.notes == [("refused", {"by": "load_shedding", "priority": "batch", "inside": 1})]


def test_however_a_call_ends_it_leaves() -> None:
    """Answered, or cut short at any of its yields."""
    layer, world = LoadShedding(5), World()
    assert world.run(layer.flow(ASK)) is OK
    assert layer.room.inside == 0

    def play(step: int) -> bool:
        reached = world.cut(layer.flow(ASK), step)
        assert layer.room.inside == 0
        return reached

    assert every_yield(play) == 3


def test_several_clients_share_a_room() -> None:
    """What the one's batch takes is not there for the other's."""
    room, world = Room(10), World()
    batch, critical = LoadShedding(room, priority="batch"), LoadShedding(room, priority="critical")
    waiting = [batch.flow(ASK) for _ in range(6)]
    for flow in waiting:
        sends(flow, world)
    assert not world.run(batch.flow(ASK)).ok
    assert world.run(critical.flow(ASK)).ok


@given(
    st.integers(1, 40),
    st.lists(st.sampled_from(["batch", "normal", "critical", "leave"]), max_size=150),
)
def test_the_highest_is_never_shed_while_a_lower_one_would_be_let_in(
    calls: int, steps: list[str]
) -> None:
    """At no moment, in a room of any size; and the room is never overfull."""
    room = Room(calls)
    for step in steps:
        if step == "leave":
            if room.inside:
                room.leave(1.0)
        else:
            room.enter(step)
        open_to = []
        for name in MARKS:
            let_in = room.enter(name) is None
            if let_in:
                room.leave()
            open_to.append(let_in)
        assert open_to == sorted(open_to)
        assert 0 <= room.inside <= calls


def test_under_overload_critical_calls_keep_their_speed() -> None:
    """Three times what the service does well: with shedding, a third as slow or better."""

    def traffic() -> Any:
        kinds = {"critical": (100, 3.0), "normal": (101, 10.0), "batch": (102, 12.0)}
        streams = [
            requests(steady(rate), until=60, mix=[Task(kind, prompt, 100, spread=0)], seed=prompt)
            for kind, (prompt, rate) in kinds.items()
        ]
        return merged(*streams)

    results = {}
    for shedding in (True, False):
        stack = [LoadShedding(12, priority=size)] if shedding else []
        calls = fleet(traffic(), stack, Engine(seed=1, tier=None, comfortable=8)).calls
        critical = [row for row in calls if row.kind == "critical"]
        answered = {
            kind: sum(row.ok for row in calls if row.kind == kind)
            / sum(row.kind == kind for row in calls)
            for kind in ("critical", "normal", "batch")
        }
        took = [row.end_s - row.start_s for row in critical if row.ok]
        results[shedding] = (sum(took) / len(took), answered)
    (fast, answered), (slow, _) = results[True], results[False]
    assert slow > 3 * fast
    assert answered["critical"] > answered["normal"] > answered["batch"]
    assert answered["critical"] > 0.9


@pytest.mark.parametrize(
    ("calls", "marks"),
    [(0, MARKS), (5, {}), (5, {"a": 0.5, "b": 0.4}), (5, {"a": 0.0}), (5, {"a": 1.1})],
)
def test_a_room_that_makes_no_sense_is_refused(calls: int, marks: dict[str, float]) -> None:
    """Without places, or with marks that fall."""
    with pytest.raises(ValueError, match="at least one call"):
        Room(calls, marks)


def test_an_unknown_priority_is_refused() -> None:
    """When the layer is made, or when the function names it."""
    with pytest.raises(ValueError, match="no priority 'urgent'"):
        LoadShedding(5, priority="urgent")
    with pytest.raises(ValueError, match="no priority 'urgent'"):
        World().run(LoadShedding(5, priority=lambda _: "urgent").flow(ASK))

"""A fair line: the lowest tag first, tenants in turn, nothing remembered of nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.layers import line as module
from labkit.layers.line import Amounts, Line, Tag

ONE = Amounts(1, 10, 5)


def test_one_tenant_stands_in_order_of_arrival() -> None:
    """And sees what those ahead want."""
    line = Line()
    tags = [line.join("a", ONE, 1.0) for _ in range(3)]
    assert tags == sorted(tags)
    assert [line.ahead(tag) for tag in tags] == [(0, 0, 0), (1, 10, 5), (2, 20, 10)]


def test_a_newcomer_stands_before_anothers_crowd() -> None:
    """Behind its first call, not behind its hundredth."""
    line = Line()
    for _ in range(100):
        line.join("crowd", ONE, 1.0)
    assert line.ahead(line.join("newcomer", ONE, 1.0)).requests == 1


def test_dear_calls_count_for_more() -> None:
    """A tenant with calls four times as dear gets a quarter of the turns."""
    line = Line()
    tags = [
        (line.join(name, ONE, cost), name) for name, cost in [("dear", 4.0), ("cheap", 1.0)] * 8
    ]
    assert [name for _, name in sorted(tags)[:9]].count("cheap") == 7


def test_quiet_times_are_not_saved_up() -> None:
    """Who comes after a hundred turns of another gets every other turn, not the next hundred."""
    line = Line()
    for _ in range(100):
        line.served(line.join("busy", ONE, 1.0))
        waiting = line.join("busy", ONE, 1.0)
        line.served(waiting)
    line.join("busy", ONE, 1.0)
    late = [line.join("late", ONE, 1.0) for _ in range(3)]
    busy = line.join("busy", ONE, 1.0)
    assert late[0] < busy < late[2]


def test_giving_up_costs_a_tenant_nothing() -> None:
    """A hundred calls cancelled, and the next stands where the first had stood."""
    line = Line()
    line.join("other", ONE, 1.5)
    tags = [line.join("a", ONE, 1.0) for _ in range(100)]
    for tag in tags:
        line.abandoned("a", tag, 1.0)
    assert len(line) == 1
    assert line.ahead(line.join("a", ONE, 1.0)).requests == 0


def test_tenants_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is never empty does not grow with everybody who ever stood in it."""
    monkeypatch.setattr(module, "FORGETFUL", 10)
    line = Line()
    line.join("last", ONE, 10.0)
    for number in range(1_000):
        line.served(line.join(f"tenant {number}", ONE, 0.01))
    assert len(line._latest) < 15


steps = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0.1, 9), st.integers(0, 2)), max_size=60
)


@given(steps)
def test_what_is_ahead_is_what_those_ahead_want(todo: list[tuple[str, float, int]]) -> None:
    """After any joining, serving and giving up, against a list that is simply sorted."""
    line = Line()
    waiting: dict[Tag, tuple[str, float, Amounts]] = {}
    for tenant, cost, what in todo:
        if what and waiting:
            tag = sorted(waiting)[0 if what == 1 else len(waiting) // 2]
            name, price, _ = waiting.pop(tag)
            if what == 1:
                line.served(tag)
            else:
                line.abandoned(name, tag, price)
        else:
            amounts = Amounts(1, cost * 100, cost * 7)
            waiting[line.join(tenant, amounts, cost)] = (tenant, cost, amounts)
        assert len(line) == len(waiting)
        for tag in waiting:
            before = [amounts for other, (_, _, amounts) in waiting.items() if other < tag]
            wanted = [sum(kind) for kind in zip(*before, strict=True)] or [0, 0, 0]
            assert line.ahead(tag) == pytest.approx(wanted)


@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=80))
def test_two_tenants_who_both_wait_never_differ_by_more_than_a_turn(arrivals: list[str]) -> None:
    """Served in order of tags, as long as both have somebody in line."""
    line = Line()
    tags = {line.join(tenant, ONE, 1.0): tenant for tenant in arrivals}
    left = {name: arrivals.count(name) for name in "ab"}
    turns = {"a": 0, "b": 0}
    for tag in sorted(tags):
        if min(left.values()) == 0:
            break
        turns[tags[tag]] += 1
        left[tags[tag]] -= 1
        assert abs(turns["a"] - turns["b"]) <= 1

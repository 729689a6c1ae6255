"""Traffic: Poisson arrivals of the rate that was asked for, lazily, in order of time."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from math import inf, log, sqrt
from statistics import mean, median, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.catalog import role
from labkit.errors import UserError
from labkit.sim.traffic import (
    Arrival,
    Rate,
    Task,
    bursts,
    conversations,
    daily,
    merged,
    ramp,
    requests,
    steady,
)

CHAT = Task("chat", prompt=900, output=200)
LONG = Task("long", prompt=20_000, output=2_000, role="strong")
MOST_ERRORS = 4.5
seeds = st.integers(0, 10**9)


def times(rate: Rate, until: float, seed: int = 0, start: float = 0.0) -> list[float]:
    """Return when calls come."""
    return [one.at for one in requests(rate, until=until, mix=[CHAT], seed=seed, start=start)]


@given(
    st.sampled_from(
        [
            (steady(3), 400.0, 1200.0),
            (ramp(0, 6, over=400), 400.0, 1200.0),
            (ramp(6, 0, over=400), 400.0, 1200.0),
            (bursts(1, 11, every=50, length=10), 400.0, 1200.0),
            (daily(0, 0.1), 86_400.0, 4320.0),
        ]
    ),
    seeds,
)
@settings(max_examples=40, derandomize=True)
def test_as_many_calls_come_as_the_rate_says(case: tuple[Rate, float, float], seed: int) -> None:
    """The count of a Poisson process: its mean, within a few of its standard deviations."""
    rate, until, expected = case
    assert abs(len(times(rate, until, seed)) - expected) < MOST_ERRORS * sqrt(expected)


@given(seeds)
@settings(max_examples=20, derandomize=True)
def test_gaps_of_a_steady_rate_are_exponential(seed: int) -> None:
    """Mean and deviation alike are one over the rate, and half of them lie below ln 2 of it."""
    gaps = [b - a for a, b in pairwise(times(steady(5), 600, seed))]
    error = MOST_ERRORS / sqrt(len(gaps))
    assert mean(gaps) * 5 == pytest.approx(1, abs=error)
    assert stdev(gaps) * 5 == pytest.approx(1, abs=1.5 * error)
    assert median(gaps) * 5 == pytest.approx(log(2), abs=error)


def test_calls_stand_where_the_rate_is_high() -> None:
    """Six of seven in the bursts that make up a sixth of the time."""
    found = times(bursts(1, 30, every=60, length=10), 3600, seed=2)
    within = sum(at % 60 < 10 for at in found)
    assert within / len(found) == pytest.approx(300 / 350, abs=0.02)


@given(seeds, st.floats(0, 1e6))
def test_calls_come_in_order_within_their_time(seed: int, start: float) -> None:
    """From the start on, before the end."""
    found = times(steady(2), start + 30, seed, start)
    assert found == sorted(found)
    assert all(start <= at < start + 30 for at in found)


def test_the_same_seed_gives_the_same_traffic_and_another_another() -> None:
    """Times, models and sizes."""
    one, same, other = (
        list(requests(steady(5), until=20, mix=[CHAT, LONG], seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_traffic_is_lazy() -> None:
    """A stream without an end gives its first calls at once."""
    endless = requests(steady(100), until=inf, mix=[CHAT])
    assert len(list(islice(endless, 5))) == 5


def test_sizes_lie_around_those_of_the_task() -> None:
    """The median is the task's, the logarithm spreads as it says; without spread all are alike."""
    found = list(requests(steady(50), until=100, mix=[CHAT], seed=3))
    assert median(one.prompt_tokens for one in found) == pytest.approx(900, rel=0.05)
    assert median(one.output_tokens or 0 for one in found) == pytest.approx(200, rel=0.05)
    assert stdev(log(one.prompt_tokens) for one in found) == pytest.approx(0.5, rel=0.05)
    even = requests(steady(50), until=5, mix=[Task("a", prompt=7, output=3, spread=0)])
    assert {(one.prompt_tokens, one.output_tokens) for one in even} == {(7, 3)}


@given(st.integers(1, 5), st.floats(0, 5), seeds)
def test_a_call_has_a_token_each_way(size: int, spread: float, seed: int) -> None:
    """However small the task and however wide its spread."""
    task = Task("tiny", prompt=size, output=size, spread=spread)
    for one in requests(steady(10), until=5, mix=[task], seed=seed):
        assert one.prompt_tokens >= 1
        assert (one.output_tokens or 0) >= 1


def test_a_mix_is_met_by_its_weights() -> None:
    """Each task with the model of its role."""
    heavy = Task("heavy", prompt=10, output=10, role="balanced", weight=3)
    found = list(requests(steady(50), until=100, mix=[CHAT, heavy], seed=4))
    kinds = Counter(one.kind for one in found)
    assert kinds["heavy"] / len(found) == pytest.approx(0.75, abs=0.03)
    assert {(one.kind, one.model) for one in found} == {
        ("chat", role("fast").id),
        ("heavy", role("balanced").id),
    }


def test_a_conversation_resends_everything_said_before() -> None:
    """Each prompt holds the one before it and its answer; turns are a while apart."""
    rate = Rate(lambda at: float(at < 20), 1.0)
    even = Task("talk", prompt=100, output=40, spread=0)
    one = list(conversations(rate, until=20, turns=5, task=even, think_s=30, seed=8))
    prompts = Counter(arrival.prompt_tokens for arrival in one)
    assert set(prompts) <= {100 + turn * 140 for turn in range(9)}
    counts = [prompts[100 + turn * 140] for turn in range(9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[1] > 0
    assert max(arrival.at for arrival in one) > 60


@given(st.integers(1, 6), seeds)
@settings(max_examples=25, derandomize=True)
def test_conversations_come_in_order_and_are_as_long_as_they_are_said_to_be(
    turns: int, seed: int
) -> None:
    """`turns` on average, so that as many calls are openings as there are conversations."""
    even = Task("talk", prompt=100, output=40, spread=0)
    found = list(conversations(steady(1), until=400, turns=turns, task=even, seed=seed))
    assert [one.at for one in found] == sorted(one.at for one in found)
    openings = sum(one.prompt_tokens == 100 for one in found)
    error = MOST_ERRORS * max(1, turns) / sqrt(openings)
    assert len(found) / openings == pytest.approx(turns, abs=error)


@given(st.lists(st.lists(st.floats(0, 100)), max_size=4))
def test_merged_streams_keep_order_and_lose_nothing(streams: list[list[float]]) -> None:
    """However many there are."""
    made = [
        [Arrival(at, f"m{place}", 1) for at in sorted(each)] for place, each in enumerate(streams)
    ]
    found = list(merged(*made))
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert Counter(found) == Counter(one for each in made for one in each)


@pytest.mark.parametrize(
    "how",
    [
        {"prompt": 0},
        {"output": -1},
        {"prompt": "many"},
        {"weight": 0},
        {"weight": inf},
        {"spread": -1},
        {"spread": 1000},
        {"spread": float("nan")},
    ],
)
def test_a_task_that_cannot_be_is_refused(how: dict[str, Any]) -> None:
    """Where it is written."""
    with pytest.raises(UserError):
        Task(**{"kind": "chat", "prompt": 900, "output": 200, **how})


@pytest.mark.parametrize(
    ("rate", "mix"),
    [(5, [CHAT]), (steady(5), []), (steady(5), CHAT), (steady(5), ["chat"])],
)
def test_traffic_that_cannot_be_is_refused(rate: Any, mix: Any) -> None:
    """A number is no rate, a task no mix."""
    with pytest.raises(UserError):
        list(requests(rate, until=5, mix=mix))


def test_a_rate_above_its_most_is_refused() -> None:
    """Thinning could only cut it off."""
    with pytest.raises(UserError, match="most"):
        list(requests(Rate(lambda _: 7.0, 5.0), until=9, mix=[CHAT]))


@pytest.mark.parametrize("how", [{"turns": 0}, {"turns": 2, "think_s": 0}], ids=str)
def test_a_conversation_that_cannot_be_is_refused(how: dict[str, Any]) -> None:
    """It has a turn, and time to think."""
    with pytest.raises(UserError):
        list(conversations(steady(1), until=5, task=CHAT, **how))

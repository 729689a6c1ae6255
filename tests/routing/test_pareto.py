"""The front holds whatever nobody beats, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.routing.pareto import Option, front

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "aider-polyglot-2025.csv"
few = st.sampled_from([0.0, 0.5, 1.0, 2.0])
options = st.lists(st.builds(Option, st.just("x"), few, few, few), max_size=12)


@given(options)
def test_nobody_on_the_front_is_beaten_and_everybody_else_is(drawn: list[Option]) -> None:
    """The definition, and the cheapest comes first."""
    best = front(drawn)
    assert not any(other.beats(option) for option in best for other in drawn)
    rest = [option for option in drawn if option not in best]
    assert all(any(other.beats(option) for other in best) for option in rest)
    assert [option.dollars for option in best] == sorted(option.dollars for option in best)
    assert bool(best) is bool(drawn)


@given(options, few, few)
def test_beating_is_a_strict_order(drawn: list[Option], one: float, two: float) -> None:
    """Nobody beats itself, and no two beat each other."""
    for first in drawn:
        assert not first.beats(first)
        assert not any(first.beats(second) and second.beats(first) for second in drawn)
    better = Option("y", one + 1, two)
    assert better.beats(Option("z", one, two, 1.0))


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL.name} is not here")
def test_most_set_ups_of_a_real_benchmark_are_beaten() -> None:
    """Of the set-ups with a price, in cost, quality and time, few are worth their money.

    225 exercises each, figures from Aider-AI/aider at 5dc9490.
    """
    with REAL.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    known = [
        Option(
            row["model"],
            float(row["pass_rate_pct"]),
            float(row["total_cost_usd"]) / int(row["cases"]),
            float(row["seconds_per_case"]),
        )
        for row in rows
        if float(row["total_cost_usd"] or 0) > 0
    ]
    best = front(known)
    two = front([Option(each.name, each.quality, each.dollars) for each in known])
    assert 40 < len(known) <= 69
    assert 5 <= len(two) < len(best) < len(known) / 2
    assert max(known, key=lambda option: option.quality) in best

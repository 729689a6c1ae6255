"""A report: how many were answered, how fast, for how much."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Any

import pytest

from labkit.catalog import model
from labkit.errors import UnknownPrice
from labkit.layers.retry import Retry
from labkit.pricing import Usage, cost
from labkit.sim.faults import Fault
from labkit.sim.report import Report, report
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival

HAIKU, OPUS = "claude-haiku-5-5", "claude-opus-5-5"


def reported(calls: list[Arrival], *faults: Fault, stack: Any = ()) -> Report:
    """Simulate calls and report."""
    return report(simulate(calls, stack=stack, api={"tier": None, "faults": faults}))


def test_every_billed_attempt_is_priced_by_its_model() -> None:
    """Even a long prompt to the model whose price has a step."""
    calls = [Arrival(0.0, HAIKU, 1_000, 500), Arrival(1.0, OPUS, 1_000, 500)]
    calls.append(Arrival(2.0, HAIKU, 150_000, 500))
    expected = sum(
        cost(call.model, Usage(input_tokens=call.prompt_tokens, output_tokens=500))
        for call in calls
    )
    assert reported(calls).cost_usd == expected > Decimal("0.09")


def test_an_attempt_that_no_model_saw_is_free_and_a_broken_one_is_not() -> None:
    """Whether or not its call is answered in the end."""
    calls = [Arrival(0.0, OPUS, 1_000, 500)]
    plain = reported(calls).cost_usd
    retried = reported(calls, Fault("overloaded", first=1), stack=[Retry(seed=1)])
    broken = reported(calls, Fault("cut", first=1), stack=[Retry(seed=1)])
    assert (retried.attempts, broken.attempts) == (2, 2)
    assert retried.cost_usd == plain
    assert broken.cost_usd == 2 * plain
    failed = reported(calls, Fault("cut"))
    assert (failed.answered, failed.cost_usd) == (0, plain)


def test_latency_is_that_of_the_answered_calls_with_their_waits() -> None:
    """Quick failures do not make a service look fast."""
    calls = [Arrival(float(n), HAIKU, 1_000, 500) for n in range(100)]
    plain = reported(calls)
    half = reported(calls, Fault("overloaded", start=50))
    assert half.answered == 50
    assert half.p50_s == pytest.approx(plain.p50_s, rel=0.2)
    retried = reported(calls, Fault("overloaded", end=99, share=0.5), stack=[Retry(9, seed=1)])
    assert retried.p99_s > plain.p99_s + 0.5


def test_endings_count_every_call_the_commonest_first() -> None:
    """By the reason of its end."""
    calls = [Arrival(float(n), HAIKU, 100, 50) for n in range(10)]
    found = reported(calls, Fault("overloaded", first=3), Fault("internal", first=4))
    assert list(found.endings.items()) == [
        ("ok", 6),
        ("529 overloaded_error", 3),
        ("500 api_error", 1),
    ]
    assert found.answered_share == 0.6


def test_no_answers_have_no_latency() -> None:
    """Not a number rather than zero; and no calls cost nothing."""
    found = reported([Arrival(0.0, HAIKU, 100, 50)], Fault("overloaded"))
    assert isnan(found.p50_s)
    assert isnan(found.p99_s)
    nothing = reported([])
    assert (nothing.calls, nothing.answered_share, nothing.cost_usd) == (0, 0.0, Decimal(0))


def test_a_price_that_is_not_established_is_an_error() -> None:
    """Never zero."""
    unpriced = "claude-mythos-preview"
    with pytest.raises(UnknownPrice):
        cost(model(unpriced), Usage(input_tokens=1))
    with pytest.raises(UnknownPrice):
        reported([Arrival(0.0, unpriced, 100, 50)])


def test_a_report_reads_as_a_few_lines() -> None:
    """Calls, latency, cost, endings."""
    found = reported([Arrival(0.0, HAIKU, 1_000_000, 5_000)] * 2, Fault("overloaded", first=1))
    lines = str(found).splitlines()
    assert lines[0] == "2 calls, 1 answered (50.00%), 2 attempts"
    assert lines[1].startswith("latency p50 ")
    assert lines[2] == "cost $0.51"
    assert sorted(lines[3:]) == ["1 x 529 overloaded_error", "1 x ok"]

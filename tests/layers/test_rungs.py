"""The causes of a failure, and the rungs they lead to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import (
    BudgetSpent,
    CircuitOpen,
    ContextLimit,
    DeadlineExceeded,
    Shed,
)
from labkit.flow import Outcome
from labkit.layers.ready import ready_message
from labkit.layers.rungs import Rung, canned, cause, honest_refusal, other_model, shorter_answer
from tests.layers.flows import OK, OVERLOADED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (OK, ""),
        (OVERLOADED, "unavailable"),
        (Outcome(status=500), "unavailable"),
        (Outcome(status=503, headers={"x-should-retry": "false"}), "unavailable"),
        (Outcome(status=408), "unavailable"),
        (Outcome(status=409), "unavailable"),
        (Outcome(status=429, headers={"retry-after": "3"}), "unavailable"),
        (Outcome(status=429), "limit"),
        (Outcome(status=429, error_code="enforced_spend_limit_reached"), "limit"),
        (Outcome(error=BudgetSpent("no money")), "limit"),
        (Outcome(error=TimeoutError("late"), unreachable=True), "unavailable"),
        (Outcome(status=200, error_type="overloaded_error"), "unavailable"),
        (Outcome(status=200, error_type="truncated", unreachable=True), "unavailable"),
        (Outcome(error=CircuitOpen("open")), "unavailable"),
        (Outcome(error=Shed("no room")), "unavailable"),
        (Outcome(error=DeadlineExceeded("late")), "late"),
        (Outcome(error=ContextLimit("long")), "context"),
        (Outcome(status=413), "context"),
        (Outcome(status=200, value=ready_message("No.", "x", "refusal")), "refusal"),
        (Outcome(status=200, value=ready_message("Yes.", "x")), ""),
        (Outcome(status=400), ""),
        (Outcome(status=401), ""),
        (Outcome(status=403), ""),
        (Outcome(status=404), ""),
        (Outcome(error=KeyError("a program's own")), ""),
    ],
    ids=lambda value: value.reason if isinstance(value, Outcome) else value or "none",
)
def test_the_cause_of_an_outcome(outcome: Outcome, expected: str) -> None:
    """One of five, or none: then nobody goes down the ladder."""
    assert cause(outcome) == expected


def test_a_refusal_is_looked_for_only_where_somebody_wants_to_know() -> None:
    """Reading every answer for nothing would take time."""
    assert cause(Outcome(status=200, value=ready_message("No.", "x", "refusal")), read=False) == ""


@given(st.dictionaries(st.sampled_from(["model", "max_tokens", "speed", "system"]), st.integers()))
def test_a_rung_never_changes_the_callers_body(body: dict[str, Any]) -> None:
    """The next rung, and the caller, still need it."""
    before = dict(body)
    for rung in (other_model("other", speed=None, system="Be brief."), shorter_answer(9)):
        assert rung.ask is not None
        asked = rung.ask(body)
        assert body == before
        assert asked is not body


def test_only_what_costs_nothing_answers_for_a_limit_unless_declared() -> None:
    """A limit on money is no reason to spend it on another model."""
    for rung in (other_model("m"), shorter_answer(9)):
        assert "limit" not in rung.on
    for rung in (canned("Later."), honest_refusal()):
        assert "limit" in rung.on
    assert not any("refusal" in rung.on or "context" in rung.on for rung in EVERY)


EVERY: tuple[Rung, ...] = (other_model("m"), shorter_answer(9), canned("a"), honest_refusal())

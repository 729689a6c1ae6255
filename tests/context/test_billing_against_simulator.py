"""The arithmetic of the surprise beside the simulated API: the same story, request by request."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from labkit.catalog import model
from labkit.context import Blocks, Plan, Policy, PriceAware, SlidingWindow, TokenBudget, bill
from labkit.layers.trim import Trim
from labkit.pricing import cost
from labkit.usage import Usage
from tests.scenes import Scene

MODEL = "claude-opus-5-5"
PLAN = Plan(turns=60)
BREAKPOINT = {"type": "ephemeral"}
POLICIES = [
    Policy(),
    TokenBudget(22_000),
    SlidingWindow(20),
    Blocks(high=22_000, low=14_000),
    PriceAware(TokenBudget(15_000), limit=100_000),
]


def words(tokens: int, number: int = 0) -> str:
    """Return a text of so many tokens, as the simulator counts."""
    return f"{number:5}".ljust(int(tokens * 2.5), "x")


def simulated(policy: Policy) -> tuple[Decimal, int]:
    """Hold the conversation with the SDK; return the cost of its prompts, and how many broke."""
    scene, history = Scene(), list[Any]()
    client = scene.client(Trim(policy))
    system: Any = [{"type": "text", "text": words(PLAN.system), "cache_control": BREAKPOINT}]
    prompts, breaks, last = Decimal(0), 0, 0
    for number in range(PLAN.turns):
        history.append({"role": "user", "content": words(PLAN.user, number)})
        reply = client.messages.create(
            model=MODEL,
            max_tokens=1,
            system=system,
            cache_control={"type": "ephemeral"},
            messages=history,
        )
        usage = Usage.from_api(reply.usage)
        answer = model(MODEL).price_for(0).output * usage.output_tokens / 1_000_000
        prompts += cost(MODEL, usage) - answer
        breaks += usage.cache_read_input_tokens < last - PLAN.user
        last = usage.prompt_tokens
        history.append({"role": "assistant", "content": words(PLAN.answer, number)})
    return prompts, breaks


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_the_simulated_api_sends_the_bill_that_was_worked_out(policy: Policy) -> None:
    """Within two per cent, as the arithmetic leaves out the frames of messages."""
    expected = bill(MODEL, PLAN, policy)
    answers = PLAN.turns * PLAN.answer * model(MODEL).price_for(0).output / 1_000_000
    prompts, breaks = simulated(policy)
    assert float(prompts) == pytest.approx(float(expected.total - answers), rel=0.02)
    assert abs(breaks - expected.breaks) <= 2

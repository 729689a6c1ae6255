"""The purse: what could cross the budget is not sent, whoever sends it and however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import BudgetSpent
from labkit.flow import Request
from labkit.lab.spending import Purse
from labkit.lab.worst_case import worst_case
from labkit.layers.retry import Retry
from labkit.pricing import Usage, cost
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.scenes import ASK, Scene, Scripted

WORST = worst_case(Request(body=ASK))
JSON = {"content-type": "application/json"}
PLENTY = Decimal(1)


def paid(scene: Scene) -> Decimal:
    """What the calls of a scene cost by the ledger."""
    return scene.ledger.total()


def test_an_answer_gives_back_what_was_not_used() -> None:
    """After a plain answer the purse holds exactly its price."""
    scene, purse = Scene(), Purse(PLENTY)
    scene.client(purse).messages.create(**ASK)
    assert Decimal(0) < purse.spent == paid(scene) < WORST


def test_an_async_answer_does_too() -> None:
    """The same with the async client."""
    scene, purse = Scene(), Purse(PLENTY)

    async def main() -> None:
        await scene.async_client(purse).messages.create(**ASK)

    scene.run(main)
    assert purse.spent == paid(scene) > 0


def test_a_stream_keeps_its_worst_case() -> None:
    """What a stream used is known only when it has been read, and nobody may ever read it."""
    scene, purse = Scene(), Purse(PLENTY)
    with scene.client(purse).messages.stream(**ASK) as stream:
        stream.until_done()
    assert purse.spent == worst_case(Request(body={**ASK, "stream": True}))


@pytest.mark.parametrize("kind", ["overloaded", "rate_limited", "internal", "spend_limit"])
def test_an_error_gives_it_all_back(kind: str) -> None:
    """An answer that is an error costs nothing."""
    scene, purse = Scene(faults=[Fault(kind)]), Purse(PLENTY)
    with pytest.raises(anthropic.APIStatusError):
        scene.client(purse).messages.create(**ASK)
    assert purse.spent == 0


@pytest.mark.parametrize("kind", ["silence", "reset", "refused", "cut"])
def test_an_answer_that_never_came_keeps_it(kind: str) -> None:
    """A lost answer may have been billed."""
    scene, purse = Scene(faults=[Fault(kind)]), Purse(PLENTY)
    with pytest.raises(anthropic.APIConnectionError):
        scene.client(purse).messages.create(**ASK)
    assert purse.spent == WORST


def test_a_cancelled_call_keeps_it() -> None:
    """So may one that was given up."""
    scene, purse = Scene(), Purse(PLENTY)

    async def main() -> None:
        async with asyncio.timeout(0.1):
            await scene.async_client(purse).messages.create(**ASK)

    with pytest.raises(TimeoutError):
        scene.run(main)
    assert purse.spent == WORST


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": -5, "output_tokens": 1}, {"service_tier": "priority"}]
)
def test_a_usage_without_a_price_keeps_it(usage: Any) -> None:
    """The answer reaches the caller, and the purse assumes the worst."""
    body = {"type": "message", "content": [], "usage": usage}
    if usage and "service_tier" in usage:
        body["usage"] = {"input_tokens": 1, "output_tokens": 1, **usage}
    reply = Reply(200, JSON, ((0.1, json.dumps(body).encode()),))
    scene, purse = Scene(Scripted(reply)), Purse(PLENTY)
    assert scene.client(purse).messages.create(**ASK)
    assert purse.spent == WORST


def test_what_does_not_fit_is_not_sent() -> None:
    """The refusal says how much, nothing leaves, and nothing is spent."""
    scene, purse = Scene(), Purse(WORST - Decimal("1e-12"))
    with pytest.raises(BudgetSpent, match=r"could cost up to \$0\.000"):
        scene.client(purse, Retry(5)).messages.create(**ASK)
    assert (purse.spent, scene.ledger.attempts, scene.clock.now()) == (Decimal(0), [], 0.0)
    assert Purse(WORST).budget == WORST
    scene.client(Purse(WORST)).messages.create(**ASK)
    assert len(scene.ledger.attempts) == 1


def test_counting_and_looking_up_are_free() -> None:
    """What costs nothing needs no room in the purse."""
    scene, purse = Scene(), Purse(Decimal("1e-9"))
    scene.client(purse).messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    assert purse.spent == 0


def test_every_attempt_pays_for_itself() -> None:
    """Innermost, the purse sees each retry: two lost answers are two worst cases."""
    scene = Scene(faults=[Fault("reset", first=2)])
    purse = Purse(PLENTY)
    scene.client(Retry(4, seed=1), purse).messages.create(**ASK)
    assert purse.spent == 2 * WORST + paid(scene)


def test_a_retry_that_does_not_fit_is_the_end() -> None:
    """A retry layer cannot spend what is not there."""
    scene = Scene(faults=[Fault("reset")])
    purse = Purse(2 * WORST)
    with pytest.raises(BudgetSpent):
        scene.client(Retry(9, seed=1), purse).messages.create(**ASK)
    assert len(scene.ledger.attempts) == 2
    assert purse.spent == 2 * WORST


class Bank(Scripted):
    """A server that adds up what it could have billed and what it did bill."""

    def __init__(self, purse: Purse, outcomes: list[str]) -> None:
        super().__init__()
        self.purse, self.outcomes = purse, outcomes
        self.at_risk = self.billed = Decimal(0)
        self.lock = threading.Lock()

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Answer, fail or fall silent, and check that the purse has room for it."""
        body = json.loads(request.content)
        with self.lock:
            outcome = self.outcomes[len(self.requests) % len(self.outcomes)]
            self.requests.append(request)
            worst = worst_case(Request(body=body))
            self.at_risk = max(self.at_risk, self.billed + worst)
            if outcome == "error":
                return Reply(529, JSON, ((0.0, b"{}"),))
            if outcome == "lost":
                self.billed += worst
                return Reply(200, JSON, (), "reset")
            usage = {"input_tokens": 10, "output_tokens": body["max_tokens"]}
            self.billed += cost(body["model"], Usage.from_api(usage))
            answer = json.dumps({"type": "message", "content": [], "usage": usage}).encode()
            return Reply(200, JSON, ((0.0, answer),))


@given(
    st.lists(st.sampled_from(["answer", "error", "lost"]), min_size=1, max_size=6),
    st.lists(st.integers(0, 3000), min_size=1, max_size=25),
    st.decimals(Decimal("0.0001"), Decimal("0.02"), places=5),
)
def test_the_budget_is_never_crossed(
    outcomes: list[str], limits: list[int], budget: Decimal
) -> None:
    """Whatever comes back, what could have been billed at any moment fits into the budget."""
    purse = Purse(budget)
    bank = Bank(purse, outcomes)
    client = Scene(bank).client(purse)
    for most in limits:
        with contextlib.suppress(BudgetSpent, anthropic.APIError):
            client.messages.create(**{**ASK, "max_tokens": most})
        assert bank.billed <= purse.spent <= budget
    assert bank.at_risk <= budget


def test_threads_together_do_not_cross_it() -> None:
    """Many at once see the same purse: what all of them could cost fits into the budget."""
    budget = 20 * WORST
    purse = Purse(budget)
    bank = Bank(purse, ["lost"])
    client = Scene(bank).client(purse)
    refused: list[BudgetSpent] = []

    def work() -> None:
        for _ in range(10):
            try:
                client.messages.create(**ASK)
            except BudgetSpent as error:
                refused.append(error)
            except anthropic.APIError:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bank.billed == purse.spent == budget
    assert (len(bank.requests), len(refused)) == (20, 60)


def test_tasks_together_do_not_cross_it() -> None:
    """The same for many calls under way on one loop."""
    purse = Purse(5 * WORST)
    scene = Scene()

    async def main() -> list[Any]:
        client = scene.async_client(purse)
        calls = (client.messages.create(**ASK) for _ in range(30))
        return await asyncio.gather(*calls, return_exceptions=True)

    results = scene.run(main)
    assert sum(isinstance(each, BudgetSpent) for each in results) == 25
    assert purse.spent == paid(scene)


def test_the_beta_endpoint_pays_as_well() -> None:
    """Another query on the same path is the same kind of call."""
    scene, purse = Scene(), Purse(PLENTY)
    scene.client(purse).beta.messages.create(**ASK)
    assert purse.spent == paid(scene) > 0

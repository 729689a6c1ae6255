"""A budget: what could cross it is not sent, whoever sends it and however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import BudgetSpent, UserError
from labkit.flow import Request
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.budget import Budget, user_of
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.layers.spending import Spending
from labkit.layers.spending_file import SpendingFile
from labkit.layers.worst_case import worst_case
from labkit.pricing import Usage, cost
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from labkit.sim.report import report
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival
from tests.scenes import ASK, Scene, Scripted

WORST = worst_case(Request(body=ASK))
JSON = {"content-type": "application/json"}
PLENTY = Decimal(1)


def paid(scene: Scene) -> Decimal:
    """What the calls of a scene cost by the ledger."""
    return scene.ledger.total()


def test_an_answer_gives_back_what_was_not_used() -> None:
    """After a plain answer the budget holds exactly its price."""
    scene, charged = Scene(), Budget(PLENTY)
    scene.client(charged).messages.create(**ASK)
    assert Decimal(0) < charged.spent == paid(scene) < WORST


def test_an_async_answer_does_too() -> None:
    """The same with the async client."""
    scene, charged = Scene(), Budget(PLENTY)

    async def main() -> None:
        await scene.async_client(charged).messages.create(**ASK)

    scene.run(main)
    assert charged.spent == paid(scene) > 0


STREAMED = worst_case(Request(body={**ASK, "stream": True}))


def test_a_stream_gives_back_once_it_has_been_read() -> None:
    """Until its last numbers have come by a stream counts in full."""
    scene, charged = Scene(), Budget(PLENTY)
    with scene.client(charged).messages.stream(**ASK) as stream:
        next(iter(stream))
        assert charged.spent == STREAMED
        stream.until_done()
    assert Decimal(0) < charged.spent == paid(scene) < STREAMED


def test_a_stream_that_nobody_reads_to_its_end_keeps_its_worst_case() -> None:
    """It may be billed to its last word."""
    scene, charged = Scene(), Budget(PLENTY)
    with scene.client(charged).messages.stream(**ASK) as stream:
        next(iter(stream))
    assert charged.spent == STREAMED
    assert [(line.cost, line.end) for line in charged.lines] == [(None, "ok")]


@pytest.mark.parametrize("kind", ["cut", "stream_error", "no_message_stop"])
def test_a_stream_that_breaks_off_keeps_it_too(kind: str) -> None:
    """Its last numbers never came."""
    scene, charged = Scene(faults=[Fault(kind, after=4)]), Budget(PLENTY)
    with (
        contextlib.suppress(httpx2.TransportError, anthropic.APIError),
        scene.client(charged).messages.stream(**ASK) as stream,
    ):
        stream.until_done()
    assert charged.spent == STREAMED


@pytest.mark.parametrize("kind", ["overloaded", "rate_limited", "internal", "spend_limit"])
def test_an_error_gives_it_all_back(kind: str) -> None:
    """An answer that is an error costs nothing."""
    scene, charged = Scene(faults=[Fault(kind)]), Budget(PLENTY)
    with pytest.raises(anthropic.APIStatusError):
        scene.client(charged).messages.create(**ASK)
    assert charged.spent == 0


@pytest.mark.parametrize("kind", ["silence", "reset", "refused", "cut"])
def test_an_answer_that_never_came_keeps_it(kind: str) -> None:
    """A lost answer may have been billed."""
    scene, charged = Scene(faults=[Fault(kind)]), Budget(PLENTY)
    with pytest.raises(anthropic.APIConnectionError):
        scene.client(charged).messages.create(**ASK)
    assert charged.spent == WORST


def test_a_cancelled_call_keeps_it() -> None:
    """So may one that was given up."""
    scene, charged = Scene(), Budget(PLENTY)

    async def main() -> None:
        async with asyncio.timeout(0.1):
            await scene.async_client(charged).messages.create(**ASK)

    with pytest.raises(TimeoutError):
        scene.run(main)
    assert charged.spent == WORST


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": -5, "output_tokens": 1}, {"service_tier": "priority"}]
)
def test_a_usage_without_a_price_keeps_it(usage: Any) -> None:
    """The answer reaches the caller, and the budget assumes the worst."""
    body = {"type": "message", "content": [], "usage": usage}
    if usage and "service_tier" in usage:
        body["usage"] = {"input_tokens": 1, "output_tokens": 1, **usage}
    reply = Reply(200, JSON, ((0.1, json.dumps(body).encode()),))
    scene, charged = Scene(Scripted(reply)), Budget(PLENTY)
    assert scene.client(charged).messages.create(**ASK)
    assert charged.spent == WORST


def test_what_does_not_fit_is_not_sent() -> None:
    """The refusal says how much, nothing leaves, and nothing is spent."""
    scene, charged = Scene(), Budget(WORST - Decimal("1e-12"))
    with pytest.raises(BudgetSpent, match=r"could cost up to \$0\.000"):
        scene.client(charged, Retry(5)).messages.create(**ASK)
    assert (charged.spent, scene.ledger.attempts, scene.clock.now()) == (Decimal(0), [], 0.0)
    assert Budget(WORST).limit == WORST
    scene.client(Budget(WORST)).messages.create(**ASK)
    assert len(scene.ledger.attempts) == 1


def test_counting_and_looking_up_are_free() -> None:
    """What costs nothing needs no room in the budget."""
    scene, charged = Scene(), Budget(Decimal("1e-9"))
    scene.client(charged).messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    assert charged.spent == 0


def test_every_attempt_pays_for_itself() -> None:
    """Innermost, the budget sees each retry: two lost answers are two worst cases."""
    scene = Scene(faults=[Fault("reset", first=2)])
    charged = Budget(PLENTY)
    scene.client(Retry(4, seed=1), charged).messages.create(**ASK)
    assert charged.spent == 2 * WORST + paid(scene)


def test_a_retry_that_does_not_fit_is_the_end() -> None:
    """A retry layer cannot spend what is not there."""
    scene = Scene(faults=[Fault("reset")])
    charged = Budget(2 * WORST)
    with pytest.raises(BudgetSpent):
        scene.client(Retry(9, seed=1), charged).messages.create(**ASK)
    assert len(scene.ledger.attempts) == 2
    assert charged.spent == 2 * WORST


class Bank(Scripted):
    """A server that adds up what it could have billed and what it did bill."""

    def __init__(self, charged: Budget, outcomes: list[str]) -> None:
        super().__init__()
        self.charged, self.outcomes = charged, outcomes
        self.at_risk = self.billed = Decimal(0)
        self.lock = threading.Lock()

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Answer, fail or fall silent, and check that the budget has room for it."""
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
    charged = Budget(budget)
    bank = Bank(charged, outcomes)
    client = Scene(bank).client(charged)
    for most in limits:
        with contextlib.suppress(BudgetSpent, anthropic.APIError):
            client.messages.create(**{**ASK, "max_tokens": most})
        assert bank.billed <= charged.spent <= budget
    assert bank.at_risk <= budget


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_threads_together_do_not_cross_it(kept: str, tmp_path: Path) -> None:
    """Many at once see the same accounts: what all of them could cost fits into the budget."""
    budget = 20 * WORST
    book = Spending() if kept == "memory" else SpendingFile(tmp_path / "spent.sqlite")
    charged = Budget(budget, book=book)
    bank = Bank(charged, ["lost"])
    client = Scene(bank).client(charged)
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
    assert bank.billed == charged.spent == budget
    assert (len(bank.requests), len(refused)) == (20, 60)


def test_tasks_together_do_not_cross_it() -> None:
    """The same for many calls under way on one loop."""
    charged = Budget(5 * WORST)
    scene = Scene()

    async def main() -> list[Any]:
        client = scene.async_client(charged)
        calls = (client.messages.create(**ASK) for _ in range(30))
        return await asyncio.gather(*calls, return_exceptions=True)

    results = scene.run(main)
    assert sum(isinstance(each, BudgetSpent) for each in results) == 25
    assert charged.spent == paid(scene)


def test_the_beta_endpoint_pays_as_well() -> None:
    """Another query on the same path is the same kind of call."""
    scene, charged = Scene(), Budget(PLENTY)
    scene.client(charged).beta.messages.create(**ASK)
    assert charged.spent == paid(scene) > 0


def test_every_attempt_has_a_line_of_its_own() -> None:
    """Retries are seen with what became of each."""
    scene = Scene(faults=[Fault("overloaded", first=1), Fault("reset", first=2)])
    charged = Budget(PLENTY)
    scene.client(Retry(4, seed=1), charged).messages.create(**ASK)
    told = [(line.cost, line.end) for line in charged.lines]
    assert told[0] == (Decimal(0), "529 overloaded_error")
    assert told[1] == (None, "APIConnectionError")
    assert told[2] == (paid(scene), "ok")


def test_the_loser_of_a_hedge_has_its_line() -> None:
    """Both attempts are reserved; the one that was cancelled keeps its worst case."""
    scene, charged = Scene(faults=[Fault("slow", first=1, factor=50)]), Budget(PLENTY)

    async def main() -> None:
        client = scene.async_client(Hedge(3.0, budget=1.0), charged)
        await client.messages.create(**ASK)

    scene.run(main)
    lost, won = charged.lines
    assert (lost.cost, lost.end) == (None, "given up")
    assert won.cost is not None
    assert charged.spent == WORST + won.cost


def test_several_budgets_limit_the_same_attempt() -> None:
    """Process and user each have an account; a user who has spent his leaves the others theirs."""
    book = Spending()
    process = Budget(PLENTY, book=book)
    users = Budget(WORST, account=user_of, book=book)
    scene = Scene()
    client = scene.client(process, users)
    ann, ben = ({**ASK, "metadata": {"user_id": name}} for name in ("ann", "ben"))
    mine = Budget(worst_case(Request(body=ann)), account=user_of, book=book)
    client = scene.client(process, mine)
    client.messages.create(**ann)
    with pytest.raises(BudgetSpent, match="'user ann'"):
        client.messages.create(**ann)
    client.messages.create(**ben)
    client.messages.create(**ASK)
    assert users.limit < mine.limit
    assert process.spent == paid(scene)
    assert book.spent("user ann") + book.spent("user ben") < process.spent
    with pytest.raises(UserError, match="several accounts"):
        _ = mine.spent


def test_what_an_inner_budget_refuses_costs_the_outer_one_nothing() -> None:
    """Nothing was sent."""
    scene, outer = Scene(), Budget(PLENTY)
    with pytest.raises(BudgetSpent):
        scene.client(outer, Budget("1e-9", account="lesson")).messages.create(**ASK)
    assert outer.spent == 0


@pytest.mark.parametrize("limit", [0, -1, "much", float("nan"), float("inf"), "", None])
def test_a_budget_is_a_positive_number_of_dollars(limit: Any) -> None:
    """Nobody gets a budget without a bound by a slip."""
    with pytest.raises(UserError, match="positive"):
        Budget(limit)


def test_a_fleet_does_not_cross_it_either() -> None:
    """Calls by the hundred at once: what the simulated API bills fits into the budget."""
    charged = Budget("0.05")
    traffic = [Arrival(0.001 * number, ASK["model"], 1000, 100, 200) for number in range(500)]
    faults = [Fault("silence", share=0.1), Fault("overloaded", share=0.2)]
    engine = Engine(tier=None, faults=faults)
    result = simulate(traffic, stack=[AttemptTimeout(total=30), charged], api=engine)
    kept = [line.end for line in charged.lines if line.cost is None]
    free = [line for line in charged.lines if line.end == "529 overloaded_error"]
    assert set(kept) == {"TimeoutError"}
    assert free
    assert all(line.cost == 0 for line in free)
    assert len(charged.lines) < len(traffic)
    assert report(result).cost_usd <= charged.spent <= charged.limit


def test_a_budget_goes_on_where_the_last_process_left_off(tmp_path: Path) -> None:
    """What a call under way had reserved is spent, and the rest may be spent by the next."""
    path = tmp_path / "spent.sqlite"
    before = Budget(3 * WORST, book=SpendingFile(path))
    flow = before.flow(Request(body=ASK))
    next(flow)  # sent, and then the lights go out
    after, scene = Budget(3 * WORST, book=SpendingFile(path)), Scene()
    scene.client(after).messages.create(**ASK)
    assert after.spent == WORST + paid(scene)
    assert [(line.cost, line.end) for line in after.lines] == [(None, None), (paid(scene), "ok")]

"""The gate: how fast usage may grow, how much may be spent, and that both are off by default."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import model
from labkit.clock import VirtualClock
from labkit.errors import UserError
from labkit.pricing import Usage, cost
from labkit.sim.core import SimulatedApi
from labkit.sim.gate import Gate, Ramp, Spend
from labkit.sim.prompt_cache import Plan, uncached
from labkit.sim.transport import ReplyTransport, Simulated

HAIKU = model("claude-haiku-5-5")
DAY = 86_400.0
NEXT_MONTH = 9 * DAY
"""Virtual time begins on 22 November."""


# -- the acceleration limit -----------------------------------------------------------------------


def test_a_tenth_of_the_rate_limit_is_always_free() -> None:
    """Start allows two million input tokens a minute, so two hundred thousand come through."""
    gate = Gate(tier="start", ramp=2)
    let = sum(gate.admit(HAIKU, 10_000, 0.0) is None for _ in range(50))
    assert let == 20


def test_a_minute_takes_so_many_times_what_the_busiest_before_it_took() -> None:
    """Whoever doubles each minute is never refused; whoever triples is."""
    doubling = Ramp(2, free=1_000)
    for minute in range(8):
        for _ in range(2**minute):
            assert doubling.refuses(1_000, 60.0 * minute) is None
            doubling.count(1_000, 60.0 * minute)
    assert doubling.allowed(60.0 * 8) == 256_000
    assert doubling.refuses(1_000, 60.0 * 7) is not None


def test_a_refusal_says_when_the_next_minute_begins() -> None:
    """In whole seconds, with the code of November 2026."""
    ramp = Ramp(2, free=1_000)
    ramp.count(1_000, 10.5)
    refused = ramp.refuses(1, 10.5)
    assert refused is not None
    assert (refused.retry_after_s, refused.code) == (50, "ramp_limit_exceeded")
    assert ramp.refuses(1, 60.5) is None


def test_the_first_of_a_minute_passes_however_large() -> None:
    """So that nobody waits for ever."""
    ramp = Ramp(2, free=1_000)
    assert ramp.refuses(1_000_000, 0.0) is None
    ramp.count(1_000_000, 0.0)
    assert ramp.refuses(1, 1.0) is not None


def test_old_peaks_are_forgotten() -> None:
    """After ten quiet minutes the climb begins again."""
    ramp = Ramp(2, free=1_000)
    ramp.count(50_000, 0.0)
    assert ramp.allowed(600.0) == 100_000
    assert ramp.allowed(660.0) == 1_000


@given(
    st.floats(1, 5),
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 5_000)), max_size=80),
)
def test_no_minute_but_its_first_request_crosses_the_line(
    growth: float, story: list[tuple[float, int]]
) -> None:
    """Against a plain list of minutes."""
    ramp, now = Ramp(growth, free=2_000), 0.0
    used: dict[int, int] = {}
    for gap, tokens in story:
        now += gap
        minute = int(now // 60)
        past = max((used.get(m, 0) for m in range(minute - 10, minute)), default=0)
        line = max(2_000, int(growth * past))
        fits = used.get(minute, 0) == 0 or used[minute] + tokens <= line
        assert (ramp.refuses(tokens, now) is None) == fits
        if fits:
            ramp.count(tokens, now)
            used[minute] = used.get(minute, 0) + tokens


# -- the spend cap --------------------------------------------------------------------------------


def test_the_cap_counts_list_prices_to_the_token() -> None:
    """Every way in which a token is billed."""
    spend, plan = Spend(Decimal(500)), Plan(1_000, 2_000, 3_000, 4_000, None, ())
    spend.count(HAIKU, plan, 500, 0.0)
    usage = Usage(
        input_tokens=1_000,
        cache_read_input_tokens=2_000,
        cache_creation_5m=3_000,
        cache_creation_1h=4_000,
        output_tokens=500,
    )
    assert spend.spent_usd == cost("claude-haiku-5-5", usage)


def test_once_it_is_reached_nothing_passes_until_the_first_of_the_month() -> None:
    """2.4: no `retry-after`, and the code that says so."""
    gate = Gate(tier=None, spend_cap=0.01)
    passed = 0
    while gate.admit(HAIKU, 10_000, 0.0) is None:
        gate.settle(HAIKU, uncached(10_000), 100, 0.0, 1.0)
        passed += 1
    assert passed == 10
    refused = gate.admit(HAIKU, 1, NEXT_MONTH - 1)
    assert refused is not None
    assert (refused.retry_after_s, refused.code) == (None, "enforced_spend_limit_reached")
    assert gate.admit(HAIKU, 1, NEXT_MONTH) is None


def test_a_model_without_a_price_counts_nothing() -> None:
    """What it costs is not known, and it is no reason to fail."""
    spend = Spend(Decimal(1))
    spend.count(model("claude-mythos-preview"), uncached(10**6), 10**6, 0.0)
    assert spend.spent_usd == 0


# -- together -------------------------------------------------------------------------------------


def test_what_one_rule_refuses_the_others_do_not_count() -> None:
    """The rate limit holds what it held, the ramp too."""
    gate = Gate(tier="start", ramp=2)
    gate.admit(HAIKU, 200_000, 0.0)
    limiter = gate.limiter(HAIKU.id, 0.0)
    assert limiter is not None
    before = limiter.input.level
    assert gate.admit(HAIKU, 1_000, 0.0) is not None
    assert limiter.input.level == before


def test_without_settings_only_the_rate_limits_stand() -> None:
    """A ramp of any steepness and any sum pass."""
    gate = Gate()
    assert all(gate.admit(HAIKU, 190_000, 0.0) is None for _ in range(10))
    assert gate.spend is None
    assert not Gate(tier=None).limits


def statuses(**settings: Any) -> list[APIStatusError | None]:
    """Ask until something is refused, over the wire."""
    clock, api = VirtualClock(), SimulatedApi(tier="start", **settings)
    http = httpx2.Client(transport=ReplyTransport(Simulated(api), clock))
    client = Anthropic(api_key="k", max_retries=0, http_client=http)
    found: list[APIStatusError | None] = []
    for _ in range(30):
        try:
            client.messages.create(
                model="claude-haiku-5-5",
                max_tokens=1,
                messages=[{"role": "user", "content": "word " * 20_000}],
            )
            found.append(None)
        except APIStatusError as error:
            found.append(error)
            break
    return found


@pytest.mark.parametrize(
    ("settings", "code", "retry_after"),
    [
        ({"ramp": 2}, "ramp_limit_exceeded", True),
        ({"spend_cap": 0.01}, "enforced_spend_limit_reached", False),
    ],
    ids=["ramp", "spend"],
)
def test_on_the_wire_both_are_a_429_with_a_code(
    settings: dict[str, float], code: str, retry_after: bool
) -> None:
    """One says when to come back, the other cannot."""
    *fine, last = statuses(**settings)
    assert fine
    assert last is not None
    assert (last.status_code, last.error_code) == (429, code)
    assert ("retry-after" in last.response.headers) == retry_after


@pytest.mark.parametrize(
    "settings",
    [
        {"tier": "gold"},
        {"ramp": 0.5},
        {"ramp": float("nan")},
        {"ramp": float("inf")},
        {"spend_cap": 0},
        {"spend_cap": -1},
        {"spend_cap": float("nan")},
        {"spend_cap": float("inf")},
    ],
    ids=str,
)
def test_nonsense_is_refused(settings: dict[str, float]) -> None:
    """In one sentence."""
    with pytest.raises(UserError):
        Gate(**settings)  # type: ignore[arg-type]

"""Rate limits: buckets that refill all the time, what they refuse, and what the headers say."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.dates import EPOCH
from labkit.sim.limits import TIERS, Limits, RateLimiter, limit_class, tier_limits

SMALL = Limits(requests=60, input_tokens=60_000, output_tokens=6_000)
HEADER = re.compile(r"anthropic-ratelimit-(.*)-(limit|remaining|reset)")


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (("claude-fable-5", "claude-fable-5-1", "claude-fable-5-2"), True),
        (("claude-mythos-5", "claude-mythos-5-1", "claude-mythos-5-2"), True),
        (("claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"), True),
        (("claude-sonnet-4-5", "claude-sonnet-4-6"), True),
        (("claude-fable-5", "claude-mythos-5"), False),
        (("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8"), False),
        (("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6"), False),
        (("claude-haiku-5-5", "claude-haiku-4-5"), False),
    ],
    ids=str,
)
def test_2_1_which_models_share_a_bucket(names: tuple[str, ...], shared: bool) -> None:
    """Fable, Mythos, Opus 4 and Sonnet 4 each do; all others have their own."""
    assert len({limit_class(name) for name in names}) == (1 if shared else len(names))


@pytest.mark.parametrize(
    ("model_class", "figures"),
    [
        (
            "fable-5",
            [(1_000, 500_000, 100_000), (2_000, 1_500_000, 300_000), (4_000, 4_000_000, 800_000)],
        ),
        (
            "claude-haiku-5-5",
            [
                (1_000, 2_000_000, 400_000),
                (5_000, 5_000_000, 1_000_000),
                (10_000, 10_000_000, 2_000_000),
            ],
        ),
    ],
)
def test_2_2_the_figures_of_the_tiers(
    model_class: str, figures: list[tuple[int, int, int]]
) -> None:
    """Requests, input and output tokens a minute in Start, Build and Scale."""
    found = [tier_limits(model_class, tier) for tier in TIERS]
    assert [(one.requests, one.input_tokens, one.output_tokens) for one in found] == figures


def test_requests_beyond_the_minutes_allowance_wait_for_the_refill() -> None:
    """Sixty at once, and then one a second; the wait is in whole seconds."""
    limiter = RateLimiter(SMALL)
    assert all(limiter.admit(1, 0.0) is None for _ in range(60))
    refused = limiter.admit(1, 0.25)
    assert refused is not None
    assert (refused.kind, refused.limit, refused.retry_after_s) == ("requests", 60, 1)
    assert limiter.admit(1, 1.25) is None


def test_input_is_debited_when_a_request_is_let_through() -> None:
    """A refused one costs nothing."""
    limiter = RateLimiter(SMALL)
    assert limiter.admit(50_000, 0.0) is None
    refused = limiter.admit(20_000, 0.0)
    assert refused is not None
    assert (refused.kind, refused.retry_after_s) == ("input tokens", 10)
    assert limiter.admit(10_000, 0.0) is None
    assert limiter.requests.level == 58


def test_output_is_debited_when_it_has_been_produced_and_may_run_into_debt() -> None:
    """Neither before nor by `max_tokens`; what is owed keeps newcomers out until it is paid."""
    limiter = RateLimiter(SMALL)
    assert limiter.admit(1, 0.0) is None
    limiter.produce(6_500, 10.0)
    assert limiter.admit(1, 9.9) is None
    refused = limiter.admit(1, 10.0)
    assert refused is not None
    assert (refused.kind, refused.retry_after_s) == ("output tokens", 6)
    assert limiter.admit(1, 16.0) is None


def test_a_request_larger_than_a_minute_allows_is_told_no_time_to_come_back() -> None:
    """As recorded: `x-should-retry: false`, no `retry-after`, all that remains is left."""
    limiter = RateLimiter(SMALL)
    refused = limiter.admit(60_001, 0.0)
    assert refused is not None
    assert (refused.kind, refused.retry_after_s) == ("input tokens", None)
    assert limiter.headers(0.0, EPOCH)["anthropic-ratelimit-input-tokens-remaining"] == "60000"
    assert limiter.admit(60_000, 0.0) is None


steps = st.lists(
    st.tuples(st.floats(0, 20), st.integers(0, 30_000), st.integers(0, 3_000)), max_size=60
)


@given(steps)
def test_no_minute_holds_more_than_the_allowance_and_its_refill(
    story: list[tuple[float, int, int]],
) -> None:
    """Requests and input of what was let through, within any sixty seconds."""
    limiter, now = RateLimiter(SMALL), 0.0
    let: list[tuple[float, int]] = []
    for gap, prompt, answer in story:
        now += gap
        if limiter.admit(prompt, now) is None:
            let.append((now, prompt))
            limiter.produce(answer, now + 5)
    for start, _ in let:
        within = [prompt for at, prompt in let if start <= at < start + 60]
        assert len(within) <= 2 * SMALL.requests
        assert sum(within) <= 2 * SMALL.input_tokens


@given(steps, st.integers(1, 40_000))
def test_whoever_comes_back_when_told_is_let_through_if_nobody_else_came(
    story: list[tuple[float, int, int]], prompt: int
) -> None:
    """The wait is long enough, and not a second too long."""
    limiter, now = RateLimiter(SMALL), 0.0
    for gap, size, _ in story:
        now += gap
        limiter.admit(size, now)
    refused = limiter.admit(prompt, now)
    if refused is None:
        return
    assert refused.retry_after_s is not None
    assert limiter.admit(prompt, now + refused.retry_after_s + 1e-6) is None


@given(steps)
def test_the_headers_are_written_as_recorded(story: list[tuple[float, int, int]]) -> None:
    """Twelve; whole numbers; tokens = input + output in thousands; resets as RFC 3339 times."""
    limiter, now = RateLimiter(SMALL), 0.0
    for gap, prompt, answer in story:
        now += gap
        if limiter.admit(prompt, now) is None:
            limiter.produce(answer, now + 1)
    headers = limiter.headers(now, EPOCH)
    figures = {match.groups(): headers[name] for name in headers if (match := HEADER.match(name))}
    kinds = ("requests", "input-tokens", "output-tokens", "tokens")
    assert set(figures) == {(k, f) for k in kinds for f in ("limit", "remaining", "reset")}
    for field in ("limit", "remaining"):
        taken, given_out = (int(figures[kind, field]) for kind in kinds[1:3])
        assert int(figures["tokens", field]) == taken + given_out
        assert all(int(figures[kind, field]) % 1000 == 0 for kind in kinds[1:])
    for kind in kinds:
        assert 0 <= int(figures[kind, "remaining"]) <= int(figures[kind, "limit"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", figures[kind, "reset"])
        full = datetime.fromisoformat(figures[kind, "reset"]).timestamp()
        assert full >= int(EPOCH + now)


def test_the_reset_is_when_the_bucket_will_be_full_again() -> None:
    """Half of the input used: thirty seconds from now."""
    limiter = RateLimiter(SMALL)
    limiter.admit(30_000, 0.0)
    reset = limiter.headers(0.0, EPOCH)["anthropic-ratelimit-input-tokens-reset"]
    assert reset == datetime.fromtimestamp(EPOCH + 30, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

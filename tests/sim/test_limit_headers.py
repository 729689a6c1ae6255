"""The rate-limit headers: twelve, as they stood when the answer began, at every door alike."""

from __future__ import annotations

from labkit.catalog import model
from labkit.flow import Used
from labkit.sim.engine import Ask, Engine
from labkit.sim.fates import fate
from labkit.sim.limits import Limits, RateLimiter

ASK = Ask(model("claude-haiku-5-5"), 900, 4_096, 200)


def test_they_show_how_things_stood_however_late_they_are_read() -> None:
    """What happens in between does not show."""
    limiter = RateLimiter(Limits(10, 20_000, 5_000))
    early = limiter.headers(0.0, 0)
    assert limiter.admit(9_000, 0.0) is None
    late = limiter.headers(0.0, 0)
    name = "anthropic-ratelimit-{}-remaining"
    assert [int(early[name.format(kind)]) for kind in ("requests", "input-tokens")] == [10, 20_000]
    assert [int(late[name.format(kind)]) for kind in ("requests", "input-tokens")] == [9, 11_000]


def test_a_fleets_answer_has_the_twelve_headers_and_tells_its_usage() -> None:
    """As one on the wire has and does."""
    decision = Engine(seed=1).decide(ASK, 0.0, None)
    outcome = fate(decision, 600.0).outcome
    assert len(outcome.headers) == 12
    assert outcome.headers["anthropic-ratelimit-requests-limit"] == "1000"
    told: list[Used] = []
    outcome.when_used(told.append)
    assert told == [Used(900, 200)]


def test_a_fleets_refusal_has_them_too() -> None:
    """Beside the `retry-after`."""
    engine = Engine(seed=1)
    while (decision := engine.decide(ASK, 0.0, None)).refusal is None:
        pass
    headers = fate(decision, 600.0).outcome.headers
    assert len(headers) == 13
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert int(headers["retry-after"]) >= 1


def test_without_limits_there_are_none() -> None:
    """Nothing is made up."""
    decision = Engine(seed=1, tier=None).decide(ASK, 0.0, None)
    assert dict(fate(decision, 600.0).outcome.headers) == {}

"""The engine: same seed, same decisions; faults, latency, load, and what costs nothing."""

from __future__ import annotations

import math
from statistics import mean, median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import model
from labkit.sim.engine import Ask, Decision, Engine
from labkit.sim.faults import Fault
from labkit.sim.latency import ASSUMED, SPREAD

HAIKU, OPUS = model("claude-haiku-5-5"), model("claude-opus-5-5")


def ask(engine: Engine, now: float = 0.0, **sizes: int | None) -> Decision:
    """Let one request arrive."""
    given: dict[str, int | None] = {"prompt_tokens": 900, "output_tokens": 200, **sizes}
    asked = Ask(HAIKU, int(given["prompt_tokens"] or 0), 4096, given["output_tokens"])
    return engine.decide(asked, now, engine.strike(now, model_name=HAIKU.id))


stories = st.lists(
    st.tuples(st.floats(0, 5), st.integers(1, 50_000), st.none() | st.integers(1, 3_000)),
    min_size=1,
    max_size=30,
)
FAULTS = [Fault("overloaded", share=0.3), Fault("slow", start=5, share=0.5)]


def told(seed: int, story: list[tuple[float, int, int | None]]) -> list[str]:
    """Return the log of a story."""
    log: list[str] = []
    engine, now = Engine(seed=seed, faults=FAULTS, comfortable=3, log=log.append), 0.0
    for gap, prompt, output in story:
        now += gap
        ask(engine, now, prompt_tokens=prompt, output_tokens=output)
    return log


@given(st.integers(), stories)
def test_the_same_seed_and_story_give_the_same_log(
    seed: int, story: list[tuple[float, int, int | None]]
) -> None:
    """Byte for byte."""
    assert told(seed, story) == told(seed, story)


def test_another_seed_gives_another_log() -> None:
    """Times differ from the first line on."""
    story: list[tuple[float, int, int | None]] = [(1.0, 900, 200)] * 5
    assert all(a != b for a, b in zip(told(1, story), told(2, story), strict=True))


def test_the_first_fault_that_strikes_decides() -> None:
    """The order of the timeline is the order of precedence."""
    engine = Engine(faults=[Fault("internal", first=1), Fault("overloaded", first=2)])
    kinds = [fault.kind if (fault := engine.strike(0.0)) else None for _ in range(3)]
    assert kinds == ["internal", "overloaded", None]


def test_a_share_strikes_that_share() -> None:
    """Three in ten, within four standard errors."""
    engine = Engine(seed=1, faults=[Fault("overloaded", share=0.3)])
    struck = sum(engine.strike(0.0) is not None for _ in range(10_000))
    assert struck / 10_000 == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 10_000))


def test_a_request_that_no_model_sees_costs_no_limits() -> None:
    """Twelve hundred overloads leave a thousand requests a minute as they were."""
    engine = Engine(faults=[Fault("overloaded", first=1_200)])
    for _ in range(1_200):
        ask(engine, prompt_tokens=1, output_tokens=1)
    assert all(ask(engine, prompt_tokens=1, output_tokens=1).refusal is None for _ in range(1_000))
    assert ask(engine, prompt_tokens=1, output_tokens=1).refusal is not None


def drawn(count: int = 4_000, **sizes: int | None) -> list[Decision]:
    """Return many decisions about the same request."""
    engine = Engine(seed=3, tier=None)
    return [ask(engine, 0.0, **sizes) for _ in range(count)]


def test_the_first_token_comes_after_the_time_the_parameters_say() -> None:
    """Median and spread in the logarithm."""
    speed = ASSUMED["haiku"]
    logs = [math.log(one.first_token_s) for one in drawn(prompt_tokens=10_000)]
    expected = math.log(speed.first_token_s + 10 * speed.per_1000_prompt_tokens_s)
    assert mean(logs) == pytest.approx(expected, abs=4 * SPREAD / math.sqrt(len(logs)))
    assert stdev(logs) == pytest.approx(SPREAD, rel=0.05)


def test_tokens_come_at_the_pace_the_parameters_say() -> None:
    """In the median, and the last one ends the answer."""
    decisions = drawn(output_tokens=500)
    pace = median(1 / one.token_s for one in decisions)
    assert pace == pytest.approx(ASSUMED["haiku"].tokens_per_second, rel=0.02)
    for one in decisions[:50]:
        assert one.duration_s == pytest.approx(one.first_token_s + 500 * one.token_s)


def test_a_longer_prompt_waits_longer_and_a_cached_one_does_not() -> None:
    """What the prompt cache holds is not read again."""
    short, long = (
        median(one.first_token_s for one in drawn(prompt_tokens=n)) for n in (1, 500_000)
    )
    added = 500 * ASSUMED["haiku"].per_1000_prompt_tokens_s
    assert long - short == pytest.approx(added, rel=0.05)


def test_the_order_of_the_lines_is_that_of_their_labels() -> None:
    """Fastest, fast, moderate, as published; the figures themselves are assumed."""
    haiku, sonnet, opus = (ASSUMED[line] for line in ("haiku", "sonnet", "opus"))
    assert haiku.first_token_s < sonnet.first_token_s < opus.first_token_s
    assert haiku.tokens_per_second > sonnet.tokens_per_second > opus.tokens_per_second


def test_load_slows_everything_down_in_proportion() -> None:
    """Ten answers at once where five are comfortable: everything takes twice as long."""
    calm, busy = Engine(seed=5, tier=None), Engine(seed=5, tier=None, comfortable=5)
    pairs = [(ask(calm), ask(busy)) for _ in range(12)]
    strains = [two.duration_s / one.duration_s for one, two in pairs]
    assert strains == pytest.approx([1, 1, 1, 1, 1, 1, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2])


def test_load_is_over_when_the_answers_are() -> None:
    """A minute later nothing is under way."""
    calm, busy = Engine(seed=5, tier=None), Engine(seed=5, tier=None, comfortable=5)
    for _ in range(12):
        ask(calm)
        ask(busy)
    assert ask(busy, 600.0).duration_s == ask(calm, 600.0).duration_s


def test_an_answer_whose_length_nobody_gave_has_one() -> None:
    """Around the usual, never nothing, never beyond `max_tokens`."""
    engine = Engine(seed=2, tier=None)
    lengths = [ask(engine, output_tokens=None).output_tokens for _ in range(2_000)]
    assert median(lengths) == pytest.approx(120, rel=0.03)
    assert min(lengths) >= 1
    short = engine.decide(Ask(HAIKU, 900, 10, None), 0.0, None)
    assert short.output_tokens == 10


def test_a_pre_warming_request_has_no_answer() -> None:
    """`max_tokens: 0` reads and writes the cache, and that is all."""
    decision = Engine(tier=None).decide(Ask(HAIKU, 900, 0, 5), 0.0, None)
    assert decision.output_tokens == 0
    assert decision.duration_s == decision.first_token_s


def test_each_class_of_models_has_buckets_of_its_own() -> None:
    """What one uses up the other still has."""
    engine = Engine()
    for _ in range(1_000):
        ask(engine, prompt_tokens=1, output_tokens=1)
    assert ask(engine, prompt_tokens=1, output_tokens=1).refusal is not None
    assert engine.decide(Ask(OPUS, 1, 10, 1), 0.0, None).refusal is None


def test_a_line_of_the_log_tells_what_was_decided() -> None:
    """Number, time, model, fault, limit, the parts of the prompt, tokens and times."""
    log: list[str] = []
    engine = Engine(seed=1, faults=[Fault("slow", first=1)], log=log.append)
    decision = ask(engine, 2.5)
    first, duration = f"{decision.first_token_s:.6f}", f"{decision.duration_s:.6f}"
    assert log == [f"1 2.500000 claude-haiku-5-5 slow - 900 0 0 0 200 {first} {duration}"]

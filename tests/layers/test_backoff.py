"""Backoff: bounded, jittered even at the cap, and repeatable."""

from __future__ import annotations

import doctest
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import FrozenInstanceError
from itertools import pairwise
from statistics import fmean, quantiles

import anthropic
import pytest
import stamina
import tenacity
from anthropic._models import FinalRequestOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from stamina.instrumentation import RetryDetails, get_on_retry_hooks, set_on_retry_hooks

from labkit.layers import backoff
from labkit.layers.backoff import (
    AdditiveJitter,
    Backoff,
    DecorrelatedJitter,
    EqualJitter,
    Exponential,
    Fixed,
    FullJitter,
    SdkBackoff,
    SmoothJitter,
    honour,
)

JITTERED: dict[str, Callable[[float, float], Backoff]] = {
    "full": FullJitter,
    "equal": EqualJitter,
    "decorrelated": DecorrelatedJitter,
    "additive": lambda base, cap: AdditiveJitter(base, cap, spread=(cap - base) / 2),
    "smooth": SmoothJitter,
    "sdk": SdkBackoff,
}
KINDS = {"exponential": Exponential, **JITTERED}

each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
each_jittered_kind = pytest.mark.parametrize("kind", JITTERED.values(), ids=JITTERED)
lasting = settings(deadline=None)

bases = st.floats(1e-6, 1e3)
growths = st.floats(1.5, 1e6)
attempts = st.integers(0, 10_000)
seeds = st.integers(0, 2**32)
shares = st.floats(0, 1)


class LoadedDice(random.Random):
    """Dice that always throw the same number."""

    def __init__(self, throw: float) -> None:
        super().__init__()
        self.throw = throw

    def random(self) -> float:
        """Return the loaded throw."""
        return self.throw


LOWEST, MIDDLE, HIGHEST = LoadedDice(0.0), LoadedDice(0.5), LoadedDice(1 - 2**-53)


def crowding(delays: Iterable[float]) -> float:
    """Return the share of clients that wait exactly as long as the most common wait."""
    counts = Counter(delays)
    return counts.most_common(1)[0][1] / counts.total()


def test_the_example_in_the_module_is_true() -> None:
    """The docstring's example gives what it says."""
    results = doctest.testmod(backoff)
    assert results.attempted > 0
    assert results.failed == 0


@each_kind
@lasting
@given(bases, growths, attempts, shares, seeds)
def test_a_delay_is_never_negative_and_never_above_the_cap(
    kind: Callable[[float, float], Backoff],
    base: float,
    growth: float,
    attempt: int,
    share: float,
    seed: int,
) -> None:
    """Any attempt up to the ten-thousandth, any previous delay, even the luckiest dice."""
    cap = base * growth
    for dice in (random.Random(seed), LOWEST, MIDDLE, HIGHEST):
        assert 0 <= kind(base, cap).delay(attempt, share * cap, dice) <= cap


@each_kind
@lasting
@given(bases, growths, seeds)
def test_the_same_seed_gives_the_same_delays(
    kind: Callable[[float, float], Backoff], base: float, growth: float, seed: int
) -> None:
    """A policy has no dice of its own."""
    policy, one, other = kind(base, base * growth), random.Random(seed), random.Random(seed)
    for attempt in range(20):
        assert policy.delay(attempt, base, one) == policy.delay(attempt, base, other)


@each_jittered_kind
@lasting
@given(bases, growths, st.integers(30, 10_000), seeds)
def test_jitter_survives_the_cap(
    kind: Callable[[float, float], Backoff], base: float, growth: float, attempt: int, seed: int
) -> None:
    """However late the attempt, a crowd of clients does not share a delay."""
    cap, dice = base * growth, random.Random(seed)
    assert crowding(kind(base, cap).delay(attempt, cap, dice) for _ in range(200)) < 0.05


def test_without_jitter_everybody_waits_alike() -> None:
    """The check above does fail on backoff that has no jitter."""
    dice = random.Random(1)
    for policy in (Fixed(1.0), Exponential(1.0, 8.0)):
        assert crowding(policy.delay(9, 8.0, dice) for _ in range(200)) == 1


def test_decorrelated_jitter_capped_after_the_draw_crowds_at_the_cap() -> None:
    """The article's own formula sends about two clients in three back at the same moment."""
    dice = random.Random(1)
    delays = [min(30.0, dice.uniform(0.5, 3 * 30.0)) for _ in range(2000)]
    assert crowding(delays) == pytest.approx(2 / 3, abs=0.03)


def test_stamina_loses_its_jitter_at_the_seventh_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """With stamina's defaults all clients wait exactly 5 s from attempt 7, and no sooner."""
    waits: dict[int, list[float]] = {}

    def note(details: RetryDetails) -> None:
        waits.setdefault(details.retry_num, []).append(details.wait_for)

    def always_fail() -> None:
        raise ConnectionError

    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    hooks = get_on_retry_hooks()
    set_on_retry_hooks([note])
    try:
        for _ in range(50):
            with pytest.raises(ConnectionError):
                stamina.retry(on=ConnectionError)(always_fail)()
    finally:
        set_on_retry_hooks(hooks)
    crowds = {number: crowding(round(wait, 9) for wait in group) for number, group in waits.items()}
    assert [number for number, crowd in crowds.items() if crowd == 1] == [7, 8, 9]
    assert {round(wait, 9) for number in (7, 8, 9) for wait in waits[number]} == {5.0}


def test_tenacity_loses_its_jitter_at_the_fourth_attempt() -> None:
    """With a cap of 8 s all clients wait exactly 8 s from attempt 4, and no sooner."""
    wait = tenacity.wait_exponential_jitter(max=8)
    state = tenacity.RetryCallState(tenacity.Retrying(), fn=None, args=(), kwargs={})

    def waits(attempt: int) -> list[float]:
        state.attempt_number = attempt
        return [wait(state) for _ in range(200)]

    assert [attempt for attempt in range(1, 11) if crowding(waits(attempt)) == 1] == [*range(4, 11)]
    assert set(waits(4)) == {8.0}


def test_exponential_doubles_from_the_base_and_stays_at_the_cap() -> None:
    """The first wait is the base."""
    policy = Exponential(0.5, 6.0)
    delays = [policy.delay(attempt, 0, LOWEST) for attempt in range(6)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]


def test_fixed_waits_the_same_every_time() -> None:
    """Neither attempts nor dice matter."""
    assert {Fixed(2.5).delay(attempt, 2.5, MIDDLE) for attempt in range(9)} == {2.5}


@pytest.mark.parametrize(
    ("policy", "lowest", "middle"),
    [
        (FullJitter(1, 10), 0.0, 2.0),
        (EqualJitter(1, 10), 2.0, 3.0),
        (DecorrelatedJitter(1, 10), 1.0, 3.5),
        (AdditiveJitter(1, 10, spread=3), 4.0, 5.5),
        (SdkBackoff(1, 10), 4.0, 3.5),
    ],
)
def test_each_formula_gives_the_number_worked_out_by_hand(
    policy: Backoff, lowest: float, middle: float
) -> None:
    """Attempt 2 of base 1 and cap 10, the delay before it 2 s, with loaded dice."""
    assert policy.delay(2, 2.0, LOWEST) == lowest
    assert policy.delay(2, 2.0, MIDDLE) == middle


@lasting
@given(bases, growths, attempts, shares, seeds)
def test_decorrelated_jitter_draws_between_the_base_and_thrice_the_previous_delay(
    base: float, growth: float, attempt: int, share: float, seed: int
) -> None:
    """The first delay, which has none before it, takes the base for it."""
    policy, dice = DecorrelatedJitter(base, base * growth), random.Random(seed)
    for previous in (0.0, share * policy.cap):
        delay = policy.delay(attempt, previous, dice)
        assert base <= delay <= min(policy.cap, 3 * max(previous, base))


@lasting
@given(bases, growths, attempts, seeds)
def test_equal_jitter_waits_at_least_half_the_ceiling(
    base: float, growth: float, attempt: int, seed: int
) -> None:
    """Nobody comes back at once."""
    policy = EqualJitter(base, base * growth)
    assert policy.delay(attempt, 0, random.Random(seed)) >= policy.ceiling(attempt) / 2


@pytest.mark.parametrize("attempt", [0, 3, 10, 5000])
def test_full_jitter_waits_half_as_long_as_exponential_on_average(attempt: int) -> None:
    """The mean of many draws is half the ceiling, within four standard errors."""
    full, exponential, dice, draws = (
        FullJitter(0.5, 30),
        Exponential(0.5, 30),
        random.Random(3),
        20_000,
    )
    ceiling = exponential.delay(attempt, 0, dice)
    mean = fmean(full.delay(attempt, 0, dice) for _ in range(draws))
    assert mean == pytest.approx(ceiling / 2, abs=4 * ceiling / math.sqrt(12 * draws))


def test_additive_jitter_uses_its_whole_spread_at_the_cap() -> None:
    """The growing part stops early enough to leave room."""
    policy, dice = AdditiveJitter(0.1, 5.0, spread=1.0), random.Random(4)
    delays = [policy.delay(50, 5.0, dice) for _ in range(2000)]
    assert min(delays) == pytest.approx(4.0, abs=0.01)
    assert max(delays) == pytest.approx(5.0, abs=0.01)


def polly_delays(attempts: int, dice: random.Random) -> list[float]:
    """Return one client's delays as Polly draws them: the last point of the curve is remembered."""
    points = [0.0]
    for attempt in range(attempts):
        t = attempt + dice.random()
        points.append(2**t * math.tanh(math.sqrt(4 * t)))
    return [(after - before) / 1.4 for before, after in pairwise(points)]


@pytest.mark.parametrize("attempt", range(6))
def test_smooth_jitter_spreads_each_delay_as_polly_does(attempt: int) -> None:
    """The deciles of many draws agree with those of Polly's curve, which remembers."""
    dice, draws = random.Random(6), 20_000
    ours = [SmoothJitter(1.0, 1e6).delay(attempt, 0, dice) for _ in range(draws)]
    theirs = [polly_delays(attempt + 1, dice)[-1] for _ in range(draws)]
    tolerance = 0.03 * 2**attempt
    assert quantiles(ours, n=10) == pytest.approx(quantiles(theirs, n=10), abs=tolerance)


def test_smooth_jitter_ends_at_the_cap_and_not_before() -> None:
    """The curve is scaled down as a whole, so its highest point is the cap."""
    dice = random.Random(8)
    delays = [SmoothJitter(1.0, 30.0).delay(40, 0, dice) for _ in range(5000)]
    assert 29.0 < max(delays) <= 30.0
    assert fmean(delays) == pytest.approx(14.4, abs=0.5)


@pytest.fixture(scope="module")
def sdk_client() -> Iterator[anthropic.Anthropic]:
    """A client that is never asked to send anything."""
    with anthropic.Anthropic(api_key="none", base_url="https://example.invalid") as client:
        yield client


@lasting
@given(st.integers(0, 10_000), seeds)
def test_sdk_backoff_is_what_the_sdk_computes(
    sdk_client: anthropic.Anthropic, retries: int, seed: int
) -> None:
    """Both throw the same dice and wait the same time."""
    options = FinalRequestOptions(method="post", url="/", max_retries=retries)
    ours, theirs = random.Random(seed), random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anthropic._base_client.random", theirs.random)
        expected = sdk_client._calculate_retry_timeout(0, options)
    assert SdkBackoff().delay(retries, 0, ours) == expected


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: Fixed(-1), "0 seconds or more"),
        (lambda: Fixed(math.nan), "0 seconds or more"),
        (lambda: FullJitter(base=-0.5), "base must be above 0"),
        (lambda: FullJitter(base=0), "base must be above 0"),
        (lambda: Exponential(base=math.nan), "base must be above 0"),
        (lambda: EqualJitter(base=2, cap=1), "at least the base"),
        (lambda: SmoothJitter(cap=math.inf), "cap must be finite"),
        (lambda: SdkBackoff(base=9), "at least the base"),
        (lambda: DecorrelatedJitter(base=1, cap=1), "leave room"),
        (lambda: DecorrelatedJitter(base=-1, cap=1), "base must be above 0"),
        (lambda: AdditiveJitter(spread=0), "spread must be above 0"),
        (lambda: AdditiveJitter(base=1, cap=2, spread=1.5), "fit between base and cap"),
        (lambda: honour(1, spread=-1, cap=60, dice=MIDDLE), "0 seconds or more"),
        (lambda: honour(1, spread=1, cap=-60, dice=MIDDLE), "0 seconds or more"),
    ],
)
def test_a_senseless_argument_is_refused_in_one_sentence(
    build: Callable[[], object], complaint: str
) -> None:
    """The message names what must hold and what was given."""
    with pytest.raises(ValueError, match=complaint) as caught:
        build()
    assert str(caught.value).endswith(".")


def test_a_policy_cannot_be_changed_after_it_was_checked() -> None:
    """A frozen policy stays valid."""
    policy = FullJitter()
    with pytest.raises(FrozenInstanceError):
        policy.base = -1  # type: ignore[misc]


@lasting
@given(st.floats(0, 1e6), st.floats(0, 1e3), st.floats(0, 1e6), seeds)
def test_honour_waits_at_least_what_the_server_asked_or_gives_up(
    retry_after: float, spread: float, cap: float, seed: int
) -> None:
    """None if and only if the header asks for more than the cap."""
    wait = honour(retry_after, spread, cap, random.Random(seed))
    if retry_after > cap:
        assert wait is None
    else:
        assert wait is not None
        assert retry_after <= wait <= retry_after + spread


def test_honour_scatters_a_herd_that_was_told_the_same_second() -> None:
    """Of 500 clients told to wait 5 s, hardly two come back at once; without spread, all do."""
    dice = random.Random(9)
    scattered = [honour(5, 10, 60, dice) or 0.0 for _ in range(500)]
    assert crowding(scattered) < 0.01
    assert max(scattered) - min(scattered) > 9
    assert {honour(5, 0, 60, dice) for _ in range(500)} == {5.0}


def test_honour_takes_a_negative_header_for_no_wait() -> None:
    """A server's odd number must not break the client."""
    assert honour(-3, 2, 60, MIDDLE) == 1.0

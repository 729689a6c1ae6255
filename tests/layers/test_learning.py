"""What a throttle learns: its limits, what is left of them, and how fast to go in the dark."""

from __future__ import annotations

from math import inf

import pytest

from labkit.flow import Outcome
from labkit.layers.booking import Booking
from labkit.layers.learning import LearningDesk
from labkit.layers.line import Amounts

NAME = "anthropic-ratelimit-{}-{}"
UNKNOWN = Amounts(inf, inf, inf)
WIDE = Amounts(6_000, 6_000_000, 6_000_000)


def headers(what: str, **figures: object) -> dict[str, str]:
    """Spell headers; `input_tokens` is a limit's name in Python."""
    return {NAME.format(kind.replace("_", "-"), what): str(n) for kind, n in figures.items()}


def told(desk: LearningDesk, now: float, spelt: dict[str, str], status: int = 200) -> None:
    """Send one call and learn from its answer, which comes at once."""
    booking = desk.book(10)
    assert desk.at_once(booking, now)
    readings = desk.sent(booking, now)
    desk.learn(readings, booking, Outcome(status=status, headers=spelt), now)


def waiting(desk: LearningDesk, now: float) -> Booking:
    """Return a booking that had to wait, by now it is its turn."""
    booking = desk.book(10)
    desk.requests.refill(now)
    desk.requests.lower(0.5)
    desk.turn(booking, now)
    desk.turn(booking, now + 10)
    return booking


def test_limits_are_learnt_from_the_first_answer() -> None:
    """All three, and the burst is a tenth of each."""
    desk = LearningDesk(UNKNOWN, None, 300)
    limits = headers("limit", requests=1_000, input_tokens=500_000, output_tokens=80_000)
    told(desk, 0.0, limits)
    assert (desk.requests.per_minute, desk.requests.burst) == (1_000, 100)
    assert (desk.input.per_minute, desk.input.burst) == (500_000, 50_000)
    assert (desk.output.per_minute, desk.output.burst) == (80_000, 8_000)


def test_a_limit_that_was_given_is_never_raised_but_lowered() -> None:
    """Several programs may share what the server allows; and the server has the last word."""
    desk = LearningDesk(Amounts(600, inf, 50_000), None, 300)
    told(desk, 0.0, headers("limit", requests=1_000, output_tokens=20_000))
    assert desk.requests.per_minute == 600
    assert desk.output.per_minute == 20_000


def test_a_limit_that_changes_is_learnt_again() -> None:
    """Somebody moved to another tier, without a restart of ours."""
    desk = LearningDesk(UNKNOWN, None, 300)
    for second, limit in enumerate([1_000, 5_000, 2_000]):
        told(desk, float(second), headers("limit", requests=limit))
        assert desk.requests.per_minute == limit


def test_less_left_than_we_thought_is_believed() -> None:
    """Somebody else uses the same key; tokens left may be 499 more than the thousands say."""
    desk = LearningDesk(WIDE, None, 300)
    left = headers("remaining", requests=3, input_tokens=2_000, output_tokens=1_000)
    told(desk, 0.0, left)
    assert (desk.requests.level, desk.input.level, desk.output.level) == (3, 2_500, 1_500)


def test_more_left_than_we_thought_is_not() -> None:
    """What is on its way does not show yet."""
    desk = LearningDesk(WIDE, None, 300)
    told(desk, 0.0, headers("remaining", requests=6_000, input_tokens=6_000_000))
    assert desk.requests.level == 599
    assert desk.input.level == 600_000 - 10


def test_a_rounded_zero_does_not_stop_a_small_limit() -> None:
    """Where 499 tokens are left, the header says 0; calls of 400 still go out."""
    desk = LearningDesk(Amounts(6_000, 6_000, 6_000), None, 10)
    told(desk, 0.0, headers("remaining", input_tokens=0))
    assert desk.turn(desk.book(400), 0.0) == 0


def test_old_news_is_brought_up_to_date() -> None:
    """An answer that took half a minute tells what was left half a minute ago."""
    desk = LearningDesk(Amounts(600, inf, inf), None, 300)
    booking = desk.book(10)
    desk.turn(booking, 0.0)
    readings = desk.sent(booking, 0.0)
    spelt = headers("remaining", requests=0)
    desk.learn(readings, booking, Outcome(status=200, headers=spelt), 3.0)
    assert desk.requests.level == pytest.approx(30)


def test_what_we_sent_in_the_meantime_is_taken_off() -> None:
    """Of what was refilled since."""
    desk = LearningDesk(Amounts(600, inf, inf), None, 300)
    booking = desk.book(10)
    desk.turn(booking, 0.0)
    readings = desk.sent(booking, 0.0)
    for _ in range(20):
        desk.turn(desk.book(10), 1.0)
    spelt = headers("remaining", requests=0)
    desk.learn(readings, booking, Outcome(status=200, headers=spelt), 3.0)
    assert desk.requests.level == pytest.approx(10)


@pytest.mark.parametrize("value", ["", "-5", "many", "1e3", "²", "0.5"])
def test_a_header_that_is_no_number_changes_nothing(value: str) -> None:
    """Nor does it fail."""
    desk = LearningDesk(WIDE, None, 300)
    told(desk, 0.0, {**headers("remaining", requests=value), **headers("limit", requests=value)})
    assert (desk.requests.level, desk.requests.per_minute) == (599, 6_000)


def test_a_limit_of_zero_is_no_limit_to_learn() -> None:
    """Some proxies send it for "none"."""
    desk = LearningDesk(WIDE, None, 300)
    told(desk, 0.0, headers("limit", requests=0))
    assert desk.requests.per_minute == 6_000


def test_one_answer_a_second_is_read() -> None:
    """The others would say the same."""
    desk = LearningDesk(WIDE, None, 300)
    booking = desk.book(10)
    assert [bool(desk.sent(booking, now)) for now in (0.0, 0.5, 0.99, 1.0, 1.5, 2.0)] == [
        *(True, False, False),
        *(True, False, True),
    ]


def test_an_unknown_limit_begins_at_one_request_a_second() -> None:
    """After a handful at once."""
    desk = LearningDesk(UNKNOWN, None, 300)
    waits = [desk.turn(desk.book(1e6), 0.0) for _ in range(8)]
    assert waits == pytest.approx([0] * 6 + [1, 2])


def test_without_headers_the_pace_grows_while_calls_wait_and_halves_after_a_429() -> None:
    """And stands still while nobody waits."""
    desk = LearningDesk(UNKNOWN, None, 300)
    told(desk, 0.0, {})
    assert desk.requests.per_minute == 60
    booking = waiting(desk, 10.0)
    desk.learn(desk.sent(booking, 20.0), booking, Outcome(status=200), 20.0)
    assert desk.requests.per_minute == 75
    told(desk, 40.0, {}, 429)
    assert desk.requests.per_minute == 37.5


def test_a_known_limit_is_not_guessed_at() -> None:
    """A 429 then comes from somebody else's traffic, or from bursts: it is waited out."""
    desk = LearningDesk(WIDE, None, 300)
    told(desk, 0.0, {"retry-after": "7"}, 429)
    assert desk.requests.per_minute == 6_000
    assert desk.turn(desk.book(10), 0.0) == pytest.approx(7.01)


def test_a_spend_limit_makes_nobody_wait() -> None:
    """Its 429 has no `retry-after`, because waiting cannot help."""
    desk = LearningDesk(WIDE, None, 300)
    told(desk, 0.0, {}, 429)
    assert desk.turn(desk.book(10), 0.0) == 0


def test_a_ramp_begins_at_a_twentieth_and_grows_only_while_calls_wait() -> None:
    """By its factor a minute, up to the whole limit."""
    desk = LearningDesk(Amounts(6_000, 100_000, inf), 2.0, 300)
    assert desk.input.per_minute == 5_000
    idle = desk.book(10)
    desk.sent(idle, 0.0)
    assert desk.input.per_minute == 5_000
    shares = []
    for second in range(1, 301):
        booking = desk.book(10)
        booking.cost = 1.0
        desk.sent(booking, float(second))
        shares.append(desk.input.per_minute)
    assert shares[59] == pytest.approx(10_000)
    assert shares[119] == pytest.approx(20_000)
    assert shares[-1] == 100_000

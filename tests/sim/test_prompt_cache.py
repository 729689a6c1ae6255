"""The prompt cache: written at breakpoints, read from them, for as long as an entry lives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from labkit.sim.prefix import Block, Prefix
from labkit.sim.prompt_cache import Plan, PromptCache, uncached

MINIMUM = 512
SIZE = 300
FIRST_TOKEN_S = 1.0
LIFETIME_S = {"5m": 300.0, "1h": 3600.0}


def prompt(words: str, **marks: str) -> Prefix:
    """Return a prefix of 300 tokens a letter; `b2="5m"` sets a breakpoint on its third block."""
    marked = {int(place[1:]): ttl for place, ttl in marks.items()}
    return Prefix(
        tuple(
            Block("messages", words[: place + 1].encode(), SIZE * (place + 1), marked.get(place))
            for place in range(len(words))
        )
    )


def ask(cache: PromptCache, prefix: Prefix, now: float, begins: float = FIRST_TOKEN_S) -> Plan:
    """Let a request be served from start to end."""
    plan = cache.plan(prefix, MINIMUM, now)
    cache.commit(plan, now, now + begins)
    return plan


def sizes(plan: Plan) -> tuple[int, int, int, int]:
    """Return (uncached, read, written for 5 minutes, for an hour) in blocks."""
    return tuple(part // SIZE for part in plan[:4])  # type: ignore[return-value]


def test_what_is_written_once_is_read_next() -> None:
    """What follows the breakpoint is paid in full each time."""
    cache, asked = PromptCache(), prompt("abcd", b2="5m")
    assert sizes(ask(cache, asked, 0.0)) == (1, 0, 3, 0)
    assert sizes(ask(cache, asked, 10.0)) == (1, 3, 0, 0)


def test_nothing_is_kept_without_a_breakpoint() -> None:
    """Each time in full."""
    cache = PromptCache()
    assert sizes(ask(cache, prompt("abcd"), 0.0)) == (4, 0, 0, 0)
    assert sizes(ask(cache, prompt("abcd"), 10.0)) == (4, 0, 0, 0)


def test_a_short_prefix_is_silently_not_kept() -> None:
    """Both counters stay at 0."""
    cache, short = PromptCache(), prompt("abc", b0="5m")
    assert sizes(ask(cache, short, 0.0)) == sizes(ask(cache, short, 10.0)) == (3, 0, 0, 0)


def test_an_entry_is_readable_once_the_first_response_begins() -> None:
    """Parallel first requests all miss; who comes later reads."""
    cache, asked = PromptCache(), prompt("abc", b2="5m")
    for now in (0.0, 0.5, 0.99):
        assert sizes(ask(cache, asked, now)) == (0, 0, 3, 0)
    assert sizes(ask(cache, asked, 1.0)) == (0, 3, 0, 0)


@pytest.mark.parametrize(("ttl", "seconds"), LIFETIME_S.items())
def test_an_entry_lives_from_the_start_of_the_request(ttl: str, seconds: float) -> None:
    """However long the answer takes; each use renews it."""
    cache, asked = PromptCache(), prompt("abc", b2=ttl)
    ask(cache, asked, 0.0, begins=200.0)
    now = seconds - 1.0
    assert ask(cache, asked, now).read
    assert ask(cache, asked, now + seconds - 1.0).read
    assert not ask(cache, asked, now + 2 * seconds - 1.0).read


def test_a_growing_conversation_reads_what_the_last_turn_wrote() -> None:
    """As long as no more than 20 positions lie between, the breakpoint's own among them."""
    cache = PromptCache()
    ask(cache, prompt("a" * 3, b2="5m"), 0.0)
    near, far = prompt("a" * 22, b21="5m"), prompt("a" * 23, b22="5m")
    assert cache.plan(near, MINIMUM, 10.0).read == 3 * SIZE
    assert cache.plan(far, MINIMUM, 10.0).read == 0
    again = prompt("a" * 23, b10="5m", b22="5m")
    assert cache.plan(again, MINIMUM, 10.0).read == 3 * SIZE


def test_a_breakpoint_on_what_changes_never_hits() -> None:
    """A time stamp in the marked block: what stands before it was never written."""
    cache = PromptCache()
    for now, word in enumerate(["abcX", "abcY", "abcZ"]):
        assert sizes(ask(cache, prompt(word, b3="5m"), 10.0 * now)) == (0, 0, 4, 0)


def test_the_longer_lifetime_comes_first() -> None:
    """Read up to the hit, an hour up to its last breakpoint, five minutes up to the last of all."""
    cache, asked = PromptCache(), prompt("abcdefgh", b1="1h", b3="1h", b5="5m")
    assert sizes(ask(cache, asked, 0.0)) == (2, 0, 2, 4)
    assert sizes(cache.plan(asked, MINIMUM, 10.0)) == (2, 6, 0, 0)
    assert sizes(cache.plan(asked, MINIMUM, 400.0)) == (2, 4, 2, 0)
    assert sizes(cache.plan(asked, MINIMUM, 4000.0)) == (2, 0, 2, 4)


def test_a_plan_changes_nothing() -> None:
    """Only carrying it out does."""
    cache, asked = PromptCache(), prompt("abc", b2="5m")
    for now in (0.0, 10.0):
        assert sizes(cache.plan(asked, MINIMUM, now)) == (0, 0, 3, 0)


def test_a_prompt_without_the_cache_is_paid_in_full() -> None:
    """Nothing read, nothing written."""
    assert uncached(700) == Plan(700, 0, 0, 0, None, ())


letters = st.text("ab", min_size=1, max_size=24)
marks = st.dictionaries(st.integers(0, 23), st.sampled_from(["5m", "1h"]), max_size=4)


@given(st.lists(st.tuples(letters, marks, st.floats(0, 400)), max_size=12))
def test_the_parts_of_a_plan_add_up(story: list[tuple[str, dict[int, str], float]]) -> None:
    """To the tokens of the prompt, whatever came before, and none of them is negative."""
    cache, now = PromptCache(), 0.0
    for words, places, gap in story:
        now += gap
        asked = prompt(words, **{f"b{place}": ttl for place, ttl in places.items()})
        plan = ask(cache, asked, now)
        assert sum(plan[:4]) == asked.tokens
        assert min(plan[:4]) >= 0
        kept = [asked.blocks[p].tokens for p in asked.breakpoints]
        assert plan.read + plan.written_5m + plan.written_1h <= max(kept, default=0)


class Remembering(RuleBasedStateMachine):
    """The cache beside a naive memory of every request that there ever was."""

    def __init__(self) -> None:
        super().__init__()
        self.cache, self.now = PromptCache(), 0.0
        self.past: list[tuple[float, Prefix, Plan]] = []
        self.latest: tuple[Prefix, Plan] | None = None

    @rule(gap=st.sampled_from([0.0, 0.5, 1.0, 30.0, 299.0, 301.0, 3000.0]), words=letters, at=marks)
    def asks(self, gap: float, words: str, at: dict[int, str]) -> None:
        """Let a request come."""
        self.now += gap
        asked: Any = prompt(words, **{f"b{place}": ttl for place, ttl in at.items()})
        plan = ask(self.cache, asked, self.now)
        self.latest = asked, plan
        self.past.append((self.now, asked, plan))

    @invariant()
    def what_is_read_was_written_and_has_begun(self) -> None:
        """By an earlier request with a breakpoint at just that place, used within its lifetime."""
        if self.latest is None or not self.latest[1].read:
            return
        asked, plan = self.latest
        wanted = asked.blocks[plan.read // SIZE - 1].digest
        writers = [
            at
            for at, _, then in self.past[:-1]
            if any(digest == wanted for digest, _ in then.writes) and at + FIRST_TOKEN_S <= self.now
        ]
        users = [
            at
            for at, _, then in self.past[:-1]
            if wanted in (then.hit, *then.used, *(digest for digest, _ in then.writes))
        ]
        assert writers
        assert any(self.now < at + LIFETIME_S["1h"] for at in users)

    @invariant()
    def nothing_short_is_kept(self) -> None:
        """Neither read nor written below the minimum."""
        if self.latest is not None:
            plan = self.latest[1]
            for part in (plan.read, plan.read + plan.written_5m + plan.written_1h):
                assert part == 0 or part >= MINIMUM


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=30)

"""What is true of every story, however requests follow one another."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement

import pytest
from hypothesis import given, settings

from labkit.sim import gate
from labkit.sim.limits import Limits, limit_class
from labkit.sim.tokens import walk
from tests.sim.engine_log import LogLine
from tests.sim.random_story import Answered, Step, Story, drawn_steps, stories

SMALL = Limits(requests=6, input_tokens=12_000, output_tokens=1_000)
"""So that a short story meets every limit."""
LIFETIME_S = {"5m": 300.0, "1h": 3600.0}
Steps = list[Step]


def told(steps: Steps, seed: int = 0) -> Story:
    """Play a story under small limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "tier_limits", lambda _class, _tier: SMALL)
        return Story(seed).play(steps)


def admitted(story: Story) -> list[LogLine]:
    """Return the log of what was let through."""
    return [line for line in story.log if line.fault != "overloaded" and line.refused == "-"]


@given(stories)
@settings(max_examples=30)
def test_no_window_holds_more_than_the_limits_allow(steps: Steps) -> None:
    """In any stretch of time: a whole bucket and what flowed in meanwhile, never more."""
    story = told(steps)
    classes: dict[str, list[LogLine]] = {}
    for line in admitted(story):
        classes.setdefault(limit_class(line.model), []).append(line)
    for lines in classes.values():
        for first, last in combinations_with_replacement(range(len(lines)), 2):
            window = lines[first : last + 1]
            minutes = 1 + (window[-1].at - window[0].at) / 60
            taken = sum(line.uncached + line.written_5m + line.written_1h for line in window)
            assert len(window) <= SMALL.requests * minutes + 1e-6
            assert taken <= SMALL.input_tokens * minutes + 1e-3


@given(stories)
@settings(max_examples=30)
def test_what_is_read_was_written_had_begun_and_lives(steps: Steps) -> None:
    """Each read has an earlier request with the same prefix, a breakpoint at its end, and time."""
    story = told(steps)
    lines = dict(zip(range(len(story.answered)), admitted(story), strict=True))
    for place, each in enumerate(story.answered):
        read = each.message["usage"]["cache_read_input_tokens"]
        if read:
            earlier = [(story.answered[n], lines[n]) for n in range(place)]
            assert list(_sources(each, read, earlier))


def _sources(
    each: Answered, read: int, earlier: list[tuple[Answered, LogLine]]
) -> Iterator[Answered]:
    """Find who wrote what a request read, so that it could be read just then."""
    wanted = [cut for cut in _cuts(each) if cut[1] == read]
    users = [(one, line) for one, line in earlier if _uses(one, line, wanted)]
    for writer, line in users:
        for text, tokens, ttl in _cuts(writer):
            written = line.written_5m + line.written_1h
            is_writer = ttl is not None and line.read < tokens <= line.read + written
            has_begun = line.at + line.first_token_s <= each.at + 1e-6
            if is_writer and has_begun and any(text == cut[0] for cut in wanted):
                lasts = LIFETIME_S[ttl or ""]
                if any(each.at < user.at + lasts + 1e-6 for user, _ in users):
                    yield writer


def _uses(one: Answered, line: LogLine, wanted: list[tuple[str, int, str | None]]) -> bool:
    """Whether a request wrote or read one of the prefixes wanted."""
    texts = {text for text, *_ in wanted}
    reach = line.read + line.written_5m + line.written_1h
    return any(text in texts and tokens <= reach for text, tokens, _ in _cuts(one))


def _cuts(each: Answered) -> list[tuple[str, int, str | None]]:
    """Return every prefix of a prompt: what stands in it, its tokens, the breakpoint at its end."""
    text, total, cuts = each.body["model"], 0, []
    for level, block, tokens in walk(each.body):
        text, total = f"{text}/{level}:{block['text'][:1]}", total + tokens
        cuts.append((text, total, block.get("cache_control", {}).get("ttl")))
    return cuts


@given(stories)
@settings(max_examples=30)
def test_usage_adds_up(steps: Steps) -> None:
    """What was read, written and paid in full is what counting says, in reply and log alike."""
    story = told(steps)
    for each, line in zip(story.answered, admitted(story), strict=True):
        usage = each.message["usage"]
        parts = usage["cache_creation"]
        written = usage["cache_creation_input_tokens"]
        read, uncached = usage["cache_read_input_tokens"], usage["input_tokens"]
        assert uncached + read + written == story.count(each.body)
        assert written == parts["ephemeral_5m_input_tokens"] + parts["ephemeral_1h_input_tokens"]
        assert (uncached, read) == (line.uncached, line.read)
        assert parts["ephemeral_5m_input_tokens"] == line.written_5m
        assert parts["ephemeral_1h_input_tokens"] == line.written_1h
        assert usage["output_tokens"] == line.output <= each.body["max_tokens"]


@given(stories)
@settings(max_examples=30)
def test_batches_conserve_their_rows(steps: Steps) -> None:
    """Every row is counted once at any time, and has one result in the end."""
    story = told(steps)
    for name, tally in story.tallies:
        assert sum(tally.values()) == len(story.batches[name])
    for name, lines in story.results:
        assert sorted(line["custom_id"] for line in lines) == sorted(story.batches[name])


@given(stories)
@settings(max_examples=30)
def test_no_id_is_given_twice(steps: Steps) -> None:
    """Requests, messages, batches and the messages inside batches."""
    story = told(steps)
    ids = [reply.headers["request-id"] for reply in story.replies]
    ids += [each.message["id"] for each in story.answered]
    ids += story.batches
    finished = dict(story.results)
    rows = [line["result"] for lines in finished.values() for line in lines]
    ids += [result["message"]["id"] for result in rows if result["type"] == "succeeded"]
    assert len(set(ids)) == len(ids)


@given(stories)
@settings(max_examples=30)
def test_the_log_tells_what_the_replies_told(steps: Steps) -> None:
    """A line for each message that reached the engine: let through, struck or over a limit."""
    story = told(steps)
    log, statuses = story.log, [reply.status for reply in story.replies]
    assert [line.at for line in log] == sorted(line.at for line in log)
    assert statuses.count(429) >= sum(line.refused != "-" for line in log)
    usages = [each.message["usage"] for each in story.answered]
    for name, spent in (
        ("input_tokens", "uncached"),
        ("cache_read_input_tokens", "read"),
        ("output_tokens", "output"),
    ):
        assert sum(usage[name] for usage in usages) == sum(
            getattr(line, spent) for line in admitted(story)
        )


@given(stories)
@settings(max_examples=20)
def test_a_story_told_again_is_the_same_byte_for_byte(steps: Steps) -> None:
    """Replies and log alike."""
    one, other = told(steps), told(steps)
    assert (one.replies, one.lines) == (other.replies, other.lines)


def test_stories_meet_what_they_are_to_meet() -> None:
    """Such stories do refuse, read, write, fail and finish: the invariants are put to the test."""
    met = Counter[str]()
    for seed in range(40):
        story = told(drawn_steps(random.Random(seed)))
        met["fault"] += sum(line.fault != "-" for line in story.log)
        met["result"] += len(story.results)
        for line in story.log:
            met[line.refused] += 1
        for line in admitted(story):
            met["read"] += line.read > 0
            met["short"] += line.written_5m > 0
            met["long"] += line.written_1h > 0
    wanted = ("fault", "result", "read", "short", "long")
    limits = ("requests", "input_tokens", "output_tokens")
    assert min(met[each] for each in wanted + limits) >= 3, met

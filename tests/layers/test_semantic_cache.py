"""The semantic cache: other words, the same answer; and how often that would be wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Request
from labkit.layers.cache_delivery import why
from labkit.layers.embedding import cosine, hashed_words
from labkit.layers.likeness import Likeness, Pair, false_hits, wilson
from labkit.layers.meaning_guards import guarded, shared_start
from labkit.layers.semantic_cache import SemanticCache
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival
from tests.wire import EVENTS, MODEL, answer, message, stream
from tests.world import Script, World

TEMPLATE = (
    "You are the assistant of a shop for garden tools. Answer politely, in three sentences, and "
    "never promise a date of delivery. If you do not know, say so. The customer asks: "
)
TOPICS = (
    *("how do I sharpen a spade", "where is my parcel", "can I return a rake", "do you sell hoses"),
    *(
        "what does a mower cost",
        "is the shop open today",
        "who repairs shears",
        "do you ship abroad",
    ),
)
PARAPHRASES = [
    Pair("how do I reset my password", "how can I reset my password", True),
    Pair("what is the capital of France", "tell me what the capital of France is", True),
    Pair("where do I change my address", "where can I change my address", True),
    Pair("how do I cancel my order", "how can I cancel an order", True),
]


def asked(text: str, **more: Any) -> dict[str, Any]:
    """Return the arguments of a question."""
    return {"messages": [{"role": "user", "content": text}], **more}


async def asks(api: Any, *texts: str, **more: Any) -> list[str]:
    """Ask some questions and return the verdicts on the answers."""
    found = [await api.create(**asked(text, **more)) for text in texts]
    return [(why(one) or "none").split(":")[0] for one in found]


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> World:
    """Both clients."""
    return World(request.param)


def run(world: World, cache: SemanticCache, *texts: str, **more: Any) -> list[str]:
    """Ask some questions through a cache."""
    return world.run(lambda api: asks(api, *texts, **more), Script(answer()), [cache])


# -- the layer ------------------------------------------------------------------------------------


def test_other_words_get_the_answer_and_it_says_so(world: World) -> None:
    """As a plain answer, and as a stream."""
    cache, server = SemanticCache(0.5), Script(stream(*EVENTS), answer("Other"))

    async def scene(api: Any) -> list[Any]:
        first = await api.final(**asked("how do I reset my password"))
        again = await api.create(**asked("how do I reset my password now"))
        streamed = await api.final(**asked("now how do I reset my password"))
        other = await api.create(**asked("do you sell hoses"))
        return [first, again, streamed, other]

    first, again, streamed, other = world.run(scene, server, [cache])
    assert [one.content[0].text for one in (first, again, streamed)] == ["Hello"] * 3
    assert why(again) == "hit: alike a question asked before"
    assert "alike by" in (why(other) or "")
    assert cache.verdicts == {"miss": 2, "hit": 2}
    assert [note[1]["verdict"] for note in world.notes] == ["miss", "hit", "hit", "miss"]


@pytest.mark.parametrize(
    ("one", "other", "guard"),
    [
        ("pay 30 dollars to the shop", "pay 300 dollars to the shop", "numbers"),
        ("is it safe to mix them", "is it not safe to mix them", "negation"),
        ("tea with sugar and milk", "tea without sugar and milk", "negation"),
        ("how tall is Anna from Ulm", "how tall is Bob from Ulm", "names"),
    ],
)
def test_a_guard_keeps_apart_what_a_word_turns_round(
    world: World, one: str, other: str, guard: str
) -> None:
    """However alike they are; without the guards it would be a wrong hit."""
    assert guarded(one, other) == guard
    assert run(world, SemanticCache(0.5), one, other) == ["miss", "miss"]
    assert run(world, SemanticCache(0.5, guards=False), one, other) == ["miss", "hit"]


def test_what_all_questions_begin_with_says_nothing(world: World) -> None:
    """With the guards off the template alone makes everything alike."""
    texts = [TEMPLATE + topic for topic in TOPICS]
    assert run(world, SemanticCache(0.8), *texts) == ["miss"] * len(texts)
    assert run(world, SemanticCache(0.8, guards=False), *texts).count("hit") == len(texts) - 1


@pytest.mark.parametrize(
    "more",
    [{"model": "claude-haiku-5-5"}, {"system": "Be brief."}, {"metadata": {"user_id": "bob"}}],
    ids=["model", "system", "tenant"],
)
def test_all_else_must_be_equal(world: World, more: dict[str, Any]) -> None:
    """Model, system prompt, and whose answer it is."""
    cache = SemanticCache()
    assert run(world, cache, "how are you") == ["miss"]
    assert run(world, cache, "how are you", **more) == ["miss"]
    assert run(world, cache, "how are you") == ["hit"]


def test_answers_expire_and_only_the_last_are_kept(world: World) -> None:
    """In time, by question, and by scope."""
    cache = SemanticCache(ttl=100, most=2, scopes=1)
    assert run(world, cache, "one", "two", "three", "one", "three") == [*(["miss"] * 4), "hit"]
    world.clock.advance(101)
    assert run(world, cache, "three") == ["miss"]
    run(world, cache, "other", system="another scope")
    assert run(world, cache, "three") == ["miss"]


def test_a_threshold_may_depend_on_the_class_of_a_request(world: World) -> None:
    """Strict where a wrong answer is dear."""

    def strict_on_small_models(request: Request) -> float:
        return 1.0 if request.model == "claude-haiku-5-5" else 0.5

    texts = ("how do I cancel my order", "how can I cancel my order")
    cache = SemanticCache(strict_on_small_models)
    assert run(world, cache, *texts) == ["miss", "hit"]
    assert run(world, cache, *texts, model="claude-haiku-5-5") == ["miss", "miss"]


def test_any_embedding_can_be_plugged_in_and_one_that_fails_costs_nothing(world: World) -> None:
    """It is called off the event loop, since it may ask a server."""

    def meaning(text: str) -> Sequence[float]:
        if world.kind == "async":
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
        if "broken" in text:
            raise ConnectionError("no embedding today")
        return (1.0, 0.0) if "hello" in text or "good morning" in text else (0.0, 1.0)

    cache = SemanticCache(embed=meaning)
    verdicts = run(world, cache, "hello", "good morning", "bye", "broken", "broken")
    assert verdicts == ["miss", "hit", "miss", "miss", "miss"]
    assert "embedding failed" in world.notes[-1][1]["why"]


def test_what_is_no_plain_question_passes_by(world: World) -> None:
    """Pictures, tool results, an empty turn."""
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    content: list[Any] = [picture, {"type": "text", "text": "What is it?"}]
    cache = SemanticCache()

    async def scene(api: Any) -> None:
        for _ in range(2):
            await api.create(messages=[{"role": "user", "content": content}])

    server = Script(answer())
    world.run(scene, server, [cache])
    assert len(server.requests) == 2
    assert world.notes == []


def test_what_may_not_be_kept_is_not(world: World) -> None:
    """The same rule as in the exact cache."""
    cut = json.dumps(message(stop_reason="max_tokens")).encode()
    server = Script(replace(answer(), chunks=((0.1, cut),)))
    cache = SemanticCache()
    verdicts = world.run(lambda api: asks(api, "why", "why"), server, [cache])
    assert verdicts == ["miss", "miss"]


def test_a_fleet_without_words_passes_by() -> None:
    """There is nothing to compare."""
    traffic = [Arrival(0.1 * number, MODEL, 100, 10) for number in range(5)]
    result = simulate(traffic, stack=[SemanticCache()], api={"tier": None})
    assert len(result.attempts) == 5


@pytest.mark.parametrize(
    "settings", [{"threshold": 0}, {"threshold": 1.1}, {"ttl": 0}, {"most": 0}]
)
def test_settings_must_make_sense(settings: dict[str, Any]) -> None:
    """Better at once."""
    with pytest.raises(ValueError, match=r"cosine|keeps"):
        SemanticCache(**settings)


# -- how often it would be wrong ------------------------------------------------------------------


def test_prompts_of_a_template_are_nearly_all_false_hits_without_the_guards() -> None:
    """Lesson 10: the same threshold is fine for bare questions and wrong for a template."""
    different = [
        Pair(TEMPLATE + one, TEMPLATE + other, False)
        for one in TOPICS
        for other in TOPICS
        if one < other
    ]
    naive = false_hits(different + PARAPHRASES, Likeness(guards=False), 0.6)
    assert naive.rate > 0.85
    assert naive.low > 0.7
    with_guards = false_hits(different, Likeness(), 0.6)
    assert (with_guards.hits, with_guards.low, with_guards.high) == (0, 0.0, 1.0)
    bare = false_hits(PARAPHRASES, Likeness(), 0.6)
    assert (bare.false, bare.rate) == (0, 0.0)
    assert bare.found >= 0.5
    assert 0.4 < bare.high < 0.8


@given(st.integers(0, 200), st.integers(1, 200))
def test_the_interval_lies_around_the_share(count: int, of: int) -> None:
    """Within 0 and 1, and narrower the more one has seen."""
    if count > of:
        with pytest.raises(ValueError, match="no share"):
            wilson(count, of)
        return
    low, high = wilson(count, of)
    assert 0 <= low <= count / of <= high <= 1
    narrow = wilson(10 * count, 10 * of)
    assert narrow[1] - narrow[0] < high - low


def test_the_interval_is_wilsons() -> None:
    """Figures worked out by hand: (p + z2/2n -+ z sqrt(pq/n + z2/4n2)) / (1 + z2/n)."""
    assert wilson(19, 20) == pytest.approx((0.764, 0.991), abs=0.001)
    assert wilson(0, 0) == (0.0, 1.0)


# -- the parts ------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_a_text_is_most_like_itself(one: str, other: str) -> None:
    """Vectors have length one, or none where there are no words."""
    a, b = hashed_words(one), hashed_words(other)
    assert sqrt(sum(part * part for part in a)) == pytest.approx(1) or not any(a)
    assert cosine(a, b) <= 1 + 1e-9
    assert cosine(a, b) == pytest.approx(cosine(b, a))
    assert cosine(a, a) == pytest.approx(1 if any(a) else 0)


def test_vectors_of_different_lengths_cannot_be_compared() -> None:
    """They come from different models."""
    with pytest.raises(ValueError, match="shorter"):
        cosine((1.0, 0.0, 0.0), (1.0, 0.0))


@given(st.text(), st.text())
def test_guards_know_no_order_and_find_nothing_between_a_text_and_itself(
    one: str, other: str
) -> None:
    """Symmetric and quiet."""
    assert guarded(one, one) == ""
    assert guarded(one, other) == guarded(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the time in Rome?", "Please say: what is the time in Rome?"),
        ("how do I pay", "How do I pay"),
        ("Is it 3.5% or 4%?", "is it 4% or 3.5%"),
    ],
)
def test_guards_let_through_what_only_looks_different(one: str, other: str) -> None:
    """A capital that begins a sentence is no name."""
    assert guarded(one, other) == ""


def test_the_shared_start_ends_between_words() -> None:
    """Of one text, or of equal ones, nothing is known to be a template."""
    assert (
        shared_start(["You help. Where is Ulm", "You help. Where is Bonn"]) == "You help. Where is "
    )
    assert shared_start(["abc", "abd"]) == ""
    assert shared_start(["only one"]) == shared_start(["same", "same"]) == shared_start([]) == ""

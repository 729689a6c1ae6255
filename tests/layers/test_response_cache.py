"""The response cache: asked once, answered often, and never with what should not be kept."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from labkit.errors import CircuitOpen
from labkit.flow import Flow, Outcome, Request
from labkit.layers.cache_delivery import why
from labkit.layers.cache_store import MemoryStore, Store
from labkit.layers.deadline import Deadline
from labkit.layers.fallback import Fallback
from labkit.layers.ready import rung_of
from labkit.layers.response_cache import ResponseCache
from labkit.layers.rungs import canned
from labkit.layers.sqlite_store import SqliteStore
from labkit.sim.reply import Reply
from tests.scenes import Scene
from tests.scenes import Scripted as Replies
from tests.wire import (
    BLOCK,
    CALL,
    EVENTS,
    OVERLOAD,
    REFUSED,
    SILENCE,
    START,
    WORD,
    answer,
    event,
    message,
    packed,
    refusal,
    stream,
)
from tests.world import Passing, Script, Scripted, World

OTHER = [{"role": "user", "content": "Something else"}]


@pytest.fixture(params=["sync", "async"])
def world(request: pytest.FixtureRequest) -> World:
    """Both clients."""
    return World(request.param)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, world: World) -> Store:
    """A store on the world's clock."""
    if request.param == "memory":
        return MemoryStore()
    return SqliteStore(tmp_path / "cache.db", today=world.clock.now)


async def later(world: World, seconds: float) -> None:
    """Let time pass."""
    if world.kind == "sync":
        world.clock.sleep(seconds)
    else:
        await world.clock.sleep_async(seconds)


def reply(**fields: Any) -> Reply:
    """Answer with a Message of these fields."""
    return replace(answer(), chunks=((0.1, json.dumps(message(**fields)).encode()),))


async def twice(api: Any) -> list[Any]:
    """Ask the same question twice."""
    return [await api.create() for _ in range(2)]


# -- hits -----------------------------------------------------------------------------------------


def test_an_identical_request_is_answered_at_once_and_says_why(world: World, store: Store) -> None:
    """Nothing is sent, no time passes, and both answers say how they came about."""
    cache, server = ResponseCache(store), Script(answer("One"), answer("Two"))
    first, second = world.run(twice, server, [cache])
    assert first.content == second.content
    assert second.usage == first.usage
    assert (why(first), why(second)) == ("miss: never asked before", "hit: stored 0 s ago")
    assert len(server.requests) == 1
    assert world.clock.now() == pytest.approx(0.1)
    assert [note[1]["verdict"] for note in world.notes] == ["miss", "hit"]
    assert cache.verdicts == {"miss": 1, "hit": 1}


def test_a_stream_replays_as_a_stream_and_shares_with_a_plain_call(
    world: World, store: Store
) -> None:
    """In either direction, by events and by the helper."""

    async def scene(api: Any) -> list[Any]:
        final, plain = await api.final(), await api.create()
        events = await api.events()
        other = await api.create(messages=OTHER)
        return [final, plain, events, other, await api.final(messages=OTHER)]

    server = Script(stream(*EVENTS), answer("Plain"))
    final, plain, events, other, again = world.run(scene, server, [ResponseCache(store)])
    assert len(server.requests) == 2
    assert [found.content[0].text for found in (final, plain, other, again)] == [
        *("Hello", "Hello", "Plain", "Plain")
    ]
    assert plain.usage.output_tokens == 2
    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"


def test_a_compressed_stream_is_kept_like_any_other(world: World) -> None:
    """The bytes on the wire are packed."""
    squeezed = stream(packed(b"".join(EVENTS), 31), content_encoding="gzip")

    async def scene(api: Any) -> list[Any]:
        return [await api.final(), await api.create()]

    final, plain = world.run(scene, Script(squeezed), [ResponseCache(MemoryStore())])
    assert final.content[0].text == plain.content[0].text == "Hello"
    assert (why(plain) or "").startswith("hit")


def test_a_beta_call_gets_a_betas_message(world: World) -> None:
    """Plain and as a stream, and never the answer of another beta."""
    cache, server = ResponseCache(MemoryStore()), Script(answer("One"), answer("Two"))

    async def scene(api: Any) -> list[Any]:
        calls = api.client.beta.messages
        asked = [["a"], ["a"], ["b"]]
        found = [await api.result(calls.create(**CALL, betas=betas)) for betas in asked]
        if world.kind == "sync":
            with calls.stream(**CALL, betas=["a"]) as opened:
                return [*found, opened.get_final_message()]
        async with calls.stream(**CALL, betas=["a"]) as opened:
            return [*found, await opened.get_final_message()]

    found = world.run(scene, server, [Fallback(canned("x")), cache])
    assert [type(one).__name__.endswith("BetaMessage") for one in found[:3]] == [True] * 3
    assert [one.content[0].text for one in found] == ["One", "One", "Two", "One"]


def test_what_one_caller_does_to_an_answer_no_other_sees(world: World) -> None:
    """Each hit is made anew."""

    async def scene(api: Any) -> Any:
        for _ in range(2):
            (await api.create()).content[0].text = "changed"
        return await api.create()

    found = world.run(scene, Script(answer("One")), [ResponseCache(MemoryStore())])
    assert found.content[0].text == "One"


# -- lifetimes ------------------------------------------------------------------------------------


def test_an_answer_expires_within_its_jitter_and_the_miss_says_so(
    world: World, store: Store
) -> None:
    """Never later than the lifetime, never sooner than nine tenths of it."""
    cache, server = ResponseCache(store, ttl=100, jitter=0.1), Script(answer("One"), answer("Two"))

    async def scene(api: Any) -> list[str | None]:
        said = []
        for wait in (0, 89, 11):
            await later(world, wait)
            said.append(why(await api.create()))
        return said

    said = world.run(scene, server, [cache])
    assert [(text or "").split(":")[0] for text in said] == ["miss", "hit", "miss"]
    assert "expired" in (said[2] or "")


def test_lifetimes_differ_so_that_not_all_expire_at_once() -> None:
    """Drawn below the cap, from the layer's own dice."""
    lifetimes = ResponseCache(MemoryStore(), ttl=100, jitter=0.2, seed=1)._shelf.lifetimes
    drawn = [lifetimes.of(200)[0] for _ in range(500)]
    assert 80 <= min(drawn) < 82
    assert 98 < max(drawn) <= 100
    assert len(set(drawn)) > 400


@pytest.mark.parametrize("trouble", [refusal(), REFUSED, refusal(429, "rate_limit_error")])
def test_an_old_answer_stands_in_for_an_error_under_its_own_name(
    world: World, store: Store, trouble: Reply
) -> None:
    """Labelled stale, on a plain answer and on a stream; later it is gone."""
    cache = ResponseCache(store, ttl=10, stale_if_error=100)

    async def scene(api: Any) -> list[Any]:
        found = [await api.create()]
        await later(world, 20)
        found += [await api.create()]
        found += [await api.result(api.client.messages.create(**CALL, stream=True))]
        await later(world, 100)
        with pytest.raises(anthropic.APIError):
            await api.create()
        return found

    server = Script(answer("One"), trouble)
    fresh, old, opened = world.run(scene, server, [Fallback(canned("x", on=["context"])), cache])
    assert [rung_of(one) for one in (fresh, old, opened)] == ["full", "stale", "stale"]
    assert old.content[0].text == "One"
    assert (why(old) or "").startswith("stale: after ")
    assert cache.verdicts["stale"] == 2


def test_a_stale_answer_comes_before_the_deadline_and_in_place_of_our_own_refusal(
    world: World,
) -> None:
    """A silent server and an open breaker are errors like others."""
    refusing = Scripted(lambda request: _refuse_if(request))
    cache = ResponseCache(MemoryStore(), ttl=10)

    def _refuse_if(request: Request) -> Flow:
        if world.clock.now() > 100:
            yield from ()
            return Outcome(error=CircuitOpen("open"))
        return (yield from Passing().flow(request))

    async def scene(api: Any) -> list[str | None]:
        found = []
        for wait in (0, 20, 200):
            await later(world, wait)
            found.append(rung_of(await api.create()))
        return found

    layers = [Deadline(5), cache, refusing]
    assert world.run(scene, Script(answer(), SILENCE), layers) == [None, "stale", "stale"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_request_that_is_wrong_stays_wrong_for_a_moment(
    world: World, store: Store, status: int
) -> None:
    """The same exception, with nothing sent; after a few seconds it is asked again."""
    server = Script(refusal(status, "invalid_request_error"))
    cache = ResponseCache(store, negative=5)

    async def scene(api: Any) -> list[anthropic.APIStatusError]:
        raised = []
        for wait in (0, 1, 10):
            await later(world, wait)
            with pytest.raises(anthropic.APIStatusError) as caught:
                await api.create()
            raised.append(caught.value)
        return raised

    first, second, _ = world.run(scene, server, [cache])
    assert type(first) is type(second)
    assert (second.status_code, second.type) == (status, "invalid_request_error")
    assert second.body == first.body
    assert len(server.requests) == 2
    assert cache.verdicts == {"miss": 2, "refused": 1}


@pytest.mark.parametrize("status", [401, 403, 408, 409, 429, 500, 529])
def test_what_may_pass_or_be_mended_is_asked_again_at_once(world: World, status: int) -> None:
    """A wrong key, a limit, an overload."""
    server = Script(refusal(status, "some_error"), answer("One"))

    async def scene(api: Any) -> Any:
        with pytest.raises(anthropic.APIStatusError):
            await api.create()
        return await api.create()

    cache = ResponseCache(MemoryStore())
    found = world.run(scene, server, [cache])
    assert found.content[0].text == "One"
    assert "was not kept" in (why(found) or "")


# -- what is not kept -----------------------------------------------------------------------------

TOOL = {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {"usd": 5}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}


@pytest.mark.parametrize(
    "fields",
    [
        {"stop_reason": "refusal"},
        {"stop_reason": "max_tokens"},
        {"stop_reason": "model_context_window_exceeded"},
        {"stop_reason": "pause_turn"},
        {"stop_reason": "compaction"},
        {"stop_reason": None},
        {"stop_reason": "tool_use", "content": [TOOL]},
        {"content": [SEARCH, {"type": "text", "text": "Found."}]},
        {"container": {"id": "c", "expires_at": "2026-11-22T00:00:00Z"}},
    ],
    ids=lambda fields: next(reversed(fields.values())) and str(next(iter(fields.values())))[:30],
)
def test_some_answers_are_never_kept(world: World, fields: dict[str, Any]) -> None:
    """Refused, cut off, or with effects outside of the words."""
    cache, server = ResponseCache(MemoryStore()), Script(reply(**fields))
    _, again = world.run(twice, server, [cache])
    assert len(server.requests) == 2
    assert len(cache.store) == 0
    assert "was not kept" in (why(again) or "")


CUT = event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 2})


@pytest.mark.parametrize(
    "chunks",
    [(START, BLOCK, WORD), (START, BLOCK, WORD, OVERLOAD), (START, BLOCK, WORD, CUT)],
    ids=["cut off", "error in the middle", "max_tokens"],
)
def test_a_stream_that_breaks_is_never_kept(world: World, chunks: tuple[bytes, ...]) -> None:
    """Whoever comes next asks anew."""
    server = Script(stream(*chunks), answer("Whole"))

    async def scene(api: Any) -> Any:
        with suppress(anthropic.APIError, httpx2.RemoteProtocolError):
            await api.events()
        return await api.create()

    assert world.run(scene, server, [ResponseCache(MemoryStore())]).content[0].text == "Whole"


def test_a_stream_that_is_closed_early_is_not_kept_and_holds_up_nobody(world: World) -> None:
    """Its flight is over at once."""
    server = Script(stream(*EVENTS), answer("Whole"))

    async def scene(api: Any) -> Any:
        opened = await api.result(api.client.messages.create(**CALL, stream=True))
        await api.result(opened.close())
        before = world.clock.now()
        found = await api.create()
        assert world.clock.now() - before < 1
        return found

    assert world.run(scene, server, [ResponseCache(MemoryStore())]).content[0].text == "Whole"


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"temperature": 0.7}, "variety"),
        ({"container": "c"}, "server"),
        ({"thread": {"type": "new"}}, "server"),
    ],
)
def test_some_requests_pass_by(world: World, extra: dict[str, Any], reason: str) -> None:
    """Their answers are wanted anew, or lie elsewhere; the note says it."""
    server = Script(answer())

    async def scene(api: Any) -> None:
        for _ in range(2):
            await api.create(extra_body=extra)

    world.run(scene, server, [ResponseCache(MemoryStore())])
    assert len(server.requests) == 2
    assert world.notes[0][1]["verdict"] == "bypass"
    assert reason in world.notes[0][1]["why"]


def test_a_sample_is_frozen_on_request(world: World) -> None:
    """Then a temperature is part of the key like any other field."""

    async def scene(api: Any) -> None:
        for temperature in (0.7, 0.7, 0.8, 0):
            await api.create(extra_body={"temperature": temperature})

    server = Script(answer())
    world.run(scene, server, [ResponseCache(MemoryStore(), frozen_sample=True)])
    assert len(server.requests) == 3


def test_other_endpoints_and_raw_responses_pass_untouched(world: World) -> None:
    """A count of tokens is nobody's answer, and a raw response is wanted raw."""

    async def scene(api: Any) -> int:
        calls = api.client.messages
        raw = [await api.result(calls.with_raw_response.create(**CALL)) for _ in range(2)]
        assert why(raw[0]) is None
        return raw[1].http_response.status_code if hasattr(raw[1], "http_response") else 200

    server = Script(answer())
    assert world.run(scene, server, [ResponseCache(MemoryStore())]) == 200
    assert len(server.requests) == 2


def test_an_entry_that_is_too_large_is_not_kept(world: World) -> None:
    """One answer cannot fill the store."""
    cache, server = ResponseCache(MemoryStore(), largest=1000), Script(answer("x" * 2000))
    world.run(twice, server, [cache])
    assert (len(server.requests), len(cache.store)) == (2, 0)


def test_a_reason_with_any_letters_harms_no_call(world: World, tmp_path: Path) -> None:
    """A header takes ASCII only, and the store's path or a field's name may hold anything."""
    path = tmp_path / "K\u00e4se \u2028.db"
    path.write_bytes(b"This is no database at all. " * 100)

    async def scene(api: Any) -> list[str | None]:
        found = [await api.create(extra_body={"gr\u00f6\u00dfe": n}) for n in range(2)]
        return [why(one) for one in found]

    for store in (SqliteStore(path), MemoryStore()):
        said = world.run(scene, Script(answer()), [ResponseCache(store)])
        assert all((one or "").startswith("miss: ") for one in said)


# -- whose ----------------------------------------------------------------------------------------


def test_tenants_never_share_and_one_can_be_forgotten(world: World, store: Store) -> None:
    """By default the user of the metadata; deleted is deleted."""
    cache, server = ResponseCache(store), Script(answer())

    async def ask(api: Any, user: str) -> None:
        await api.create(metadata={"user_id": user})

    async def scene(api: Any) -> None:
        for user in ("ada", "bob", "ada", "bob"):
            await ask(api, user)

    world.run(scene, server, [cache])
    assert len(server.requests) == 2
    assert (cache.forget("ada"), cache.forget("ada"), len(store)) == (1, 0, 1)
    world.run(lambda api: ask(api, "ada"), server, [cache])
    world.run(lambda api: ask(api, "bob"), server, [cache])
    assert len(server.requests) == 3


def test_a_tenant_may_be_a_name_or_found_in_the_request(world: World) -> None:
    """Two caches on one store keep apart what their names keep apart."""
    store, server = MemoryStore(), Script(answer())

    def by_model(request: Request) -> str:
        return str(request.model)

    for tenant in ("a", "b", by_model, by_model):
        world.run(lambda api: api.create(), server, [ResponseCache(store, tenant=tenant)])
    assert len(server.requests) == 3


def test_the_ledger_shows_the_hit_and_that_it_is_free() -> None:
    """What was paid for once is not paid for again."""
    scene = Scene(Replies(answer("One")))
    client = scene.client(ResponseCache(MemoryStore()))
    for _ in range(2):
        client.messages.create(**CALL)
    paid, free = scene.ledger.calls
    assert paid.cost_usd is not None
    assert paid.cost_usd > 0
    assert free.cost_usd == free.attempts == 0
    assert "verdict=hit" in free.layers


@pytest.mark.parametrize(
    "settings",
    [
        {"ttl": 0},
        {"jitter": 1},
        {"jitter": -0.1},
        {"stale_if_error": -1},
        {"negative": -1},
        {"patience": 0},
        {"largest": 0},
    ],
)
def test_settings_must_make_sense(settings: dict[str, Any]) -> None:
    """Better at once than in the first outage."""
    with pytest.raises(ValueError, match=r"lives|Patience"):
        ResponseCache(MemoryStore(), **settings)


def test_by_default_it_is_a_file_and_building_it_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file comes into being with the first question."""
    monkeypatch.chdir(tmp_path)
    cache = ResponseCache()
    assert list(tmp_path.iterdir()) == []
    World("sync").run(twice, Script(answer()), [cache])
    assert (tmp_path / "labkit-cache.db").stat().st_mode & 0o777 == 0o600
    assert len(cache.store) == 1

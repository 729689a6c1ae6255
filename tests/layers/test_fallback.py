"""The ladder: what goes down it, what never does, and that no rung passes for another."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import role
from labkit.drivers import Layer
from labkit.errors import BudgetSpent, CassetteMiss, CircuitOpen, ContextLimit, DeadlineExceeded
from labkit.flow import Outcome, Request
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit
from labkit.layers.deadline import Deadline
from labkit.layers.fallback import Fallback, rung_of
from labkit.layers.ready import ready_message
from labkit.layers.retry import Retry
from labkit.layers.rungs import (
    Rung,
    canned,
    honest_refusal,
    other_model,
    shorter_answer,
    stale,
)
from labkit.sim.faults import Fault
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Task, requests, steady
from tests.layers.flows import OVERLOADED
from tests.layers.flows import World as Hand
from tests.scenes import ASK as QUESTION
from tests.scenes import Scene
from tests.scenes import Scripted as Replies
from tests.wire import (
    EVENTS,
    MODEL,
    OVERLOAD,
    RESET,
    SILENCE,
    START,
    answer,
    message,
    refusal,
    stream,
)
from tests.world import Api, Script, Spy, World

SMALL = "claude-haiku-5-5"
ASK = Request({"model": MODEL, "max_tokens": 100})
LADDER = (other_model(SMALL), canned("Later."), honest_refusal())


def create(api: Api) -> Any:
    """Make one plain call."""
    return api.create()


# -- every answer says where it comes from --------------------------------------------------------


def test_the_full_answer_is_labelled_full_and_nothing_else_is_asked(world: World) -> None:
    """One request, one note."""
    server = Script(answer())
    found = world.run(create, server, [Fallback(*LADDER)])
    assert rung_of(found) == "full"
    assert found.content[0].text == "Hello"
    assert world.notes == [("rung", {"name": "full"})]
    assert len(server.requests) == 1


def test_an_overload_leads_to_the_next_rung_under_its_own_name(world: World) -> None:
    """The other model is asked the same question."""
    server = Script(refusal(), answer())
    found = world.run(create, server, [Fallback(*LADDER)])
    assert rung_of(found) == SMALL
    assert [body["model"] for body in server.bodies] == [MODEL, SMALL]
    assert server.bodies[0]["messages"] == server.bodies[1]["messages"]
    reason = "529 overloaded_error"
    fell = {"to": SMALL, "cause": "unavailable", "because": reason}
    assert world.notes == [("fell", fell), ("rung", {"name": SMALL})]


def test_the_label_shows_wherever_the_answer_is_written_down(world: World) -> None:
    """Nobody has to remember to ask for it."""
    found = world.run(create, Script(refusal()), [Fallback(*LADDER)])
    assert found.model_dump()["labkit_rung"] == "canned"
    assert found.model == "labkit/canned"
    assert found.usage.output_tokens == 0


def test_a_streams_label_is_on_the_stream(world: World) -> None:
    """Whichever rung it comes from."""

    async def labels(api: Any) -> str | None:
        return rung_of(await api.result(api.client.messages.create(**ASKED, stream=True)))

    for replies, label in (
        ([stream(*EVENTS)], "full"),
        ([refusal(), stream(*EVENTS)], SMALL),
        ([refusal()], "canned"),
        ([stream(START, OVERLOAD), stream(*EVENTS)], SMALL),
    ):
        assert world.run(labels, Script(*replies), [Fallback(*LADDER)]) == label


ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hi"}],
}


def test_a_raw_responses_label_is_a_header_and_its_body_is_left_alone(world: World) -> None:
    """Who asks for the bytes gets the bytes."""

    async def raw(api: Any) -> tuple[Any, str]:
        calls = api.client.messages.with_raw_response
        got = await api.result(calls.create(**ASKED))
        return got, got.headers["labkit-rung"]

    got, label = world.run(raw, Script(answer()), [Fallback(*LADDER)])
    assert (rung_of(got), label) == ("full", "full")
    body = world.run(lambda api: api.wire_bytes(), Script(answer()), [Fallback(*LADDER)])
    assert json.loads(body) == message()


def test_an_answer_that_no_ladder_was_asked_for_has_no_label(world: World) -> None:
    """And neither has anything else."""
    assert rung_of(world.run(create, Script(answer()))) is None
    assert rung_of("canned") is None


def test_a_ladder_further_in_is_not_overruled(world: World) -> None:
    """Its canned text does not become full because the outer ladder did not have to act."""
    inner, outer = Fallback(canned("Later.")), Fallback(canned("Never."))
    found = world.run(create, Script(refusal()), [outer, inner])
    assert rung_of(found) == "canned"
    assert found.content[0].text == "Later."


@pytest.mark.parametrize("kind", ["plain", "stream"])
@given(st.lists(st.sampled_from(["ok", "529", "500", "reset", "400"]), min_size=3, max_size=3))
def test_no_lower_rung_passes_for_full_quality(kind: str, ends: list[str]) -> None:
    """Whatever each of three models does, the label names the one whose words these are."""
    good = answer("full") if kind == "plain" else stream(*EVENTS)
    replies = {"ok": good, "529": refusal(), "500": refusal(500, "api_error"), "reset": RESET}
    replies["400"] = refusal(400, "invalid_request_error")
    server, world = Script(*[replies[end] for end in ends]), World("sync")
    ladder = Fallback(other_model("b"), other_model("c"), canned("Later."))

    async def call(api: Any) -> str | None:
        options = {**ASKED, "stream": kind == "stream"}
        return rung_of(await api.result(api.client.messages.create(**options)))

    if ends[0] == "400":
        with pytest.raises(anthropic.BadRequestError):
            world.run(call, server, [ladder])
        assert len(server.requests) == 1
        return
    label = world.run(call, server, [ladder])
    expected = ["full", "b", "c"][ends.index("ok")] if "ok" in ends else "canned"
    assert label == expected
    assert world.notes[-1] == ("rung", {"name": expected})


# -- the rungs ------------------------------------------------------------------------------------


def test_a_shorter_answer_asks_the_same_model_for_fewer_tokens(world: World) -> None:
    """And never for more than the caller wanted."""
    for most, sent in ((8, 8), (64, 16)):
        server = Script(refusal(), answer())
        found = world.run(create, server, [Fallback(shorter_answer(most))])
        assert rung_of(found) == "shorter answer"
        assert [(b["model"], b["max_tokens"]) for b in server.bodies] == [
            (MODEL, 16),
            (MODEL, sent),
        ]


def test_another_model_may_need_other_settings(world: World) -> None:
    """None takes one out; the caller's body is not touched."""
    server = Script(refusal(), answer())
    ladder = Fallback(other_model(SMALL, name="small", max_tokens=5, stop_sequences=None))
    found = world.run(lambda api: api.create(stop_sequences=["."]), server, [ladder])
    assert rung_of(found) == "small"
    kept = {"messages": server.bodies[0]["messages"]}
    assert server.bodies[0]["stop_sequences"] == ["."]
    assert server.bodies[1] == {**kept, "model": SMALL, "max_tokens": 5}


def test_a_stale_answer_is_labelled_and_the_store_keeps_its_own(world: World) -> None:
    """A copy, or the label would stick to the answer for ever."""
    kept = ready_message("As of yesterday.", "store")
    found = world.run(create, Script(refusal()), [Fallback(stale(lambda _: kept))])
    assert (rung_of(found), rung_of(kept)) == ("stale", None)
    assert found.content[0].text == "As of yesterday."


def test_where_nothing_stale_is_found_the_next_rung_has_its_turn(world: World) -> None:
    """Not every question was asked before."""
    ladder = Fallback(stale(lambda _: None), canned("Later."))
    assert rung_of(world.run(create, Script(refusal()), [ladder])) == "canned"


def test_an_honest_refusal_cannot_be_taken_for_an_answer(world: World) -> None:
    """Not even by who never heard of rungs: its stop reason is that of a refusal."""
    found = world.run(create, Script(refusal()), [Fallback(honest_refusal())])
    assert (found.stop_reason, rung_of(found)) == ("refusal", "honest refusal")


def test_a_canned_answer_is_a_stream_where_one_was_asked_for(world: World) -> None:
    """Event by event, and by the SDK's helper."""
    ladder = Fallback(canned("Please try again."))
    events = world.run(lambda api: api.events(), Script(refusal()), [ladder])
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    final = world.run(lambda api: api.final(), Script(refusal()), [ladder])
    assert (final.content[0].text, final.stop_reason) == ("Please try again.", "end_turn")


def test_the_first_failure_is_the_callers_where_no_rung_answers(world: World) -> None:
    """It asked for that model, and wants to know why that did not work."""
    server = Script(refusal(), refusal(404, "not_found_error"))
    with pytest.raises(anthropic.InternalServerError) as caught:
        world.run(create, server, [Fallback(other_model("no-such-model"))])
    assert caught.value.status_code == 529
    assert world.notes[-1][0] == "fell"


def test_a_rung_whose_own_request_is_wrong_does_not_block_those_below(world: World) -> None:
    """What is wrong there is the ladder; the note says it, and the caller has an answer."""
    server = Script(refusal(), refusal(404, "not_found_error"))
    ladder = Fallback(other_model("no-such-model"), canned("Later."))
    assert rung_of(world.run(create, server, [ladder])) == "canned"
    assert ("fell", {"to": "canned", "cause": "unavailable", "because": "404 not_found_error"}) in (
        world.notes
    )


# -- what never goes down -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_a_request_that_is_wrong_is_wrong_on_every_rung(world: World, status: int) -> None:
    """The caller hears of it at once, and nobody else is asked."""
    server = Script(refusal(status, "invalid_request_error"))
    with pytest.raises(anthropic.APIStatusError):
        world.run(create, server, [Fallback(*LADDER)])
    assert len(server.requests) == 1
    assert world.notes == []


def test_a_wrong_bench_is_never_covered_up(world: World) -> None:
    """A cassette miss is no outage."""
    with pytest.raises(CassetteMiss):
        world.run(create, Script(CassetteMiss("not recorded")), [Fallback(*LADDER)])


def test_a_call_that_is_cut_short_asks_nobody_else() -> None:
    """The caller has gone; wherever the flow is closed, nothing more is sent."""
    for step in range(20):
        hand = Hand(*[OVERLOADED] * 3)
        if not hand.cut(Fallback(*LADDER).flow(ASK), step):
            break
        assert len(hand.sent_at) <= step
    else:
        raise AssertionError("the flow never ended")


def test_other_endpoints_have_no_ladder(world: World) -> None:
    """A count of tokens cannot be canned."""

    async def count(api: Any) -> Any:
        asked = {name: ASKED[name] for name in ("model", "messages")}
        return await api.result(api.client.messages.count_tokens(**asked))

    with pytest.raises(anthropic.InternalServerError):
        world.run(count, Script(refusal()), [Fallback(*LADDER)])


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome(error=ContextLimit("too long")), "context"),
        (Outcome(status=413), "context"),
        (Outcome(error=BudgetSpent("no money")), "limit"),
        (Outcome(status=429, error_code="enforced_spend_limit_reached"), "limit"),
        (Outcome(status=200, value=ready_message("No.", "x", "refusal")), "refusal"),
    ],
    ids=["our context limit", "413", "our budget", "spend limit", "refusal"],
)
def test_another_model_is_asked_after_it_only_where_the_rung_says_so(
    outcome: Outcome, cause: str
) -> None:
    """A longer window, a model that declines less: only the author of the ladder knows."""
    for rung, sent in ((other_model(SMALL), 1), (other_model(SMALL, on=[cause]), 2)):
        hand = Hand(outcome)
        hand.run(Fallback(rung).flow(ASK))
        assert len(hand.sent_at) == sent


def test_a_refusal_is_read_off_a_plain_answer_only_where_a_rung_is_for_it(world: World) -> None:
    """By default it is the answer, labelled full; declared, another model is asked."""
    declined = json.dumps(message("No.", stop_reason="refusal")).encode()
    reply = replace(answer(), chunks=((0.1, declined),))
    found = world.run(create, Script(reply), [Fallback(*LADDER)])
    assert (found.stop_reason, rung_of(found)) == ("refusal", "full")
    ladder = Fallback(other_model(SMALL, on=["refusal"]))
    found = world.run(create, Script(reply, answer()), [ladder])
    assert (found.content[0].text, rung_of(found)) == ("Hello", SMALL)
    found = world.run(create, Script(reply, refusal()), [ladder])
    assert (found.stop_reason, rung_of(found)) == ("refusal", "full")


def test_a_prompt_that_is_too_long_is_asked_of_a_longer_window_only_where_a_rung_says_so() -> None:
    """The API tells it in the message of a 400, and no status tells it apart."""
    said = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long'
    full = replace(refusal(400, "invalid_request_error"), chunks=((0.1, said + b': 9 > 8"}}'),))
    for kind in ("sync", "async"):
        with pytest.raises(anthropic.BadRequestError, match="too long"):
            World(kind).run(create, Script(full, answer()), [Fallback(*LADDER)])
        ladder = Fallback(other_model("longer", on=["context"]))
        found = World(kind).run(create, Script(full, answer()), [ladder])
        assert rung_of(found) == "longer"
        wrong = refusal(400, "invalid_request_error")
        with pytest.raises(anthropic.BadRequestError):
            World(kind).run(create, Script(wrong, answer()), [ladder])


def test_an_answer_that_stopped_at_the_windows_end_counts_as_too_long(world: World) -> None:
    """Where a rung is for that; otherwise it is the answer."""
    cut = json.dumps(message("So fa", stop_reason="model_context_window_exceeded")).encode()
    reply = replace(answer(), chunks=((0.1, cut),))
    assert rung_of(world.run(create, Script(reply), [Fallback(*LADDER)])) == "full"
    ladder = Fallback(other_model("longer", on=["context"]))
    assert rung_of(world.run(create, Script(reply, answer()), [ladder])) == "longer"


# -- time -----------------------------------------------------------------------------------------


def test_a_silent_service_leaves_time_for_the_ladder_within_the_deadline(world: World) -> None:
    """The top has its patience, the second rung its own, and the canned text takes no time."""
    ladder = Fallback(other_model(SMALL, patience=3), canned("Later."), patience=4)
    server = Script(SILENCE)
    found = world.run(create, server, [Deadline(10), ladder])
    assert rung_of(found) == "canned"
    assert server.arrivals == pytest.approx([0, 4])
    assert world.clock.now() == pytest.approx(7)


def test_patience_with_a_stream_ends_at_its_first_content(world: World) -> None:
    """What is slow to begin is replaced; what has begun may take its time."""

    async def read(api: Any) -> tuple[str | None, str]:
        opened = await api.result(api.client.messages.create(**ASKED, stream=True))
        events = [one async for one in opened] if world.kind == "async" else list(opened)
        return rung_of(opened), events[-1].type

    ladder = Fallback(other_model(SMALL, patience=1), canned("Later."), patience=5)
    long = stream(*EVENTS, every_s=1)
    for replies, label in (([long], "full"), ([SILENCE], "canned"), ([SILENCE, long], "canned")):
        assert world.run(read, Script(*replies), [ladder]) == (label, "message_stop")
    quick = stream(*EVENTS, every_s=0.2)
    assert world.run(read, Script(SILENCE, quick), [ladder]) == (SMALL, "message_stop")


def test_a_ready_answer_comes_before_the_deadline_even_if_the_top_takes_all_the_time(
    world: World,
) -> None:
    """A little is kept back for it; with nothing left, no other model is asked."""
    server = Script(SILENCE)
    found = world.run(create, server, [Deadline(10), Fallback(*LADDER)])
    assert rung_of(found) == "canned"
    assert len(server.requests) == 1
    assert 9.8 < world.clock.now() <= 10


def test_with_no_time_left_and_nothing_ready_it_is_too_late(world: World) -> None:
    """The caller learns it at the deadline, and no other model has been asked."""
    server = Script(SILENCE)
    with pytest.raises(DeadlineExceeded):
        world.run(create, server, [Deadline(10), Fallback(other_model(SMALL))])
    assert len(server.requests) == 1
    assert world.clock.now() == pytest.approx(10, abs=0.05)


def test_a_deadline_further_in_does_not_become_two(world: World) -> None:
    """Outside of the deadline nobody knows what is left: only what is ready may answer."""
    server = Script(SILENCE)
    found = world.run(create, server, [Fallback(*LADDER), Deadline(5)])
    assert rung_of(found) == "canned"
    assert len(server.requests) == 1
    assert world.clock.now() == pytest.approx(5, abs=0.05)


def test_retries_that_would_come_too_late_leave_the_rest_to_the_ladder(world: World) -> None:
    """The wait is not begun, so there is time for another model."""
    server = Script(refusal(retry_after="30"), answer())
    found = world.run(create, server, [Deadline(10), Fallback(*LADDER), Retry(seed=1)])
    assert rung_of(found) == SMALL
    assert world.clock.now() < 1


# -- recovery -------------------------------------------------------------------------------------


def test_the_next_call_begins_at_the_top_again(world: World) -> None:
    """The ladder remembers nothing."""
    ladder = Fallback(*LADDER)

    async def two(api: Api) -> list[str | None]:
        return [rung_of(await api.create()) for _ in range(2)]

    server = Script(refusal(), answer(), answer())
    assert world.run(two, server, [ladder]) == [SMALL, "full"]


def test_a_breaker_inside_decides_whether_the_top_is_worth_a_request(world: World) -> None:
    """While it is open nothing is sent to the sick model, and afterwards it is full again."""
    guard = Breaker(lambda: Circuit(minimum=2, rest=10, successes=1))
    server = Script(refusal(), refusal(), answer())

    async def scene(api: Any) -> list[str | None]:
        labels = [rung_of(await api.create()) for _ in range(3)]
        if world.kind == "sync":
            world.clock.sleep(20)
        else:
            await world.clock.sleep_async(20)
        return [*labels, rung_of(await api.create())]

    layers: list[Layer] = [Fallback(canned("Later.")), guard]
    labels = world.run(scene, server, layers)
    assert labels == ["canned", "canned", "canned", "full"]
    assert len(server.requests) == 3


def test_an_outage_is_answered_in_full_share_under_true_names() -> None:
    """Without the ladder nobody gets an answer; with it everybody does, and no label lies."""

    def calls(*layers: Layer) -> list[str | None]:
        client = Scene(Replies(refusal())).client(*layers)
        labels: list[str | None] = []
        for _ in range(20):
            try:
                labels.append(rung_of(client.messages.create(**QUESTION)))
            except (anthropic.APIStatusError, CircuitOpen):
                continue
        return labels

    assert calls(Breaker()) == []
    assert calls(Fallback(*LADDER), Breaker()) == ["canned"] * 20


# -- beside others --------------------------------------------------------------------------------


def test_the_ledger_shows_the_rung_and_what_is_known_of_the_price() -> None:
    """A canned answer is free; what the attempt before it cost, nobody said."""
    scene = Scene(Replies(refusal()))
    guard = Breaker(lambda: Circuit(minimum=1))
    client = scene.client(Fallback(canned("Later.")), guard)
    for streamed in (False, False, True):
        got = client.messages.create(**QUESTION, stream=streamed)
        if streamed:
            list(got)
    rows = scene.ledger.calls
    assert all("rung(name=canned)" in row.layers for row in rows)
    assert [row.attempts for row in rows] == [1, 0, 0]
    assert [row.cost_usd for row in rows] == [None, 0, 0]
    assert rows[0].cost_note == "a layer answered; what its failed attempts cost is not known"


def test_somebody_elses_middleware_outside_sees_a_labelled_value(world: World) -> None:
    """The label does not depend on who looks first."""
    found = world.run(create, Script(refusal()), [Spy(), Fallback(canned("Later."))])
    assert rung_of(found) == "canned"


NO: Callable[[Any], Any] = lambda _: None  # noqa: E731


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fallback(),
        lambda: Fallback(canned("a"), canned("b")),
        lambda: Fallback(canned("a", name="full")),
        lambda: Fallback(canned("a"), patience=0),
        lambda: Fallback(canned("a"), reserve=-1),
        lambda: canned("a", on=["bad weather"]),
        lambda: canned("a", on="late"),
        lambda: canned("a", name="später"),
        lambda: Rung("both", ask=NO, answer=NO),
        lambda: Rung("neither"),
    ],
)
def test_a_ladder_that_cannot_be_is_refused(make: Callable[[], object]) -> None:
    """When it is built, and not in the outage."""
    with pytest.raises(ValueError, match=r"ladder|rung|Patience"):
        make()


def test_in_a_fleet_every_call_is_answered_and_the_notes_say_by_which_rung() -> None:
    """A minute in which one model is down: full before and after, the other one in between."""
    traffic = requests(steady(5), until=180, mix=[Task("chat", 300, 60)], seed=1)
    full, other = role("fast").id, "claude-sonnet-5-5"
    stack = [
        Fallback(other_model(other), canned("Later.")),
        Breaker(lambda: Circuit(minimum=5, rest=5, longest_rest=5, dice=random.Random(1))),
    ]
    down = [
        Fault("overloaded", start=60, end=120, model=full),
        Fault("overloaded", start=80, end=100, model=other),
    ]
    result = simulate(traffic, stack=stack, api={"tier": None, "faults": down})
    assert result.calls["ok"].all()
    rungs = result.notes[result.notes["note"] == "rung"].set_index("call")["name"]
    started = result.calls.set_index("call")["start_s"]
    assert set(rungs.index) == set(started.index)
    for since, until, expected in (
        (0, 59, {"full"}),
        (60, 78, {other}),
        (80, 98, {"canned"}),
        (110, 119, {other}),
        (135, 180, {"full"}),
    ):
        within = started[(started >= since) & (started < until)].index
        assert set(rungs[within]) == expected
    sent = result.attempts[result.attempts["start_s"].between(60, 120)]
    assert (sent["model"] == full).mean() < 0.3

"""The way in: a request is read without copying, and only what changed is written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import APIRequest

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.flow import Flow, Outcome, Request, Send, Timeouts
from labkit.layers.deadline import Deadline
from labkit.sdk import Hop, request_for, request_of
from tests.wire import EVENTS, MODEL, answer, refusal, stream
from tests.world import Api, Passing, Script, Spy, World


@pytest.fixture
def api_request() -> APIRequest:
    """Catch the SDK's request on its way."""
    spy = Spy()
    World("sync").run(lambda api: api.create(), Script(answer()), [spy])
    return spy.requests[0]


def test_a_layer_sees_what_is_asked(world: World) -> None:
    """Body, path, method and whether it streams."""
    passing = Passing()
    world.run(lambda api: api.create(), Script(answer()), [passing])
    world.run(lambda api: api.events(), Script(stream(*EVENTS)), [passing])
    plain, streamed = passing.requests
    assert (plain.path, plain.method, plain.stream) == ("/v1/messages", "POST", False)
    assert plain.model == MODEL
    assert (plain.deadline, plain.timeout, plain.sdk_retries) == (None, None, 0)
    assert streamed.stream


def test_a_request_without_a_body_has_an_empty_one(world: World) -> None:
    """A GET is a request too."""
    passing = Passing()

    def server(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"data": [], "has_more": False})

    async def scene(api: Api) -> Any:
        return await api.result(api.client.models.list())

    world.run(scene, server, [passing])
    assert passing.requests[0].body == {}
    assert passing.requests[0].method == "GET"
    assert passing.requests[0].model is None


def test_what_the_caller_adds_to_the_body_is_seen_too(world: World) -> None:
    """`extra_body` is merged before the layers see it, so a cache key can be trusted."""
    passing = Passing()
    extra = {"speed": "fast", "new": [1]}
    server = Script(answer())
    world.run(lambda api: api.create(extra_body=extra), server, [passing])
    assert dict(passing.requests[0].body) == server.bodies[0]
    assert passing.requests[0].body["new"] == [1]


def test_what_the_caller_adds_to_the_headers_is_seen_too(world: World) -> None:
    """Betas of this call change its answer."""
    passing = Passing()
    beta = {"anthropic-beta": "x-2026"}
    world.run(lambda api: api.create(extra_headers=beta), Script(answer()), [passing])
    assert passing.requests[0].headers["anthropic-beta"] == "x-2026"
    assert passing.requests[0].within(1.0).headers == passing.requests[0].headers


def test_nothing_is_copied_where_nothing_changed(api_request: APIRequest) -> None:
    """The same object goes on, with the same body in it."""
    asked = request_of(api_request, None)
    assert asked.body is api_request.json
    assert request_for(api_request, asked, asked, None) is api_request


def test_a_new_deadline_far_away_changes_nothing(api_request: APIRequest) -> None:
    """The timeout the SDK worked out is shorter anyway."""
    asked = request_of(api_request, None)
    assert request_for(api_request, asked, asked.within(1e9), 1e9) is api_request


def test_a_change_leaves_the_sdks_own_request_alone(api_request: APIRequest) -> None:
    """It may be sent again, as it was."""
    asked = request_of(api_request, None)
    changed = asked.replace(body={"a": 1}, timeout=Timeouts(total=3))
    outgoing = request_for(api_request, asked, changed, 3)
    assert outgoing is not api_request
    assert outgoing.json == {"a": 1}
    assert api_request.json is asked.body
    assert outgoing.timeout != api_request.timeout
    kept = ("cast_to", "stream", "stream_cls", "retries_taken", "url", "method", "headers")
    assert [getattr(outgoing, name) for name in kept] == [
        getattr(api_request, name) for name in kept
    ]


def test_between_two_layers_the_request_is_handed_over(api_request: APIRequest) -> None:
    """Unless somebody in between made another one; the deadline goes on in any case."""
    sent = request_of(api_request, None).within(9)
    assert request_of(api_request, Hop(api_request, sent)) is sent
    another = api_request.copy()
    seen = request_of(another, Hop(api_request, sent))
    assert seen is not sent
    assert seen.deadline == 9
    assert seen.body is another.json


def test_a_hop_serves_the_same_request_for_a_moment(api_request: APIRequest) -> None:
    """With a deadline; without one, for ever."""
    asked = request_of(api_request, None)
    limited = asked.within(9)
    hop = Hop(api_request, limited, made_s=1)
    assert hop.serves(limited, VirtualClock(1))
    assert not hop.serves(limited, VirtualClock(1.1))
    assert not hop.serves(asked, VirtualClock(1))
    assert not Hop(api_request, limited).serves(limited, VirtualClock(1))
    assert Hop(api_request, asked).serves(asked, VirtualClock(1e9))


# -- what the transport is told -------------------------------------------------------------------


class Limited(Layer):
    """Gives an attempt a timeout."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def flow(self, request: Request) -> Flow:
        """Set it."""
        outcome: Outcome = yield Send(request.replace(timeout=Timeouts(total=self.seconds)))
        return outcome


def told(
    world: World, layers: Sequence[anthropic.Middleware], call: str = "create", **options: Any
) -> Any:
    """Return the timeouts that arrive at the transport."""
    of_call = {key: options.pop(key) for key in ["timeout"] if key in options}
    of_client = options.pop("client", {})
    server = Script(answer() if call == "create" else stream(*EVENTS))
    world.run(lambda api: getattr(api, call)(**of_call), server, layers, **of_client)
    return server.requests[0].extensions["timeout"]


DEFAULT = {"connect": 5.0, "read": 600.0, "write": 600.0, "pool": 600.0}


def test_without_layers_the_sdks_timeouts_stand(world: World) -> None:
    """Five seconds to connect, ten minutes for everything else."""
    assert told(world, [Passing()], "events") == DEFAULT


@pytest.mark.parametrize("call", ["create", "events"])
def test_the_timeouts_are_shortened_to_what_is_left(world: World, call: str) -> None:
    """Each of the four, and no further."""
    assert told(world, [Deadline(60)], call) == {**DEFAULT, "read": 60, "write": 60, "pool": 60}
    assert told(world, [Deadline(2)], call) == dict.fromkeys(DEFAULT, 2)


def test_a_far_deadline_does_not_lengthen_the_default(world: World) -> None:
    """An hour's patience is no reason to wait an hour for the next byte."""
    assert told(world, [Deadline(3600)], "events")["read"] == 600


def test_a_layers_timeout_and_a_deadline_both_hold(world: World) -> None:
    """The shorter wins."""
    assert told(world, [Deadline(60), Limited(3)])["read"] == 3
    assert told(world, [Deadline(2), Limited(3)])["read"] == 2
    assert told(world, [Limited(3), Deadline(60)])["read"] == 3


def test_the_calls_own_timeout_holds_if_it_is_shorter(world: World) -> None:
    """As a number and as a Timeout."""
    assert told(world, [Deadline(60)], timeout=7)["read"] == 7
    assert told(world, [Deadline(60)], timeout=100)["read"] == 60
    own = httpx2.Timeout(90, read=7)
    assert told(world, [Deadline(60)], timeout=own) == {**dict.fromkeys(DEFAULT, 60), "read": 7}
    assert told(world, [Deadline(60)], timeout=None)["read"] == 60


def test_a_timeout_of_the_client_is_not_known_to_its_middleware(world: World) -> None:
    """The SDK does not tell, so with a deadline it has to be given per call or by a layer."""
    quick = {"timeout": 2}
    assert told(world, [Passing()], client=quick)["read"] == 2
    assert told(world, [Deadline(60)], client=quick)["read"] == 60
    assert told(world, [Deadline(60), Limited(2)], client=quick)["read"] == 2


def test_the_guard_against_long_answers_without_streaming_still_works(world: World) -> None:
    """A deadline set by a layer comes after the SDK has looked."""
    with pytest.raises(ValueError, match="Streaming"):
        world.run(lambda api: api.create(max_tokens=100_000), Script(answer()), [Deadline(60)])


def test_the_sdks_own_retries_are_seen() -> None:
    """A layer can tell that there are two owners of retries."""
    passing = Passing()
    server = Script(refusal(), refusal(), answer())
    World("async").run(lambda api: api.create(), server, [passing], max_retries=2)
    assert [request.sdk_retries for request in passing.requests] == [0, 1, 2]


class Waiting(anthropic.Middleware):
    """Somebody else's middleware, which waits."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def handle(self, request: APIRequest, call_next: Any) -> Any:
        """Wait, then pass on the very same request."""
        self.clock.sleep(self.seconds)
        return call_next(request)

    async def handle_async(self, request: APIRequest, call_next: Any) -> Any:
        """Do the same."""
        await self.clock.sleep_async(self.seconds)
        return await call_next(request)


def test_a_wait_that_is_not_ours_counts_too(world: World) -> None:
    """The timeouts are cut to what is left after it."""
    layers = [Deadline(60), Passing(), Waiting(world.clock, 20), Passing()]
    assert told(world, layers)["read"] == 40

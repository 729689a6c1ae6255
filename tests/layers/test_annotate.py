"""Annotate writes down what the price depends on, and changes nothing."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from labkit.layers.annotate import Annotate
from tests.wire import CALL, EVENTS, answer, refusal, stream
from tests.world import Api, Script, World


@pytest.mark.parametrize(
    ("chosen", "noted"),
    [
        ({}, []),
        ({"speed": "fast"}, [("request", {"speed": "fast"})]),
        ({"inference_geo": "us"}, [("request", {"inference_geo": "us"})]),
        (
            {"speed": "standard", "inference_geo": "global"},
            [("request", {"speed": "standard", "inference_geo": "global"})],
        ),
    ],
)
@pytest.mark.parametrize("call", ["create", "events"])
def test_speed_and_place_are_noted_where_the_request_sets_them(
    world: World, chosen: dict[str, str], noted: list[Any], call: str
) -> None:
    """The SDK's own spans leave them out."""
    server = Script(answer() if call == "create" else stream(*EVENTS))
    world.run(lambda api: getattr(api, call)(**chosen), server, [Annotate()])
    assert world.notes == noted


def test_nothing_is_changed(world: World) -> None:
    """What goes out is what would have gone out."""
    plain, annotated = Script(answer()), Script(answer())
    world.run(lambda api: api.create(speed="fast"), plain)
    world.run(lambda api: api.create(speed="fast"), annotated, [Annotate()])
    assert annotated.requests[0].content == plain.requests[0].content


def test_every_attempt_is_noted_and_failures_pass_through(world: World) -> None:
    """A retry further out asks again, and the price is asked for each time."""
    with pytest.raises(anthropic.InternalServerError):
        world.run(lambda api: api.create(speed="fast"), Script(refusal()), [Annotate()])
    assert len(world.notes) == 1


def test_without_tracing_nothing_is_noted_and_nothing_fails(world: World) -> None:
    """A program may have no use for spans."""

    async def scene(api: Api) -> Any:
        bare = api.client.with_options()
        return await api.result(bare.messages.create(**CALL, speed="fast"))

    found = world.run(scene, Script(answer()), [Annotate()], open_telemetry=False)
    assert found.content[0].text == "Hello"
    assert world.notes == []

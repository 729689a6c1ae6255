"""Hedges over a real connection: the loser is hung up on, and nothing is left over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from labkit.layers.bulkhead import Bulkhead
from labkit.layers.hedge import Hedge
from labkit.sim.faults import Fault
from labkit.sim.server import create_app
from tests.sim.serving import BODY, Serving, eventually

SPEED = 20.0
OPTIONS: dict[str, Any] = {"api_key": "k", "max_retries": 0}


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Give one server for all tests."""
    with Serving(speed=SPEED) as running:
        yield running


def stand_still_once(serving: Serving, kind: str) -> None:
    """Let the next request meet a fault that would keep its caller for minutes."""
    faults = (Fault(kind, first=1, factor=1e5),)
    serving.door.api = create_app(faults=faults, speed=SPEED).api


def stack() -> tuple[list[anthropic.Middleware], Bulkhead]:
    """Give layers that hedge after a moment."""
    bulkhead = Bulkhead(1)
    return [bulkhead, Hedge(0.05)], bulkhead


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("kind", ["silence", "slow", "ping_only", "drip"])
def test_a_thread_that_loses_is_hung_up_on(serving: Serving, kind: str, stream: bool) -> None:
    """The server has nobody left to serve, the client's thread has ended, its place is free."""
    stand_still_once(serving, kind)
    layers, bulkhead = stack()
    with anthropic.Anthropic(base_url=serving.url, middleware=layers, **OPTIONS) as client:
        for _ in range(2):
            answer: Any = client.messages.create(**BODY, stream=stream)
            if stream:
                answer = list(answer)[-1]
            assert answer.type in ("message", "message_stop")
    eventually(lambda: serving.door.log.under_way == 0)
    eventually(lambda: all(one.name != "labkit-attempt" for one in threading.enumerate()))
    assert bulkhead.places.under_way == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("kind", ["silence", "slow", "ping_only", "drip"])
def test_a_task_that_loses_is_cancelled(serving: Serving, kind: str, stream: bool) -> None:
    """The same for the async client; no task is left."""
    stand_still_once(serving, kind)
    layers, bulkhead = stack()

    async def scene() -> None:
        options = {"base_url": serving.url, "middleware": layers, **OPTIONS}
        async with anthropic.AsyncAnthropic(**options) as client:
            for _ in range(2):
                answer: Any = await client.messages.create(**BODY, stream=stream)
                if stream:
                    answer = [event async for event in answer][-1]
                assert answer.type in ("message", "message_stop")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())
    eventually(lambda: serving.door.log.under_way == 0)
    assert bulkhead.places.under_way == 0

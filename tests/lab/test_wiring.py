"""What every client of a bench is made with, and the loop that live coroutines run on."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.errors import UserError
from labkit.lab.wiring import OURS, client_options, run_for_real
from labkit.ledger import Ledger


def options(given: dict[str, Any], *, from_api: bool = False, stack: Any = ()) -> dict[str, Any]:
    """The options of a client."""
    clock = VirtualClock()
    return client_options(
        given, stack=stack, clock=clock, ledger=Ledger(clock), key="k", from_api=from_api
    )


def test_layers_live_in_the_benchs_time_and_keep_their_order() -> None:
    """First listed stays outermost, and all read the same clock."""
    layers = [Layer(), Layer()]
    made = options({}, stack=layers)
    assert made["middleware"] == layers
    assert layers[0].clock is layers[1].clock
    assert isinstance(layers[0].clock, VirtualClock)


@pytest.mark.parametrize("name", OURS)
def test_what_the_bench_sets_cannot_be_given(name: str) -> None:
    """Not even as nothing."""
    with pytest.raises(UserError, match=f"sets {name} itself"):
        options({name: None})


def test_the_callers_own_options_are_kept() -> None:
    """Timeouts, retries and headers are the caller's business."""
    made = options({"timeout": 5, "default_headers": {"x-team": "blue"}})
    assert (made["timeout"], made["default_headers"]) == (5, {"x-team": "blue"})
    assert made["base_url"] == "https://api.anthropic.com"
    assert options({"base_url": "http://127.0.0.1:1"})["base_url"] == "http://127.0.0.1:1"


def test_the_real_api_is_asked_for_plain_text() -> None:
    """Whatever other headers there are, and wherever the environment says it is."""
    given = {"default_headers": {"x-team": "blue", "accept-encoding": "gzip"}}
    made = options(given, from_api=True)
    assert made["default_headers"] == {"x-team": "blue", "accept-encoding": "identity"}
    assert "base_url" not in made


def test_a_live_coroutine_runs_where_a_loop_runs_already() -> None:
    """As in a notebook: result and context variables come through, from another thread."""
    name = contextvars.ContextVar[str]("name")

    async def work() -> tuple[str, int]:
        await asyncio.sleep(0)
        return name.get(), threading.get_ident()

    async def notebook() -> tuple[str, int]:
        name.set("Ada")
        return run_for_real(work())

    found, thread = asyncio.run(notebook())
    assert found == "Ada"
    assert thread != threading.get_ident()


def test_an_error_of_a_live_coroutine_is_raised() -> None:
    """Not swallowed, and not another one in its place."""

    async def fail() -> None:
        raise LookupError("this very one")

    with pytest.raises(LookupError, match="this very one"):
        run_for_real(fail())

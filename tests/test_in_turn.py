"""Results of threads come in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from labkit.virtual_loop import run_virtual


def order_of(*works: Callable[[], object]) -> list[int]:
    """Begin all of the work at once, and return the numbers in the order of their results."""
    seen: list[int] = []

    async def one(number: int, work: Callable[[], Any]) -> None:
        await asyncio.to_thread(work)
        seen.append(number)

    async def main() -> None:
        await asyncio.gather(*(one(number, work) for number, work in enumerate(works)))

    run_virtual(main())
    return seen


def test_an_earlier_result_comes_first_though_its_thread_ends_last() -> None:
    """The first thread waits until all the others have ended."""
    ended = [threading.Event() for _ in range(3)]
    works: list[Callable[[], object]] = [lambda: all(each.wait(10) for each in ended)]
    works += [each.set for each in reversed(ended)]
    assert order_of(*works) == [0, 1, 2, 3]


def test_an_error_has_its_turn_and_keeps_nobody_waiting() -> None:
    """It reaches who asked, and those behind it get their results."""

    async def main() -> list[object]:
        asked = (asyncio.to_thread(int, text) for text in ("1", "none", "3"))
        return list(await asyncio.gather(*asked, return_exceptions=True))

    one, error, three = run_virtual(main())
    assert (one, three) == (1, 3)
    assert isinstance(error, ValueError)


def test_who_leaves_gives_up_the_turn() -> None:
    """A result that nobody waits for any more holds up none behind it."""
    free = threading.Event()

    async def main() -> int:
        slow = asyncio.create_task(asyncio.to_thread(free.wait, 10))
        quick = asyncio.create_task(asyncio.to_thread(int, "7"))
        await asyncio.sleep(0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        found = await quick
        free.set()
        return found

    assert run_virtual(main()) == 7

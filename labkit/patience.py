"""A deadline while an attempt is on its way: nothing begins late, and waiting ends in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from labkit.clock import Clock
from labkit.errors import DeadlineExceeded
from labkit.flow import Request

__all__ = ["check_time", "in_time"]

T = TypeVar("T")


def check_time(request: Request, clock: Clock) -> None:
    """Raise `DeadlineExceeded` if the request's deadline has passed."""
    if request.deadline is not None and clock.now() >= request.deadline:
        raise DeadlineExceeded("The deadline passed before there was an answer.")


async def in_time(seconds: float, answer: Awaitable[T]) -> T:
    """Await the answer; cancel it and raise `DeadlineExceeded` when the seconds are over."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await answer
    except TimeoutError as error:
        if not limit.expired():
            raise
        message = "The deadline passed while the attempt was under way."
        raise DeadlineExceeded(message) from error

"""What every client of a bench is made with, in every mode, and a real loop to run it on."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from labkit.clock import Clock
from labkit.drivers import Layer
from labkit.errors import BenchError, UserError
from labkit.ledger import Ledger

__all__ = ["client_options", "plainly", "run_for_real"]

T = TypeVar("T")
API = "https://api.anthropic.com"
OURS = ("api_key", "http_client", "middleware", "open_telemetry")
"""Options that would take a client off the bench: its budget, its ledger or its recordings."""


def client_options(
    given: Mapping[str, Any],
    *,
    stack: Sequence[Layer],
    clock: Clock,
    ledger: Ledger,
    key: str,
    from_api: bool,
) -> dict[str, Any]:
    """Return the keyword arguments for an SDK client; `given` are the caller's own.

    Raises `UserError` for options that the bench sets itself.
    """
    taken = next((name for name in OURS if name in given), None)
    if taken is not None:
        raise UserError(
            f"The bench sets {taken} itself. Give middleware as layers=[...], and make a client "
            "without the bench where you need another one."
        )
    for layer in stack:
        layer.clock = clock
    tracing = {"tracer_provider": ledger.provider, "propagation": False}
    options = {"api_key": key, "middleware": list(stack), "open_telemetry": tracing, **given}
    if from_api:  # plain text, so that streams can be looked into and recordings be read
        options["default_headers"] = {**given.get("default_headers", {}), **PLAIN_TEXT}
    else:  # a gateway that the environment names is none of a recording's business
        options.setdefault("base_url", API)
    return options


PLAIN_TEXT = {"accept-encoding": "identity"}


@contextmanager
def plainly() -> Iterator[None]:
    """Raise an error of the bench as itself, where the SDK has taken it for a lost connection.

    The bench's own clients do that themselves; this is for a client made by hand.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, BenchError):
            cause = cause.__cause__
        if cause is None or cause is error:
            raise
        raise cause from None


def run_for_real(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an ordinary loop, in a thread of its own, and return its result.

    A notebook's main thread already runs a loop.  Context variables are those of the caller.
    """
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="labkit-loop") as pool:
        return pool.submit(context.run, asyncio.run, main).result()

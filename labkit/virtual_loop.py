"""An asyncio loop on virtual time: the SDK's own sleeps and timeouts take no time at all.

Built on public API only: a `SelectorEventLoop` with a selector of our own and its own `time`.
When nothing is ready to run, an ordinary loop asks its selector to wait until the next timer.
Ours moves the clock to that timer instead.  It waits for real only while a worker thread is
still at work, because a thread's result comes in real time.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from labkit.clock import VirtualClock
from labkit.errors import Deadlock, SocketRefused, TimeUp

__all__ = ["VirtualLoop", "run_virtual"]

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that jumps to the next timer rather than waiting for it."""

    def __init__(self, clock: VirtualClock, until: float | None) -> None:
        super().__init__()
        self.clock = clock
        self.until = until
        self.threads_at_work = 0
        self.closed_to_sockets = False

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        """Register the loop's own wake-up pipe; refuse everything that comes later."""
        if self.closed_to_sockets:
            raise SocketRefused(_no_socket("wait for a socket"))
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; if nothing is, move the clock on by `timeout` seconds."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.threads_at_work:
            return super().select(None)
        if timeout is None:
            raise Deadlock(
                "Every task on the virtual loop is waiting and no timer is set, so nothing can "
                "ever wake them. Look for an event nobody sets or a queue nobody fills."
            )
        if self.until is not None and self.clock.now() + timeout > self.until:
            self.clock.advance(self.until - self.clock.now())
            raise TimeUp(f"The virtual loop reached its end at {self.until:g} s of virtual time.")
        self.clock.advance(timeout)
        return ready


def _no_socket(action: str) -> str:
    return (
        f"The virtual loop was asked to {action}. Real networks answer in real time; "
        "use the simulated API or a cassette here, or an ordinary asyncio loop."
    )


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `VirtualClock`; it ends with `TimeUp` at `until` seconds.

    It raises `Deadlock` when nothing could ever wake its tasks and `SocketRefused` when
    something tries to use the network.  Threads started with `asyncio.to_thread` or
    `run_in_executor` are waited for in real time, and virtual time stands still meanwhile.
    """

    def __init__(self, clock: VirtualClock | None = None, *, until: float | None = None) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        self._jumping = _JumpingSelector(self.clock, until)
        super().__init__(self._jumping)
        self._jumping.closed_to_sockets = True

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.now()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run `func` in a worker thread; virtual time stands still until it is done."""
        self._jumping.threads_at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_is_done)
        return future

    def _thread_is_done(self, _future: object) -> None:
        self._jumping.threads_at_work -= 1

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Wait in real time for the pool's threads to end."""
        self._jumping.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*args, **options)
        finally:
            self._jumping.threads_at_work -= 1

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> Any:  # noqa: ARG002
        """Refuse to look a name up."""
        raise SocketRefused(_no_socket(f"look up {host!r}"))

    async def create_connection(self, *_args: Any, **_options: Any) -> Any:
        """Refuse to connect."""
        raise SocketRefused(_no_socket("open a connection"))

    async def create_server(self, *_args: Any, **_options: Any) -> Any:
        """Refuse to listen."""
        raise SocketRefused(_no_socket("listen on a port"))

    async def create_datagram_endpoint(self, *_args: Any, **_options: Any) -> Any:
        """Refuse datagrams."""
        raise SocketRefused(_no_socket("open a datagram socket"))

    async def sock_connect(self, sock: Any, address: Any) -> None:  # noqa: ARG002
        """Refuse to connect a raw socket."""
        raise SocketRefused(_no_socket(f"connect to {address!r}"))


def run_virtual(
    main: Coroutine[Any, Any, T], clock: VirtualClock | None = None, *, until: float | None = None
) -> T:
    """Run a coroutine to its end on a virtual loop, in a thread of its own, and return its result.

    The thread is needed because a notebook's main thread already runs a loop.  Context
    variables are those of the caller.  Raises what `main` raises, or what `VirtualLoop` raises.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock, until=until)) as runner:
                results.append(runner.run(main))
        except BaseException as error:
            failures.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="labkit-virtual-loop")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]

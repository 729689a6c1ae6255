"""An asyncio loop on virtual time: the SDK's own sleeps and timeouts take no time at all.

Built on public API only: a `SelectorEventLoop` with its own `time` and a selector of ours that
jumps to the next timer (`labkit.jumping_selector`).
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import Any, Generic, TypeVar

from labkit.clock import VirtualClock
from labkit.in_turn import InTurn
from labkit.jumping_selector import JumpingSelector, refusal

__all__ = ["VirtualLoop", "run_virtual"]

T = TypeVar("T")


class _Moment(float):
    """The time of a timer: it has come as soon as the clock shows it, and timers keep their turn.

    An ordinary loop counts on a clock that always moves on, so it wants a time to be a little
    later than the timer's, and never sees two timers for the same moment.  Here both are
    common: of equal moments the one that was set first is the earlier.
    """

    __slots__ = ("turn",)
    turn: int

    def __lt__(self, other: float) -> bool:
        if isinstance(other, _Moment):
            return (float(self), self.turn) < (float(other), other.turn)
        return float(self) <= other

    def __ge__(self, other: float) -> bool:
        return not self < other


def _refuse(action: str) -> Callable[..., Any]:
    async def refuse(_loop: VirtualLoop, *_args: Any, **_options: Any) -> Any:
        raise refusal(action)

    return refuse


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `VirtualClock`; it ends with `TimeUp` at `until` seconds.

    It raises `Deadlock` when nothing could ever wake its tasks and `SocketRefused` when
    something tries to use the network or to start a process.  Threads started with
    `asyncio.to_thread` or `run_in_executor` are waited for in real time, and virtual time
    stands still meanwhile, and their results come in the order in which they were begun; so a
    thread must not wait for a timer of this loop, nor for what a later one leads to.
    """

    def __init__(self, clock: VirtualClock | None = None, *, until: float | None = None) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        self._jumping = JumpingSelector(self.clock, until)
        self._timers_set, self._in_turn = 0, InTurn()
        super().__init__(self._jumping)
        self._jumping.closed_to_sockets = True

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.clock.now()

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer; timers for the same moment go off in the order in which they were set."""
        if when == inf:  # never: jumping towards it would have no end
            return asyncio.TimerHandle(when, callback, args, self, context)
        moment = _Moment(when)
        moment.turn = self._timers_set = self._timers_set + 1
        return super().call_at(moment, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run `func` in a worker thread; virtual time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads_at_work += 1
        future.add_done_callback(self._thread_is_done)
        return self._in_turn.of(future)

    def _thread_is_done(self, _future: object) -> None:
        self._jumping.threads_at_work -= 1

    def wait_for_anyio_threads(self) -> None:
        """Wait for `anyio.to_thread` too, as far as it uses anyio's own limiter; call in a task."""
        import anyio.to_thread

        limiter = anyio.to_thread.current_default_thread_limiter()
        self._jumping.others_at_work = lambda: limiter.borrowed_tokens

    async def shutdown_default_executor(self, *args: Any, **options: Any) -> None:
        """Wait in real time for the pool's threads to end."""
        self._jumping.threads_at_work += 1
        try:
            await super().shutdown_default_executor(*args, **options)
        finally:
            self._jumping.threads_at_work -= 1

    getaddrinfo = _refuse("look a name up")
    getnameinfo = _refuse("look an address up")
    create_connection = _refuse("open a connection")
    create_datagram_endpoint = _refuse("open a datagram socket")
    create_server = _refuse("listen on a port")
    create_unix_connection = _refuse("open a connection")
    create_unix_server = _refuse("listen on a socket")
    connect_accepted_socket = _refuse("take a connection over")
    connect_read_pipe = _refuse("read from a pipe")
    connect_write_pipe = _refuse("write to a pipe")
    sock_connect = _refuse("connect a socket")
    sock_accept = _refuse("accept a connection")
    subprocess_exec = _refuse("start a process")
    subprocess_shell = _refuse("start a process")


class _Run(Generic[T]):
    """One run of a coroutine on a virtual loop, as seen from the thread that asked for it."""

    def __init__(self, main: Coroutine[Any, Any, T], loop: Callable[[], VirtualLoop]) -> None:
        self._main, self._new_loop = main, loop
        self._task: asyncio.Task[Any] | None = None
        self._started, self.ended = threading.Event(), threading.Event()
        self._results: list[T] = []
        self._failure: BaseException | None = None

    def work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._new_loop) as runner:
                self._results.append(runner.run(self._in_task()))
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()
            self.ended.set()

    async def _in_task(self) -> T:
        loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if isinstance(loop, VirtualLoop):
            loop.wait_for_anyio_threads()
        self._started.set()
        return await self._main

    def cancel(self) -> bool:
        """Cancel the coroutine; say whether it had begun, so that there is an end to wait for."""
        begun = self._started.wait(5)
        if self._task is not None:
            with suppress(RuntimeError):  # the loop was closed a moment ago
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        return begun

    def result(self) -> T:
        if self._failure is not None:
            raise self._failure
        return self._results[0]


def run_virtual(
    main: Coroutine[Any, Any, T], clock: VirtualClock | None = None, *, until: float | None = None
) -> T:
    """Run a coroutine to its end on a virtual loop, in a thread of its own, and return its result.

    The thread is needed because a notebook's main thread already runs a loop.  Context
    variables are those of the caller.  An interrupt (Ctrl-C, a kernel's stop button) cancels
    the coroutine.  Raises what `main` raises, or what `VirtualLoop` raises.
    """
    run = _Run(main, lambda: VirtualLoop(clock, until=until))
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(run.work,), name="labkit-virtual-loop", daemon=True
    )
    try:
        thread.start()
        run.ended.wait()
    except BaseException:  # only the main thread hears an interrupt
        if run.cancel():
            run.ended.wait()
        raise
    finally:
        if run.ended.is_set():
            thread.join()
    return run.result()

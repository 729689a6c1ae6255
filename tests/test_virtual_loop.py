"""The virtual loop: asyncio's own order and semantics, no waiting, and no way to the network."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import signal
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.errors import Deadlock, SocketRefused, TimeUp
from labkit.virtual_loop import VirtualLoop, run_virtual

HOUR = 3600.0


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


def test_hours_of_sleep_pass_on_the_clock_alone() -> None:
    """Sleeping moves the clock by exactly what was slept."""
    clock = VirtualClock()
    run_virtual(asyncio.sleep(10_000 * HOUR), clock)
    assert clock.now() == 10_000 * HOUR


def test_the_result_comes_back_from_the_loop() -> None:
    """What the coroutine returns is returned."""

    async def main() -> str:
        await asyncio.sleep(5)
        return "done"

    assert run_virtual(main()) == "done"


def test_tasks_overlap_in_time() -> None:
    """Ten tasks that sleep ten seconds each take ten seconds together."""
    clock = VirtualClock()

    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(10) for _ in range(10)))

    run_virtual(main(), clock)
    assert clock.now() == 10


def test_timers_for_the_same_moment_go_off_in_the_order_they_were_set() -> None:
    """A heap alone does not keep that order, and on a real loop no two moments are equal."""
    woken: list[int] = []

    async def sleeper(number: int) -> None:
        await asyncio.sleep(1)
        woken.append(number)

    async def main() -> None:
        await asyncio.gather(*map(sleeper, range(100)))

    run_virtual(main())
    assert woken == list(range(100))


# -- random programs against what asyncio promises ------------------------------------------------


@dataclass(frozen=True)
class Sleep:
    """Sleep for some ticks, then write a name down."""

    ticks: int
    name: int


@dataclass(frozen=True)
class InTurn:
    """One after the other."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Together:
    """All at once, until the last has ended."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Within:
    """Given up after some ticks and a bit, written down as `name` where that happens.

    The bit is different for every one in a program: where a timeout and a sleep end at the very
    same moment, either may win.
    """

    ticks: int
    name: int
    part: Any
    bit: float = 0.0

    @property
    def seconds(self) -> float:
        """The limit."""
        return (self.ticks + self.bit) * TICK


Program = Sleep | InTurn | Together | Within
TICK = 0.25
"""A power of two, so that sums of ticks are exact."""


def programs() -> st.SearchStrategy[Any]:
    """Draw programs of sleeps, sequences, gathers and timeouts."""
    ticks, names = st.integers(1, 6), st.integers(0, 99)
    sleeps = st.builds(Sleep, ticks, names)

    def larger(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(parts, min_size=1, max_size=4).map(tuple)
        return (
            st.builds(InTurn, several)
            | st.builds(Together, several)
            | st.builds(Within, ticks, names, parts)
        )

    return st.recursive(sleeps, larger, max_leaves=12).map(lambda whole: numbered(whole, count(1)))


def numbered(program: Program, numbers: Iterator[int]) -> Program:
    """Give every timeout its own bit, such that no sum of bits equals another."""
    match program:
        case Within(ticks, name, part):
            bit = 2.0 ** -next(numbers)
            return Within(ticks, name, numbered(part, numbers), bit)
        case InTurn(parts) | Together(parts):
            return replace(program, parts=tuple(numbered(part, numbers) for part in parts))
    return program


async def play(program: Program, log: list[tuple[float, int]]) -> None:
    """Run a program on whatever loop is running."""
    match program:
        case Sleep(ticks, name):
            await asyncio.sleep(ticks * TICK)
            log.append((now(), name))
        case InTurn(parts):
            for part in parts:
                await play(part, log)
        case Together(parts):
            await asyncio.gather(*(play(part, log) for part in parts))
        case Within(_, name, part):
            try:
                async with asyncio.timeout(program.seconds):
                    await play(part, log)
            except TimeoutError:
                log.append((now(), name))


def expected(
    program: Program, began: float, given_up: float
) -> tuple[float, list[tuple[float, int]]]:
    """Work out (when it ends, what is written when), with pencil and paper as it were."""
    match program:
        case Sleep(ticks, name):
            end = began + ticks * TICK
            return end, [(end, name)] if end < given_up else []
        case InTurn(parts):
            written = []
            for part in parts:
                began, more = expected(part, began, given_up)
                written += more
            return began, written
        case Together(parts):
            ends = [expected(part, began, given_up) for part in parts]
            return max(end for end, _ in ends), [entry for _, more in ends for entry in more]
        case Within(_, name, part):
            limit = began + program.seconds
            end, written = expected(part, began, min(given_up, limit))
            if end < limit:
                return end, written
            return limit, written + ([(limit, name)] if limit < given_up else [])


@given(programs())
def test_random_programs_run_as_asyncio_promises(program: Program) -> None:
    """Sleeps, gathers and timeouts end when they should, and the log is in order of time."""
    log: list[tuple[float, int]] = []
    clock = VirtualClock()
    run_virtual(play(program, log), clock)
    end, written = expected(program, 0.0, inf)
    assert clock.now() == end
    assert sorted(log) == sorted(written)
    assert [at for at, _ in log] == sorted(at for at, _ in log)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_the_order_is_that_of_a_real_loop(ticks: list[int]) -> None:
    """Sleepers wake by time, and by turn where the times are equal, as they do in real life."""
    woken: list[int] = []

    async def sleeper(number: int) -> None:
        await asyncio.sleep(ticks[number] * TICK)
        woken.append(number)

    async def main() -> None:
        await asyncio.gather(*(sleeper(number) for number in range(len(ticks))))

    run_virtual(main())
    assert woken == sorted(range(len(ticks)), key=lambda number: ticks[number])


def test_a_real_loop_wakes_in_the_same_order() -> None:
    """The same sleepers on asyncio's own loop, a thousand times faster, with clear gaps."""
    ticks = [3, 1, 2, 1, 3, 2, 1]
    woken: dict[str, list[int]] = {"real": [], "virtual": []}

    async def main(kind: str) -> None:
        async def sleeper(number: int) -> None:
            await asyncio.sleep(ticks[number] * 0.02)
            woken[kind].append(number)

        await asyncio.gather(*map(sleeper, range(len(ticks))))

    asyncio.run(main("real"))
    run_virtual(main("virtual"))
    assert woken["virtual"] == woken["real"]


# -- timeouts and timers --------------------------------------------------------------------------


def test_a_timeout_ends_what_takes_longer() -> None:
    """`asyncio.timeout` goes off at its virtual moment."""
    clock = VirtualClock()

    async def main() -> None:
        async with asyncio.timeout(30):
            await asyncio.sleep(HOUR)

    with pytest.raises(TimeoutError):
        run_virtual(main(), clock)
    assert clock.now() == 30


def test_a_timeout_spares_what_is_in_time() -> None:
    """A timer that was cancelled does not hold the clock up nor push it on."""
    clock = VirtualClock()

    async def main() -> str:
        return await asyncio.wait_for(asyncio.sleep(29, "in time"), 30)

    assert run_virtual(main(), clock) == "in time"
    assert clock.now() == 29


def test_a_cancelled_timer_does_not_go_off() -> None:
    """`call_later` hands out a handle that can be cancelled."""
    heard: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, heard.append, "cancelled").cancel()
        loop.call_later(2, heard.append, "kept")
        await asyncio.sleep(3)

    run_virtual(main())
    assert heard == ["kept"]


def test_a_timer_knows_its_moment_and_context() -> None:
    """What asyncio promises of timers holds: `when`, and the context given."""
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="grey")
    context = contextvars.copy_context()
    context.run(colour.set, "red")
    heard: list[str] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        handle = loop.call_at(7.5, lambda: heard.append(colour.get()), context=context)
        await asyncio.sleep(8)
        return handle.when()

    assert run_virtual(main()) == 7.5
    assert heard == ["red"]


def test_sleeping_for_ever_is_a_deadlock_and_no_endless_jump() -> None:
    """A timer at infinity never goes off, so nothing could ever wake the task."""
    with pytest.raises(Deadlock):
        run_virtual(asyncio.sleep(inf))


def test_a_timer_for_ever_may_stand_beside_others() -> None:
    """Only the timers that can go off count."""
    clock = VirtualClock()

    async def main() -> None:
        forever = asyncio.create_task(asyncio.sleep(inf))
        await asyncio.sleep(5)
        forever.cancel()

    run_virtual(main(), clock)
    assert clock.now() == 5


@given(st.floats(0, 1e9), st.lists(st.floats(1e-6, 1e6), max_size=20))
def test_time_never_runs_backwards_and_never_stands_still(start: float, waits: list[float]) -> None:
    """However large the clock's reading, every sleep ends at its moment or a rounding later."""
    clock = VirtualClock(start)

    async def main() -> None:
        for wait in waits:
            due = now() + wait
            await asyncio.sleep(wait)
            assert now() >= due - 1e-9

    run_virtual(main(), clock)
    assert clock.now() >= start


# -- threads --------------------------------------------------------------------------------------


def test_a_thread_is_waited_for_while_virtual_time_stands_still() -> None:
    """A thread's result comes in real time, so no timer may overtake it."""
    release = threading.Event()
    seen: list[str] = []

    def work() -> str:
        release.wait()
        return "from the thread"

    async def timer() -> None:
        await asyncio.sleep(HOUR)
        seen.append("timer")

    async def main() -> None:
        ticking = asyncio.create_task(timer())
        threading.Timer(0.02, release.set).start()
        seen.append(await asyncio.to_thread(work))
        assert now() == 0
        await ticking

    run_virtual(main())
    assert seen == ["from the thread", "timer"]


def test_several_threads_are_all_waited_for() -> None:
    """The clock moves on only when the last thread is done."""
    clock = VirtualClock()
    meeting = threading.Barrier(4)

    async def main() -> list[float]:
        await asyncio.gather(*(asyncio.to_thread(meeting.wait) for _ in range(4)))
        times = [now()]
        await asyncio.sleep(1)
        return [*times, now()]

    assert run_virtual(main(), clock) == [0, 1]


def test_a_threads_exception_arrives() -> None:
    """An error in a worker thread is raised where it is awaited."""

    async def main() -> None:
        await asyncio.to_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        run_virtual(main())


def test_a_thread_nobody_waits_for_any_more_is_joined_at_the_end() -> None:
    """Cancelling the wait does not lose the thread: the loop ends after it."""
    ended: list[bool] = []
    release = threading.Event()

    def work() -> None:
        release.wait()
        ended.append(True)

    async def main() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(1)
        release.set()

    run_virtual(main())
    assert ended == [True]


def test_an_executor_that_refuses_work_leaves_no_thread_to_wait_for() -> None:
    """Otherwise the loop would wait in real time for a thread that never was."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    clock = VirtualClock()

    async def main() -> None:
        with pytest.raises(RuntimeError):
            await asyncio.get_running_loop().run_in_executor(executor, int)
        await asyncio.sleep(5)

    run_virtual(main(), clock)
    assert clock.now() == 5


def test_anyio_threads_are_waited_for_too() -> None:
    """anyio has threads of its own, which asyncio does not know."""
    clock = VirtualClock()
    release = threading.Event()

    def work() -> int:
        release.wait()
        return 7

    async def main() -> int:
        threading.Timer(0.02, release.set).start()
        found = await anyio.to_thread.run_sync(work)
        assert now() == 0
        await asyncio.sleep(1)
        return found

    assert run_virtual(main(), clock) == 7
    assert clock.now() == 1


def test_anyio_threads_under_a_limiter_of_their_own_are_not_seen() -> None:
    """The known hole: only anyio's default limiter can be asked how many threads are at work."""
    release = threading.Event()

    async def main() -> None:
        try:
            await anyio.to_thread.run_sync(release.wait, limiter=anyio.CapacityLimiter(1))
        finally:
            release.set()

    with pytest.raises(Deadlock):
        run_virtual(main())


# -- the ends -------------------------------------------------------------------------------------


def test_a_deadlock_is_reported() -> None:
    """An event nobody sets would hang a real loop for ever."""
    with pytest.raises(Deadlock, match="nothing can ever wake them"):
        run_virtual(asyncio.Event().wait())


def test_the_clock_stops_at_the_end_of_the_time() -> None:
    """`until` is the last moment at which anything happens."""
    clock = VirtualClock()
    ticks: list[float] = []

    async def main() -> None:
        while True:
            await asyncio.sleep(4)
            ticks.append(now())

    with pytest.raises(TimeUp, match="10 s"):
        run_virtual(main(), clock, until=10)
    assert ticks == [4, 8]
    assert clock.now() == 10


def test_a_timer_at_the_very_end_still_goes_off() -> None:
    """The end of the time belongs to it."""
    assert run_virtual(asyncio.sleep(10, "at the end"), until=10) == "at the end"


def test_tasks_may_clean_up_after_the_end_of_the_time() -> None:
    """The end cancels them; what their `finally` blocks await still happens."""
    cleaned: list[float] = []

    async def tidy() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)
            cleaned.append(now())

    async def main() -> None:
        task = asyncio.create_task(tidy())
        await task

    with pytest.raises(TimeUp):
        run_virtual(main(), until=10)
    assert cleaned == [15]


def test_exceptions_reach_the_caller_unchanged() -> None:
    """Not wrapped, not copied, whatever they are."""
    for error in (ValueError("no"), KeyboardInterrupt(), SystemExit(3)):

        async def main(error: BaseException = error) -> None:
            await asyncio.sleep(1)
            raise error

        with pytest.raises(type(error)) as caught:
            run_virtual(main())
        assert caught.value is error


def test_tasks_that_are_left_are_cancelled_at_the_end() -> None:
    """As with `asyncio.run`, nothing outlives the main coroutine."""
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        ended.append("main")
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        assert not task.done()

    clock = VirtualClock()
    run_virtual(main(), clock)
    assert ended == ["main", "cancelled"]
    assert clock.now() == 0


def test_an_interrupt_cancels_the_coroutine_and_waits_for_its_clean_up() -> None:
    """Only the main thread hears an interrupt; the loop in its own thread must end all the same."""
    cleaned: list[str] = []

    async def main() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            for _ in range(10_000_000):
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)
            cleaned.append("clean")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    usual = signal.signal(signal.SIGINT, interrupted)  # a test runner may have one of its own
    try:
        with pytest.raises(KeyboardInterrupt):
            run_virtual(main())
    finally:
        signal.signal(signal.SIGINT, usual)
    assert cleaned == ["clean"]
    assert not [thread for thread in threading.enumerate() if "virtual" in thread.name]


def test_no_thread_and_no_file_is_left_behind() -> None:
    """Thread, pipe and selector are gone when the result is there."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        before = threading.active_count()
        run_virtual(asyncio.sleep(1))
        with pytest.raises(Deadlock):
            run_virtual(asyncio.Event().wait())
        gc.collect()
    assert threading.active_count() == before
    assert [str(one.message) for one in heard] == []


# -- the surroundings -----------------------------------------------------------------------------


def test_context_variables_are_those_of_the_caller() -> None:
    """A deadline or a span that holds outside holds inside, and changes stay inside."""
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="grey")
    token = colour.set("red")

    async def main() -> str:
        found = colour.get()
        colour.set("blue")
        return found

    assert run_virtual(main()) == "red"
    assert colour.get() == "red"
    colour.reset(token)


async def test_it_runs_inside_a_running_loop_as_in_a_notebook() -> None:
    """A notebook's cell is run by a loop already; the virtual one has a thread of its own."""
    clock = VirtualClock()
    assert run_virtual(asyncio.sleep(HOUR, "inside"), clock) == "inside"
    assert clock.now() == HOUR
    assert await asyncio.sleep(0, "outside") == "outside"


def test_a_virtual_loop_may_start_another() -> None:
    """Each has its own clock unless they are given the same."""

    async def main() -> float:
        await asyncio.sleep(1)
        inner = VirtualClock()
        run_virtual(asyncio.sleep(50), inner)
        return now() + inner.now()

    assert run_virtual(main()) == 51


def test_one_clock_may_serve_several_runs() -> None:
    """The hands go on where they were."""
    clock = VirtualClock()
    run_virtual(asyncio.sleep(3), clock)
    run_virtual(asyncio.sleep(4), clock)
    assert clock.now() == 7


def test_the_loop_works_under_asyncios_own_runner() -> None:
    """It is an ordinary event loop for whoever makes it by hand."""
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        assert runner.run(asyncio.sleep(60, "done")) == "done"
    assert clock.now() == 60


# -- no way to the network ------------------------------------------------------------------------


async def _raw_socket() -> None:
    with socket.socket() as raw:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", 9))


async def _ready_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ours, 1)


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


DOORS: dict[str, Callable[[], Awaitable[Any]]] = {
    "open_connection": lambda: asyncio.open_connection("127.0.0.1", 9),
    "open_unix_connection": lambda: asyncio.open_unix_connection("nowhere"),
    "getaddrinfo": lambda: _loop().getaddrinfo("localhost", 80),
    "getnameinfo": lambda: _loop().getnameinfo(("127.0.0.1", 80)),
    "create_server": lambda: asyncio.start_server(print, "127.0.0.1", 0),
    "create_unix_server": lambda: asyncio.start_unix_server(print, "nowhere"),
    "datagrams": lambda: _loop().create_datagram_endpoint(asyncio.DatagramProtocol),
    "sock_connect": _raw_socket,
    "sock_recv": _ready_socket,
    "subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
    "subprocess_shell": lambda: asyncio.create_subprocess_shell("true"),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_door_to_the_network_is_shut(door: Callable[[], Awaitable[Any]]) -> None:
    """Networks and processes answer in real time, so virtual time cannot wait for them."""

    async def main() -> None:
        await door()

    with pytest.raises(SocketRefused, match="virtual loop was asked to"):
        run_virtual(main())


def test_every_coroutine_of_a_loop_that_leads_outside_is_refused() -> None:
    """A door that a later Python adds to event loops is found here."""
    harmless = {"shutdown_asyncgens", "shutdown_default_executor"}
    on_an_open_connection = {
        *("sendfile", "start_tls", "sock_sendfile", "sock_sendall", "sock_sendto"),
        *("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"),
    }
    doors = {
        name
        for name, method in inspect.getmembers(asyncio.AbstractEventLoop, inspect.isfunction)
        if inspect.iscoroutinefunction(method)
    }
    assert doors - harmless - on_an_open_connection <= vars(VirtualLoop).keys()


def test_a_coroutine_that_is_no_coroutine_is_told_so() -> None:
    """The error names the mistake."""
    not_a_coroutine: Any = test_every_door_to_the_network_is_shut
    with pytest.raises(TypeError, match="await"):
        run_virtual(not_a_coroutine)


def _typed(main: Coroutine[Any, Any, int]) -> int:
    """Show mypy that the result has the coroutine's type."""
    return run_virtual(main)

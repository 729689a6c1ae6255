"""What the layers and the ledger cost: an SDK call with them against the same call without.

    uv run python benchmarks/overhead.py [--calls 40] [--rounds 20]

Both clients call the same small server in a process of its own, over loopback: a call as it is,
but for the way across the network and the wait for the model.  Then both are answered from memory,
where nothing but the SDK and labkit is left.  Only this process's time counts.  The two take turns
call by call, so a busy machine slows both; the garbage collector runs between the rounds, never
within.  The ratio of a comparison is the median over its pairs of calls.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, TypeAlias

import anthropic
import httpx2
from anthropic import APIRequest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from labkit import Deadline, Layer, Ledger, Retry
from labkit.layers.annotate import Annotate

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "The sky is blue."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 6, "service_tier": "standard"},
}


CONTENT = json.dumps(ANSWER).encode()
Maker: TypeAlias = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Comparison:
    """`tried` against `peer`, each the options of an SDK client; `target` is the highest ratio."""

    name: str
    peer: dict[str, Any]
    tried: dict[str, Any]
    target: float | None = None


@dataclass(frozen=True)
class Times:
    """Seconds of every call of one client: of the processor, and by the clock on the wall."""

    cpu: list[float]
    wall: list[float]


def main() -> None:
    """Run the comparisons: loopback and memory, sync and async, a short and a long conversation."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--calls", type=int, default=40, help="pairs of calls in a round")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each comparison")
    parser.add_argument("--serve", action="store_true", help="be the server, and nothing else")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    print(f"anthropic {anthropic.__version__}, Python {platform.python_version()},", end=" ")
    print(f"{options.rounds} rounds of {options.calls} pairs of calls")
    print(f"{'':64} CPU ratio (quartiles)   of minima   of sums   wall   more CPU")
    with server() as url:
        for place, address in (("loopback", url), ("memory", "")):
            for size, body in (("short", conversation(1, 20)), ("200 kB", conversation(100, 2000))):
                for mode in ("sync", "async"):
                    for comparison in comparisons()[: 2 if address or size != "short" else 6]:
                        make = maker(mode, address)
                        rounds = (options.calls, options.rounds)
                        peer, tried = asyncio.run(measure(comparison, make, body, *rounds))
                        name = f"{place:8}  {mode:5}  {size:6}  {comparison.name}"
                        target = comparison.target if address else None
                        print(f"{name:64} {figures(peer, tried, target)}")
    print(f"A row of the ledger, worked out when somebody looks: {reading_ledger():.0f} µs.")


def comparisons() -> list[Comparison]:
    """Return what is compared; those without a target tell where the time goes."""
    bare: dict[str, Any] = {"open_telemetry": False}
    spans = tracing(TracerProvider(shutdown_on_exit=False))
    ledger = tracing(Ledger().provider)
    layers = {"middleware": [Deadline(30.0), Retry(), Layer(), Layer(), Annotate()]}
    passing = {"middleware": [Layer() for _ in range(5)]}
    empty = {"middleware": [Empty() for _ in range(5)]}
    return [
        Comparison("5 layers / bare SDK", bare, bare | layers, target=1.1),
        Comparison("5 layers + ledger / bare SDK", bare, ledger | layers, target=1.5),
        Comparison("5 empty SDK middlewares / bare SDK", bare, bare | empty),
        Comparison("5 passing layers / bare SDK", bare, bare | passing),
        Comparison("SDK with spans / bare SDK", bare, spans),
        Comparison("5 layers + ledger / SDK with spans", spans, ledger | layers),
    ]


def tracing(provider: trace.TracerProvider) -> dict[str, Any]:
    """Return the SDK's option for spans that stay here: no header tells the server of them."""
    return {"open_telemetry": {"tracer_provider": provider, "propagation": False}}


class Empty(anthropic.Middleware):
    """The least that a middleware of the SDK can be."""

    def handle(self, request: APIRequest, call_next: anthropic.CallNext) -> Any:
        """Pass on."""
        return call_next(request)

    async def handle_async(self, request: APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
        """Pass on."""
        return await call_next(request)


def conversation(turns: int, characters: int) -> dict[str, Any]:
    """Return the arguments of a Messages call with so many turns of so many characters."""
    roles = ("user", "assistant")
    messages = [{"role": roles[turn % 2], "content": "x" * characters} for turn in range(turns)]
    return {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": messages}


def maker(mode: str, address: str = "") -> Maker:
    """Return what makes a client of its options, which is answered by the address or memory."""
    headers = {"content-type": "application/json", "request-id": "req_1"}
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers=headers, content=CONTENT)
    )

    def make(options: dict[str, Any]) -> Any:
        given: dict[str, Any] = {"api_key": "none", "max_retries": 0, **options}
        if address:
            given["base_url"] = address
        client: Any
        if mode == "sync":
            http = None if address else httpx2.Client(transport=transport)
            client = anthropic.Anthropic(http_client=http, **given)
        else:
            async_http = None if address else httpx2.AsyncClient(transport=transport)
            client = anthropic.AsyncAnthropic(http_client=async_http, **given)
        return client

    return make


@contextmanager
def server() -> Iterator[str]:
    """Run the server in a process of its own and yield its address."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def serve() -> None:
    """Give every request the same answer, and do as little as possible about it."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n"
    answer = f"{head}content-length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                (length,) = [line[15:] for line in lines if line.startswith(b"content-length:")]
                await reader.readexactly(int(length))
                writer.write(answer)
        except asyncio.IncompleteReadError:
            writer.close()

    listening = await asyncio.start_server(answering, "127.0.0.1", 0, limit=1 << 20)
    port = listening.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await listening.serve_forever()


async def measure(
    comparison: Comparison, make: Maker, body: dict[str, Any], calls: int, rounds: int
) -> tuple[Times, Times]:
    """Let the peer and what is tried take turns; every other pair the other one begins."""
    sides = [(make(options), Times([], [])) for options in (comparison.peer, comparison.tried)]
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        for client, _ in sides:  # the first calls after a collection are slow and do not count
            await timed(client, body, Times([], []))
        for turn in range(calls):
            for client, times in sides if turn % 2 else sides[::-1]:
                await timed(client, body, times)
        gc.enable()
    for client, _ in sides:
        await done(client.close())
    return sides[0][1], sides[1][1]


async def timed(client: Any, body: dict[str, Any], times: Times) -> None:
    """Make the call and add what it took to `times`."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = await done(client.messages.create(**body))
    times.cpu.append(time.process_time() - cpu)
    times.wall.append(time.perf_counter() - wall)
    assert answer.content[0].text == "The sky is blue."


async def done(answer: Any) -> Any:
    """Return what a sync client has returned, or what an async one will."""
    return await answer if inspect.isawaitable(answer) else answer


def figures(peer: Times, tried: Times, target: float | None) -> str:
    """Put the ratios, their spread, and the microseconds more for each call into a line."""
    ratios = [own / other for own, other in zip(tried.cpu, peer.cpu, strict=True)]
    low, ratio, high = quantiles(ratios, n=4)
    minima, sums = min(tried.cpu) / min(peer.cpu), sum(tried.cpu) / sum(peer.cpu)
    wall = median(own / other for own, other in zip(tried.wall, peer.wall, strict=True))
    more = (median(tried.cpu) - median(peer.cpu)) * 1e6
    verdict = ""
    if target is not None:
        verdict = f"  target {target}: {'met' if ratio <= target else 'MISSED'}"
    spread = f"({low:.2f} to {high:.2f})"
    return f"{ratio:9.3f} {spread} {minima:10.3f} {sums:9.3f} {wall:6.3f} {more:+6.0f} µs{verdict}"


def reading_ledger(calls: int = 99) -> float:
    """Return the microseconds of CPU that the ledger needs for a row, once for each call."""
    ledger = Ledger()
    options = {"open_telemetry": {"tracer_provider": ledger.provider}}
    client, body = maker("sync")(options), conversation(1, 20)
    for _ in range(calls):
        client.messages.create(**body)
    start = time.process_time()
    assert len(ledger.calls) == calls
    return (time.process_time() - start) / calls * 1e6


if __name__ == "__main__":
    main()

"""`labkit serve` beside a bare echo: requests a second and p99, then a thousand streams at once.

    uv run python benchmarks/server.py [--rounds 40] [--requests 300] [--streams 1000] [--speed 0.5]

Both servers are started as anybody would start them, each in a process of its own: `labkit serve
--speed 0`, and uvicorn with an application of starlette that gives back what it gets.  This
process asks both the same over loopback, the two taking turns, on connections that stay open.  The
ratios are medians over the rounds.  A stream is whole when its `message_stop` has come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import IO

import starlette
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labkit.sim.serve import allow_connections

CONNECTIONS = 32
"""Requests that are under way at once, one on each connection."""
RATE, P99 = 0.5, 2.0
"""At least this share of the echo's requests a second, and at most so many times its p99."""
GUARD_S = 300.0
"""Seconds after which what is still under way counts as a hang."""
HERE = Path(__file__).parent
ECHO = ("-m", "uvicorn", "--app-dir", str(HERE), "--factory", "server:echo", "--no-access-log")
LABKIT = ("-c", "from labkit.cli import main; main()", "serve")
ADDRESS = re.compile(r"http://([\d.]+):(\d+)")
END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n\r\n0\r\n\r\n'
LARGEST = 1 << 20
LENGTH = re.compile(rb"content-length: (\d+)")
SCENARIO = f"""
tier = "none"  # so many at once are more than any tier takes
[[reply]]
contains = "queue"  # long enough for every stream to begin before the first one ends
text = "{"One waits for the other, and all of them for the slowest. " * 16}"
"""
BODY = {
    "model": "claude-haiku-4-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}


def main() -> None:
    """Let the servers take turns, then open the streams."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help="turns of each server")
    parser.add_argument("--requests", type=int, default=300, help="requests in a turn")
    parser.add_argument("--streams", type=int, default=1000, help="streams at once")
    parser.add_argument("--speed", default="0.5", help="how fast they go; 1 is real time")
    options = parser.parse_args()
    allow_connections()
    print(f"uvicorn {uvicorn.__version__}, starlette {starlette.__version__},", end=" ")
    print(f"Python {platform.python_version()}, {CONNECTIONS} connections,", end=" ")
    print(f"{options.rounds} rounds of {options.requests} requests to each")
    with server(*ECHO, "--port", "0") as peer, server(*LABKIT, "--port", "0", "--speed", "0") as us:
        turns = asyncio.run(alternate(peer, us, options.rounds, options.requests))
    print(figures(turns))
    with tempfile.TemporaryDirectory() as place:
        scenario = Path(place) / "scenario.toml"
        scenario.write_text(SCENARIO)
        told = ("--scenario", str(scenario), "--speed", options.speed)
        with server(*LABKIT, "--port", "0", *told) as us:
            print(asyncio.run(streams(us, options.streams)))


def echo() -> Starlette:
    """Return the peer: an application that gives back what it gets."""

    async def answer(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    return Starlette(routes=[Route("/v1/messages", answer, methods=["POST"])])


Address = tuple[str, int]
"""Where a server listens."""
Turns = list[tuple[tuple[float, float], tuple[float, float]]]
"""Of each round, (requests a second, p99 in seconds) of the peer and of what is tried."""


@contextmanager
def server(*command: str) -> Iterator[Address]:
    """Run a server of Python's until the block ends."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield announced(process.stdout)
        finally:
            process.terminate()
            process.stdout.read()


def announced(lines: IO[str]) -> Address:
    """Wait for the line in which a server says where it listens."""
    heard = []
    for line in lines:
        found = ADDRESS.search(line)
        if found:
            return found[1], int(found[2])
        heard.append(line)
    raise RuntimeError(f"No server: {''.join(heard)}")


def request(**change: object) -> bytes:
    """Write a Messages request as it goes over the wire."""
    content = json.dumps({**BODY, **change}).encode()
    lines = (
        "POST /v1/messages HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        "x-api-key: none",
        "anthropic-version: 2023-06-01",
        f"content-length: {len(content)}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + content


class Turn:
    """So many requests to one server, and the seconds that each of them and all together took."""

    def __init__(self, requests: int) -> None:
        self.requests = self.left = requests
        self.times: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    async def run(self, address: Address) -> tuple[float, float]:
        """Ask on all connections; return requests a second and the seconds that p99 is."""
        loop = asyncio.get_running_loop()
        opening = [
            loop.create_connection(lambda: Asker(self), *address) for _ in range(CONNECTIONS)
        ]
        askers = [asker for _, asker in await asyncio.gather(*opening)]
        began = time.perf_counter()
        for asker in askers:
            asker.ask()
        async with asyncio.timeout(GUARD_S):
            await self.done
        return self.requests / (time.perf_counter() - began), quantiles(self.times, n=100)[98]

    def answered(self, seconds: float) -> None:
        """Count a request."""
        self.times.append(seconds)
        if len(self.times) == self.requests:
            self.done.set_result(None)


class Asker(asyncio.Protocol):
    """One connection: once it is answered it asks again, as long as the turn has requests left."""

    def __init__(self, turn: Turn) -> None:
        self.turn, self.said, self.heard = turn, request(), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport

    def ask(self) -> None:
        """Send a request, or leave where none is left."""
        if self.turn.left == 0:
            self.transport.close()
            return
        self.turn.left -= 1
        self.began = time.perf_counter()
        self.transport.write(self.said)

    def data_received(self, data: bytes) -> None:
        """Take in an answer; the next request follows the last byte of it."""
        self.heard += data
        head, _, body = self.heard.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        assert head.startswith(b"HTTP/1.1 200"), head
        self.heard = b""
        self.turn.answered(time.perf_counter() - self.began)
        self.ask()


async def alternate(peer: Address, tried: Address, rounds: int, requests: int) -> Turns:
    """Let both take turns, every other round the other one first; a round before does not count."""
    turns: Turns = []
    for number in range(rounds + 1):
        found = {
            each: await Turn(requests).run(each)
            for each in (peer, tried)[:: -1 if number % 2 else 1]
        }
        turns.append((found[peer], found[tried]))
    return turns[1:]


def figures(turns: Turns) -> str:
    """Put requests a second and p99 into a line each, with the ratio, its spread and a verdict."""
    rates = [(peer[0], tried[0]) for peer, tried in turns]
    slow = [(peer[1] * 1000, tried[1] * 1000) for peer, tried in turns]
    return "\n".join(
        [
            line("requests a second", rates, f"at least {RATE}", lambda ratio: ratio >= RATE),
            line("p99 in ms", slow, f"at most {P99}", lambda ratio: ratio <= P99),
        ]
    )


def line(
    name: str, pairs: list[tuple[float, float]], target: str, is_met: Callable[[float], bool]
) -> str:
    """Compare what was tried with its peer."""
    low, ratio, high = quantiles((tried / peer for peer, tried in pairs), n=4)
    peer, tried = (median(column) for column in zip(*pairs, strict=True))
    verdict = "met" if is_met(ratio) else "MISSED"
    return (
        f"{name:18} ratio {ratio:.3f} ({low:.2f} to {high:.2f}), "
        f"{tried:.1f} to {peer:.1f}; target {target}: {verdict}"
    )


class Streams:
    """How many streams are under way, and how many were at once at most."""

    now = most = ended = size = 0

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Read one stream from its head to its end."""
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        self.now += 1
        self.most = max(self.most, self.now)
        body = await reader.readuntil(END)
        self.now -= 1
        self.size += len(body)
        self.ended += 1


async def streams(address: Address, count: int) -> str:
    """Ask for so many streams in one breath and read them all to their end."""
    opening = [asyncio.open_connection(*address, limit=LARGEST) for _ in range(count)]
    opened = await asyncio.gather(*opening)
    began, found = time.perf_counter(), Streams()
    for _, writer in opened:
        writer.write(request(stream=True))
    async with asyncio.timeout(GUARD_S):
        await asyncio.gather(*(found.listen(reader) for reader, _ in opened))
    took = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    assert found.ended == count
    return (
        f"{found.ended:,} streams, all whole after {took:.1f} s: "
        f"{found.most:,} were open at once, {found.size / 1e6:.1f} MB in all"
    )


if __name__ == "__main__":
    main()

"""Many streams at once: every one of them comes whole, in order, and in the time it has."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys

import pytest

from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from tests.sim.serving import BODY, GUARD_S, KEY, Serving, request_of

STREAMS = 200
ASKED = {**BODY, "max_tokens": 40, "stream": True}
END = b"\r\n0\r\n\r\n"


async def heard(port: int, asked: bytes, count: int) -> list[bytes]:
    """Ask on so many connections in one breath, and read every answer to its last chunk."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in opened:
        writer.write(asked)
    async with asyncio.timeout(GUARD_S):
        answers = await asyncio.gather(*(reader.readuntil(END) for reader, _ in opened))
    for _, writer in opened:
        writer.close()
    return answers


def events(answer: bytes) -> list[str]:
    """Take the chunks of an answer apart and name the events in them."""
    head, _, left = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    body = b""
    while left:
        size, _, left = left.partition(b"\r\n")
        body, left = body + left[: int(size, 16)], left[int(size, 16) + 2 :]
    return re.findall(r"event: (\w+)", body.decode())


def test_200_streams_at_once_all_complete() -> None:
    """Each has all the events that it has in-process, one after the other in real time."""
    content = json.dumps(ASKED).encode()
    reply = SimulatedApi().reply("POST", "/v1/messages", KEY, content, 0.0)
    expected = re.findall(r"event: (\w+)", reply.body.decode())
    with Serving(speed=4.0, tier=None) as serving:
        answers = asyncio.run(heard(serving.port, request_of(ASKED), STREAMS))
        assert serving.metric("labkit_answers_under_way") == 0
    told = [events(answer) for answer in answers]
    assert len(told) == STREAMS
    for each in told:
        assert (each[:3], each[-3:]) == (expected[:3], expected[-3:])
    assert expected[-1] == "message_stop"


def test_streams_that_break_do_not_disturb_the_others() -> None:
    """Every second one of 100 has no end of its own; the others do."""
    faults = [Fault("no_message_stop", share=0.5)]
    with Serving(seed=2, speed=4.0, tier=None, faults=faults) as serving:
        answers = asyncio.run(heard(serving.port, request_of(ASKED), 100))
        struck = serving.metric('labkit_faults_total{kind="no_message_stop"}')
    last = [events(answer)[-1] for answer in answers]
    assert last.count("message_delta") == struck
    assert last.count("message_stop") == 100 - struck
    assert 0 < struck < 100


def test_the_server_may_have_thousands_of_connections_open() -> None:
    """Where the system begins with few, it takes as many as it may have."""
    resource = pytest.importorskip("resource", reason="this system has no such limit")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    program = (
        "from resource import RLIMIT_NOFILE as FILES, getrlimit, setrlimit\n"
        "from labkit.sim.serve import allow_connections\n"
        f"for limits in (200, {hard}), (200, 300), (150, 150):\n"
        "    setrlimit(FILES, limits)\n"
        "    allow_connections()\n"
        "    print(getrlimit(FILES)[0])\n"
    )
    command = [sys.executable, "-c", program]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    most = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    assert lines == [str(most), "300", "150"]

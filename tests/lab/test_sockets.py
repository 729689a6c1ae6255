"""Without the network: nothing leaves the machine, and the learner is told at once."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from labkit.errors import SocketRefused
from labkit.lab.sockets import SocketGuard

ELSEWHERE = "192.0.2.1"  # reserved for documentation: nobody is there
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "hello"}],
}


@pytest.fixture(autouse=True)
def nobody_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests make live benches, which lift every guard of the process."""
    monkeypatch.setattr(SocketGuard, "lifted", False)


@pytest.fixture
def guard() -> Iterator[SocketGuard]:
    """A closed guard, opened again after the test."""
    guard = SocketGuard()
    guard.close()
    yield guard
    guard.open()


def udp(*address: Any) -> None:
    """Send a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
        box.sendto(b"x", *address)


def tcp(host: str) -> None:
    """Connect."""
    with socket.socket() as plug:
        plug.settimeout(1)
        plug.connect((host, 9))


WAYS_OUT: dict[str, Callable[[], object]] = {
    "connect": lambda: tcp(ELSEWHERE),
    "create_connection": lambda: socket.create_connection(("api.anthropic.com", 443), 1),
    "look up": lambda: socket.getaddrinfo("api.anthropic.com", 443),
    "look up in bytes": lambda: socket.getaddrinfo(b"api.anthropic.com", 443),
    "old look up": lambda: socket.gethostbyname("api.anthropic.com"),
    "datagram": lambda: udp((ELSEWHERE, 9)),
    "every interface": lambda: tcp("0.0.0.0"),  # noqa: S104
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.usefixtures("guard")
def test_every_way_out_is_refused(way: str) -> None:
    """Names and addresses, streams and datagrams."""
    with pytest.raises(SocketRefused, match="may not connect to"):
        WAYS_OUT[way]()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
@pytest.mark.usefixtures("guard")
def test_this_machine_stays_open(host: str) -> None:
    """Jupyter talks to its kernels over loopback, so that is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert socket.getaddrinfo(host, port, socket.AF_INET)
        socket.create_connection((host, port), timeout=5).close()


@pytest.mark.usefixtures("guard")
def test_sockets_that_are_files_stay_open(tmp_path: Path) -> None:
    """A socket in the file system leads nowhere else."""
    name = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as plug:
        server.bind(name)
        server.listen()
        plug.connect(name)


OPENED_AGAIN = """
import sys
from labkit.lab.sockets import SocketGuard
guard = SocketGuard()
guard.close()
guard.open()
sys.audit("socket.connect", None, ("192.0.2.1", 443))
print("no opinion")
"""


def test_an_open_guard_lets_through() -> None:
    """Opened again, it has no opinion any more; nothing is really connected to."""
    command = [sys.executable, "-c", OPENED_AGAIN]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "no opinion\n", result.stderr


def told_to_the_learner(error: BaseException) -> list[str]:
    """What IPython shows for an exception that has a say in it."""
    lines: list[str] = getattr(error, "_render_traceback_")()  # noqa: B009
    return lines


@pytest.mark.usefixtures("guard")
def test_a_hand_made_client_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK neither wraps the refusal nor waits to try again, and the learner sees a sentence."""
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(SocketRefused) as caught:
        anthropic.Anthropic(api_key="x").messages.create(**ASK)
    assert waits == []
    (line,) = told_to_the_learner(caught.value)
    assert line.startswith("SocketRefused: This notebook runs without the network")
    assert "api.anthropic.com" in line
    assert "lab.client" in line


@pytest.mark.usefixtures("guard")
def test_a_hand_made_async_client_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the async client, whose look-up happens in another thread."""
    waits: list[float] = []
    monkeypatch.setattr("anyio.sleep", waits.append)

    async def main() -> None:
        async with anthropic.AsyncAnthropic(api_key="x") as client:
            await client.messages.create(**ASK)

    with pytest.raises(SocketRefused, match=r"api\.anthropic\.com"):
        asyncio.run(main())
    assert waits == []


REPLAY = """
import sys

asked = []

def hook(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        asked.append((event, args))
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise AssertionError(f"{event} {args}")

from pathlib import Path

from labkit import Fault, Retry
from labkit.lab.session import Lab

lab = Lab("scene", mode="simulate")
ask = dict(model=lab.model("fast"), max_tokens=50, messages=[{"role": "user", "content": "hi"}])

import anthropic

sys.addaudithook(hook)
for mode in sys.argv[1:]:
    lab = Lab("scene", mode=mode)
    faults = [Fault("overloaded", first=1)]
    client = lab.client("sync", layers=[Retry(seed=1)], faults=faults)
    client.messages.create(**ask)
    with lab.client("stream").messages.stream(**ask) as stream:
        stream.until_done()

    async def main():
        client = lab.async_client("async", layers=[Retry(seed=1)])
        await client.messages.create(**ask)

    lab.run(main())
    lab.close()
print("asked of the network:", asked)
"""


def run(folder: Path, *command: str) -> str:
    """Record, then replay, in a process of its own that fails on any connection."""
    for name in ("notebooks", "cassettes"):
        (folder / name).mkdir()
    done = subprocess.run(
        [*command, sys.executable, "-c", REPLAY, "record", "replay"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_replay_opens_no_socket(tmp_path: Path) -> None:
    """With a hook that fails on any connection, recording and replaying work to the end."""
    assert run(tmp_path, *[]) == "asked of the network: []\n"


def test_replay_works_where_there_is_no_network(tmp_path: Path) -> None:
    """In a network namespace without as much as loopback everything works as before."""
    namespace = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        subprocess.run([*namespace, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine has no network namespaces to give")
    assert run(tmp_path, *namespace) == "asked of the network: []\n"


LIVE_BESIDE_REPLAY = """
import os, sys
os.environ["ANTHROPIC_API_KEY"] = "none"
from labkit import Lab
Lab("live-beside-replay", mode="simulate")
Lab("live-beside-replay", mode="live", budget=1)
sys.audit("socket.connect", None, ("192.0.2.1", 443))
print("nobody minds")
"""


def test_a_live_bench_is_not_stopped_by_a_simulated_one_beside_it() -> None:
    """Once the real API is used on purpose, the guard of another bench stands aside."""
    command = [sys.executable, "-c", LIVE_BESIDE_REPLAY]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "nobody minds\n", result.stderr

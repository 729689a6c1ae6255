"""`labkit serve`, as typed: the first line, the answers, the end, and what it says to bad input."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.sim.serving import BODY, KEY, eventually

LABKIT = [sys.executable, "-c", "from labkit.cli import main; main()", "serve"]
GUARD_S = 60
SCENARIO = """
about = "The first request fails"
seed = 1
speed = 0
[[fault]]
kind = "overloaded"
first = 1
[[reply]]
contains = "queue"
text = "One by one."
"""


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Type `labkit serve ...`; give the process and the port that its first line names."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*LABKIT, *words], stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            place, _, port = process.stdout.readline().strip().rpartition(":")
            assert place == "listening on http://127.0.0.1"
            yield process, int(port)
        finally:
            process.kill()


def refused(*words: str) -> str:
    """Type `labkit serve ...` where it cannot serve; return what it says."""
    done = subprocess.run(
        [*LABKIT, *words], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def ask(port: int) -> tuple[int, str]:
    """Ask for a message; return the status and what was said."""
    connection = HTTPConnection("127.0.0.1", port, timeout=GUARD_S)
    try:
        connection.request("POST", "/v1/messages", json.dumps(BODY), KEY)
        response = connection.getresponse()
        answer = json.loads(response.read())
        content = answer.get("content") or [{"text": answer["error"]["message"]}]
        return response.status, content[0]["text"]
    finally:
        connection.close()


def page(port: int, path: str) -> bytes:
    """Fetch a page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=GUARD_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_the_usual_server_listens_answers_and_ends_with_ctrl_c() -> None:
    """One line comes out, before anything is asked, and the end is quiet."""
    with serving("--port", "0", "--speed", "100") as (process, port):
        assert ask(port)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=GUARD_S) == ("", "")
        assert process.returncode == 0


def test_ctrl_c_does_not_wait_for_a_silence() -> None:
    """What is under way ends with the server."""
    with serving("--port", "0", "--speed", "1e-6") as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=GUARD_S) as connection:
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: sim\r\n\r\n")
            eventually(lambda: b"labkit_answers_under_way 1" in page(port, "/metrics"))
            process.send_signal(signal.SIGINT)
            assert connection.recv(1) == b""
        assert process.communicate(timeout=GUARD_S) == ("", "")
        assert process.returncode == 0


def test_a_scenario_file_is_played(tmp_path: Path) -> None:
    """Its faults strike, its replies are said, and an option overrules its seed."""
    path = tmp_path / "day.toml"
    path.write_text(SCENARIO)
    with serving("--port", "0", "--scenario", str(path)) as (_, port):
        assert ask(port) == (529, "Overloaded")
        assert ask(port) == (200, "One by one.")
    path.write_text(SCENARIO.partition("[[reply]]")[0])
    said = []
    for seed in ("1", "2", "2"):
        with serving("--port", "0", "--scenario", str(path), "--seed", seed) as (_, port):
            assert ask(port)[0] == 529
            said.append(ask(port)[1])
    assert said[0] != said[1] == said[2]


def test_a_port_in_use_is_one_sentence() -> None:
    """It names the port and the way out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused("--port", str(port))
    way_out = "choose another with --port, or 0 for any free one"
    assert told == f"labkit: Port {port} is in use; {way_out}.\n"


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """A file that is not there, one that makes no sense, a speed that cannot be."""
    path = tmp_path / "day.toml"
    path.write_text('[[fault]]\nkind = "overload"\n')
    assert refused("--scenario", "no.toml") == "labkit: There is no scenario file no.toml.\n"
    told = refused("--scenario", str(path))
    assert told.startswith("labkit: day.toml, line 1, fault 1: There is no fault called 'overload'")
    assert told.count("\n") == 1
    told = refused("--speed", "-1")
    assert told == "labkit: A speed is a number from 0 on, so it cannot be -1.0.\n"


def test_without_its_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that only uses the layers has no server; that is said in one sentence."""
    from labkit.cli import main

    for name in [name for name in sys.modules if name.startswith("labkit.sim.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["labkit", "serve"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = "labkit: uvicorn is missing: install labkit with its extra `serve`.\n"
    assert capsys.readouterr().err == told

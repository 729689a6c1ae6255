"""JupyterLab is started on this machine only, at the start notebook, and really serves it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import UserError
from labkit.lab.launch import START, command, launch
from tests.lab.mini_project import MiniProject

TOKEN = "a-token-for-this-test"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniProject:
    """A project that has the start notebook."""
    project = MiniProject(tmp_path)
    project.write("1 + 1", name="00-start-here")
    monkeypatch.chdir(tmp_path)
    return project


def test_it_listens_on_this_machine_and_asks_nothing_of_the_internet() -> None:
    """Loopback, no news, no update checks; the caller's options come last, so they win."""
    words = command(["--no-browser", "--ServerApp.port=9999"])
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "--LabApp.news_url=None" in words
    assert any("NeverCheckForUpdate" in word for word in words)
    assert words[-2:] == ["--no-browser", "--ServerApp.port=9999"]


def test_without_the_start_notebook_it_says_how_to_get_it_back(project: MiniProject) -> None:
    """A learner may have deleted it."""
    (project.root / START).unlink()
    with pytest.raises(UserError, match=r"Restore it with: git checkout notebooks"):
        launch([])


@pytest.mark.usefixtures("project")
def test_without_jupyterlab_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers alone are installed without it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match="not installed"):
        launch([])


@pytest.mark.usefixtures("project")
def test_it_returns_what_jupyterlab_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping it from the keyboard is no failure."""
    run: list[Any] = []

    def stopped(words: list[str], **how: Any) -> None:
        run.append((words, how))
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", stopped)
    assert launch(["--no-browser"]) == 0
    assert run[0][0][-1] == "--no-browser"


class Server:
    """`labkit lab --no-browser` as a learner would start it."""

    def __init__(self, project: MiniProject) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        jupyter = project.root / "jupyter"
        places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        env = {**os.environ, **{name: str(jupyter / name) for name in places}}
        options = ["--no-browser", f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        options += [f"--IdentityProvider.token={TOKEN}"]
        program = [sys.executable, "-c", "from labkit.cli import main; main()", "lab"]
        self.process = subprocess.Popen(
            [*program, *options],
            cwd=project.path.parent,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, method: str, path: str, token: str = TOKEN) -> tuple[int, bytes]:
        """Make one request to the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={"Authorization": f"token {token}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait(self) -> None:
        """Wait until it serves."""
        for _ in range(600):
            assert self.process.poll() is None, "the server has ended"
            try:
                if self.ask("GET", "/api/status")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server never came up")


@pytest.fixture
def server(project: MiniProject) -> Iterator[Server]:
    """A server that is running, and is ended by its own process id."""
    server = Server(project)
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.wait(30)


def test_it_serves_the_start_notebook_and_can_be_stopped(
    server: Server, project: MiniProject
) -> None:
    """The notebook comes through the contents API, to whoever has the token and to nobody else."""
    status, body = server.ask("GET", f"/api/contents/{START}")
    assert status == 200
    cells = json.loads(body)["content"]["cells"]
    assert [cell["source"] for cell in cells] == ["1 + 1"]
    assert server.ask("GET", f"/api/contents/{START}", token="wrong")[0] == 403  # noqa: S106
    assert server.ask("GET", f"/lab/tree/{START}")[0] == 200
    assert server.ask("POST", "/api/shutdown")[0] == 200
    assert server.process.wait(30) == 0
    assert project.path.parent.is_dir()

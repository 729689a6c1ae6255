"""The memory tool with the SDK's own files: a fact outlives its conversation."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from anthropic.tools import BetaLocalFilesystemMemoryTool

from labkit.sim.answers.memory import memory_commands
from labkit.sim.answers.tools import tool_calls
from tests.scenes import Scene

TOOL = {"type": "memory_20250818", "name": "memory"}


def asking(text: str, **more: Any) -> dict[str, Any]:
    """Say something with the memory tool at hand."""
    return {"model": "m", "tools": [TOOL], "messages": [{"role": "user", "content": text}], **more}


def run(folder: Path, text: str) -> str:
    """Hold a conversation of its own through the SDK's tool runner, and return its last words."""
    client: Any = Scene().client()
    runner = client.beta.messages.tool_runner(
        model="claude-opus-5-5",
        max_tokens=500,
        tools=[BetaLocalFilesystemMemoryTool(base_path=str(folder))],
        messages=[{"role": "user", "content": text}],
    )
    return str(runner.until_done().content[-1].text)


def test_what_was_remembered_is_known_in_the_next_conversation(tmp_path: Path) -> None:
    """The simulated model calls, the SDK's tool writes and reads, the answer tells."""
    run(tmp_path, "Remember that my dog is Rex and my cat is Tom.")
    assert sorted(path.name for path in tmp_path.rglob("*.md")) == ["cat.md", "dog.md"]
    assert "my dog is Rex" in run(tmp_path, "What is my dog?")
    assert "failed" in run(tmp_path, "What is my horse?")


@pytest.mark.skipif(os.name != "posix", reason="names of files on POSIX systems")
def test_a_fact_goes_into_a_file_named_after_what_it_is_about() -> None:
    """Whatever characters it has."""
    (command,) = memory_commands(asking("Remember this. FACT: ../../etc/Passwd: é is due."))
    assert command["path"].startswith("/memories/etc-passwd")
    assert ".." not in command["path"]


@pytest.mark.parametrize(
    "body",
    [
        asking("How are you?"),
        asking("Remember nothing of it."),
        asking("My dog is Rex. What is my dog?"),
        asking("Remember that my dog is Rex.", tool_choice={"type": "none"}),
        asking("Remember that my dog is Rex.", tools=[]),
        asking("What is my dog?", system="Know that my dog is Rex."),
    ],
)
def test_memory_is_not_asked_without_need(body: dict[str, Any]) -> None:
    """No fact, no question, an answer at hand, no tool, or none wanted."""
    assert tool_calls(body, random.Random(1)) == []

"""Conversations for tests: turns, an archive with some, the file of an older version, processes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Message = dict[str, Any]

VERSION_1 = """
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users,
    title TEXT NOT NULL, turns INTEGER NOT NULL DEFAULT 0,
    started_at REAL NOT NULL, archived_at REAL);
CREATE INDEX conversations_by_user ON conversations (user);
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations, number INTEGER NOT NULL,
    at REAL NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (conversation, number)) WITHOUT ROWID;
CREATE TRIGGER turns_are_append_only BEFORE UPDATE ON turns
    BEGIN SELECT RAISE(ABORT, 'a turn never changes'); END;
PRAGMA application_id = 1818321515;
PRAGMA user_version = 1;
"""
"""The tables as version 1 wrote them; never to be changed."""


def user(text: str) -> Message:
    """Say something as the user."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """Say something as the assistant."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def call(name: str = "toolu_1") -> Message:
    """Call a tool."""
    block = {"type": "tool_use", "id": name, "name": "look_up", "input": {"what": "rain"}}
    return {"role": "assistant", "content": [block]}


def result(name: str = "toolu_1", text: str = "wet") -> Message:
    """Answer a tool call."""
    block = {"type": "tool_result", "tool_use_id": name, "content": text}
    return {"role": "user", "content": [block]}


def old_file(path: Path, *, conversations: int = 3, turns: int = 4) -> None:
    """Write a file of version 1: ada's conversations, every other one archived."""
    db = sqlite3.connect(path)
    db.executescript(VERSION_1)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("INSERT INTO users (name) VALUES ('ada')")
    for number in range(1, conversations + 1):
        archived = 5.0 if number % 2 else None
        row = (number, f"chat {number}", turns, 1.0, archived)
        db.execute("INSERT INTO conversations VALUES (?, 1, ?, ?, ?, ?)", row)
        rows = [
            (number, place, 2.0, json.dumps(user(f"word{number} of turn{place}")))
            for place in range(1, turns + 1)
        ]
        db.executemany("INSERT INTO turns VALUES (?, ?, ?, ?)", rows)
    db.commit()
    db.close()


@contextmanager
def process(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program that prints "ready", waits for a line, and goes on; kill it in the end."""
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as started:
        assert started.stdout is not None
        try:
            yield started
        finally:
            started.kill()


def together(program: str, *argument_lists: tuple[object, ...]) -> list[str]:
    """Run a program several times at once, let all go at the same moment, return what they said."""
    waiting = [process(program, *arguments) for arguments in argument_lists]
    started = [each.__enter__() for each in waiting]
    try:
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n", each.stderr and each.stderr.read()
        for each in started:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        said = [each.communicate(timeout=120) for each in started]
    finally:
        for each_waiting in waiting:
            each_waiting.__exit__(None, None, None)
    assert [errors for _, errors in said] == ["" for _ in said]
    return [output for output, _ in said]

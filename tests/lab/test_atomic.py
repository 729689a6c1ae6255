"""A file is written whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit.lab.atomic import write_atomically

OLD, NEW = "old " * 50_000, "new " * 60_000

KILLED_AT = """
import os, pathlib, signal, sys, tempfile

from labkit.lab.atomic import write_atomically

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def half(handle, *args, **options):
    class Half:
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def fileno(self): return handle
        def flush(self): pass
        def write(self, text):
            os.write(handle, text[: len(text) // 2].encode())
            die()
    return Half()

point, target = sys.argv[1:]
if point == "before the file is made":
    tempfile.mkstemp = die
elif point == "before it is opened":
    os.fdopen = die
elif point == "in the middle of writing":
    os.fdopen = half
elif point == "before it is on the disk":
    os.fsync = die
elif point == "before its rights are set":
    pathlib.Path.chmod = die
elif point == "before it is renamed":
    pathlib.Path.replace = die
elif point == "after it was renamed":
    real = pathlib.Path.replace
    pathlib.Path.replace = lambda *args: (real(*args), die())
write_atomically(pathlib.Path(target), "new " * 60_000)
"""
POINTS = [
    "before the file is made",
    "before it is opened",
    "in the middle of writing",
    "before it is on the disk",
    "before its rights are set",
    "before it is renamed",
    "after it was renamed",
]

FOR_EVER = """
import pathlib, sys

from labkit.lab.atomic import write_atomically

target = pathlib.Path(sys.argv[1])
print("writing", flush=True)
while True:
    for text in ("old " * 50_000, "new " * 60_000):
        write_atomically(target, text)
"""


def test_the_text_is_written_as_it_is(tmp_path: Path) -> None:
    """Line ends and letters stay, folders are made, and everybody may read it."""
    path = tmp_path / "a" / "b.yaml"
    write_atomically(path, "ä\n€\r\n")
    assert path.read_bytes() == "ä\n€\r\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("point", POINTS)
def test_a_writer_killed_at_any_point_leaves_a_whole_file(tmp_path: Path, point: str) -> None:
    """The old file or the new one, and beside it nothing that looks like a cassette."""
    path = tmp_path / "x.yaml"
    path.write_text(OLD)
    done = subprocess.run([sys.executable, "-c", KILLED_AT, point, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == (NEW if point.startswith("after") else OLD)
    assert list(tmp_path.glob("*.yaml")) == [path]
    write_atomically(path, NEW)
    assert path.read_text() == NEW


def test_a_writer_killed_at_random_leaves_a_whole_file(tmp_path: Path) -> None:
    """Somewhere in an endless row of writings: it is always one text or the other."""
    path = tmp_path / "x.yaml"
    path.write_text(OLD)
    for pause in (0.0, 0.003, 0.007, 0.011, 0.019):
        with subprocess.Popen(
            [sys.executable, "-c", FOR_EVER, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(pause)
            os.kill(writer.pid, signal.SIGKILL)
        assert path.read_text() in (OLD, NEW)
    assert list(tmp_path.glob("*.yaml")) == [path]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error, and the old file is all there is."""
    path = tmp_path / "x.yaml"
    path.write_text(OLD)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, NEW)
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_encoded_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a surrogate pair is no text, and no half-written file either."""
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "x.yaml", "a\ud800")
    assert list(tmp_path.iterdir()) == []

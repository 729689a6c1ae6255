"""A project of one small lesson, made on the spot, for tests that run notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from labkit.lab.session import Lab

LESSON = "05-retry"
MAKE = f'from labkit.lab.session import Lab\nlab = Lab("{LESSON}")\nlab'
CALL = """client = lab.client("one")
answer = client.messages.create(
    model=lab.model("fast"),
    max_tokens=60,
    messages=[{"role": "user", "content": "Why do queues grow?"}],
)
answer.content[-1].text"""


class MiniProject:
    """Folders like those of a clone, with one lesson and its recordings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "notebooks" / f"{LESSON}.ipynb"
        self.cassette = root / "cassettes" / LESSON / "one.yaml"
        for name in ("notebooks", "cassettes"):
            (root / name).mkdir()

    def write(self, *cells: str, name: str = LESSON) -> Path:
        """Write a lesson of these code cells, not yet run."""
        path = self.root / "notebooks" / f"{name}.ipynb"
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
        return path

    def record(self) -> None:
        """Record the answer that `CALL` asks for, without a kernel."""
        lab = Lab(LESSON, mode="record")
        message: Any = {"role": "user", "content": "Why do queues grow?"}
        client = lab.client("one")
        client.messages.create(model=lab.model("fast"), max_tokens=60, messages=[message])
        lab.close()
        lab.guard.open()

    def files(self) -> dict[str, bytes]:
        """Return every file of the project, hidden ones too."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in found
            if ".ipynb_checkpoints" not in path.parts
        }

    def spoil(self, how: str) -> None:
        """Break the recording: "missing", "truncated" or "edited"."""
        text = self.cassette.read_text()
        if how == "missing":
            shutil.rmtree(self.cassette.parent)
            self.cassette.parent.mkdir()
        elif how == "truncated":
            self.cassette.write_text(text[: len(text) // 2])
        else:
            self.cassette.write_text(text.replace("at_s:", "at_s: [1, 2, 3]\n    at:"))

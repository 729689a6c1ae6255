"""Judge the answer in a notebook file: run its cells in a process of their own, then the checks.

The cells run from top to bottom, as "Run All" would run them, up to the one that checks.  So the
verdict is that of the notebook's own check, and an answer that only works because of a cell
which is gone is found out.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.errors import UserError
from labkit.lab.exercise_files import find_exercise
from labkit.lab.exercise_judge import ENDLESS, judge, stopped
from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_verdict import Verdict
from labkit.lab.notebooks import unattended

__all__ = ["cells_to_run", "judge_notebook", "main"]

LIMIT_S = 30.0
"""Real seconds that the whole notebook may take, the checks included."""


def judge_notebook(exercise: Exercise, path: Path, *, limit: float = LIMIT_S) -> Verdict:
    """Return the verdict on the answer in the notebook `path`; raises `UserError` if unreadable."""
    cells_to_run(path)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "verdict.json"
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-m", __name__, exercise.folder.name, str(path), str(result)],
                env=unattended(IPYTHONDIR=folder),
                cwd=exercise.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict(exercise.number, "broken", ENDLESS.format(limit))
        if result.is_file():
            return Verdict.from_json(result.read_text(encoding="utf-8"))
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    code = done.returncode
    message = f"{path.name} ended its Python before it could be checked (exit code {code})."
    return Verdict(exercise.number, "broken", f"{message} {last}".strip())


def cells_to_run(path: Path) -> list[str]:
    """Return the sources of the code cells above the check; `UserError` if that cannot be done."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return list(_sources(notebook["cells"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path.name} is not a readable notebook. Open it in JupyterLab and save it again."
        ) from None


def _sources(cells: list[dict[str, Any]]) -> Iterator[str]:
    for cell in cells:
        tags = cell.get("metadata", {}).get("tags", [])
        if "check" in tags:
            return
        if cell["cell_type"] == "code" and "picture" not in tags:
            source = cell["source"]
            yield source if isinstance(source, str) else "".join(source)


def main(name: str, notebook: str, result: str) -> None:
    """Judge a notebook in this process and write the verdict to the file `result`, as JSON."""
    exercise = find_exercise(name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        verdict = _verdict(exercise, cells_to_run(Path(notebook)))
    Path(result).write_text(verdict.to_json(), encoding="utf-8")


def _verdict(exercise: Exercise, cells: list[str]) -> Verdict:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell: Any = InteractiveShell.instance(config=config)
    answer: dict[str, Any] = shell.user_ns
    for cell in cells:
        run = shell.run_cell(cell, store_history=False)
        if isinstance(run.error_before_exec, SyntaxError):
            return _not_python(exercise, run.error_before_exec)
        if run.error_in_exec is not None:
            return stopped(exercise, run.error_in_exec, answer)
    return judge(exercise, answer)


def _not_python(exercise: Exercise, error: SyntaxError) -> Verdict:
    line = (error.text or "").strip()
    where = f"line {error.lineno}" + (f", `{line}`" if line else "")
    return Verdict(exercise.number, "broken", f"Your code is not Python in {where}: {error.msg}.")


if __name__ == "__main__":
    main(*sys.argv[1:])

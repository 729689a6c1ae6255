"""Notebooks as documents under test: run them, tidy what they store, compare it strictly."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import CassetteBroken, UserError
from labkit.lab.atomic import write_atomically
from labkit.lab.exercise_notebook import build, in_step, source_of
from labkit.lab.places import project_root

__all__ = ["differences", "execute", "find", "fingerprint", "read", "unattended", "update"]

CELL_TIMEOUT_S = 120
BROKEN = re.compile(rf"^{CassetteBroken.__name__}: (.*\S)", re.MULTILINE)
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def find(names: Sequence[str | Path] = (), *, exercises: bool = True) -> list[Path]:
    """Return the notebooks named by path, number or name; all lessons and exercises if none is.

    A number names a lesson and its exercise.  Raises `UserError` for a name that fits nothing.
    """
    root = project_root()
    sources = root.glob("exercises/*/exercise.py") if exercises else ()
    made = [path.with_suffix(".ipynb") for path in sources]
    known = sorted([*root.glob("notebooks/*.ipynb"), *made])
    if not names:
        return known
    found = []
    for name in names:
        path = Path(name)
        fitting = [
            each for each in known if _is_called(each, path.as_posix()) or each == path.resolve()
        ]
        if path.suffix == ".ipynb" and path.is_file():
            found.append(path.resolve())
        elif fitting:
            found += fitting
        else:
            there = ", ".join(each.stem for each in known if each.parent.name == "notebooks")
            raise UserError(f"There is no notebook {str(name)!r}. The lessons are: {there}.")
    return found


def _is_called(path: Path, name: str) -> bool:
    """Whether a notebook's name, with or without its folder, begins like this."""
    place = path.parent if path.name == "exercise.ipynb" else path.with_suffix("")
    return f"{place.parent.name}/{place.name}".startswith(name) or place.name.startswith(name)


def unattended(**extra: str) -> dict[str, str]:
    """Return an environment in which every run of a notebook is the same: replay, no key."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTHROPIC_", "LABKIT_"))
    }
    return {
        **kept,
        "LABKIT_MODE": "replay",
        "LABKIT_UNATTENDED": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        **extra,
    }


def differences(path: Path) -> str:
    """Run a notebook and compare every output with the stored one; return what differs, or "".

    This is nbval in its strict form, in a process of its own.  An exercise must also hold the
    cells that its source makes.  Raises `CassetteBroken` where that is why a cell failed.
    """
    source = source_of(path)
    if source is not None and not in_step(read(path), source):
        name = source.parent.name
        return f"It is out of step with {name}/{source.name}. Run: labkit check --update {name}"
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "-q", "--color=no"]
    plain = ["-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:warnings", "--no-header"]
    result = subprocess.run(  # noqa: S603
        [*command, *plain, f"--rootdir={path.parent}", str(path)],
        env=unattended(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return ""
    broken = BROKEN.search(result.stdout)
    if broken:
        raise CassetteBroken(broken[1])
    return result.stdout.strip() or result.stderr.strip()


def update(path: Path) -> None:
    """Run a notebook in replay and store its outputs, tidied, in place of the old ones.

    An exercise is first made anew from its source.
    """
    import nbformat

    source = source_of(path)
    notebook = execute(read(path) if source is None else build(source), path, unattended())
    _tidy(notebook)
    notebook.metadata["labkit"] = {"fingerprint": fingerprint(notebook, path)}
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    write_atomically(path, text.rstrip("\n") + "\n")


def read(path: Path) -> Any:
    """Read a notebook file; raises `UserError` where it is none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise UserError(f"{path.name} is not a readable notebook ({error}).") from None


def execute(notebook: Any, path: Path, env: Mapping[str, str]) -> Any:
    """Run a notebook's cells in a kernel of its own, in the folder of `path`, and return it.

    Raises `CassetteBroken` where a cell met one, and `UserError` where it stopped otherwise.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        coalesce_streams=True,  # a busy machine cuts what is printed anywhere
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # a kernel on loopback warns of its plain text
    )
    try:
        client.execute(env=dict(env))
    except CellExecutionError as error:
        if error.ename == CassetteBroken.__name__:
            raise CassetteBroken(error.evalue) from None
        raise UserError(f"{path.name} stopped in a cell:\n{error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise UserError(f"{path.name} did not finish: {error}") from None
    return notebook


def _tidy(notebook: Any) -> None:
    """Leave nothing in a notebook that another machine, or a second run, would change."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    count = 0
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if output.output_type == "error":  # frames name the machine's folders
                output.traceback = [f"{output.ename}: {output.evalue}"]


def fingerprint(notebook: Any, path: Path) -> str:
    """Return a digest of what the stored outputs depend on: the code and the cassettes."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode())
    for cassette in sorted((project_root(path.parent) / "cassettes" / path.stem).glob("*.yaml")):
        digest.update(cassette.read_bytes())
    return digest.hexdigest()[:16]

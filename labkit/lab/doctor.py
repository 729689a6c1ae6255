"""Is this installation healthy? Each check says what is wrong and what repairs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from labkit.errors import CassetteBroken, UserError
from labkit.lab.notebooks import find, fingerprint
from labkit.lab.places import project_root

__all__ = [
    "CHECKS",
    "Finding",
    "cassettes",
    "examine",
    "kernel",
    "notebooks",
    "packages",
    "python_version",
    "report",
    "stray_key",
]

OLDEST, NEWEST = (3, 11), (3, 13)
Finding = tuple[str, str]
"""(what is wrong, the command that repairs it)"""


def python_version(running: tuple[int, int] | None = None) -> Iterator[Finding]:
    """Check the Python that runs this."""
    running = running or (sys.version_info[0], sys.version_info[1])
    if not OLDEST <= running <= NEWEST:
        yield (
            f"Python {running[0]}.{running[1]} runs this; the lessons are tested on 3.11 to 3.13.",
            "uv python pin 3.13 && uv sync",
        )


def packages(wanted: list[str] | None = None) -> Iterator[Finding]:
    """Check that what is installed is what the project asks for."""
    from packaging.requirements import Requirement

    for line in wanted if wanted is not None else requires("labkit") or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": "lab"}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"The package {requirement.name} is missing.", "uv sync"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            asked = f"{requirement.name}{requirement.specifier}"
            yield f"{requirement.name} {found} is installed, but {asked} is needed.", "uv sync"


def kernel() -> Iterator[Finding]:
    """Check that notebooks would run in this very environment."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        yield "Jupyter finds no Python kernel here.", "uv sync --reinstall-package ipykernel"
        return
    program = Path(spec.argv[0])
    if program.is_absolute() and program.parent.resolve() != Path(sys.executable).parent.resolve():
        yield (
            "Jupyter's Python kernel belongs to another environment, so notebooks would not "
            "find these packages.",
            "uv run python -m ipykernel install --sys-prefix",
        )


def cassettes() -> Iterator[Finding]:
    """Check that every recording can be read, and that each lesson has some."""
    from labkit.lab.cassette import read_cassette

    folder = project_root() / "cassettes"
    for path in sorted(folder.glob("*/*.yaml")):
        try:
            read_cassette(path)
        except CassetteBroken as error:
            yield str(error), "git checkout cassettes"
    for notebook in find():
        uses_lab = f'Lab("{notebook.stem}")' in notebook.read_text(encoding="utf-8").replace(
            '\\"', '"'
        )
        if uses_lab and not list((folder / notebook.stem).glob("*.yaml")):
            yield f"The lesson {notebook.stem} has no cassettes.", "git checkout cassettes"


def stray_key() -> Iterator[Finding]:
    """Check that no key lies around where none is needed."""
    if os.environ.get("ANTHROPIC_API_KEY") and os.environ.get("LABKIT_MODE", "replay") in (
        "replay",
        "simulate",
    ):
        yield (
            "ANTHROPIC_API_KEY is set. Replay and simulation ignore it; other programs may not.",
            "unset ANTHROPIC_API_KEY",
        )


def notebooks() -> Iterator[Finding]:
    """Check that stored outputs belong to the code and the recordings that are here now."""
    import nbformat

    for path in find():
        try:
            notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        except (ValueError, json.JSONDecodeError):
            yield f"{path.name} is not a readable notebook.", f"git checkout {_relative(path)}"
            continue
        stored = notebook.metadata.get("labkit", {}).get("fingerprint")
        if stored != fingerprint(notebook, path):
            yield (
                f"{path.name} shows outputs of other code or other recordings.",
                f"uv run labkit check --update {_relative(path)}",
            )


def _relative(path: Path) -> str:
    return path.relative_to(project_root()).as_posix()


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "Python": python_version,
    "packages": packages,
    "kernel": kernel,
    "cassettes": cassettes,
    "key": stray_key,
    "notebooks": notebooks,
}


def examine() -> dict[str, list[Finding]]:
    """Run every check; return its findings, an empty list where all is well."""
    results = {}
    for name, check in CHECKS.items():
        try:
            results[name] = list(check())
        except (ImportError, UserError) as error:
            results[name] = [(f"This could not be checked: {error}", "uv sync")]
    return results


def report() -> int:
    """Print the findings; return 0 if there are none and 1 otherwise."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    results = examine()
    for name, findings in results.items():
        if not findings:
            console.print(f"[green]ok[/]     {name}")
        for wrong, repair in findings:
            console.print(f"[red]wrong[/]  {name}: ", end="")
            console.print(wrong, markup=False)
            console.print(f"       repair: {repair}", markup=False)
    healthy = not any(results.values())
    console.print("All is well." if healthy else "Run the repairs from the top, then ask again.")
    return 0 if healthy else 1

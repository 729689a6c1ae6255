"""The rule that each module of the simulator has tests of its name, of its family's, or listed."""

from __future__ import annotations

from collections.abc import Collection

from tests.house.project import ROOT, Module

TESTED_WITH = {
    "bucket": "test_limits",
    "compaction": "test_hosted",
    "context_editing": "test_hosted",
    "error_answers": "test_problem",
    "events": "test_messages",
    "latency": "test_engine",
    "routes": "test_core",
    "threads": "test_hosted",
    "under_way": "test_fleet",
}
"""Modules of labkit.sim whose tests bear another name: what they do is seen only there."""


def mirrors() -> list[str]:
    """Return the names of the simulator's test files."""
    return sorted(path.stem for path in (ROOT / "tests" / "sim").glob("test_*.py"))


def untested(module: Module, files: Collection[str]) -> list[str]:
    """Complain where no test file bears a module's name, or the first word of it."""
    room, _, inside = module.name.removeprefix("labkit.").partition(".")
    name = inside.partition(".")[0]
    if room != "sim" or not name:
        return []
    family = f"test_{name.partition('_')[0]}"
    if any(file.startswith(family) for file in files) or TESTED_WITH.get(name) in files:
        return []
    return [f"write tests/sim/test_{name}.py, or say in TESTED_WITH who tests {module.name}"]

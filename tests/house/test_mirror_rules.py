"""Each module of the simulator has its tests, and one that has none is caught."""

from __future__ import annotations

import pytest

from tests.house.mirror_rules import TESTED_WITH, mirrors, untested
from tests.house.project import Module, modules

FILES = mirrors()
MODULES = [module for module in modules() if module.name.startswith("labkit.sim.")]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_module_of_the_simulator_has_tests(module: Module) -> None:
    """Under its name, its family's, or the one that is listed."""
    assert untested(module, FILES) == []


@pytest.mark.parametrize(
    ("name", "is_tested"),
    [
        ("labkit.sim.nowhere", False),
        ("labkit.sim.events", False),
        ("labkit.sim.rows", True),
        ("labkit.sim.batch_script", True),
        ("labkit.sim.answers.plain", True),
        ("labkit.sim", True),
        ("labkit.nowhere", True),
    ],
)
def test_a_module_without_tests_is_caught(name: str, is_tested: bool) -> None:
    """With the file that is to be written; other rooms are not judged here."""
    files = ["test_rows", "test_batches", "test_answers_tools"]
    found = untested(Module(name, ""), files)
    assert (found == []) == is_tested
    assert all(name.rpartition(".")[2] in complaint for complaint in found)


def test_nothing_is_listed_that_need_not_be() -> None:
    """A module that is gone, or has got tests of its own name, leaves the list."""
    names = {module.name for module in modules()}
    for name, file in TESTED_WITH.items():
        assert f"labkit.sim.{name}" in names
        assert file in FILES
        assert f"test_{name}" not in FILES

"""Every module of labkit keeps the house rules, and each rule catches a module that does not."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from tests.house.module_rules import (
    DOORS,
    excess_lines,
    export_faults,
    ghosts,
    imports,
    impurities,
    within,
    wrong_arrows,
)
from tests.house.project import ROOT, Module, modules

MODULES = modules()
each_module = pytest.mark.parametrize("module", MODULES, ids=[module.name for module in MODULES])

HEAVY = ("altair", "ipywidgets", "pandas", "vcr")


@each_module
def test_flows_and_the_simulated_api_touch_nothing_outside_themselves(module: Module) -> None:
    """Time and dice are handed in; sockets and event loops belong to the drivers."""
    assert impurities(module) == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import socket as s",
        "from asyncio import sleep",
        "from concurrent.futures import Future",
        "def later():\n    import threading",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.now()",
        "import random\nrandom.uniform(0, 1)",
        "from random import uniform",
    ],
)
def test_an_impure_layer_is_caught(line: str) -> None:
    """Each way out of a flow is a complaint."""
    assert impurities(Module("labkit.layers.x", line)) != []


@pytest.mark.parametrize(
    "line",
    [
        "from random import Random",
        "import random\ndice = random.Random(1)",
        "def draw(random): return random.uniform(0, 1)",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
    ],
)
def test_injected_time_and_dice_are_welcome(line: str) -> None:
    """A seeded generator or a given date is no way out."""
    assert impurities(Module("labkit.layers.x", line)) == []


def test_every_way_out_is_in_use() -> None:
    """An exception that no module needs any more is taken off the list."""
    used = {module.name: [name for _, name in imports(module)] for module in MODULES}
    for door, exits in DOORS.items():
        assert all(any(within(name, (exit_,)) for name in used[door]) for exit_ in exits), door


@each_module
def test_arrows_point_one_way(module: Module) -> None:
    """Layers know the flow, not the simulator; nobody knows the lab but the command line."""
    assert wrong_arrows(module) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("labkit.layers.retry", "from labkit.sim import core"),
        ("labkit.layers.retry", "from labkit import drivers"),
        ("labkit.layers.retry", "import labkit.context.window"),
        ("labkit.context.window", "from labkit.layers.retry import Retry"),
        ("labkit.context.window", "from ..lab import session"),
        ("labkit.flow", "from labkit.catalog import model"),
        ("labkit.sim.core", "from labkit.layers import Retry"),
        ("labkit.ledger", "def show():\n    from labkit.lab.charts import chart"),
    ],
)
def test_an_arrow_that_points_back_is_caught(name: str, line: str) -> None:
    """Each wrong direction is a complaint, however it is spelled."""
    assert wrong_arrows(Module(name, line)) != []


@pytest.mark.parametrize("name", ["labkit.cli", "labkit.cli_exercise", "labkit.lab.session"])
def test_the_command_line_and_the_lab_may_know_the_lab(name: str) -> None:
    """The bench is used from above only."""
    assert wrong_arrows(Module(name, "from labkit.lab.charts import chart")) == []


@each_module
def test_modules_and_flows_stay_small(module: Module) -> None:
    """A module is one idea, a flow one screen."""
    assert excess_lines(module) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * 201,
        "def flow(self, request):\n" + "    yield request\n" * 30,
        "def again(request) -> Flow:\n" + "    yield request\n" * 30,
    ],
)
def test_a_runaway_is_caught(source: str) -> None:
    """One line over the wall is a complaint."""
    assert excess_lines(Module("labkit.x", source)) != []


@each_module
def test_modules_say_what_they_are_and_what_they_export(module: Module) -> None:
    """A sentence first, then `__all__`, and a docstring for every name in it."""
    assert export_faults(module) == []


@pytest.mark.parametrize(
    "source",
    [
        "__all__ = []",
        '"""Retry"""',
        '"""A sentence with no end"""',
        '"""Says what it is."""\ndef go():\n    """Go."""',
        '"""Says what it is."""\n__all__ = []\ndef go():\n    """Go."""',
        '"""Says what it is."""\n__all__ = ["go"]\ndef go(): ...',
    ],
)
def test_a_module_that_hides_what_it_is_is_caught(source: str) -> None:
    """No sentence, no list, a public name left out, a name without a docstring."""
    assert export_faults(Module("labkit.x", source)) != []


def test_a_package_that_gathers_names_lists_them() -> None:
    """Re-exports without `__all__` are a complaint."""
    source = '"""Says what it is."""\nfrom labkit.flow import Send'
    assert export_faults(Module("labkit.x", source, is_package=True)) != []


@each_module
def test_exported_names_exist(module: Module) -> None:
    """Every name in `__all__` can be had from the module."""
    assert ghosts(importlib.import_module(module.name)) == []


def test_an_exported_ghost_is_caught() -> None:
    """A name that the module lacks is a complaint."""
    module = ModuleType("x")
    module.__dict__["__all__"] = ["ghost"]
    assert ghosts(module) == ["ghost"]


def test_the_linter_refuses_an_unsorted_list_of_exports() -> None:
    """The order of `__all__` is Ruff's to check, and it does."""
    ruff = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "labkit/x.py", "-"]
    verdict = subprocess.run(
        ruff, cwd=ROOT, input='__all__ = ["b", "a"]', capture_output=True, text=True
    )
    assert "RUF022" in verdict.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Charts, tables, widgets and cassettes are loaded where they are used."""
    assert loaded_by("\n".join(f"import {module.name}" for module in MODULES)) == []


def test_a_heavy_import_is_caught() -> None:
    """A module that loads a heavy package when imported is a complaint."""
    assert loaded_by("import vcr") == ["vcr"]


def loaded_by(code: str) -> list[str]:
    """Run code in a fresh interpreter; return the heavy packages it loaded."""
    show = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.split()

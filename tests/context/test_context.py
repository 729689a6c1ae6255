"""The room's front door: names are loaded when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import labkit.context


def test_the_door_itself_loads_nothing() -> None:
    """Neither the catalogue nor the archive's database."""
    program = "import sys, labkit.context; print(*sorted(n for n in sys.modules if 'labkit' in n))"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert found.split() == ["labkit", "labkit.context"]


@pytest.mark.parametrize("name", labkit.context.__all__)
def test_every_name_leads_to_what_bears_it(name: str) -> None:
    """A function or a class of the module that is said to hold it."""
    found = getattr(labkit.context, name)
    assert (found.__name__, found.__module__) == (name, labkit.context.HOMES[name])


def test_any_other_name_is_answered_with_those_there_are() -> None:
    """In a sentence."""
    with pytest.raises(AttributeError, match=r"no 'Windows'; it has .*Window"):
        _ = labkit.context.Windows

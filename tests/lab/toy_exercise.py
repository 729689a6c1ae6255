"""A small exercise in a small project: what the tests of the exercise machinery work on."""

from __future__ import annotations

from pathlib import Path

SOURCE = '''\
# title: Double it
# lesson: 07-toy
# minutes: 5
# difficulty: 1
# importance: 2

# %% [markdown] task
# ## Your task
# Write `double`.

# %% setup
import random

# %% starter
def double(number):
    raise NotImplementedError("write `double`.")

# %% [markdown] hint 1
# Think of two.

# %% [markdown] hint 2
# Multiply.

# %% [markdown] hint 3
# `2 * number`

# %% solution
def double(number):
    return 2 * number

# %% checks
from labkit.lab.exercise_verdict import Wrong


def check_one(answer):
    """One becomes two."""
    if answer["double"](1) != 2:
        raise Wrong(f"You made {answer['double'](1)} of 1.")


def check_three(answer):
    """Three becomes six."""
    if answer["double"](3) != 6:
        raise Wrong(f"You made {answer['double'](3)} of 3, so it was added and not doubled.")

# %% picture
def picture(answers):
    return {name: answer["double"](4) for name, answer in answers.items()}

# %% wrong adds one: so it was added
def double(number):
    return number + 1

# %% wrong gives it back: You made 1 of 1
def double(number):
    return number

# %% wrong squares: You made 1 of 1
def double(number):
    return number**2
'''


def section(marker: str) -> str:
    """Return one section of the source, its marker included."""
    start = SOURCE.index(f"# %% {marker}")
    end = SOURCE.find("# %%", start + 1)
    return SOURCE[start:] if end < 0 else SOURCE[start:end]


def make_project(folder: Path, source: str = SOURCE) -> Path:
    """Make a project with the one exercise 07 and return the path of its source."""
    for name in ("notebooks", "cassettes", "exercises/07-toy"):
        (folder / name).mkdir(parents=True)
    path = folder / "exercises/07-toy/exercise.py"
    path.write_text(source, encoding="utf-8")
    return path

"""Every lesson keeps the house rules, and each rule catches a lesson that does not."""

from typing import Any

import pytest

from labkit.catalog import models
from labkit.lab import doctor
from tests.house.notebook_rules import (
    MODEL_ID,
    Notebook,
    picture_faults,
    run_faults,
    source_faults,
)
from tests.house.project import lessons

LESSONS = lessons()


def test_lessons_install_nothing_and_name_models_by_role() -> None:
    """No install, no import path, no model id that will be dead next year."""
    assert {name: found for name, book in LESSONS.items() if (found := source_faults(book))} == {}


def test_lessons_were_run_from_top_to_bottom() -> None:
    """Stored outputs come from one run, and an error is there on purpose or not at all."""
    assert {name: found for name, book in LESSONS.items() if (found := run_faults(book))} == {}


def test_the_doctor_finds_the_outputs_of_other_code_nowhere() -> None:
    """After any change of a cell or a recording its notebook has been run again."""
    assert list(doctor.notebooks()) == []


def test_pictures_in_lessons_have_words() -> None:
    """Every stored picture has alternative text."""
    assert {name: found for name, book in LESSONS.items() if (found := picture_faults(book))} == {}


def code(source: str, *outputs: dict[str, Any], count: int | None = 1, tag: str = "x") -> Notebook:
    """Write a notebook of one code cell."""
    cell = {"cell_type": "code", "source": [source], "execution_count": count}
    return {"cells": [{**cell, "outputs": list(outputs), "metadata": {"tags": [tag]}}]}


def prose(source: str) -> Notebook:
    """Write a notebook of one text cell."""
    return {"cells": [{"cell_type": "markdown", "source": source, "metadata": {}}]}


def shown(mime: str, data: str, **metadata: Any) -> dict[str, Any]:
    """Write an output that a cell displays."""
    return {"output_type": "display_data", "data": {mime: [data]}, "metadata": {mime: metadata}}


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "", "traceback": []}


@pytest.mark.parametrize(
    "notebook",
    [
        code("%pip install x"),
        code("!pip install x"),
        code("import sys\nsys.path.append('..')"),
        code("model = 'claude-opus-5-5'"),
        code("model = 'claude-3-haiku'"),
        prose("We ask `claude-mythos-preview`."),
    ],
)
def test_a_source_that_will_not_last_is_caught(notebook: Notebook) -> None:
    """Each is a complaint, in code and where it applies in prose."""
    assert source_faults(notebook) != []


def test_every_model_of_the_catalogue_is_recognised() -> None:
    """No id or alias slips through the pattern."""
    names = {name for row in models() for name in row.names}
    assert {name for name in names if not MODEL_ID.fullmatch(name)} == set()


@pytest.mark.parametrize("notebook", [code("1", count=2), code("1", count=None), code("1", ERROR)])
def test_an_unrun_or_failed_cell_is_caught(notebook: Notebook) -> None:
    """A gap in the counts and an unannounced error are complaints."""
    assert run_faults(notebook) != []


def test_an_announced_error_passes() -> None:
    """A failure on stage is tagged."""
    assert run_faults(code("1 / 0", ERROR, tag="raises-exception")) == []


@pytest.mark.parametrize(
    "notebook",
    [
        prose("![](chart.svg)"),
        prose('<img src="chart.svg">'),
        code("x", shown("image/png", "AAAA")),
        code("x", shown("image/png", "AAAA", alt=" ")),
        code("x", shown("image/svg+xml", "<svg><path/></svg>")),
        code("x", shown("image/svg+xml", '<svg><path aria-label="x: 1"/></svg>')),
        code("x", shown("text/html", '<img src="x" alt="">')),
        code("x", shown("text/html", '<svg aria-label="waits"></svg><svg></svg>')),
    ],
)
def test_a_mute_picture_is_caught(notebook: Notebook) -> None:
    """A picture without words is a complaint, whatever it is made of."""
    assert picture_faults(notebook) != []


@pytest.mark.parametrize(
    "notebook",
    [
        prose("![Waits per attempt](chart.svg)"),
        code("x", shown("image/png", "AAAA", alt="Waits per attempt")),
        code("x", shown("image/svg+xml", "<svg><title>Waits</title></svg>")),
        code("x", shown("text/html", "<img alt='Waits' src='x'>")),
        code("x", shown("text/html", "<table></table>")),
        code("x", shown("text/plain", "<img>")),
    ],
)
def test_a_picture_with_words_passes(notebook: Notebook) -> None:
    """Alternative text may stand in the markup or in the output's metadata."""
    assert picture_faults(notebook) == []

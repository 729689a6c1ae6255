"""The documentation is under test: what it names exists, and what exists is named."""

from typing import Any

import pytest
import typer

from tests.house.document_rules import broken_links, listed_lessons, unknown_commands
from tests.house.notebook_rules import cells
from tests.house.project import ROOT, lessons, tracked

LESSONS = lessons()


def test_relative_links_lead_somewhere() -> None:
    """Every link of a tracked Markdown file, and of a lesson's prose, can be followed."""
    texts = {path: text for path, text in tracked().items() if path.endswith(".md")}
    for path, notebook in LESSONS.items():
        texts[path] = "\n".join(source for _, _, source in cells(notebook, "markdown"))
    broken = {path: broken_links(text, (ROOT / path).parent) for path, text in texts.items()}
    assert {path: found for path, found in broken.items() if found} == {}


@pytest.mark.parametrize("link", ["[x](nowhere.md)", "[x](nowhere.md#part)", "[x]: nowhere.md"])
def test_a_broken_link_is_caught(link: str) -> None:
    """A link to a missing file is a complaint, however it is written."""
    assert broken_links(link, ROOT) != []


def test_other_links_pass() -> None:
    """Files that exist, parts of the page, other sites and code are left alone."""
    text = "[a](README.md#x) [b](#x) [c](https://x.org) `[d](nowhere.md)`\n```\n[e](nowhere)\n```\n"
    assert broken_links(text, ROOT) == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands_in_the_documentation_exist(document: str) -> None:
    """Every `labkit ...` that a reader could type is known to the program."""
    from labkit.cli import app

    program = typer.main.get_command(app)
    assert unknown_commands((ROOT / document).read_text(), program) == []


def program() -> Any:
    """Build a program of two commands, one of them a group."""
    app, exercise = typer.Typer(), typer.Typer()
    app.add_typer(exercise, name="exercise")

    @app.command()
    def check(*, update: bool = False) -> None: ...

    @exercise.command()
    def hint(number: int) -> None: ...

    @exercise.command()
    def start(number: int) -> None: ...

    return typer.main.get_command(app)


@pytest.mark.parametrize(
    "text",
    [
        "Run `labkit nonsense`.",
        "```bash\nuv run labkit nonsense\n```\n",
        "`labkit check --nonsense`",
        "`labkit exercise nonsense 05`",
        "`labkit exercise hint|nonsense 05`",
    ],
)
def test_an_unknown_command_is_caught(text: str) -> None:
    """A wrong command, subcommand or option is a complaint."""
    assert unknown_commands(text, program()) != []


def test_known_commands_pass() -> None:
    """Arguments, alternatives, comments and the package's own name are no commands."""
    text = (
        "`labkit check [--update] [NOTEBOOK...]`, `labkit exercise hint|start NN`, `labkit.flow`\n"
        "```bash\nuv run labkit check x.ipynb  # labkit nonsense\n```\nlabkit is a course.\n"
    )
    assert unknown_commands(text, program()) == []


def test_the_readme_lists_every_lesson() -> None:
    """The table of contents and the folder agree, both ways."""
    assert listed_lessons((ROOT / "README.md").read_text()) == set(LESSONS)


def test_a_listed_lesson_is_found() -> None:
    """A link counts as listed; a mention does not."""
    text = "[Retry](notebooks/05-retry.ipynb), not notebooks/06-breakers.ipynb"
    assert listed_lessons(text) == {"notebooks/05-retry.ipynb"}

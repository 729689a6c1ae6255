"""The command `labkit exercise`: list, start, check, hint and solution."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

__all__ = ["check", "exercise_app", "hint", "list_all", "solution", "start"]

exercise_app = typer.Typer(
    help="Practise: one exercise for every pattern, checked by what your code does.",
    no_args_is_help=True,
)
Number = Annotated[str, typer.Argument(help="The exercise's number, such as 05.")]


@exercise_app.command("list")
def list_all() -> None:
    """Show every exercise: how long, how hard, how important, and how far you are."""
    from rich.console import Console
    from rich.table import Table

    from labkit.lab.exercise_files import all_exercises, state

    table = Table(box=None, pad_edge=False)
    for name in ("", "Exercise", "Minutes", "Difficulty", "Importance", "State"):
        table.add_column(name, justify="right" if name == "Minutes" else "left")
    colours = {"passed": "green", "in progress": "yellow", "not started": "dim"}
    for exercise in all_exercises():
        levels = (f"{n} of 5" for n in (exercise.difficulty, exercise.importance))
        reached = state(exercise)
        told = f"[{colours[reached]}]{reached}[/]"
        table.add_row(exercise.number, exercise.title, str(exercise.minutes), *levels, told)
    Console(highlight=False).print(table)


@exercise_app.command()
def start(
    number: Number,
    over: Annotated[
        bool, typer.Option("--over", help="Begin anew; your copy is kept as a backup.")
    ] = False,
) -> None:
    """Make a copy of the exercise for you to work in; never overwrites your work."""
    from labkit.lab.exercise_files import find_exercise, start

    exercise = find_exercise(number)
    own, backup = start(exercise, over=over)
    if backup is not None:
        typer.echo(f"Your earlier work is kept in exercises/{own.parent.name}/{backup.name}.")
    typer.echo(f"Open exercises/{own.parent.name}/{own.name} in JupyterLab (labkit lab).")


@exercise_app.command()
def check(number: Number) -> None:
    """Run your notebook as saved and judge the answer: exit code 0, 1 (not yet) or 2 (cannot)."""
    from rich.console import Console
    from rich.text import Text

    from labkit.lab.exercise_files import find_exercise, mark_passed, notebook_of
    from labkit.lab.exercise_run import judge_notebook

    exercise = find_exercise(number)
    path = notebook_of(exercise)
    verdict = judge_notebook(exercise, path)
    if verdict.ending == "passed":
        mark_passed(exercise)
    console = Console(highlight=False, soft_wrap=True)
    colour = {"passed": "bold green", "not started": "yellow", "wrong": "bold"}
    console.print(Text(verdict.headline, style=colour.get(verdict.ending, "red")))
    for sign, words in verdict.points():
        console.print(Text(f"  {sign} {words}", style="green" if sign == "✓" else "red"))
    own = path.name != "exercise.ipynb"
    told = (
        "What you have not saved does not count."
        if own
        else f"Make your own copy: labkit exercise start {number}"
    )
    console.print(Text(f"Checked: exercises/{path.parent.name}/{path.name}. {told}", style="dim"))
    raise typer.Exit(verdict.exit_code)


@exercise_app.command()
def hint(
    number: Number,
    level: Annotated[
        int, typer.Argument(min=1, max=3, help="1 points the way, 3 is nearly the answer.")
    ] = 1,
) -> None:
    """Give a hint: 1, 2 or 3."""
    from labkit.lab.exercise_files import find_exercise

    exercise = find_exercise(number)
    _show(exercise.hints[level - 1], "markdown")
    if level < 3:
        typer.echo(f"\nMore: labkit exercise hint {exercise.number} {level + 1}")


@exercise_app.command()
def solution(number: Number) -> None:
    """Print one good answer; into a file or pipe as plain Python."""
    from labkit.lab.exercise_files import find_exercise

    _show(find_exercise(number).solution.text.rstrip(), "python")


def _show(text: str, kind: str) -> None:
    """Print with colours to a terminal, and as it is to anything else."""
    if not sys.stdout.isatty():
        typer.echo(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    page = Markdown(text) if kind == "markdown" else Syntax(text, kind, background_color="default")
    Console().print(page)

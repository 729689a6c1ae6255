"""The command line: `labkit lab`, `check`, `record`, `doctor`, `ledger`, `serve`, `exercise`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labkit.cli_exercise import exercise_app
from labkit.errors import LabkitError, UserError

__all__ = ["app", "check", "doctor", "lab", "ledger", "main", "record", "serve"]

app = typer.Typer(
    name="labkit",
    help="A course and laboratory for running the Claude API at scale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(exercise_app, name="exercise")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
Notebooks = Annotated[
    list[str] | None,
    typer.Argument(help="Notebooks by path, number or name; all of them if none is given."),
]


def main() -> None:
    """Run the command line; what labkit itself has to say is one message and exit code 2."""
    try:
        app(prog_name="labkit")
    except LabkitError as error:
        typer.echo(f"labkit: {error}", err=True)
        sys.exit(2)


@app.command(context_settings=PASS_ON)
def lab(context: typer.Context) -> None:
    """Open JupyterLab at the start notebook; further options go to JupyterLab."""
    from labkit.lab.launch import launch

    raise typer.Exit(launch(context.args))


@app.command()
def check(
    notebooks: Notebooks = None,
    update: Annotated[
        bool, typer.Option("--update", help="Run them and store the new outputs instead.")
    ] = False,
) -> None:
    """Run notebooks in replay and compare every output with the stored one."""
    from labkit.lab.checking import check_all

    raise typer.Exit(check_all(notebooks or [], update=update))


@app.command()
def record(
    notebooks: Notebooks = None,
    live: Annotated[
        bool, typer.Option("--live", help="Record from the real API: needs a key and a budget.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="Dollars that recording may spend at most.")
    ] = None,
) -> None:
    """Make the cassettes of notebooks anew, from the simulator or from the real API."""
    from labkit.lab.checking import record_all

    if live and budget is None:
        raise UserError("Recording from the real API costs money: add --budget with the dollars.")
    raise typer.Exit(record_all(notebooks or [], live=live, budget=budget))


@app.command()
def doctor() -> None:
    """Say what is wrong with this installation, and the one command that repairs it."""
    from labkit.lab.doctor import report

    raise typer.Exit(report())


@app.command()
def ledger(
    files: Annotated[list[Path], typer.Argument(help="Recorded exchanges: cassettes, JSON, SSE.")],
    csv: Annotated[bool, typer.Option("--csv", help="Write comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write a JSON list of calls.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what the money went on.")] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Say what it would have cost otherwise.")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Another model to compare with; may be repeated.")
    ] = None,
    trim: Annotated[
        int | None, typer.Option(min=2, help="Tokens at which prompts would be trimmed.")
    ] = None,
) -> None:
    """Show tokens, latency and cost of recorded API exchanges, with totals."""
    from labkit.recorded.report import Question
    from labkit.recorded.report import ledger as show

    question = Question(explain, what_if, tuple(model or ()), trim)
    raise typer.Exit(show(files, csv=csv, json=json, question=question))


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 8000,
    scenario: Annotated[
        Path | None, typer.Option(help="A TOML file: what goes wrong, and what is said.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides all dice.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Times faster than real time; at 0 nothing waits.")
    ] = None,
) -> None:
    """Serve the simulated API over HTTP to any client on this machine, until Ctrl-C."""
    try:
        from labkit.sim.serve import serve as run
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is missing: install labkit with its extra `serve`."
        ) from None
    run(port, scenario, seed, speed)

"""A bar on the terminal that shows how many rows of a job are done.

A batch tells nothing of its rows until it has ended (claude-api.md 6), so the bar moves in
steps of a whole batch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(rows: int, shown: bool | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a function that is told how many rows are done and how many batches are open.

    `shown` None means: if standard error is a terminal.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda _done, _open: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("batch rows", total=rows)

        def tell(done: int, batches: int) -> None:
            said = f"batch rows, {batches} open"
            progress.update(task, completed=done, description=said)

        yield tell

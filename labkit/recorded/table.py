"""Recorded calls as a table for people, with totals that never count unknown as zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING

from labkit.pricing import total
from labkit.recorded.call import RecordedCall

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["as_table", "as_text", "plain", "totals"]

WIDE = 150
"""Columns of text where the output is no terminal."""

NARROW = 120
"""Terminals below this many columns get the stacked table."""

TOKENS = {
    "input": "input_tokens",
    "written": "cache_creation_input_tokens",
    "read": "cache_read_input_tokens",
    "output": "output_tokens",
}


def as_text(calls: Sequence[RecordedCall]) -> str:
    """Give the table, the notes its last column points to, and the totals, as wide as fits.

    The text has colours where the standard output is a terminal.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    notes = {note: number for number, note in enumerate(_notes(calls), 1)}
    with console.capture() as captured:
        console.print(as_table(calls, notes, narrow=console.width < NARROW))
        for note, number in notes.items():
            console.print(f"{number:>3}  {note}", markup=False, soft_wrap=True)
        console.print(totals(calls), markup=False, soft_wrap=True)
    return captured.get()


def _notes(calls: Sequence[RecordedCall]) -> list[str]:
    """Give each note once, in the order of the calls."""
    return list(dict.fromkeys(call.note for call in calls if call.note))


def as_table(
    calls: Sequence[RecordedCall], notes: Mapping[str, int], *, narrow: bool = False
) -> Table:
    """Lay calls out, file names without the folder if all share one.

    `notes` gives each note's number.  A narrow table stacks file, end and model in one column.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    folders = {PurePath(call.file).parent for call in calls}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.title = f"in {folders.pop()}" if len(folders) == 1 else None
    for heading, ratio in (("call", 5),) if narrow else (("file", 5), ("call", 1), ("model", 3)):
        table.add_column(heading, overflow="fold", ratio=ratio)
    for heading in (*TOKENS, "seconds", "dollars", "note"):
        table.add_column(heading, justify="right", no_wrap=True)
    above = None
    for call in calls:
        file = PurePath(call.file).name if table.title else call.file
        names = ["" if call.file == above else file, _end(call), call.model or ""]
        if narrow:
            names = ["\n  ".join(name for name in names if name)]
        number = str(notes[call.note]) if call.note else ""
        table.add_row(*(Text(cell) for cell in (*names, *_figures(call), number)))
        above = call.file
    return table


def totals(calls: Sequence[RecordedCall]) -> str:
    """Say what the calls used and cost together, and how many have no known price."""
    used = [call for call in calls if call.used_tokens]
    tokens = ", ".join(
        f"{sum(getattr(call, field) or 0 for call in used):,} {heading}"
        for heading, field in TOKENS.items()
    )
    extra_in = sum(call.extra_input_tokens or 0 for call in used)
    extra_out = sum(call.extra_output_tokens or 0 for call in used)
    money = plain(total(call.cost_usd for call in calls if call.cost_usd is not None))
    unknown = sum(call.cost_usd is None for call in used)
    lines = [
        f"{len(calls)} replies in {len({call.file for call in calls})} files, "
        f"{len(used)} of them with tokens: {tokens}.",
        f"{len(used) - unknown} priced: ${money} together, at the catalogue's list prices.",
    ]
    if extra_in or extra_out:
        lines.insert(1, f"Sub-calls on top: {extra_in:,} input, {extra_out:,} output.")
    if unknown:
        lines.append(f"{unknown} of unknown price: not in that sum.")
    return "\n".join(lines)


def plain(money: Decimal) -> str:
    """Write a sum out in full, without exponent or trailing zeros."""
    digits = f"{money:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _figures(call: RecordedCall) -> list[str]:
    counts = (getattr(call, field) for field in TOKENS.values())
    money = None if call.cost_usd is None else plain(call.cost_usd)
    unknown = "unknown" if call.used_tokens else ""
    return [
        *("" if count is None else f"{count:,}" for count in counts),
        "" if call.latency_s is None else f"{call.latency_s:g}",
        unknown if money is None else money,
    ]


def _end(call: RecordedCall) -> str:
    """Say how a call ended: a message by its stop reason, another by its status or kind."""
    if call.stop_reason:
        return call.stop_reason
    return f"HTTP {call.status}" if (call.status or 200) >= 400 else call.kind

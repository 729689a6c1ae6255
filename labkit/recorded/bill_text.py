"""A bill explained, and what it might have been, as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from labkit.recorded.bill import Explained, ModelBill
from labkit.recorded.table import plain
from labkit.recorded.what_if import Alternative

__all__ = ["alternatives_text", "explained_text"]


def explained_text(bill: Explained) -> str:
    """Say what the money went on: by model and part, then by lever, then what is unknown."""
    lines = ["By model:"]
    for model in bill.models:
        lines.append(f"  {model.model}: ${plain(model.dollars)}, {_calls(model.calls)}")
        lines += [f"    {words}" for words in _parts(model)]
    lines.append("By lever:")
    for lever in bill.levers:
        verb = "saved" if lever.saved >= 0 else "cost"
        told = f"{verb} ${plain(abs(lever.saved))} on {_calls(lever.calls)}"
        lines.append(f"  {lever.name}: {told if lever.calls else 'not used'}{_but(lever.unknown)}")
    lines.append("By layer: recordings do not hold what layers did; a program's Ledger does.")
    apart = f"; {_calls(bill.unknown)} of unknown price are in no sum" if bill.unknown else ""
    lines.append(f"Together: ${plain(bill.dollars)}{apart}.")
    return "\n".join(lines) + "\n"


def _parts(model: ModelBill) -> list[str]:
    found = [
        f"{part}: ${plain(dollars)} ({_percent(dollars, model.dollars)})"
        for part, dollars in model.parts.items()
        if dollars
    ]
    if model.undivided:
        found.append(f"calls with sub-calls: ${plain(model.undivided)}")
    if model.unknown:
        found.append(f"{_calls(model.unknown)} of unknown price, in no sum")
    return found


def alternatives_text(alternatives: Sequence[Alternative]) -> str:
    """Say what the calls would have cost, beside what the same calls did cost."""
    lines = ["What would this have cost ...?"]
    for each in alternatives:
        about = "about " if each.estimate else ""
        told = f"{about}${plain(each.dollars)} instead of ${plain(each.before)}"
        if each.before:
            told += f" ({(each.dollars - each.before) / each.before:+.0%})"
        told = told if each.calls else "nobody can tell"
        lines.append(f"  {each.name}: {told}{_but(each.unknown)}")
        if each.estimate and each.calls:
            lines.append(f"    an estimate: {each.estimate}")
    return "\n".join(lines) + "\n"


def _calls(count: int) -> str:
    return f"{count:,} call" if count == 1 else f"{count:,} calls"


def _but(unknown: int) -> str:
    return f"; {_calls(unknown)} unknown, on neither side" if unknown else ""


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole:.0%}"

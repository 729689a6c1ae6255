"""What a fault cannot be: the first problem is told where the fault is written down."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from labkit.catalog import model
from labkit.errors import UnknownModel, UserError
from labkit.sim.fault_kinds import FAULTS
from labkit.sim.figures import need_numbers

if TYPE_CHECKING:
    from labkit.sim.faults import Fault

__all__ = ["check_fault", "check_faults"]

FIGURES = ("first", "start", "end", "share", "retry_after", "after", "factor", "every", "lasts")


def check_fault(fault: Fault) -> None:
    """Raise UserError for what cannot be."""
    need_numbers("A fault", **{name: getattr(fault, name) for name in FIGURES})
    problem = next(_problems(fault), None)
    if problem is not None:
        raise UserError(problem)


def check_faults(faults: object) -> None:
    """Raise UserError for what is no list of faults."""
    kinds = (
        [getattr(x, "kind", None) for x in faults] if isinstance(faults, (list, tuple)) else [""]
    )
    if not all(kind in FAULTS for kind in kinds):
        raise UserError(f"Faults are a list of Fault(...), so they cannot be {faults!r}.")


def _problems(fault: Fault) -> Iterator[str]:
    if fault.kind not in FAULTS:
        yield f"There is no fault called {fault.kind!r}; use one of {', '.join(FAULTS)}."
    if fault.first is not None and not fault.first >= 0:
        yield f"A fault strikes the first so many requests, so first cannot be {fault.first}."
    if not 0 <= fault.share <= 1:
        yield f"A fault's share lies between 0 and 1, so it cannot be {fault.share}."
    if not fault.start <= fault.end:
        yield f"A fault cannot start at {fault.start} and end at {fault.end}."
    if not float(fault.after).is_integer():
        yield f"A fault's after is a whole number, so it cannot be {fault.after}."
    if fault.after < 0 or not 0 < fault.factor < inf or not 0 <= (fault.retry_after or 0) < inf:
        yield "A fault's after and retry_after cannot be negative, and its factor is above 0."
    if not 0 < fault.every < inf or not fault.lasts >= 0:
        yield "A fault's every is above 0 seconds, and its lasts cannot be negative."
    if fault.path is not None and not str(fault.path).startswith("/v1/"):
        yield f"A fault's path is one such as '/v1/messages', so it cannot be {fault.path!r}."
    if fault.model is not None:
        yield from _unknown_model(fault.model)


def _unknown_model(name: str) -> Iterator[str]:
    try:
        model(str(name))
    except UnknownModel as error:
        yield f"A fault can only be limited to a model there is. {error}"

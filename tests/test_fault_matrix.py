"""Every fault, four ways of calling, a full stack: in time, under its label, and all tidied up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.fault_matrix import ATTEMPTS, CASES, DEADLINE_S, DOCUMENT, Cell, document, row
from tests.sim.serving import Serving, eventually

GENEROUS_S = 2.0
ANSWERS = ("empty", "out_of_tokens", "pause_turn", "refusal")
LIMITS = ("ramp_limited", "rate_limited", "spend_limit")
"""A 429 that does not say when to come back is not tried again."""


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Give one server for all faults, one after the other."""
    with Serving(speed=20.0) as running:
        yield running


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, int], list[Cell]]:
    """Collect what each fault came to."""
    return {}


@pytest.mark.parametrize(("kind", "after"), CASES)
def test_a_fault_ends_in_time_with_its_label_and_leaves_nothing(
    serving: Serving, table: dict[tuple[str, int], list[Cell]], kind: str, after: int
) -> None:
    """Bounded time, bounded attempts, no permit, place, turn, task, thread or socket kept."""
    cells, stacks = row(serving, kind, after)
    table[kind, after] = cells
    assert all(stack.holds_nothing() for stack in stacks)
    eventually(lambda: not any(one.name == "labkit-attempt" for one in threading.enumerate()))
    assert max(cell.seconds for cell in cells) < DEADLINE_S + GENEROUS_S
    assert all(1 <= cell.attempts <= ATTEMPTS for cell in cells)
    if kind in ANSWERS:
        assert {str(cell) for cell in cells} == {"full, 1"}
    elif kind in LIMITS:
        assert {str(cell) for cell in cells} == {"canned, 1"}
    else:  # an answer that is none may fail its reader, but never passes for a full one
        assert all(cell.label != "full" for cell in cells) or kind == "no_message_stop"


def test_the_table_in_the_docs_is_what_happens(table: dict[tuple[str, int], list[Cell]]) -> None:
    """Drawn anew by `python -m tests.fault_matrix`."""
    if list(table) != CASES:
        pytest.fail("The whole module runs, or this test has nothing to compare.")
    assert DOCUMENT.read_text(encoding="utf-8") == document(table)

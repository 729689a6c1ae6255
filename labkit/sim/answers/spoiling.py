"""What a fault leaves of an answer: refused, empty, out of tokens, or paused.

These come over a sound wire with status 200, plain or streamed, and only `stop_reason`,
`stop_details` and the content tell.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.sim.answers.composed import Composed, first_blocks
from labkit.sim.answers.scripts import REFUSED
from labkit.sim.fault_kinds import STOPS
from labkit.sim.faults import Fault

__all__ = ["spoiled"]


def spoiled(composed: Composed, fault: Fault | None, model_name: str) -> Composed:
    """Return the answer as the fault leaves it; a fault of another kind leaves it as it is."""
    if fault is None or fault.kind not in STOPS:
        return composed
    tokens = fault.tokens_left(composed.output_tokens)
    hidden = composed.thinking_tokens
    said = () if fault.kind == "empty" else composed.content
    return replace(
        composed,
        content=first_blocks(said, tokens, model_name, hidden),
        stop_reason=STOPS[fault.kind],
        stop_sequence=None,
        stop_details=REFUSED if fault.kind == "refusal" else None,
        output_tokens=tokens,
        thinking_tokens=None if hidden is None else min(hidden, tokens),
    )

"""The request that creates a Message Batch, and what one of its rows may not ask for.

Only the list itself is judged at creation; each row's `params` are judged when the row is
processed, so a bad one is an errored result at the end (claude-api.md 6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.sim.problem import ApiError, invalid
from labkit.sim.validation.schema import array, mapping, string

__all__ = ["MOST_ROWS", "batch_complaint", "row_problems"]

MOST_ROWS = 100_000
OBJECT = mapping({}, extra=True)
CUSTOM_ID = string(pattern="[a-zA-Z0-9_-]{1,64}", most=64)
ROWS = array(
    mapping({"custom_id": CUSTOM_ID, "params": OBJECT}, extra=False), least=1, most=MOST_ROWS
)
CREATE = mapping({"requests": ROWS}, extra=False)


def batch_complaint(body: object) -> ApiError | None:
    """Return what is wrong with the body of a batch creation, None if nothing is."""
    problem = next(CREATE(body, ""), None)
    if problem is None and isinstance(body, dict):
        problem = next(_repeated(body["requests"]), None)
    return None if problem is None else invalid(problem)


def _repeated(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for place, row in enumerate(rows):
        first = seen.setdefault(row["custom_id"], place)
        if first != place:
            yield (
                f"requests.{place}.custom_id: '{row['custom_id']}' is already used by "
                f"requests.{first}; custom_id must be unique within a batch"
            )


def row_problems(params: Mapping[str, Any]) -> Iterator[str]:
    """Find what is allowed in a Messages request but not in a row of a batch.

    A `stream` that is false passes, as a recording shows.
    """
    if params.get("stream"):
        yield "stream: Streaming is not supported in a batch"
    for name in ("speed", "thread"):
        if params.get(name) is not None:
            yield f"{name}: Extra inputs are not permitted"
    for name in ("compaction", "context_management"):
        if params.get(name) is not None:
            yield f"{name}: what a batch makes of it is not established, and not simulated"
    if params.get("max_tokens") == 0:
        yield "max_tokens: Input should be greater than or equal to 1"

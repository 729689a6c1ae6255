"""Price per task: what a model really takes for the same work, tokens, effort and all.

A price per token compares nothing across generations: from Claude 4.7 on the same text is about a
third more tokens (claude-api.md 1.3), effort changes how many of them are thinking, and a wrong
answer is paid too.  So measure `usage` on your own tasks and compare dollars per task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

from labkit import catalog
from labkit.errors import UserError
from labkit.pricing import Usage, cost, total

__all__ = ["CHARACTERS_PER_TOKEN", "TaskPrice", "recounted", "task_price"]

CHARACTERS_PER_TOKEN = {"new": Decimal("2.5"), "old": Decimal("3.4")}
"""The official rules of thumb (claude-api.md 1.3); a text may be far from them."""


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """Mean dollars for a task, and for one that was solved; None where none was."""

    tasks: int
    solved: int
    per_task: Decimal
    per_solved: Decimal | None


def task_price(model: str, usages: Sequence[Usage], solved: Sequence[bool] = ()) -> TaskPrice:
    """Price tasks by what their answers used; without `solved` all of them count as solved.

    Use one list for each model and each effort.  Raises `UserError` for no usages or another
    number of results, and `UnknownModel` or `UnknownPrice` where there is no price.
    """
    if not usages or (solved and len(solved) != len(usages)):
        raise UserError("Give the usage of every task, and a result for each of them.")
    spent = total(cost(model, usage) for usage in usages)
    count = sum(solved) if solved else len(usages)
    return TaskPrice(
        tasks=len(usages),
        solved=count,
        per_task=spent / len(usages),
        per_solved=spent / count if count else None,
    )


def recounted(usage: Usage, model: str, other: str) -> tuple[Usage, bool]:
    """Return the usage of the same texts with another model, and whether that is an estimate.

    Within a generation of tokenizers the counts stay as they are.  Across, they are scaled by the
    rules of thumb, whole tokens rounded up.  Effort, thinking and the words are assumed the same.
    Raises `UserError` where a generation is not established, or for sub-calls, whose texts are
    not known.
    """
    before, after = catalog.model(model).tokenizer, catalog.model(other).tokenizer
    if before is None or after is None:
        raise UserError(
            f"The tokenizer of {model if before is None else other} is not established."
        )
    if usage.extras:
        raise UserError("What a sub-call would be with another model is not known.")
    if before == after:
        return usage, False
    factor = CHARACTERS_PER_TOKEN[before] / CHARACTERS_PER_TOKEN[after]

    def scaled(count: int) -> int:
        return ceil(count * factor)

    changed = replace(
        usage,
        input_tokens=scaled(usage.input_tokens),
        output_tokens=scaled(usage.output_tokens),
        cache_read_input_tokens=scaled(usage.cache_read_input_tokens),
        cache_creation_5m=scaled(usage.cache_creation_5m),
        cache_creation_1h=scaled(usage.cache_creation_1h),
    )
    return changed, True

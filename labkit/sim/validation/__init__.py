"""What the API refuses before any model is asked: a request in, a refusal or none out.

Judged in this order, the first fault decides: the shape of the body, the model, what the
messages are to each other, tools, prompt cache breakpoints, what the model may be asked, and
last the length of the prompt.  Nothing here raises, whatever JSON may hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from labkit.catalog import Model, model
from labkit.errors import UnknownModel
from labkit.sim.model_rules import model_rules
from labkit.sim.problem import ApiError, invalid, not_found
from labkit.sim.tokens import count_prompt
from labkit.sim.validation.batch import MOST_ROWS, batch_complaint, row_problems
from labkit.sim.validation.breakpoints import breakpoint_problems
from labkit.sim.validation.conversation import conversation_problems
from labkit.sim.validation.fit import LONG_OUTPUT, fit_problems
from labkit.sim.validation.request import request_check
from labkit.sim.validation.tool_pairs import tool_pair_problems
from labkit.sim.validation.tools import tool_problems

__all__ = ["LONG_OUTPUT", "MOST_ROWS", "VERSIONS", "batch_complaint", "complaint", "too_long"]

VERSIONS = ("2023-06-01", "2026-10-21")
"""The API versions there are; from the second on three more things are refused (3.4)."""


def complaint(
    body: object,
    *,
    version: str,
    today: date,
    counting: bool = False,
    batch: bool = False,
    betas: Collection[str] = (),
    prompt_tokens: int | None = None,
) -> ApiError | None:
    """Return what is wrong with a Messages body on a day, None if nothing is.

    `counting` is for the token counting endpoint, which refuses no length; `batch` for the
    `params` of a batch row.  `betas` are those of the request's header.  `prompt_tokens` saves
    counting the prompt again where it is known; whoever says 0 asks `too_long` later.  A retired
    model gets the 404 of an unknown one: how the real API words it is not established.
    """
    strict = version >= VERSIONS[1]
    try:
        problem = next(request_check(counting=counting, sampling=not strict)(body, ""), None)
        if problem is not None or not isinstance(body, dict):
            return invalid(problem or "Input should be an object")
        asked = _served(body["model"], today)
        if asked is None:
            return not_found(f"model: {body['model']}")
        problems = _problems(body, asked, today, strict=strict, batch=batch, betas=betas)
        problem = next(problems, None)
        if problem is None and not counting:
            tokens = count_prompt(body) if prompt_tokens is None else prompt_tokens
            return too_long(tokens, asked)
    except RecursionError:
        problem = "The request body is nested too deeply"
    return None if problem is None else invalid(problem)


def _served(name: str, today: date) -> Model | None:
    try:
        found = model(name)
    except UnknownModel:
        return None
    return None if found.lifecycle(today) == "retired" else found


def _problems(
    body: Mapping[str, Any],
    asked: Model,
    today: date,
    *,
    strict: bool,
    batch: bool,
    betas: Collection[str],
) -> Iterator[str]:
    rules = model_rules(asked)
    if batch:
        yield from row_problems(body)
    yield from conversation_problems(body, rules, strict=strict)
    yield from tool_pair_problems(body["messages"])
    yield from tool_problems(body)
    yield from breakpoint_problems(body)
    yield from fit_problems(body, asked, rules, today=today, batch=batch, betas=betas)


def too_long(tokens: int, asked: Model) -> ApiError | None:
    """Judge the prompt alone: with `max_tokens` it may pass the window and stop there later."""
    window = asked.context_window
    if window is None or tokens <= window:
        return None
    return invalid(f"prompt is too long: {tokens} tokens > {window} maximum")

"""What a well-formed request may not ask of the model it names.

Rules of claude-api.md 1.4, 5 and 6; the wording is the real API's where a recording, its
documentation or a public issue quotes it, and in the same style where none does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from labkit.catalog import Model
from labkit.sim.model_rules import ModelRules, snapshot

__all__ = ["LONG_OUTPUT", "fit_problems"]

LONG_OUTPUT = "output-300k-2026-03-24"
"""The beta that raises `max_tokens` in batches."""
LONGEST_OUTPUT = 300_000
GEOGRAPHIES = ("global", "us")
INSTEAD = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
DEFAULTS = {"temperature": 1, "top_p": 1}


def fit_problems(
    body: Mapping[str, Any],
    model: Model,
    rules: ModelRules,
    *,
    today: date,
    batch: bool,
    betas: Collection[str],
) -> Iterator[str]:
    """Find what this model refuses on this day."""
    long = batch and rules.long_batches and LONG_OUTPUT in betas
    yield from _length(body, model, LONGEST_OUTPUT if long else model.max_output)
    yield from _thinking(body, rules)
    yield from _effort(body, rules)
    yield from _forced(body, rules)
    yield from _sampling(body, rules)
    yield from _speed(body, model, rules, today)


def _length(body: Mapping[str, Any], model: Model, most: int | None) -> Iterator[str]:
    asked = body.get("max_tokens")
    if asked is not None and most is not None and asked > most:
        yield (
            f"max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens "
            f"for {snapshot(model)}"
        )
    if asked == 0:
        for name in _against_no_output(body):
            yield f"max_tokens: 0 cannot be combined with {name}"


def _against_no_output(body: Mapping[str, Any]) -> Iterator[str]:
    """Name what contradicts `max_tokens: 0`, which only fills the prompt cache."""
    if body.get("stream"):
        yield "stream"
    if (body.get("thinking") or {}).get("type") == "enabled":
        yield "thinking.type.enabled"
    if (body.get("output_config") or {}).get("format") or body.get("output_format"):
        yield "output_config.format"
    if _forces(body):
        yield "a tool_choice that forces tool use"


def _thinking(body: Mapping[str, Any], rules: ModelRules) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    kind = thinking.get("type")
    if kind is None:
        return
    if kind not in rules.thinking:
        yield _unsupported_thinking(kind, rules)
    effort = (body.get("output_config") or {}).get("effort")
    if kind in rules.capped_thinking and effort in ("xhigh", "max"):
        off = "disabled" if kind == "disabled" else f"'{kind}'"
        yield (
            f"output_config.effort '{effort}' is not supported when thinking is {off} on this "
            "model. Use effort 'high' or below, or enable thinking."
        )
    if kind == "enabled":
        if body.get("max_tokens") is not None and body["max_tokens"] <= thinking["budget_tokens"]:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`."
        if _forces(body):
            yield "Thinking may not be enabled when tool_choice forces tool use."


def _unsupported_thinking(kind: str, rules: ModelRules) -> str:
    if kind == "adaptive":
        return "adaptive thinking is not supported on this model"
    message = f'"thinking.type.{kind}" is not supported for this model.'
    if kind == "disabled" and "between_tools" in rules.thinking:
        return f'{message} Use "thinking.type.between_tools" instead.'
    return f"{message} {INSTEAD}" if "adaptive" in rules.thinking else message


def _effort(body: Mapping[str, Any], rules: ModelRules) -> Iterator[str]:
    effort = (body.get("output_config") or {}).get("effort")
    if effort is None or effort in rules.efforts:
        return
    if not rules.efforts:
        yield "This model does not support the effort parameter."
    levels = ", ".join(sorted(rules.efforts))
    yield f"This model does not support effort level '{effort}'. Supported levels: {levels}."


def _forces(body: Mapping[str, Any]) -> bool:
    return (body.get("tool_choice") or {}).get("type") in ("any", "tool")


def _forced(body: Mapping[str, Any], rules: ModelRules) -> Iterator[str]:
    if _forces(body) and not rules.forced_tools:
        yield 'tool_choice: type "tool" and "any" are not supported for this model.'


def _sampling(body: Mapping[str, Any], rules: ModelRules) -> Iterator[str]:
    """Refuse what is not the default: newer models on any API version, thinking on older ones."""
    for name in ("temperature", "top_p", "top_k"):
        value = body.get(name)
        if value is not None and value != DEFAULTS.get(name) and not rules.sampling:
            yield f"`{name}` is deprecated for this model."
    thinks = (body.get("thinking") or {}).get("type") == "enabled"
    if thinks and body.get("temperature", 1) not in (None, 1):
        yield "`temperature` may only be set to 1 when thinking is enabled."


def _speed(body: Mapping[str, Any], model: Model, rules: ModelRules, today: date) -> Iterator[str]:
    fast = rules.fast_until is not None and today < rules.fast_until
    if body.get("speed") == "fast" and not fast:
        yield "speed: 'fast' is not supported for this model."
    geography = body.get("inference_geo")
    if geography is not None and not model.us_only_inference:
        yield "inference_geo: This model does not support the inference_geo parameter."
    if geography is not None and geography not in GEOGRAPHIES:
        yield "inference_geo: Input should be 'global' or 'us'"

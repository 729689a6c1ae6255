"""What each model lets a request ask for, beyond what the catalogue says it is and costs.

    thinking   the types it takes; a `<` marks one refused at effort above high
    effort     which of the five levels of `output_config.effort` it takes
    fast       whether `speed: "fast"` is taken (Opus 4.6 takes it and runs at standard speed),
               or the day from which it no longer is
    allows     prefill: the last message may be the assistant's
               system: a system message may stand in mid-conversation
               forced: `tool_choice` may force a tool
               sampling: temperature, top_p, top_k may differ from their defaults
               long: `max_tokens` up to 300,000 in batches, with the beta header

Sources: claude-api.md 1.2 (fast) and 1.4; the table of rejected configurations in
platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting (September 2026); the
Haiku 5.5 and Sonnet 5.5 pages (October 2026); effort levels of 4.6 from a recording, of 4.5
from third-party measurements.  Fable and Mythos 5.2 are taken to be like 5.1, and the system
turn of Sonnet 5 is taken since it is answered with 200 there, though documented as without
effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

from labkit.catalog import Model

__all__ = ["ModelRules", "model_rules", "snapshot"]

RULES = """
model                     thinking                  effort   fast       allows
claude-fable-5-2          adaptive                  all      yes        system
claude-mythos-5-2         adaptive                  all      -          system
claude-haiku-5-5          adaptive,disabled<        all      -          system,forced,long
claude-sonnet-5-5         adaptive,between_tools<   all      -          system,long
claude-opus-5-5           adaptive                  all      yes        system,long
claude-fable-5-1          adaptive                  all      -          system
claude-mythos-5-1         adaptive                  all      -          system
claude-opus-5             adaptive,disabled<        all      yes        system,forced,long
claude-sonnet-5           adaptive,disabled         all      -          system,forced,long
claude-fable-5            adaptive                  all      -          system,forced
claude-mythos-5           adaptive                  all      -          system,forced
claude-opus-4-8           adaptive,disabled         all      2026-11-30 system,forced,long
claude-opus-4-7           adaptive,disabled         all      -          forced,long
claude-sonnet-4-6         adaptive,enabled,disabled no-xhigh -          forced,sampling,long
claude-opus-4-6           adaptive,enabled,disabled no-xhigh yes        forced,sampling,long
claude-opus-4-5           enabled,disabled          to-high  -          forced,sampling,prefill
claude-haiku-4-5          enabled,disabled          -        -          forced,sampling,prefill
claude-sonnet-4-5         enabled,disabled          -        -          forced,sampling,prefill
claude-mythos-preview     adaptive,enabled          -        -          forced,sampling
claude-opus-4-1           enabled,disabled          -        -          forced,sampling,prefill
claude-opus-4-0           enabled,disabled          -        -          forced,sampling,prefill
claude-sonnet-4-0         enabled,disabled          -        -          forced,sampling,prefill
claude-3-7-sonnet-latest  enabled,disabled          -        -          forced,sampling,prefill
claude-3-5-haiku-latest   disabled                  -        -          forced,sampling,prefill
claude-3-opus-latest      disabled                  -        -          forced,sampling,prefill
claude-3-haiku-20240307   disabled                  -        -          forced,sampling,prefill
"""
EFFORTS = {
    "all": ("low", "medium", "high", "xhigh", "max"),
    "no-xhigh": ("low", "medium", "high", "max"),
    "to-high": ("low", "medium", "high"),
    "-": (),
}
DATED = re.compile(r"-20\d{6}$")


@dataclass(frozen=True, slots=True)
class ModelRules:
    """The row of one model.

    `capped_thinking` are the types of `thinking` that are refused at effort xhigh and max;
    `fast_until` is the first day without fast mode, None for a model that never had it.
    """

    thinking: frozenset[str]
    capped_thinking: frozenset[str]
    efforts: tuple[str, ...]
    fast_until: date | None
    prefill: bool
    system_turns: bool
    forced_tools: bool
    sampling: bool
    long_batches: bool


def model_rules(model: Model) -> ModelRules:
    """Return the rules of a model of the catalogue."""
    return _rows()[model.id]


def snapshot(model: Model) -> str:
    """Return the id the API itself writes: the dated form where a model has one.

    >>> from labkit.catalog import model
    >>> snapshot(model("claude-haiku-4-5")), snapshot(model("claude-haiku-5-5"))
    ('claude-haiku-4-5-20251001', 'claude-haiku-5-5')
    """
    return _dated(model.names)


@cache
def _dated(names: tuple[str, ...]) -> str:
    return next((name for name in names if DATED.search(name)), names[0])


@cache
def _rows() -> Mapping[str, ModelRules]:
    header, *lines = RULES.strip().splitlines()
    rows = [dict(zip(header.split(), line.split(), strict=True)) for line in lines]
    return {row["model"]: _read(row) for row in rows}


def _read(row: Mapping[str, str]) -> ModelRules:
    thinking, allows = row["thinking"].split(","), row["allows"].split(",")
    ends = {"yes": date.max, "-": None}
    fast = row["fast"]
    return ModelRules(
        thinking=frozenset(kind.removesuffix("<") for kind in thinking),
        capped_thinking=frozenset(kind[:-1] for kind in thinking if kind.endswith("<")),
        efforts=EFFORTS[row["effort"]],
        fast_until=ends[fast] if fast in ends else date.fromisoformat(fast),
        prefill="prefill" in allows,
        system_turns="system" in allows,
        forced_tools="forced" in allows,
        sampling="sampling" in allows,
        long_batches="long" in allows,
    )

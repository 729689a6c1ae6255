"""Which rule answers a request, in this order; the first that applies decides.

    1. the script                            labkit.sim.answers.scripts
    2. a tool call                           labkit.sim.answers.tools
    3. JSON, where a schema is asked for     labkit.sim.answers.samples
    4. the report of tool results            labkit.sim.answers.tools
    5. classification                        labkit.sim.answers.classification
    6. a summary                             labkit.sim.answers.summaries
    7. "what is my <thing>?"                 labkit.sim.answers.plain
    8. arithmetic                            labkit.sim.answers.arithmetic
    9. a few sentences                       labkit.sim.answers.plain

Thinking comes before all of it where a request turns it on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from labkit.sim.answers.arithmetic import calculated
from labkit.sim.answers.classification import Labels, classified, read_labels
from labkit.sim.answers.composed import Block, Composed, finished
from labkit.sim.answers.hints import read_hints
from labkit.sim.answers.plain import answer, recall
from labkit.sim.answers.samples import sample
from labkit.sim.answers.scripts import REFUSED, Said, Script, scripted
from labkit.sim.answers.skills import SKILLS, Skill, skill_of
from labkit.sim.answers.summaries import summary, wants_summary
from labkit.sim.answers.thinking import signature, tells_thinking, thought
from labkit.sim.answers.tools import reported, tool_calls, tool_use
from labkit.sim.answers.turns import last_user_turn, mapped, tool_results
from labkit.sim.tokens import count_text

__all__ = ["compose"]


def compose(
    body: Mapping[str, Any],
    dice: random.Random,
    *,
    seed: int = 0,
    number: int = 1,
    script: Script | None = None,
    skills: Mapping[str, Skill] = SKILLS,
    prompt_tokens: int | None = None,
) -> Composed:
    """Return what the API says to request `number` (from 1), a valid Messages body.

    `dice` are the request's own and choose sentences and ids; `number` is for the script; skills
    (by line of models) and memory follow from `seed` and the request.  `prompt_tokens` lets an
    answer end at the edge of the context window.  Raises `UserError` for a script that makes no
    sense.
    """
    said = scripted(script, body, number) if script else None
    if said is None:
        said = _ruled(body, dice, seed, skills)
    blocks = tuple(_completed(each, dice) for each in said.blocks)
    calls = any(each["type"] == "tool_use" for each in blocks)
    reason = said.stop_reason or ("tool_use" if calls else "end_turn")
    details = REFUSED if reason == "refusal" and said.stop_details is None else said.stop_details
    blocks, thinking_tokens = _with_thinking(blocks, body, dice)
    draft = Composed(blocks, reason, stop_details=details, thinking_tokens=thinking_tokens)
    return finished(draft, body, prompt_tokens=prompt_tokens)


def _ruled(
    body: Mapping[str, Any], dice: random.Random, seed: int, skills: Mapping[str, Skill]
) -> Said:
    calls = tool_calls(body, dice)
    if calls:
        return Said(calls)
    schema = _schema(body)
    skill = skill_of(str(body["model"]), skills)
    if schema is not None:
        result = _result(body, skill, seed, read_labels(last_user_turn(body)))
        hints = read_hints(body, () if result is None else (result,))
        return Said(json.dumps(sample(schema, hints), separators=(",", ":"), ensure_ascii=False))
    results = tool_results(body)
    if results:
        return Said(reported(results))
    labels = read_labels(last_user_turn(body))
    if labels is None and wants_summary(body):
        return Said(summary(body, skill, seed=seed))
    result = recall(body) if labels is None else None
    if result is None:
        result = _result(body, skill, seed, labels)
    return Said(answer(body, dice) if result is None else result)


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON Schema a request asks for; `output_format` is its beta name."""
    for asked in (mapped(body.get("output_config")).get("format"), body.get("output_format")):
        if mapped(asked).get("type") == "json_schema":
            return mapped(mapped(asked).get("schema"))
    return None


def _result(body: Mapping[str, Any], skill: Skill, seed: int, labels: Labels | None) -> str | None:
    """Return the label or the number a request asks for, None if it asks for neither."""
    turn, name = last_user_turn(body), str(body["model"])
    if labels is not None:
        return classified(turn, labels, right=skill.right, seed=seed, model=name)
    return calculated(turn, right=skill.right, seed=seed, model=name)


def _completed(block: Block, dice: random.Random) -> Block:
    """Return a block with the id or the signature that it lacks."""
    if block["type"] == "tool_use" and "id" not in block:
        return tool_use(block["name"], block["input"], dice)
    if block["type"] == "thinking" and "signature" not in block:
        return {**block, "signature": signature(dice)}
    return block


def _with_thinking(
    blocks: tuple[Block, ...], body: Mapping[str, Any], dice: random.Random
) -> tuple[tuple[Block, ...], int | None]:
    """Return the blocks behind their thinking, and the tokens of it."""
    name = str(body["model"])
    told = [each for each in blocks if each["type"] in ("thinking", "redacted_thinking")]
    if told:
        return blocks, sum(count_text(str(each.get("thinking", "")), name) for each in told)
    thinking = thought(body, dice)
    if thinking is None:
        return blocks, 0 if tells_thinking(body) else None
    text, is_shown = thinking
    block = {
        "type": "thinking",
        "thinking": text if is_shown else "",
        "signature": signature(dice),
    }
    return (block, *blocks), count_text(text, name)

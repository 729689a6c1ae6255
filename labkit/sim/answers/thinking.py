"""Thinking: a block that says it is simulated, where a request turns thinking on.

On means `adaptive` (except at effort low), `enabled` before tools are called, and
`between_tools` once their results are back.  The text is shown where `display` asks for it;
without a `display` it is shown by the models before 4.7 and left out by later ones, as in real
recordings.  Its length follows effort.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from labkit.catalog import model
from labkit.errors import UnknownModel
from labkit.sim.answers.plain import SENTENCES
from labkit.sim.answers.turns import last_user_turn, mapped, tool_results

__all__ = ["SIGNATURE", "signature", "tells_thinking", "thought"]

SIGNATURE = "simulated-signature-"
"""What every signature begins with."""
SENTENCES_BY_EFFORT = {"low": 1, "medium": 2, "high": 4, "xhigh": 6, "max": 8}
"""Assumed."""


def _thinks(body: Mapping[str, Any]) -> bool:
    """Say whether a request turns thinking on."""
    return mapped(body.get("thinking")).get("type") in ("enabled", "adaptive", "between_tools")


def tells_thinking(body: Mapping[str, Any]) -> bool:
    """Say whether the usage tells the tokens of thinking, be they none.

    In recordings it does where thinking is turned on, and on the models from 4.7 on always.
    """
    return _thinks(body) or _is_new(str(body["model"]))


def thought(body: Mapping[str, Any], dice: random.Random) -> tuple[str, bool] | None:
    """Return (the whole text of the thinking, whether it is shown), None for no thinking."""
    asked, effort = mapped(body.get("thinking")), _effort(body)
    kind = asked.get("type")
    if not _thinks(body) or (kind == "adaptive" and effort == "low"):
        return None
    if kind != "adaptive" and bool(tool_results(body)) != (kind == "between_tools"):
        return None
    topic = " ".join(last_user_turn(body).split()[:8])
    about = f'Simulated thinking about "{topic}".'
    said = dice.sample(SENTENCES, SENTENCES_BY_EFFORT[effort])
    return " ".join([about, *said]), _is_shown(str(body["model"]), asked.get("display"))


def signature(dice: random.Random) -> str:
    """Return the signature of a thinking block: opaque, and honest about it."""
    return f"{SIGNATURE}{dice.getrandbits(256):064x}"


def _effort(body: Mapping[str, Any]) -> str:
    effort = mapped(body.get("output_config")).get("effort")
    return effort if isinstance(effort, str) and effort in SENTENCES_BY_EFFORT else "medium"


def _is_shown(model_name: str, display: object) -> bool:
    if isinstance(display, str):
        return display != "omitted"
    return not _is_new(model_name)


def _is_new(model_name: str) -> bool:
    try:
        return model(model_name).tokenizer != "old"
    except UnknownModel:
        return True

"""Recorded requests sent to the simulator, under the circumstances of their recording.

The clock shows the recorded day, so that models are served that have been retired since.  What
the model said is scripted, since the wire is what is compared; a recorded error comes from the
matching fault of the timeline.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.sim.answers import Said
from labkit.sim.answers.scripts import STOP_REASONS
from labkit.sim.core import BAD_KEY, SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.sim.recorded_exchanges import Recorded, events, whole_message

STAND_IN = {b"claude-3-5-sonnet-20240620": b"claude-3-5-haiku-20241022"}
"""Models that the catalogue does not hold, and who is asked in their place."""
BATCH_ID = re.compile(r"msgbatch_\w+")
LATER = 3600.0
"""Seconds after which a small simulated batch has ended."""
SMALL_TIER = "ruby_llm--error_429_input_tokens_per_minute.yml"
"""Recorded with an account whose whole minute was less than the request; the others' is large."""
FAULTS = {500: "internal", 529: "overloaded"}
COMPACTION = "compact-2026-01-12"
"""The header without which there is no compaction; one recording did not keep its headers."""
SAYABLE = ("text", "thinking", "redacted_thinking", "tool_use")


def replay(exchanges: Sequence[Recorded]) -> list[Reply]:
    """Send one file's requests in order, and return the simulator's replies."""
    times = _times(exchanges)
    api = SimulatedApi(
        script={n: said for n, each in enumerate(exchanges, 1) if (said := _said(each))},
        faults=[f for each, at in zip(exchanges, times, strict=True) for f in _faults(each, at)],
        tier="start" if exchanges[0].name == SMALL_TIER else "scale",
    )
    names: dict[str, str] = {}
    return [_sent(api, each, at, names) for each, at in zip(exchanges, times, strict=True)]


def _times(exchanges: Sequence[Recorded]) -> list[float]:
    """Return the times to send at: never backwards, and late enough for an ended batch."""
    times: list[float] = []
    for each in exchanges:
        wait = LATER if "/batches/" in each.path and '"in_progress"' not in each.body else 0.0
        at = each.at + (wait if '"canceling"' not in each.body else 0.0)
        times.append(max([at, *(before + 0.001 for before in times[-1:])]))
    return times


def _sent(api: SimulatedApi, each: Recorded, at: float, names: dict[str, str]) -> Reply:
    key = BAD_KEY if each.status == 401 else "k"
    beta = {"anthropic-beta": COMPACTION} if b"compact_20260112" in each.content else {}
    headers = {"anthropic-version": "2023-06-01", **beta, **each.sent, "x-api-key": key}
    if each.method == "GET" and each.path.startswith("/v1/messages/batches?"):
        _create_a_batch(api, headers, at)
    path = BATCH_ID.sub(lambda found: names[found[0]], each.path)
    content = each.content
    for name, other in STAND_IN.items():
        content = content.replace(name, other)
    reply = api.reply(each.method, path, headers, content, at)
    if each.method == "POST" and path == "/v1/messages/batches" and each.status == 200:
        names[json.loads(each.body)["id"]] = json.loads(reply.body)["id"]
    return reply


def _create_a_batch(api: SimulatedApi, headers: Mapping[str, str], at: float) -> None:
    """Have a batch there, as there was one before the recording of the list."""
    turn = {"role": "user", "content": "Hello."}
    params = {"model": "claude-3-5-haiku-20241022", "max_tokens": 9, "messages": [turn]}
    content = json.dumps({"requests": [{"custom_id": "one", "params": params}]}).encode()
    assert api.reply("POST", "/v1/messages/batches", headers, content, at - 60).status == 200


def _faults(each: Recorded, at: float) -> list[Fault]:
    """Return the fault that makes the simulator fail where the real API did."""
    kind = FAULTS.get(each.status)
    if each.body.startswith("event: error"):
        kind = "stream_error"
    wait = each.headers.get("retry-after") if each.status == 429 else None
    if wait is not None:
        kind = "rate_limited"
    if kind is None:
        return []
    wait_s = None if wait is None else float(wait)
    return [Fault(kind, start=at, end=at + 0.0005, retry_after=wait_s)]


def _said(each: Recorded) -> Said | None:
    """Return what the model said, None where it said nothing or what cannot be scripted."""
    if each.status != 200 or not re.fullmatch(r"/v1/messages(\?.*)?", each.path):
        return None
    message = whole_message(events(each.body)) if each.is_stream else json.loads(each.body)
    blocks = message.get("content", [])
    if not all(block["type"] in SAYABLE for block in blocks):
        return None
    reason = message.get("stop_reason")
    if reason == "stop_sequence":
        blocks = [*blocks, {"type": "text", "text": message["stop_sequence"]}]
        reason = None
    elif reason not in STOP_REASONS:
        reason = None
    return Said([_block(block) for block in blocks], reason, message.get("stop_details"))


def _block(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a block as a script says it: a tool call without its id gets one of its own."""
    if block["type"] == "tool_use":
        return {"type": "tool_use", "name": block["name"], "input": block["input"]}
    return block

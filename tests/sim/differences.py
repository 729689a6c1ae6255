"""What differs between a recorded answer and a simulated one: names, formats, keys, patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from labkit.sim.reply import Reply
from tests.sim.recorded_exchanges import Recorded, events, whole_message

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
HIDDEN = r"REDACTED|<[A-Z_]+>"
FORMATS = {
    "date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
    "request-id": rf"req_\w{{24}}|{HIDDEN}",
    "anthropic-organization-id": rf"[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}|{HIDDEN}",
    "anthropic-workspace-id": rf"wrkspc_\w+|{HIDDEN}",
    "anthropic-ratelimit-requests-limit": r"\d+",
    "anthropic-ratelimit-requests-remaining": r"\d+",
    "retry-after": r"[1-9]\d*",
    "x-envoy-upstream-service-time": r"\d+",
    "content-disposition": r"attachment; filename\*=utf-8''msgbatch_\w{24}_results\.jsonl",
}
for _kind in ("tokens", "input-tokens", "output-tokens"):
    FORMATS[f"anthropic-ratelimit-{_kind}-limit"] = r"[1-9]\d*000"
    FORMATS[f"anthropic-ratelimit-{_kind}-remaining"] = r"[1-9]\d*000|0"
FORMATS |= {
    f"anthropic-ratelimit-{_kind}-reset": TIME
    for _kind in ("requests", "tokens", "input-tokens", "output-tokens")
}
"""How values look; those of any other header that both send must be equal."""
VALUES = (".type", ".role", ".model", ".stop_reason", ".stop_sequence", ".error.type")
"""What must be equal, not only be there."""
FREE = re.compile(r"\.(content\[\]|content_block)\.input\.|\.message\.content\[\]\.input\.")
"""Keys of a tool's own arguments."""


def differences(real: Recorded, ours: Reply) -> Iterator[str]:
    """Name each thing in which a simulated answer is not like the recorded one."""
    if ours.status != real.status:
        yield f"status {ours.status} for {real.status}"
        return
    yield from _headers(real, ours)
    text = ours.body.decode()
    if real.is_stream:
        yield from _streams(events(real.body), events(text))
        yield from _caching(whole_message(events(real.body)), whole_message(events(text)))
    else:
        yield from _bodies(_lines(real), text.splitlines())


def _headers(real: Recorded, ours: Reply) -> Iterator[str]:
    for name in sorted(set(real.headers) - set(ours.headers)):
        yield f"header left out: {name}"
    for name in sorted(set(ours.headers) - set(real.headers) if real.is_whole else ()):
        yield f"header added: {name}"
    for name in sorted(set(ours.headers) & set(real.headers)):
        for value in (ours.headers[name], real.headers[name]):
            if not re.fullmatch(FORMATS.get(name, re.escape(real.headers[name])), value):
                yield f"header {name}: {value}"


def _lines(real: Recorded) -> list[str]:
    is_lines = real.headers.get("content-type") == "application/x-jsonl"
    return real.body.splitlines() if is_lines else [real.body]


def _bodies(real: list[str], ours: list[str]) -> Iterator[str]:
    if len(real) != len(ours):
        yield f"{len(ours)} lines for {len(real)}"
    for one, other in zip(map(json.loads, real), map(json.loads, ours), strict=False):
        yield from _keys("key", set(key_paths(one)), set(key_paths(other)))
        yield from _values(one, other)
        yield from _caching(one, other)


def _keys(what: str, real: set[str], ours: set[str]) -> Iterator[str]:
    for path in sorted(real - ours):
        yield f"{what} left out: {path}"
    for path in sorted(ours - real):
        yield f"{what} added: {path}"


def _values(real: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    for path in VALUES:
        one, other = real, ours
        for name in path.split(".")[1:]:
            one, other = one.get(name, {}), other.get(name, {})
        if one != other:
            yield f"value of {path}: {other!r} for {one!r}"


def _caching(real: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """Compare whether anything was read from the prompt cache, written to it, or was neither."""
    for what, name in (
        ("reads", "cache_read_input_tokens"),
        ("writes", "cache_creation_input_tokens"),
        ("input", "input_tokens"),
    ):
        one, other = (bool(each.get("usage", {}).get(name)) for each in (real, ours))
        if one != other:
            yield f"value of cache {what}: {other} for {one}"


def _streams(real: list[dict[str, Any]], ours: list[dict[str, Any]]) -> Iterator[str]:
    if pattern(real) != pattern(ours):
        yield f"events {pattern(ours)} for {pattern(real)}"
    one, other = _event_paths(real), _event_paths(ours)
    for name in sorted(set(one) & set(other)):
        yield from _keys(f"{name} key", one[name], other[name])
    for name in ("message_start", "message_delta"):
        pairs = [[e for e in told if e["type"] == name] for told in (real, ours)]
        for first, second in zip(*pairs, strict=False):
            part = {"message_start": "message", "message_delta": "delta"}[name]
            yield from _values(first[part], second[part])


def _event_paths(told: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for event in told:
        inner = event.get("content_block") or event.get("delta") or {}
        name = " ".join(filter(None, (event["type"], inner.get("type"))))
        found.setdefault(name, set()).update(key_paths(event))
    return found


def key_paths(value: Any, at: str = "") -> Iterator[str]:
    """List the path of every key in a JSON value, but for the arguments of tools."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not FREE.match(path := f"{at}.{key}"):
                yield path
                yield from key_paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, f"{at}[]")


def pattern(told: list[dict[str, Any]]) -> str:
    """Spell the order of events, deltas of a kind in a row as one, pings (which may stand
    anywhere) left out."""
    letters = {"message_start": "S", "message_delta": "M", "message_stop": "Z"}
    letters |= {"content_block_stop": "E", "error": "X"}
    spelled = []
    for event in told:
        if event["type"] == "content_block_start":
            spelled.append(f"B({event['content_block']['type']})")
        elif event["type"] == "content_block_delta":
            spelled.append(f"D({event['delta']['type'].removesuffix('_delta')})")
        elif event["type"] != "ping":
            spelled.append(letters[event["type"]])
    return " ".join(letter for letter, _ in groupby(spelled))

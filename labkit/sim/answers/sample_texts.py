"""A text that fits a JSON Schema: of the right length, or in the format asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.sim.answers.hints import Hints

__all__ = ["FORMATS", "sample_text"]

FORMATS: Mapping[str, str] = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "00:00:00Z",
    "uri": "https://example.com/simulated",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""What stands for each format, from the ranges that are reserved for examples."""
LONGEST = 10_000


def sample_text(rules: Mapping[str, Any], name: str, hints: Hints, place: int) -> str:
    """Return a text for a field called `name`; `place` tells apart those of one list."""
    kind = rules.get("format")
    if isinstance(kind, str) and kind in FORMATS:
        return FORMATS[kind]
    least, most = _length(rules, "minLength", 0), _length(rules, "maxLength", LONGEST)
    for text in hints.texts(name) if place == 0 else ():
        if least <= len(text) <= most:
            return text
    text = f"simulated {name.replace('_', ' ')}".strip()
    if place:
        text = f"{place + 1} {text}"
    return text.ljust(min(least, LONGEST), ".")[:most]


def _length(rules: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = rules.get(name)
    usable = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if usable and value is not None else otherwise

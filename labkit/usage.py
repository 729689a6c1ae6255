"""What one request used, in the API's own terms, ready to be priced.

`Usage.from_api` reads the `usage` of a Message or of a stream's last `message_delta`, as a
mapping or as the SDK's model.  Every field the API may leave out is optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from labkit.errors import UserError

__all__ = ["SubUsage", "Usage"]

MOST_TOKENS = 10**15


@dataclass(frozen=True, slots=True)
class SubUsage:
    """A sub-call the API made on the way, billed on top of the request's own numbers.

    `kind` is the API's word for it: "compaction" (by the same model, `model` None) or
    "advisor_message" (by the model named).
    """

    kind: str
    model: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens and searches of one request.

    `input_tokens` are the uncached ones; the whole prompt is `prompt_tokens`.
    `thinking_tokens` lie inside `output_tokens` and are for information.
    `cache_split_assumed` says that some cache writes came without their lifetime and count as
    five-minute ones.  `unpriceable` says why no price is known, None when nothing stands in
    the way.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m: int = 0
    cache_creation_1h: int = 0
    thinking_tokens: int | None = None
    web_search_requests: int = 0
    web_fetch_requests: int = 0
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    extras: tuple[SubUsage, ...] = ()
    cache_split_assumed: bool = False
    unpriceable: str | None = None

    @property
    def cache_creation_input_tokens(self) -> int:
        """Tokens written to the prompt cache, both lifetimes together."""
        return self.cache_creation_5m + self.cache_creation_1h

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt: uncached tokens, cache reads and cache writes."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    @classmethod
    def from_api(cls, source: object) -> Usage:
        """Read the API's `usage`, a mapping or the SDK's model of one.

        Raises `UserError` when a count is not a whole number of tokens, a needed one is
        missing, or the cache-write counts contradict each other.
        """
        usage = cls._own(source)
        details = _get(source, "output_tokens_details")
        tools = _get(source, "server_tool_use")
        usage = replace(
            usage,
            thinking_tokens=_optional_count(details, "thinking_tokens"),
            web_search_requests=_optional_count(tools, "web_search_requests") or 0,
            web_fetch_requests=_optional_count(tools, "web_fetch_requests") or 0,
            service_tier=_text(source, "service_tier"),
            speed=_text(source, "speed"),
            inference_geo=_text(source, "inference_geo"),
        )
        return _with_sub_calls(usage, source)

    @classmethod
    def _own(cls, source: object) -> Usage:
        """Read the token counts alone, which a request and a sub-call share."""
        five_minutes, one_hour, assumed = _cache_writes(source)
        return cls(
            input_tokens=_count(source, "input_tokens"),
            output_tokens=_count(source, "output_tokens"),
            cache_read_input_tokens=_optional_count(source, "cache_read_input_tokens") or 0,
            cache_creation_5m=five_minutes,
            cache_creation_1h=one_hour,
            cache_split_assumed=assumed,
        )


def _with_sub_calls(usage: Usage, source: object) -> Usage:
    """Add what the top-level numbers leave out, or the reason why no price is known.

    The top-level numbers already hold the sum of the "message" entries.
    """
    extras = []
    for entry in _entries(source):
        kind, model = _text(entry, "type"), _text(entry, "model")
        if kind == "message":
            continue
        if kind == "compaction" or (kind == "advisor_message" and model):
            own = replace(
                Usage._own(entry),
                service_tier=usage.service_tier,
                inference_geo=usage.inference_geo,
                speed=usage.speed if kind == "compaction" else None,
            )
            extras.append(SubUsage(kind, model if kind == "advisor_message" else None, own))
        else:
            usage = replace(usage, unpriceable=f"how a {kind!r} iteration is billed")
    if _get(source, "fallback_credit") is not None:
        usage = replace(usage, unpriceable="what a fallback credit takes off the bill")
    return replace(usage, extras=tuple(extras))


def _entries(source: object) -> list[object]:
    entries = _get(source, "iterations")
    return list(entries) if isinstance(entries, list | tuple) else []


def _cache_writes(source: object) -> tuple[int, int, bool]:
    """Give five-minute writes, one-hour writes, and whether a lifetime had to be assumed."""
    total = _optional_count(source, "cache_creation_input_tokens")
    split = _get(source, "cache_creation")
    five_minutes = _optional_count(split, "ephemeral_5m_input_tokens") or 0
    one_hour = _optional_count(split, "ephemeral_1h_input_tokens") or 0
    unsaid = 0 if total is None else total - five_minutes - one_hour
    if unsaid < 0:
        raise UserError(
            f"The usage contradicts itself: cache_creation adds up to {five_minutes + one_hour} "
            f"tokens, cache_creation_input_tokens says {total}."
        )
    return five_minutes + unsaid, one_hour, unsaid > 0


def _get(source: object, name: str) -> Any:
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def _text(source: object, name: str) -> str | None:
    value = _get(source, name)
    return value if isinstance(value, str) else None


def _count(source: object, name: str) -> int:
    count = _optional_count(source, name)
    if count is None:
        raise UserError(f"The usage has no {name}.")
    return count


def _optional_count(source: object, name: str) -> int | None:
    value = _get(source, name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise UserError(f"The usage has {name} = {value!r:.40}, which is no count of tokens.")
    return value

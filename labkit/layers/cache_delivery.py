"""What a caller gets of a cached answer: the kind of object asked for, and the reason on it."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic import APIRequest, types

from labkit.layers.ready import CACHE, AsyncReadyStream, ReadyStream, label_of

__all__ = ["delivered", "to_be_labelled", "why"]

RAW = "X-Stainless-Raw-Response"


def why(answer: object) -> str | None:
    """Return why a response cache had an answer or not, None where none was asked.

    `answer` is a Message or a stream.  It begins with the verdict: "hit: stored 12 s ago".
    """
    return label_of(answer, CACHE)


def delivered(answer: object, request: APIRequest, *, is_async: bool) -> Any:
    """Return a ready Message as what the call asked for: a stream, a beta's or a parsed one."""
    if not isinstance(answer, types.Message):
        return answer
    asked, parse = request.cast_to, request.options.post_parser
    made: anthropic.BaseModel = answer
    if isinstance(asked, type) and issubclass(asked, anthropic.BaseModel):
        fields: dict[str, Any] = answer.to_dict()
        made = asked.construct(**fields)
    if request.stream:
        return AsyncReadyStream(made) if is_async else ReadyStream(made)
    return parse(made) if callable(parse) else made


def to_be_labelled(answer: object, request: APIRequest) -> bool:
    """Say whether an answer is a response whose Message wants the label of its response."""
    is_response = isinstance(answer, (anthropic.APIResponse, anthropic.AsyncAPIResponse))
    return is_response and not request.stream and why(answer) is not None

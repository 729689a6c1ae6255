"""What a caller gets of a cached answer: the kind of object asked for, and the reason on it."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic import APIRequest, AsyncCallNext, CallNext, types

from labkit.drivers import Layer
from labkit.layers.ready import CACHE, AsyncReadyStream, ReadyStream, label_of, put_label

__all__ = ["Delivering", "why"]


def why(answer: object) -> str | None:
    """Return why a response cache had an answer or not, None where none was asked.

    `answer` is a Message or a stream.  It begins with the verdict: "hit: stored 12 s ago".
    """
    return label_of(answer, CACHE)


def _delivered(answer: object, request: APIRequest, *, is_async: bool) -> Any:
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


def _to_be_labelled(answer: object, request: APIRequest) -> bool:
    """Say whether an answer is a response whose Message wants the label of its response."""
    is_response = isinstance(answer, (anthropic.APIResponse, anthropic.AsyncAPIResponse))
    return is_response and not request.stream and why(answer) is not None


class Delivering(Layer):
    """A layer that answers with ready Messages and labels the others, for both clients."""

    def handle(self, request: APIRequest, call_next: CallNext) -> Any:
        """Drive the flow for the sync client, and give what its call asked for."""
        answer = _delivered(super().handle(request, call_next), request, is_async=False)
        if _to_be_labelled(answer, request):
            put_label(answer.parse(), why(answer) or "", CACHE)
        return answer

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> Any:
        """Drive the flow for the async client, and give what its call asked for."""
        answer = _delivered(await super().handle_async(request, call_next), request, is_async=True)
        if _to_be_labelled(answer, request):
            put_label(await answer.parse(), why(answer) or "", CACHE)
        return answer

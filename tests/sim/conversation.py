"""One conversation that uses most of the API, for either client of the official Python SDK.

`typescript/conversation.mjs` is the same in the other language: all must come to one transcript.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import anthropic

__all__ = ["converse"]

POLL_S = 0.1
QUESTION = "What is the capital of France?"
SMALL = {"model": "claude-haiku-5-5", "max_tokens": 300}
TOOL = {
    "name": "get_weather",
    "description": "Current weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


async def converse(client: Any) -> dict[str, Any]:
    """Hold the conversation with `Anthropic` or `AsyncAnthropic`; return its transcript."""
    # The first attempt gets a 429 with retry-after, the second a 529: the SDK's own retries.
    after_retries = told(await settled(client.messages.create(**says(QUESTION))))
    counted = {key: value for key, value in says(QUESTION).items() if key != "max_tokens"}
    return {
        "after_retries": after_retries,
        "streams": await streams(client),
        "tools": await tools(client),
        "counted": (await settled(client.messages.count_tokens(**counted))).input_tokens,
        "models": [each.id for each in await everything(client.models.list(limit=3))],
        "model": (await settled(client.models.retrieve("claude-haiku-4-5"))).id,
        "unknown": await refused(client.messages.create, **{**says(QUESTION), "model": "claude-9"}),
        "batches": await batches(client),
    }


def says(text: str) -> dict[str, Any]:
    """Return a request in which the user says something."""
    return {**SMALL, "messages": [{"role": "user", "content": text}]}


def told(message: Any) -> dict[str, Any]:
    """Return what is kept of a message."""
    return {
        "id": message.id,
        "model": message.model,
        "stop_reason": message.stop_reason,
        "content": [
            block.model_dump(include={"type", "text", "id", "name", "input"})
            for block in message.content
        ],
        "input_tokens": message.usage.input_tokens,
        "output_tokens": message.usage.output_tokens,
    }


async def settled(value: Any) -> Any:
    """Await what an async client returns; a sync one has it already."""
    return await value if inspect.isawaitable(value) else value


async def everything(things: Any) -> list[Any]:
    """List what a client iterates over, page after page."""
    if hasattr(things, "__aiter__"):
        return [thing async for thing in things]
    return list(things)


async def streams(client: Any) -> dict[str, Any]:
    """Read one answer with the streaming helper, and one as raw events."""
    manager = client.messages.stream(**says(QUESTION))
    if hasattr(manager, "__aenter__"):
        async with manager as stream:
            text = "".join([piece async for piece in stream.text_stream])
            final = await stream.get_final_message()
    else:
        with manager as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
    raw = await settled(client.messages.create(**says(QUESTION), stream=True))
    events = [event.type for event in await everything(raw)]
    return {"text": text, "final": told(final), "events": events}


async def tools(client: Any) -> list[dict[str, Any]]:
    """Let a tool be called, and report its result."""
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Berlin?"}]
    ask = {**SMALL, "tools": [TOOL], "messages": messages}
    call = await settled(client.messages.create(**ask))
    used = next(block for block in call.content if block.type == "tool_use")
    messages.append({"role": "assistant", "content": call.content})
    result = {"type": "tool_result", "tool_use_id": used.id, "content": "Rain, 9 degrees"}
    messages.append({"role": "user", "content": [result]})
    answer = await settled(client.messages.create(**ask))
    return [told(call), told(answer)]


async def refused(call: Any, *args: Any, **options: Any) -> dict[str, Any]:
    """Make a call that is refused; return the kind of the error."""
    try:
        await settled(call(*args, **options))
    except anthropic.APIStatusError as error:
        return {"kind": type(error).__name__, "status": error.status_code, "type": error.type}
    raise AssertionError("it was not refused")


async def batches(client: Any) -> dict[str, Any]:
    """Send two batches, cancel one, and wait for the other and fetch its results."""
    api = client.messages.batches
    requests = [{"custom_id": name, "params": says(f"Row {name}")} for name in "abc"]
    batch = await settled(api.create(requests=requests))
    early = await refused(api.delete, batch.id)
    other = await settled(api.create(requests=requests[:1]))
    listed = await everything(api.list(limit=1))
    canceled = await settled(api.cancel(other.id))
    while batch.processing_status != "ended":
        await asyncio.sleep(POLL_S)
        batch = await settled(api.retrieve(batch.id))
    rows = await everything(await settled(api.results(batch.id)))
    deleted = await settled(api.delete(batch.id))
    return {
        "listed": [each.id for each in listed],
        "canceled": canceled.processing_status,
        "early": early,
        "counts": batch.request_counts.model_dump(),
        "rows": [[row.custom_id, row.result.type, told(row.result.message)] for row in rows],
        "deleted": deleted.type,
    }

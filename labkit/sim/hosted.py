"""What the server does to a conversation besides answering it: edit, compact, keep.

Requests that ask for nothing of it never come here.  The parts are `labkit.sim.context_editing`,
`labkit.sim.compaction` and `labkit.sim.threads`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from labkit.sim.answers import Composed, compose
from labkit.sim.compaction import (
    billed_apart,
    block_problem,
    compacted,
    demand_problem,
    in_effect,
    in_words,
    iteration,
    threshold,
)
from labkit.sim.context_editing import edited
from labkit.sim.dates import today
from labkit.sim.faults import Fault
from labkit.sim.messages_api import MessagesApi
from labkit.sim.problem import ApiError, invalid
from labkit.sim.reply import Reply
from labkit.sim.routes import Call, json_reply
from labkit.sim.threads import Threads
from labkit.sim.tokens import count_prompt
from labkit.sim.validation import complaint
from labkit.sim.validation.hosted import EDITING, hosted_problems

__all__ = ["Hosted", "asks_for_hosting"]

FIELDS = ("compaction", "context_management", "thread")
MARKS = tuple(f'"{name}"'.encode() for name in FIELDS)
Body = Mapping[str, Any]


def asks_for_hosting(body: object, call: Call) -> bool:
    """Say whether a request has to do with any of it; plain bytes are searched first."""
    if EDITING in call.headers.get("anthropic-beta", ""):
        return isinstance(body, dict)
    plain = "content-encoding" not in call.headers
    if not isinstance(body, dict) or (plain and not any(mark in call.content for mark in MARKS)):
        return False
    return any(body.get(name) is not None for name in FIELDS) or _has_block(body.get("messages"))


def _has_block(messages: object) -> bool:
    listed = messages if isinstance(messages, list) else []
    turns = [each for each in listed if isinstance(each, dict)]
    contents = [each["content"] for each in turns if isinstance(each.get("content"), list)]
    blocks = [block for content in contents for block in content if isinstance(block, dict)]
    return any(block.get("type") == "compaction" for block in blocks)


class Hosted:
    """Answers the requests whose context the server manages."""

    def __init__(self, messages: MessagesApi) -> None:
        self.messages = messages
        self.threads = Threads()

    def answer(
        self, call: Call, body: dict[str, Any], now: float, fault: Fault | None, latency_s: float
    ) -> Reply | ApiError:
        """Return the reply; `latency_s` is that of counting tokens."""
        counting = call.path.endswith("/count_tokens")
        problem = next(hosted_problems(body, call.betas), None)
        if problem is not None:
            return invalid(problem)
        whole: Body | ApiError = body
        if body.get("thread") is not None and not counting:
            whole = self.threads.resolve(body, now)
        if isinstance(whole, ApiError):
            return whole
        managed = body.get("context_management") is not None or EDITING in call.betas
        refused = demand_problem(whole.get("messages")) if _on_demand(whole) else None
        refused = refused or _complaint(whole, call, today(now), counting)
        refused = refused or block_problem(whole["messages"])
        if refused is not None:
            return refused
        meant = {**whole, "messages": in_effect(whole["messages"])}
        if counting:
            return _counted(meant, latency_s, told=managed)
        if _on_demand(whole):
            return self._demanded(meant, now, fault)
        shorter, applied = edited(meant)
        tokens, limit = count_prompt(shorter), threshold(body)
        lost = fault is not None and not fault.is_served
        if limit is not None and tokens >= limit[0] and not lost:
            return self._compacted(shorter, applied, now, fault, pause=limit[1])

        def finish(message: dict[str, Any]) -> None:
            if managed:  # the header alone brings it, as a recording shows
                message["context_management"] = {"applied_edits": applied}

        return self._sampled(shorter, tokens, now, fault, finish)

    def _sampled(
        self,
        body: Body,
        tokens: int,
        now: float,
        fault: Fault | None,
        finish: Callable[[dict[str, Any]], None],
    ) -> Reply | ApiError:
        """Answer, and keep the conversation if it is a thread that was answered."""
        made: list[dict[str, Any]] = []

        def both(message: dict[str, Any]) -> None:
            finish(message)
            made.append(message)

        words = {**body, "messages": in_words(body["messages"])}
        said = self._composed(words, tokens)
        reply = self.messages.answer(body, tokens, now, fault, composed=said, finish=both)
        if isinstance(reply, Reply) and body.get("thread") is not None and fault is None:
            self.threads.keep(body, made[0], now + reply.duration_s)
        return reply

    def _demanded(self, body: Body, now: float, fault: Fault | None) -> Reply | ApiError:
        said = compacted(body, seed=self.messages.seed, signed=True)
        tokens = count_prompt(body)
        return self.messages.answer(body, tokens, now, fault, composed=said, finish=billed_apart)

    def _compacted(
        self,
        body: Body,
        applied: list[dict[str, Any]],
        now: float,
        fault: Fault | None,
        *,
        pause: bool,
    ) -> Reply | ApiError:
        """Sum up first, then go on from the summary, or stop there."""
        said = compacted(body, seed=self.messages.seed, signed=False)
        made: list[dict[str, Any]] = []

        def finish(message: dict[str, Any]) -> None:
            made.append(dict(message))
            billed_apart(message)
            message["context_management"] = {"applied_edits": applied}

        tokens, api = count_prompt(body), self.messages
        if pause or not said.content:
            return api.answer(body, tokens, now, fault, composed=said, finish=finish)
        alone = {**body, "stream": False, "diagnostics": None}
        first = api.answer(alone, tokens, now, None, composed=said, finish=finish)
        if isinstance(first, ApiError):
            return first
        block, spent = said.content[0], made[0]["usage"]

        def begin_with_block(message: dict[str, Any]) -> None:
            usage = message["usage"]
            entries = [iteration(spent, "compaction"), iteration(usage, "message")]
            message["usage"] = {**usage, "iterations": entries}
            message["content"] = [dict(block), *message["content"]]
            message["context_management"] = {"applied_edits": applied}

        rest = {**body, "messages": [{"role": "assistant", "content": [block]}]}
        words = {**body, "messages": [*in_words(rest["messages"]), body["messages"][-1]]}
        left = count_prompt(rest)
        answer = self._composed(words, left)
        reply = api.answer(rest, left, now, fault, composed=answer, finish=begin_with_block)
        return reply.delayed(first.duration_s) if isinstance(reply, Reply) else reply

    def _composed(self, words: Body, tokens: int) -> Composed:
        number, api = self.messages.engine.requests, self.messages
        dice = random.Random(f"{api.seed}/{number}/hosted")
        return compose(
            words, dice, seed=api.seed, number=number, script=api.script, prompt_tokens=tokens
        )


def _on_demand(body: Body) -> bool:
    return body.get("compaction") is not None


def _complaint(body: Body, call: Call, day: date, counting: bool) -> ApiError | None:
    version, messages = call.headers["anthropic-version"], body.get("messages")
    if _on_demand(body) and isinstance(messages, list):  # an answer may be the last to be summed up
        body = {**body, "messages": [*messages, {"role": "user", "content": "."}]}
    return complaint(
        body, version=version, today=day, counting=counting, betas=call.betas, prompt_tokens=0
    )


def _counted(body: Body, latency_s: float, *, told: bool) -> Reply:
    """Count after the edits; nothing is compacted for it."""
    shorter, _ = edited(body)
    count: dict[str, Any] = {"input_tokens": count_prompt(shorter)}
    if told:
        count["context_management"] = {"original_input_tokens": count_prompt(body)}
    return json_reply(count, latency_s)

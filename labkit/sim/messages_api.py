"""The Messages endpoints of the simulated API: a valid body in, a wire reply out."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from labkit.catalog import model
from labkit.errors import UnknownModel
from labkit.sim.answers import Composed, Script, compose, spoiled
from labkit.sim.dates import EPOCH
from labkit.sim.diagnostics import Diagnostics
from labkit.sim.engine import Ask, Decision, Engine
from labkit.sim.fault_kinds import ANSWERS, CODES
from labkit.sim.faults import Fault
from labkit.sim.limits import Refusal
from labkit.sim.messages import build_message, stream_chunks
from labkit.sim.prefix import read_prefix
from labkit.sim.problem import ApiError
from labkit.sim.prompt_cache import Plan
from labkit.sim.reply import UPSTREAM, Reply
from labkit.sim.spelling import spelled
from labkit.sim.tokens import count_prompt
from labkit.sim.validation import too_long

__all__ = ["ACCOUNT", "MessagesApi"]

ACCOUNT = {
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
    "anthropic-workspace-id": "wrkspc_simulated",
}
"""The headers that name whose request it was."""
SORTED = json.JSONEncoder(sort_keys=True).encode
"""An encoder that is made once: `json.dumps` would make one for each request."""
RATE_LIMIT = "rate_limit_error"
ASIDE = ("stream", "diagnostics")
"""What a request may say besides its question: neither changes the answer's words."""


class MessagesApi:
    """Answers Messages requests with the engine's decisions and the composed words."""

    def __init__(self, engine: Engine, *, seed: int, script: Script | None) -> None:
        self.engine = engine
        self.seed = seed
        self.script = script
        self.diagnostics = Diagnostics()
        self.answered: dict[str, Any] | None = None
        """The message of the latest answer, until somebody has charged it."""

    def answer(
        self,
        body: Mapping[str, Any],
        tokens: int,
        now: float,
        fault: Fault | None,
        *,
        composed: Composed | None = None,
        finish: Callable[[dict[str, Any]], None] | None = None,
    ) -> Reply | ApiError:
        """Return the reply to a valid body that arrives at `now`, or the rate limit's refusal.

        A prompt over the model's window is judged here, after the allowance of a minute, as on
        the real API (recording ruby_llm--error_429_input_tokens_per_minute).  What is on the
        wire in spite of a fault is the caller's to change.  `composed` is what to say where the
        caller knows, and `finish` may change the message before it is sent.
        """
        asked = model(str(body["model"]))
        problem = too_long(tokens, asked)
        if problem is not None:
            limiter = self.engine.limiter(asked.id, now)
            refusal = limiter.beyond(tokens) if limiter is not None else None
            return problem if refusal is None else _refused(refusal, body)
        number, question = self.engine.requests, _question(body)
        dice = random.Random(f"{self.seed}/{number}/{_digest(question)}")
        if composed is None:
            composed = compose(
                body, dice, seed=self.seed, number=number, script=self.script, prompt_tokens=tokens
            )
        said = spoiled(composed, fault, str(body["model"]))
        caches = '"cache_control"' in question
        prefix = read_prefix(body, asked.id) if caches else None
        ask = Ask(asked, tokens, int(body["max_tokens"]), said.output_tokens, prefix)
        decision = self.engine.decide(ask, now, fault)
        if decision.refusal is not None:
            return _refused(decision.refusal, body)
        message = build_message(body, said, decision.plan, f"msg_sim{_identifier(dice)}")
        if isinstance(body.get("diagnostics"), dict):
            message["diagnostics"] = self.diagnostics.diagnose(body, asked.id, message["id"], now)
        if finish is not None:
            finish(message)
        self.answered = message
        return _reply(body, message, decision, dice, self.limit_headers(asked.id, now))

    def limit_headers(self, model_name: str, now: float) -> Mapping[str, str]:
        """Return the rate limit headers of an answer for a model that begins now."""
        try:
            limiter = self.engine.limiter(model(model_name).id, now)
        except UnknownModel:
            return {}
        return {} if limiter is None else limiter.headers(now, EPOCH)

    def batch_row(self, params: Mapping[str, Any], custom_id: str) -> dict[str, Any]:
        """Return the message for one row of a batch; its words depend on the row alone."""
        dice = random.Random(f"{self.seed}/{custom_id}/{_digest(_question(params))}")
        said = compose(params, dice, seed=self.seed, script=None)
        plan = Plan(count_prompt(params), 0, 0, 0, None, ())
        return build_message(params, said, plan, f"msg_sim{_identifier(dice)}", tier="batch")


def _refused(refusal: Refusal, body: Mapping[str, Any]) -> ApiError:
    if refusal.code is not None:
        kind = next(kind for kind, code in CODES.items() if code == refusal.code)
        return ApiError(*ANSWERS[kind], refusal.code, refusal.retry_after_s)
    message = (
        f"This request would exceed your organization's rate limit of {refusal.limit:,} "
        f"{refusal.kind} per minute (org: {ACCOUNT['anthropic-organization-id']}, model: "
        f"{body['model']}). The response headers show the current usage."
    )
    return ApiError(429, RATE_LIMIT, message, None, refusal.retry_after_s)


def _reply(
    body: Mapping[str, Any],
    message: dict[str, Any],
    decision: Decision,
    dice: random.Random,
    limits: Mapping[str, str],
) -> Reply:
    first = decision.first_token_s
    if not body.get("stream"):
        data = spelled(message).encode()
        took = round(decision.duration_s, 3)
        headers = {"content-type": "application/json", UPSTREAM: str(round(took * 1000)), **limits}
        return Reply(200, headers, ((took, data),))
    headers = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        UPSTREAM: str(round(first * 1000)),
        **limits,
    }
    events = stream_chunks(message, first, decision.token_s, dice)
    return Reply(200, headers, tuple((round(at, 3), data) for at, data in events))


def _question(body: Mapping[str, Any]) -> str:
    """Spell what is asked: the same in any order of keys, streamed or not, diagnosed or not."""
    asked = {name: value for name, value in body.items() if name not in ASIDE}
    return SORTED(asked)


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


def _identifier(dice: random.Random) -> str:
    """21 characters, so that an id has the 24 of a real one after its underscore."""
    return f"{dice.getrandbits(84):021x}"

"""The simulated Claude API: (request, time) in, a `Reply` out, no I/O.

The same seed and the same requests give the same replies, byte for byte, at every door.  It
serves Messages, token counting, Message Batches and Models, refuses what the real API refuses,
keeps rate limits and a prompt cache, and follows a fault timeline.  What it says is simulated
and says so; see `labkit.sim.answers`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from labkit.sim.answers import Script
from labkit.sim.batch_faults import batch_script
from labkit.sim.batches import BATCH_LIMITS, BatchStore
from labkit.sim.bill import SimulatedBill
from labkit.sim.dates import http_date, today
from labkit.sim.dice import Dice
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault, apply
from labkit.sim.hosted import Hosted, asks_for_hosting
from labkit.sim.messages_api import ACCOUNT, MessagesApi
from labkit.sim.problem import ApiError, invalid, not_allowed, not_found
from labkit.sim.reply import Reply
from labkit.sim.request_body import announced_length, read_body, too_large
from labkit.sim.routes import Call, batch_reply, error_reply_of, json_reply, models_reply
from labkit.sim.tokens import count_prompt
from labkit.sim.validation import VERSIONS, complaint

__all__ = ["BAD_KEY", "SimulatedApi"]

COUNT_LATENCY_S = 0.08
"""Assumed time of a count_tokens call."""
ORIGIN = "https://api.anthropic.com"
BAD_KEY = "invalid"
"""The one key that is refused, so that a refusal can be tried out; every other is taken."""
NOBODYS = (401, 500, 503)
"""Statuses whose recorded answers name no account: nobody was known, or nobody asked."""
MESSAGES, COUNTING, BATCHES = "/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"
MODELS = "/v1/models"


class SimulatedApi:
    """A Claude API in a box.

    `seed` decides all dice; `faults` is the timeline of what goes wrong, the first that applies
    decides; `script` says what to answer where the rules of `labkit.sim.answers` shall not.
    `tier` is that of the rate limits (None: none), `comfortable` how many answers at once slow
    nothing down; `ramp` and `spend_cap` are explained in `labkit.sim.gate`; `log` is told one
    line for each decision, and `bill` holds what is charged.  `reply` may be called from several
    threads.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        script: Script | None = None,
        tier: str | None = "start",
        comfortable: int | None = None,
        ramp: float | None = None,
        spend_cap: float | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.seed = seed
        self.engine = Engine(
            seed=seed,
            faults=faults,
            tier=tier,
            comfortable=comfortable,
            ramp=ramp,
            spend_cap=spend_cap,
            log=log,
        )
        self.messages = MessagesApi(self.engine, seed=seed, script=script)
        self.hosted = Hosted(self.messages)
        self.bill = SimulatedBill()
        self.batches = BatchStore(
            self.messages.batch_row,
            seed=seed,
            script=batch_script(faults),
            limits=None if tier is None else BATCH_LIMITS[tier],
        )
        self._lock = threading.Lock()

    def reply(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes,
        now: float,
        *,
        origin: str = ORIGIN,
    ) -> Reply:
        """Return what the server does with a request that arrives at `now` (seconds).

        `origin` is the scheme and host the client came to; batch results are found there.
        """
        place, _, query = path.partition("?")
        lowered = {name.lower(): value for name, value in headers.items()}
        asked = parse_qs(query) if query else {}
        call = Call(method.upper(), place.rstrip("/"), asked, lowered, content, origin)
        with self._lock:
            return self._reply(call, now)

    def _reply(self, call: Call, now: float) -> Reply:
        refused = self._refusal(call)
        body: Any = None
        if refused is None and call.method == "POST" and call.content:
            body = read_body(call.content, call.path, call.headers)
        name = str(body.get("model", "")) if isinstance(body, dict) else ""
        fault = self.engine.strike(now, model_name=name, path=call.path)
        request_id = Dice(self.seed, self.engine.requests).identifier("req")
        answered = refused or self._route(call, body, now, fault)
        if isinstance(answered, ApiError):
            answered = error_reply_of(answered, request_id)
        if fault is not None:
            answered = apply(fault, answered, request_id)
        self._charge(answered)
        if not answered.status:
            return answered
        known = {} if answered.status in NOBODYS else ACCOUNT
        if answered.status == 429 and call.path == MESSAGES:
            known = {**known, **self.messages.limit_headers(name, now)}
        date = http_date(now + answered.first_byte_s)
        head = {**answered.headers, "request-id": request_id, **known, "date": date}
        return Reply(answered.status, head, answered.chunks, answered.ending, answered.ended_s)

    def _charge(self, answered: Reply) -> None:
        message, self.messages.answered = self.messages.answered, None
        if message is not None:
            self.bill.charge(self.engine.requests, message, answered)

    def _refusal(self, call: Call) -> ApiError | None:
        """Return what is wrong with the envelope: no key, no version, too large."""
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if (call.headers.get("x-api-key") or bearer or BAD_KEY) == BAD_KEY:
            return ApiError(401, "authentication_error", "invalid x-api-key")
        if call.headers.get("anthropic-version") not in VERSIONS:
            known = " or ".join(VERSIONS)
            return invalid(f"anthropic-version: the header must be {known}")
        return too_large(max(len(call.content), announced_length(call.headers)), call.path)

    def _route(self, call: Call, body: Any, now: float, fault: Fault | None) -> Reply | ApiError:
        if f"{call.path}/".startswith(f"{BATCHES}/"):
            return batch_reply(self.batches, call, body, now)
        if f"{call.path}/".startswith(f"{MODELS}/"):
            return models_reply(call, today(now))
        if call.path not in (MESSAGES, COUNTING):
            return not_found(f"No such endpoint: {call.path}")
        if call.method != "POST":
            return not_allowed()
        if isinstance(body, ApiError):
            return body
        counting = call.path == COUNTING
        if asks_for_hosting(body, call):
            return self.hosted.answer(call, body, now, fault, COUNT_LATENCY_S)
        version = call.headers["anthropic-version"]
        problem = complaint(
            body,
            version=version,
            today=today(now),
            counting=counting,
            betas=call.betas,
            prompt_tokens=0,
        )
        if problem is not None:
            return problem
        tokens = count_prompt(body)
        if counting:
            return json_reply({"input_tokens": tokens}, COUNT_LATENCY_S)
        return self.messages.answer(body, tokens, now, fault)

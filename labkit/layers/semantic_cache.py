"""A semantic cache: a question that was asked in other words gets the answer it had.

It saves more than an exact cache and can be wrong, which an exact cache cannot.  Measure that
first, with `labkit.layers.likeness.false_hits` on pairs of questions of your own; where prompts
come from a template it is often not worth having (resilience.md 3.12).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from labkit.flow import Do, Flow, Note, Now, Outcome, Request, Send
from labkit.layers.cache_delivery import Delivering
from labkit.layers.cache_scope import Tenant, scope, user_of
from labkit.layers.cached import Cached, body_of, given_again, objection
from labkit.layers.collected import collector, message_in
from labkit.layers.embedding import Embedding, cosine, hashed_words
from labkit.layers.likeness import Likeness
from labkit.layers.meaning_guards import shared_start
from labkit.layers.ready import CACHE, put_label

__all__ = ["SemanticCache", "Threshold"]

Threshold: TypeAlias = float | Callable[[Request], float]
"""The cosine from which on two questions count as one, or a function for classes of requests."""
ALIKE = "alike a question asked before"


@dataclass(frozen=True, slots=True)
class _Known:
    question: str
    vector: tuple[float, ...]
    answer: Cached


class _Search(NamedTuple):
    vector: tuple[float, ...]
    found: _Known | None
    why: str


class SemanticCache(Delivering):
    """Answers a question that is alike one it knows by `threshold` and that no guard keeps apart.

    Compared is the last user turn, where all else is equal: tenant, model, system prompt, tools and
    earlier turns.  `embed` turns a text into a vector; a function that asks a server is called
    outside of the flows.  Guards keep questions apart whose numbers, negations or names differ,
    and leave out what all known questions begin with.  Answers are kept in memory for `ttl`
    seconds, the last `most` of them for each such scope, and `scopes` of those.

    Place it inside of `ResponseCache`.  Hits have a note "semantic", and say so on the answer.
    Raises ValueError for a threshold outside of 0 to 1, or settings below 1.
    """

    def __init__(
        self,
        threshold: Threshold = 0.95,
        *,
        embed: Embedding = hashed_words,
        guards: bool = True,
        ttl: float = 3600.0,
        tenant: Tenant = user_of,
        most: int = 200,
        scopes: int = 100,
    ) -> None:
        if not callable(threshold) and not 0 < threshold <= 1:
            raise ValueError(f"A cosine to reach lies above 0 and is at most 1, not {threshold}.")
        if not (ttl > 0 and most >= 1 and scopes >= 1):
            raise ValueError("A semantic cache keeps something for more than 0 seconds.")
        self.threshold, self.tenant, self.ttl = threshold, tenant, ttl
        self.most, self.scopes = most, scopes
        self.likeness = Likeness(embed, guards)
        self.verdicts: Counter[str] = Counter()
        self._known: dict[str, list[_Known]] = {}

    def flow(self, request: Request) -> Flow:
        """Look for a question that is alike; else send, and keep the answer."""
        question = _question(request.body)
        key = scope(_without(question, request), self.tenant, False)
        if isinstance(key, str) or not question:
            passed: Outcome = yield Send(request)
            return passed
        threshold = self.threshold(request) if callable(self.threshold) else self.threshold
        known = self._fresh(key.name, (yield Now()))
        search: _Search = yield Do(partial(_searched, self.likeness, question, threshold, known))
        verdict = "miss" if search.found is None else "hit"
        self.verdicts[verdict] += 1
        yield Note("semantic", verdict=verdict, why=search.why)
        if search.found is not None:
            return given_again(search.found.answer, f"hit: {search.why}")
        outcome: Outcome = yield Send(request)
        put_label(outcome.value, f"miss: {search.why}", CACHE)
        stream = collector(outcome.value)
        keep = partial(self._keep, key.name, question, search.vector, outcome)
        if stream is None:
            keep(body_of(outcome), (yield Now()))
        elif outcome.ok:
            stream.collect(partial(self._read, keep, outcome.headers.get("content-encoding", "")))
        return outcome

    def _read(self, keep: Callable[..., None], encoding: str, raw: bytes | None) -> None:
        """Keep a stream that has been read; its reader's thread calls this, and no flow."""
        if raw is not None:
            keep(message_in(raw, encoding), self.clock.now())

    def _fresh(self, name: str, now: float) -> list[_Known]:
        return [one for one in self._known.get(name, ()) if one.answer.fresh_until > now]

    def _keep(
        self,
        name: str,
        question: str,
        vector: tuple[float, ...],
        outcome: Outcome,
        body: Any,
        now: float,
    ) -> None:
        if outcome.status != 200 or not vector or objection(outcome, body):
            return
        answer = Cached(200, body, now, now + self.ttl, now + self.ttl)
        known = [*self._fresh(name, now), _Known(question, vector, answer)]
        self._known.pop(name, None)
        self._known[name] = known[-self.most :]
        if len(self._known) > self.scopes:
            self._known.pop(next(iter(self._known)), None)


def _searched(likeness: Likeness, question: str, threshold: float, known: list[_Known]) -> _Search:
    """Compare a question with all known ones; a text that cannot be embedded is alike none."""
    try:
        vector = tuple(likeness.embed(question))
        if not known:
            return _Search(vector, None, "nothing to compare it with")
        nearest = max(known, key=lambda one: cosine(one.vector, vector))
        against = f"the nearest is alike by {cosine(nearest.vector, vector):.2f} only"
        if cosine(nearest.vector, vector) >= threshold:
            template = shared_start([question, *(one.question for one in known)])
            against = likeness.objection(nearest.question, question, threshold, template)
    except Exception as error:
        return _Search((), None, f"the embedding failed ({type(error).__name__})")
    return _Search(vector, None, against) if against else _Search(vector, nearest, ALIKE)


def _question(body: Mapping[str, Any]) -> str:
    """Return the text of the last turn, "" unless it is a user's and nothing but text."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, Mapping) or last.get("role") != "user":
        return ""
    content = last.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], Mapping):
        content = content[0].get("text")
    return content if isinstance(content, str) else ""


def _without(question: str, request: Request) -> Request:
    """Return the request with nothing in the place of its question."""
    if not question:
        return request
    return request.replace(body={**request.body, "messages": request.body["messages"][:-1]})

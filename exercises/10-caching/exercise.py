# The source of exercise 10; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Caching
# lesson: 10-caching
# minutes: 30
# difficulty: 3
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `MyCache`, the exact response cache of lesson 10, as a **flow**:
#
# | The flow says | What happens |
# | --- | --- |
# | `outcome = yield Send(request)` | the request is sent, and you get what came of it |
# | `now = yield Now()` | you get the time, in seconds |
# | `return outcome` | the caller gets this outcome, be it an answer or a failure |
#
# Two helpers are there, so that you can think of the rules alone:
#
# - `body_of(outcome)` is the answer as a dictionary, with its `stop_reason`;
# - `given_again(kept, "hit")` makes an outcome of what you kept, and
#   `given_again(kept, "stale", stale=True)` one that says it is old. What you keep is a
#   `Cached(200, body, stored_at, fresh_until, kept_until)`; the last three are points in time.
#
# What it must do:
#
# 1. **Answer again.** The same request, asked again, is answered without being sent.
# 2. **A key that forgets nothing.** All of `request.body` counts, fields you have never heard of
#    too. Only `metadata` and `stream` change nothing about the answer. The order in which a
#    dictionary was filled does not count either.
# 3. **Tenants apart.** `request.body["metadata"]["user_id"]` says who asks; both may be missing.
#    Nobody gets another user's answer.
# 4. **Keep whole answers only.** Kept is an answer that stopped for `end_turn` or
#    `stop_sequence`. Never keep an error, a refusal, a cut answer or a call of a tool.
# 5. **Expire.** An answer is fresh for `ttl` seconds from when it came. A hit does not make it
#    younger.
# 6. **Stale, and honest.** When a new one cannot be had (`outcome.transient`), an answer that has
#    expired stands in for `stale_for` seconds more, labelled as stale. Any other failure goes back
#    as it is.
#
# Streams are not asked of you here, and neither is single flight.

# %% setup
import json

from labkit import Layer, Now, Send
from labkit.layers.cached import Cached, body_of, given_again

# %% starter
class MyCache(Layer):
    """Answer again what was asked before."""

    def __init__(self, ttl=600.0, stale_for=3600.0):
        self.ttl = ttl              # seconds an answer is fresh
        self.stale_for = stale_for  # seconds more in which it may stand in for an error
        self.kept = {}

    def key(self, request):
        """Return a text that is the same for requests with the same answer, and for no others."""
        raise NotImplementedError("write `key`, and check again.")

    def may_keep(self, outcome):
        """Say whether this outcome may be given to the next who asks."""
        raise NotImplementedError("write `may_keep`, and check again.")

    def flow(self, request):
        """Answer from `self.kept`, or send, and keep what may be kept.

        now = yield Now()
        outcome = yield Send(request)
        """
        raise NotImplementedError("write `flow`, `key` and `may_keep`, and check again.")

# %% [markdown] hint 1
# Begin with `flow`, and let `key` be the whole body as a text. There are three moments:
#
# - before you send: is something kept under this key, and is it still fresh?
# - after you sent: may this outcome be kept?
# - if not: is there something old that may stand in?
#
# Look `self.kept` up once, before you send, and keep what you found in a variable.

# %% [markdown] hint 2
# `json.dumps(value, sort_keys=True)` spells a dictionary in one way, whatever its order, at all
# depths. Put the user and the body side by side in a list, and spell that: `[user, body]`.
#
# For `may_keep`, ask two things: is it an answer (`outcome.ok`), and is its `stop_reason` one of
# the two good ones? A list of what is good is short. A list of what is bad is never complete.
#
# The times of an entry are counted from when the answer *came*: ask `Now()` again after `Send`.

# %% [markdown] hint 3
# The key:
#
# ```python
# body = {name: value for name, value in request.body.items() if name not in ("metadata", "stream")}
# user = (request.body.get("metadata") or {}).get("user_id") or ""
# return json.dumps([user, body], sort_keys=True)
# ```
#
# The end of `flow`:
#
# ```python
# if self.may_keep(outcome):
#     until = now + self.ttl
#     self.kept[key] = Cached(200, body_of(outcome), now, until, until + self.stale_for)
# elif found and outcome.transient and now < found.kept_until:
#     return given_again(found, "stale", stale=True)
# return outcome
# ```

# %% solution
class MyCache(Layer):
    """Answer again what was asked before."""

    def __init__(self, ttl=600.0, stale_for=3600.0):
        self.ttl = ttl              # seconds an answer is fresh
        self.stale_for = stale_for  # seconds more in which it may stand in for an error
        self.kept = {}

    def key(self, request):
        """Return a text that is the same for requests with the same answer, and for no others."""
        left_out = ("metadata", "stream")
        body = {name: value for name, value in request.body.items() if name not in left_out}
        user = (request.body.get("metadata") or {}).get("user_id") or ""
        return json.dumps([user, body], sort_keys=True)

    def may_keep(self, outcome):
        """Say whether this outcome may be given to the next who asks."""
        whole = ("end_turn", "stop_sequence")
        return outcome.ok and (body_of(outcome) or {}).get("stop_reason") in whole

    def flow(self, request):
        """Answer from `self.kept`, or send, and keep what may be kept."""
        key = self.key(request)
        found = self.kept.get(key)
        now = yield Now()
        if found and now < found.fresh_until:
            return given_again(found, "hit")
        outcome = yield Send(request)
        now = yield Now()
        if self.may_keep(outcome):
            fresh_until = now + self.ttl
            kept_until = fresh_until + self.stale_for
            self.kept[key] = Cached(200, body_of(outcome), now, fresh_until, kept_until)
        elif found and outcome.transient and now < found.kept_until:
            return given_again(found, "stale", stale=True)
        return outcome

# %% checks
from types import SimpleNamespace

import httpx2
from labkit import Layer, Outcome, Request, rung_of
from labkit.catalog import role
from labkit.lab.exercise_crowd import Call
from labkit.lab.exercise_stage import BEGAN, Wrong, make, play
from labkit.layers.cached import body_of

TTL, STALE_FOR = 600.0, 3600.0
OVERLOADED = Outcome(status=529, error_type="overloaded_error", error=RuntimeError("529"))
BODY = {
    "model": role("fast").id,
    "max_tokens": 300,
    "system": "You speak for the shop Lumen.",
    "messages": [{"role": "user", "content": "Is the shop open on Sunday?"}],
    "tools": [{"name": "stock", "input_schema": {"type": "object", "properties": {}}}],
    "metadata": {"user_id": "ann"},
}
OTHERWISE = {
    "model": role("strong").id,
    "system": "You speak for the shop Umbra.",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "Is the shop open on Monday?"}],
    "tools": [],
    "output_config": {"effort": "low"},
}
NOT_WHOLE = {
    "max_tokens": "A cut answer (`max_tokens`) was kept: it is then cut for everybody",
    "refusal": "A refusal was kept: the model may think otherwise the next time",
    "tool_use": "A call of a tool was kept: a deed is then done again, or with old figures",
    "pause_turn": "An answer that only pauses (`pause_turn`) was kept: it has no end",
    "model_context_window_exceeded": "An answer cut off by the context window was kept",
}


def cache(answer, **options):
    return make(answer, "MyCache", Layer, **{"ttl": TTL, "stale_for": STALE_FOR, **options})


def answered(text, stop_reason="end_turn"):
    """An answer as the driver hands it to a flow."""
    block = {"type": "text", "text": text}
    if stop_reason == "tool_use":
        block = {"type": "tool_use", "id": "toolu_1", "name": "stock", "input": {}}
    body = {
        "id": f"msg_{text}",
        "type": "message",
        "role": "assistant",
        "model": BODY["model"],
        "content": [block],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 10},
    }
    response = httpx2.Response(200, json=body)
    return Outcome(status=200, value=SimpleNamespace(http_response=response))


def ask(layer, at=0.0, outcome=None, took=0.0, **changed):
    """Make one call `at` seconds from the beginning; if it sends, `outcome` comes of it."""
    body = {name: value for name, value in {**BODY, **changed}.items() if value is not None}
    call = Call(layer, now=BEGAN + at, request=Request(body))
    if call.sent:
        call.now += took
        call.answer(outcome if outcome is not None else answered("first"))
        return SimpleNamespace(sent=True, outcome=call.outcome)
    return SimpleNamespace(sent=False, outcome=call.outcome)


def text_of(outcome):
    body = body_of(outcome)
    if body is not None:
        return body["content"][0]["text"]
    blocks = getattr(outcome.value, "content", None)
    return blocks[0].text if blocks else None


def check_a_repeated_request_is_answered_again(answer):
    """The same request is sent once, and answered twice."""
    layer = cache(answer)
    first = ask(layer)
    if not first.sent:
        raise Wrong("Nothing was kept yet, and the request was not sent: `yield Send(request)`.")
    if text_of(first.outcome) != "first":
        raise Wrong("The first caller did not get the answer that came. Hand the outcome back.")
    second = ask(layer, at=10, outcome=answered("second"))
    if second.sent:
        raise Wrong("The same request was asked again ten seconds later, and it was sent again.")
    if text_of(second.outcome) != "first":
        raise Wrong("The second caller got something else than the answer that was kept.")
    play(layer, max_tokens=400)
    story = play(layer, max_tokens=400)
    if story.attempts or story.message is None:
        raise Wrong("Under the SDK the second call was sent again, or got nothing.")


def check_the_order_of_fields_does_not_count(answer):
    """The order in which a dictionary was filled does not count."""
    layer = cache(answer)
    ask(layer)
    turned = {name: BODY[name] for name in reversed(BODY)}
    turned["messages"] = [dict(reversed(BODY["messages"][0].items()))]
    call = Call(layer, now=BEGAN + 10, request=Request(turned))
    if call.sent:
        raise Wrong(
            "The same request, its fields in another order, was sent again. Spell the body in one "
            "canonical way: `json.dumps(body, sort_keys=True)`."
        )


def check_the_key_holds_all_that_changes_an_answer(answer):
    """A request that differs in anything that matters is another request."""
    for field, value in OTHERWISE.items():
        layer = cache(answer)
        ask(layer)
        if not ask(layer, at=10, outcome=answered("second"), **{field: value}).sent:
            raise Wrong(
                f"A request that differs in `{field}` got the answer of another one. The key holds "
                "the whole body, not the fields that come to mind."
            )


def check_tenants_are_kept_apart(answer):
    """Nobody gets another user's answer."""
    layer = cache(answer)
    ask(layer)
    for metadata, who in (({"user_id": "bob"}, "Bob"), (None, "Somebody without a name")):
        if not ask(layer, at=10, metadata=metadata, outcome=answered("second")).sent:
            raise Wrong(
                f"{who} was given Ann's answer. The key holds the tenant, "
                "`metadata.user_id`: a cache without it leaks."
            )
    if ask(layer, at=20, metadata={"user_id": "bob"}).sent:
        raise Wrong("Bob asked a second time, and it was sent again. He has a shelf of his own.")


def check_only_whole_answers_are_kept(answer):
    """Errors, refusals, cut answers and calls of tools are not kept."""
    for stopped, complaint in NOT_WHOLE.items():
        layer = cache(answer)
        ask(layer, outcome=answered("first", stopped))
        if not ask(layer, at=10, outcome=answered("second")).sent:
            raise Wrong(f"{complaint}. Keep what stopped for `end_turn` or `stop_sequence` only.")
    layer = cache(answer)
    if ask(layer, outcome=OVERLOADED).outcome.ok:
        raise Wrong("There was nothing to stand in, and the failure did not go back.")
    if not ask(layer, at=10).sent:
        raise Wrong("An error was kept: a bad moment of the API then lasts for a whole `ttl`.")
    layer = cache(answer)
    ask(layer, outcome=answered("first", "stop_sequence"))
    if ask(layer, at=10).sent:
        raise Wrong("An answer that stopped for `stop_sequence` is whole, and it was not kept.")


def check_answers_expire(answer):
    """An answer is fresh for `ttl` seconds from when it came, however often it is asked for."""
    layer = cache(answer)
    ask(layer, took=20.0)
    if ask(layer, at=TTL + 19).sent:
        raise Wrong(
            "The answer came after 20 s, and its life was counted from before that, or ended "
            "early. Ask `Now()` again after `Send`."
        )
    late = ask(layer, at=TTL + 21, outcome=answered("second"))
    if not late.sent:
        raise Wrong(
            f"ttl={TTL:g}, and {TTL + 1:g} s after it came, the answer was still given. Either it "
            "never expires, or a hit makes it younger."
        )
    if text_of(late.outcome) != "second":
        raise Wrong("The answer had expired, a new one came, and the caller got the old one.")
    if text_of(ask(layer, at=TTL + 30).outcome) != "second":
        raise Wrong("A new answer had come, and the next caller still got the old one.")


def check_stale_answers_stand_in_and_say_so(answer):
    """When nothing new can be had, the old answer stands in, labelled, and not for ever."""
    layer = cache(answer)
    ask(layer)
    fresh = ask(layer, at=10).outcome
    if rung_of(fresh.value) == "stale":
        raise Wrong("A fresh answer was labelled as stale.")
    stood_in = ask(layer, at=TTL + 60, outcome=OVERLOADED)
    if not stood_in.outcome.ok:
        raise Wrong(
            "The API was overloaded, an answer that had just expired was there, and the caller "
            "got the failure. Let it stand in for `stale_for` seconds."
        )
    if rung_of(stood_in.outcome.value) != "stale":
        raise Wrong(
            "An old answer stood in for an error and did not say so. Its reader takes it for new: "
            '`given_again(found, "stale", stale=True)`.'
        )
    if not ask(layer, at=TTL + 70, outcome=answered("second")).sent:
        raise Wrong("After an answer had stood in once, it counted as fresh again.")
    late = TTL + STALE_FOR
    layer = cache(answer)
    ask(layer)
    if ask(layer, at=late + 60, outcome=OVERLOADED).outcome.ok:
        raise Wrong(f"{late + 60:g} s old, and it still stood in. `stale_for` has its end too.")
    wrong_request = Outcome(
        status=400, error_type="invalid_request_error", error=RuntimeError("400")
    )
    layer = cache(answer)
    ask(layer)
    if ask(layer, at=TTL + 60, outcome=wrong_request).outcome.ok:
        raise Wrong(
            "The API said that the request is wrong (400), and an old answer hid it. Only what "
            "`outcome.transient` says may pass is worth a stand-in."
        )

# %% wrong key without the tenant: was given Ann's answer
class MyCache(MyCache):
    def key(self, request):
        left_out = ("metadata", "stream")
        body = {name: value for name, value in request.body.items() if name not in left_out}
        return json.dumps(body, sort_keys=True)

# %% wrong key of the messages alone: differs in `model` got the answer of another one
class MyCache(MyCache):
    def key(self, request):
        user = (request.body.get("metadata") or {}).get("user_id") or ""
        return json.dumps([user, request.body["messages"]], sort_keys=True)

# %% wrong key of a list of fields: differs in `output_config`
class MyCache(MyCache):
    def key(self, request):
        fields = ("model", "system", "messages", "max_tokens", "tools", "temperature")
        user = (request.body.get("metadata") or {}).get("user_id") or ""
        return json.dumps([user, [request.body.get(name) for name in fields]], sort_keys=True)

# %% wrong key depends on the order: Spell the body in one canonical way
class MyCache(MyCache):
    def key(self, request):
        return json.dumps(dict(request.body))

# %% wrong never expires: Either it never expires
class MyCache(MyCache):
    def flow(self, request):
        key = self.key(request)
        if key in self.kept:
            return given_again(self.kept[key], "hit")
        outcome = yield Send(request)
        if self.may_keep(outcome):
            self.kept[key] = Cached(200, body_of(outcome), 0.0, 0.0, 0.0)
        return outcome

# %% wrong reads the machine's clock: reads the machine's clock with `time.time`
class MyCache(MyCache):
    def flow(self, request):
        import time

        key = self.key(request)
        found = self.kept.get(key)
        if found and time.time() < found.fresh_until:
            return given_again(found, "hit")
        outcome = yield Send(request)
        if self.may_keep(outcome):
            now = time.time()
            self.kept[key] = Cached(200, body_of(outcome), now, now + self.ttl, now + self.ttl)
        return outcome

# %% wrong a hit makes it younger: Either it never expires
class MyCache(MyCache):
    def flow(self, request):
        outcome = yield from super().flow(request)
        found = self.kept.get(self.key(request))
        if found:
            now = yield Now()
            until = now + self.ttl
            self.kept[self.key(request)] = Cached(200, found.body, now, until, until)
        return outcome

# %% wrong counts from before it was sent: its life was counted from before that
class MyCache(MyCache):
    def flow(self, request):
        now = yield Now()
        key = self.key(request)
        found = self.kept.get(key)
        if found and now < found.fresh_until:
            return given_again(found, "hit")
        outcome = yield Send(request)
        if self.may_keep(outcome):
            self.kept[key] = Cached(200, body_of(outcome), now, now + self.ttl, now + self.ttl)
        return outcome

# %% wrong keeps cut answers: A cut answer (`max_tokens`) was kept
class MyCache(MyCache):
    def may_keep(self, outcome):
        return outcome.ok

# %% wrong keeps refusals: A refusal was kept
class MyCache(MyCache):
    def may_keep(self, outcome):
        return outcome.ok and body_of(outcome)["stop_reason"] != "max_tokens"

# %% wrong keeps calls of tools: A call of a tool was kept
class MyCache(MyCache):
    def may_keep(self, outcome):
        return outcome.ok and body_of(outcome)["stop_reason"] not in ("max_tokens", "refusal")

# %% wrong stale without a label: stood in for an error and did not say so
from labkit import rung_of


class MyCache(MyCache):
    def flow(self, request):
        outcome = yield from super().flow(request)
        if rung_of(outcome.value) == "stale":
            return given_again(self.kept[self.key(request)], "hit")
        return outcome

# %% wrong hides every failure: and an old answer hid it
class MyCache(MyCache):
    def flow(self, request):
        outcome = yield from super().flow(request)
        found, now = self.kept.get(self.key(request)), (yield Now())
        if not outcome.ok and found and now < found.kept_until:
            return given_again(found, "stale", stale=True)
        return outcome

# %% wrong no stand-in: and the caller got the failure
class MyCache(MyCache):
    def __init__(self, ttl=600.0, stale_for=3600.0):
        super().__init__(ttl, 0.0)

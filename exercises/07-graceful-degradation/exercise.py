# The source of exercise 07; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Graceful degradation
# lesson: 07-graceful-degradation
# minutes: 35
# difficulty: 3
# importance: 5

# %% [markdown] task
# ## Your task
#
# Write `MyLadder`, the fallback ladder of lesson 07, as a flow. It is given its rungs, from the
# best to the least. A rung has
#
# - `rung.name`, for the label;
# - `rung.on`, the causes that it is for, such as `("unavailable", "late")`;
# - either `rung.ask`, a function that makes the body of another request from the old body,
# - or `rung.answer`, a function from the request to a message that is ready, or to `None` if it
#   has none this time. The one that it has not is `None`.
#
# What a failure is for the ladder, `cause(outcome)` says in a word: `"unavailable"`, `"late"`,
# `"limit"`, `"context"`, `"refusal"`, or `""` for an answer and for a failure that no rung can
# mend.
#
# What your flow must do:
#
# 1. **Begin at the top, in every call.** Send the request as it is. An answer goes back at once.
# 2. **Let the cause decide.** A rung has its turn only if the cause of the *latest* outcome is
#    one of `rung.on`. A cause of `""` is for no rung: the outcome goes back.
# 3. **Ask, or answer.** A rung that asks makes its body from the body of the request as it was
#    made. A ready message becomes an outcome: `Outcome(status=200, value=message)`. `None` means
#    that the next rung has its turn.
# 4. **Label every answer**, once: `yield Note("rung", name=...)`, with the name of its rung, or
#    `"full"` for an answer to the request as it was made. A failure has no label.
# 5. **Mind the time.** Each request may take `patience` seconds. And if there is a deadline, it
#    ends `reserve` seconds before that, so that there is time for an answer that is ready.
# 6. **Be honest when nothing helps.** If no rung has an answer, the caller gets the *first*
#    failure: the one about the request that it made.
# 7. **Let go.** A call that is cancelled closes your flow. Then nothing more is asked.
#
# `request.within(point)` returns the request with that deadline, or its own if that is earlier.
# A request that is not over by its deadline is ended, and its cause is `"late"`.
#
# Nothing here really waits, and nothing is a toy: the SDK runs the same class in production.
#
# ```python
# rungs = [other_model("..."), canned("We answer again soon.")]
# client = anthropic.Anthropic(middleware=[MyLadder(rungs)], max_retries=0)
# ```

# %% setup
from labkit import Layer, Note, Now, Outcome, Send
from labkit.layers.rungs import cause

# %% starter
class MyLadder(Layer):
    """When the full answer cannot be had, a lesser one, under its own name."""

    def __init__(self, rungs, patience=4.0, reserve=0.1):
        self.rungs = rungs        # from the best to the least
        self.patience = patience  # seconds that each request may take
        self.reserve = reserve    # seconds before the deadline by which requests must be over

    def flow(self, request):
        """Ask; while there is a cause to, go one rung down; label the answer.

        outcome = yield Send(request)                  then ask outcome.ok, cause(outcome)
        now = yield Now()
        request.replace(body=rung.ask(request.body))   another request
        yield Note("rung", name=rung.name)             the label
        """
        raise NotImplementedError("write `flow` in your answer, and check again.")

# %% [markdown] hint 1
# Leave the time for later, and the rungs that are ready as well. What remains is a loop:
#
# - send the request; remember the outcome, and that its name is `"full"`;
# - for each rung in order: is the cause of the latest outcome one of `rung.on`? If not, go on to
#   the next rung. If so, send the rung's request, and remember outcome and name;
# - after the loop, label the outcome if it is an answer, and return it.
#
# An answer has the cause `""`, which is in no `rung.on`. So you need no question of its own for
# "am I done?". Keep everything in variables of `flow`, not on `self`: one ladder serves many
# calls, and each begins at the top.

# %% [markdown] hint 2
# One turn of the loop:
#
# 1. `if cause(outcome) not in rung.on: continue`
# 2. a rung that asks: `outcome = yield Send(...)` with its body
# 3. a rung that is ready: call `rung.answer(request)`; on `None`, `continue`; else make an outcome
# 4. remember `rung.name`
#
# Keep the first outcome in a variable of its own. After the loop: if the latest outcome is no
# answer, return the first.
#
# For the time, write a small flow that sends *in time*, and use it for the top and for the rungs:
# `outcome = yield from self.in_time(request)`. It asks for the time, works out the earlier of two
# points (patience from now, the deadline less the reserve), and sends `request.within(point)`.
#
# No `try` is needed anywhere. A cancellation closes your flow at its `yield`, and whoever catches
# that keeps a call alive that nobody waits for.

# %% [markdown] hint 3
# All of the time:
#
# ```python
# def in_time(self, request):
#     point = (yield Now()) + self.patience
#     if request.deadline is not None:
#         point = min(point, request.deadline - self.reserve)
#     outcome = yield Send(request.within(point))
#     return outcome
# ```
#
# The beginning and the end of `flow`:
#
# ```python
# first = outcome = yield from self.in_time(request)
# name = "full"
# ...
# if not outcome.ok:
#     return first
# yield Note("rung", name=name)
# return outcome
# ```

# %% solution
class MyLadder(Layer):
    """When the full answer cannot be had, a lesser one, under its own name."""

    def __init__(self, rungs, patience=4.0, reserve=0.1):
        self.rungs = rungs        # from the best to the least
        self.patience = patience  # seconds that each request may take
        self.reserve = reserve    # seconds before the deadline by which requests must be over

    def flow(self, request):
        """Ask; while there is a cause to, go one rung down; label the answer."""
        first = outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if cause(outcome) not in rung.on:
                continue
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
            else:
                message = rung.answer(request)
                if message is None:
                    continue
                outcome = Outcome(status=200, value=message)
            name = rung.name
        if not outcome.ok:
            return first
        yield Note("rung", name=name)
        return outcome

    def in_time(self, request):
        """Send, and be patient, but not beyond the deadline less the reserve."""
        point = (yield Now()) + self.patience
        if request.deadline is not None:
            point = min(point, request.deadline - self.reserve)
        outcome = yield Send(request.within(point))
        return outcome

# %% checks
from collections.abc import Generator

from labkit import Deadline, Layer, Note, Now, Outcome, Request, Send, canned, other_model, stale
from labkit.catalog import role
from labkit.lab.exercise_stage import Fault, Story, Wrong, make, play
from labkit.layers.ready import ready_message

FULL, OTHER = role("fast").id, role("balanced").id
LATER = "We answer again soon."
OVERLOADED = Outcome(status=529, error_type="overloaded_error")

PASSING = {
    "A 529 (overloaded)": "overloaded",
    "A 500": "internal",
    "A 503 from a proxy, which is not even JSON,": "unavailable",
    "A refused connection, which has no status,": "refused",
}
LASTING = {
    "A 400 (a request that is wrong)": {"messages": [{"role": "assistant", "content": "Hello"}]},
    "A 401 (no key)": {"key": False},
}


def rungs():
    return [other_model(OTHER, name="other model"), canned(LATER)]


def ladder(answer, *given, **options):
    return make(answer, "MyLadder", Layer, rungs=list(given) or rungs(), **options)


class Seen:
    """A call as its maker and the ledger see it: the story, the models asked, the labels."""

    def __init__(self):
        self.story = Story()
        self.asked = []
        self.labels = []

    @property
    def model(self):
        return getattr(self.story.message, "model", None)

    @property
    def got(self):
        """What the caller got, in words."""
        if self.story.error is None:
            return f"an answer by `{self.model}`"
        status = self.story.status
        return f"a {status}" if status else f"a `{type(self.story.error).__name__}`"


def down(model, kind="overloaded"):
    return Fault(kind, model=model)


def watch(layer, *faults, **options):
    """Play one call and listen to what the flow asks for and notes."""
    seen, flow = Seen(), layer.flow

    def listening(request):
        inner = flow(request)
        return heard(inner, seen) if isinstance(inner, Generator) else inner

    layer.flow = listening
    seen.story = play(layer, *faults, **options)
    return seen


def heard(inner, seen):
    answer = None
    try:
        while True:
            try:
                effect = inner.send(answer)
            except StopIteration as stop:
                return stop.value
            if isinstance(effect, Note) and effect.name == "rung":
                seen.labels.append(effect.attributes.get("name"))
            elif isinstance(effect, Send) and isinstance(effect.request, Request):
                seen.asked.append(effect.request.model)
            answer = yield effect
    finally:
        inner.close()


def requests(seen):
    number = len(seen.asked)
    return "1 request" if number == 1 else f"{number} requests"


def demand_label(seen, name, what):
    """Demand exactly one label, the true one."""
    if not seen.labels:
        raise Wrong(
            f"{what} came back without a label, and nobody who counts, keeps or shows answers can "
            'tell it from any other. `yield Note("rung", name=...)` before you return it.'
        )
    if seen.labels != [name]:
        told = ", ".join(map(repr, seen.labels))
        raise Wrong(
            f"{what} was labelled {told}, and its one label is {name!r}. A rung's answer carries "
            "that rung's own name, or it passes for something else."
        )


def check_a_full_answer(answer):
    """A full answer goes back at once, labelled full: one request, and no rung has a turn."""
    seen = watch(ladder(answer))
    if not seen.asked:
        raise Wrong("The flow sent nothing. It begins by sending the request as it was made.")
    if seen.model != FULL or len(seen.asked) > 1:
        raise Wrong(
            f"The model answered at once. Sent: {requests(seen)}; the caller got {seen.got}. With "
            "a full answer in hand no rung has a turn: its cause is `''`, which is in no `rung.on`."
        )
    demand_label(seen, "full", "The full answer")


def check_another_model(answer):
    """When the model cannot be had, another one is asked the same, and its answer is labelled."""
    for name, kind in PASSING.items():
        seen = watch(ladder(answer), down(FULL, kind))
        if seen.asked != [FULL, OTHER] or seen.model != OTHER:
            raise Wrong(
                f"{name} leads to the next rung, which asks another model. Sent: {requests(seen)}; "
                f"the caller got {seen.got}. Make the rung's body from the old one: "
                "`Send(request.replace(body=rung.ask(request.body)))`."
            )
        demand_label(seen, "other model", "The other model's answer")


def check_what_is_ready(answer):
    """When the other model is down too, what is ready goes back: stale, or else canned."""
    both = [down(FULL), down(OTHER)]
    seen = watch(ladder(answer), *both)
    if seen.model != "labkit/canned":
        raise Wrong(
            "Both models were overloaded, a canned answer was ready, and the caller got "
            f"{seen.got}. Make it an outcome: "
            "`Outcome(status=200, value=rung.answer(request))`."
        )
    demand_label(seen, "canned", "The canned answer")
    old = ready_message("As of this morning: at nine.", "store")
    seen = watch(ladder(answer, stale(lambda _: old), canned(LATER)), *both)
    demand_label(seen, "stale", "The answer of this morning, the better of two that were ready,")
    seen = watch(ladder(answer, stale(lambda _: None), canned(LATER)), *both)
    if seen.model != "labkit/canned":
        raise Wrong("A rung had nothing ready (`None`), and the next one did not have its turn.")
    demand_label(seen, "canned", "The canned answer")


def check_the_cause_decides(answer):
    """A rung has its turn for its own causes only; what is wrong with the request goes up."""
    for name, options in LASTING.items():
        seen = watch(ladder(answer), **options)
        if seen.story.error is None or len(seen.asked) > 1:
            raise Wrong(
                f"{name} fails on every rung, and it is a bug that somebody must hear of. It went "
                f"down the ladder. Sent: {requests(seen)}; the caller got {seen.got}. Its cause is "
                "`''`, so hand it back."
            )
    seen = watch(ladder(answer), Fault("spend_limit"))
    if len(seen.asked) > 1:
        raise Wrong(
            "The month's money is spent, and the flow asked another model, which costs money too. "
            'The cause is `"limit"`, and that rung is for others: look into `rung.on`.'
        )
    demand_label(seen, "canned", "The canned answer, when the money was spent,")
    only_long = other_model(OTHER, name="longer window", on=["context"])
    seen = watch(ladder(answer, only_long, canned(LATER)), down(FULL))
    if OTHER in seen.asked:
        raise Wrong("A rung for conversations that are too long was asked because of an overload.")


def check_the_first_failure(answer):
    """Where no rung has an answer, the caller gets the first failure, without a label."""
    seen = watch(ladder(answer, rungs()[0]), down(FULL), down(OTHER, "internal"))
    if seen.story.status != 529:
        raise Wrong(
            "The model was overloaded (529), the other one failed with a 500, and the caller got "
            f"{seen.got}. It asked for the first, and wants to know why "
            "that failed: keep the first outcome, and return it."
        )
    if seen.labels:
        told = repr(seen.labels[0])
        raise Wrong(f"The call failed, and was labelled {told}. Only an answer has a rung.")


def check_recovery(answer):
    """When the outage is over, the next call is answered in full again."""
    layer = ladder(answer)
    watch(layer, down(FULL))
    seen = watch(layer)
    if seen.asked != [FULL] or seen.model != FULL:
        raise Wrong(
            "The outage was over, and the same ladder did not begin at the top again. It has no "
            "memory: keep nothing on `self`. (Whether the top is worth a request is for a breaker "
            "further in to say.)"
        )


def check_time(answer):
    """Each request has its patience, and what is ready comes before the deadline."""
    silence = Fault("silence")
    seen = watch(ladder(answer), silence)
    if seen.story.ended > 8.5 or seen.labels != ["canned"]:
        raise Wrong(
            "Both models were silent, `patience` is 4 s for each, and the call took "
            f"{seen.story.ended:.1f} s. Send `request.within(now + self.patience)`."
        )
    for seconds, least in ((10, 7.0), (6, 5.5), (3, 2.5)):
        layer = ladder(answer)
        seen = watch(layer, silence, outer=[Deadline(seconds)])
        got = f"the deadline was {seconds} s, and the caller got"
        if seen.story.error is not None:
            raise Wrong(
                f"Both models were silent, {got} {type(seen.story.error).__name__}, although a "
                "canned answer was ready. The requests took all of the time: end them `reserve` "
                "seconds before the deadline."
            )
        if not least <= seen.story.ended < seconds:
            raise Wrong(
                f"Both models were silent, {got} its answer after {seen.story.ended:.1f} s. A "
                "request may take `patience` seconds, and none goes on beyond the deadline less "
                "`reserve`."
            )
        demand_label(seen, "canned", "The canned answer, after a silence,")


def check_letting_go(answer):
    """A cancelled call asks nobody for anything any more."""
    for sends in (1, 2):
        flow, value = ladder(answer).flow(Request({"model": FULL, "max_tokens": 9})), None
        while sends:
            effect = flow.send(value)
            sends -= isinstance(effect, Send)
            value = {Send: OVERLOADED, Now: 0.0}.get(type(effect))
        try:
            flow.close()
        except RuntimeError:
            raise Wrong(
                "The call was cancelled while a request was under way, and the flow went on. "
                "Cancellations, and defects of the bench, must go straight up: an `except` around "
                "a `yield` swallows them. You need none."
            ) from None

# %% picture
import pandas as pd

from labkit import Deadline, Layer, canned, other_model
from labkit.catalog import role
from labkit.lab import charts
from labkit.lab.exercise_stage import Fault, make, play

FULL, OTHER = role("fast").id, role("balanced").id


def picture(answers):
    parts = []
    for name, answer in answers.items():
        for call, story in stories(answer):
            parts.append(story.table(call).assign(client=name))
    title = "Five calls with MyLadder: whom it asks, and for how long"
    return charts.timeline(pd.concat(parts), title=title)


def stories(answer):
    rungs = [other_model(OTHER, name="other model"), canned("We answer again soon.")]
    ladder = make(answer, "MyLadder", Layer, rungs=rungs)
    yield "all is well", play(ladder)
    yield "the model is overloaded", play(ladder, Fault("overloaded", model=FULL))
    yield "the money is spent", play(ladder, Fault("spend_limit"))
    yield "a wrong request", play(ladder, messages=[{"role": "assistant", "content": "Hello"}])
    yield "both silent, 6 s", play(ladder, Fault("silence"), outer=[Deadline(6)])

# %% wrong sets no label: can tell it from any other
class MyLadder(MyLadder):
    def flow(self, request):
        steps = super().flow(request)
        value = None
        while True:
            try:
                effect = steps.send(value)
            except StopIteration as stop:
                return stop.value
            value = None if isinstance(effect, Note) else (yield effect)

# %% wrong calls everything full: A rung's answer carries that rung's own name
class MyLadder(MyLadder):
    def flow(self, request):
        first = outcome = yield from self.in_time(request)
        for rung in self.rungs:
            if cause(outcome) not in rung.on:
                continue
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
            else:
                message = rung.answer(request)
                outcome = Outcome(status=200, value=message) if message else outcome
        if not outcome.ok:
            return first
        yield Note("rung", name="full")
        return outcome

# %% wrong falls whatever the failure is: it is a bug that somebody must hear of
class MyLadder(MyLadder):
    def flow(self, request):
        outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if outcome.ok:
                break
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
                name = rung.name
            elif (message := rung.answer(request)) is not None:
                outcome, name = Outcome(status=200, value=message), rung.name
        yield Note("rung", name=name)
        return outcome

# %% wrong asks the other model for every cause: which costs money too
class MyLadder(MyLadder):
    def flow(self, request):
        first = outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if not cause(outcome):
                break
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
                name = rung.name
            elif (message := rung.answer(request)) is not None:
                outcome, name = Outcome(status=200, value=message), rung.name
        if not outcome.ok:
            return first
        yield Note("rung", name=name)
        return outcome

# %% wrong gives the canned answer even when the full one came: a full answer in hand no rung
class MyLadder(MyLadder):
    def flow(self, request):
        outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if rung.answer is not None and (message := rung.answer(request)) is not None:
                outcome, name = Outcome(status=200, value=message), rung.name
            elif rung.ask is not None and cause(outcome) in rung.on:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
                name = rung.name
        yield Note("rung", name=name)
        return outcome

# %% wrong hands the last failure back: wants to know why
class MyLadder(MyLadder):
    def flow(self, request):
        outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if cause(outcome) not in rung.on:
                continue
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
                name = rung.name
            elif (message := rung.answer(request)) is not None:
                outcome, name = Outcome(status=200, value=message), rung.name
        if outcome.ok:
            yield Note("rung", name=name)
        return outcome

# %% wrong sticks to the lower rung: did not begin at the top again
class MyLadder(MyLadder):
    def flow(self, request):
        first = outcome = yield from self.in_time(getattr(self, "works", lambda same: same)(request))
        name = getattr(self, "name", "full")
        for rung in self.rungs:
            if cause(outcome) not in rung.on:
                continue
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
                if outcome.ok:
                    self.name = rung.name
                    self.works = lambda same, ask=rung.ask: same.replace(body=ask(same.body))
            elif (message := rung.answer(request)) is not None:
                outcome = Outcome(status=200, value=message)
            name = rung.name
        if not outcome.ok:
            return first
        yield Note("rung", name=name)
        return outcome

# %% wrong forgets its patience: `patience` is 4 s for each
class MyLadder(MyLadder):
    def in_time(self, request):
        outcome = yield Send(request)
        return outcome

# %% wrong keeps no time for what is ready: none goes on beyond the deadline less
class MyLadder(MyLadder):
    def in_time(self, request):
        outcome = yield Send(request.within((yield Now()) + self.patience))
        return outcome

# %% wrong swallows a cancellation: must go straight up
class MyLadder(MyLadder):
    def flow(self, request):
        try:
            outcome = yield from super().flow(request)
        except BaseException:
            outcome = Outcome(status=200, value=self.rungs[-1].answer(request))
            yield Note("rung", name=self.rungs[-1].name)
        return outcome

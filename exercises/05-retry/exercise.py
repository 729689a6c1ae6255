# The source of exercise 05; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Retry with exponential backoff
# lesson: 05-retry
# minutes: 30
# difficulty: 3
# importance: 5

# %% [markdown] task
# ## Your task
#
# Write `MyRetry`, the retry layer of lesson 05. You write it as a **flow**: a generator that
# asks for what it wants and is sent the result.
#
# | The flow says | What happens |
# | --- | --- |
# | `outcome = yield Send(request)` | the request is sent, and you get what came of it |
# | `yield Sleep(seconds)` | the call waits |
# | `now = yield Now()` | you get the time, in seconds |
# | `return outcome` | the caller gets this outcome, be it an answer or a failure |
#
# What it must do:
#
# 1. **Retry what is transient, and nothing else.** `outcome.transient` knows which failures may
#    pass. Any other outcome goes back at once.
# 2. **Stop.** A call may send `attempts` requests, the first one included. Then the last outcome
#    goes back, failure or not.
# 3. **Back off with full jitter.** Before the first retry wait a random time between 0 and `base`
#    seconds. Before each later one the upper end doubles, until it reaches `cap`.
# 4. **Honour `retry-after`.** If `outcome.retry_after` is a number, it replaces your own wait:
#    never come back earlier, and add a random part of up to `spread` seconds. If it is more than
#    `longest_wait`, do not wait at all: hand the outcome back.
# 5. **Respect the deadline.** `request.deadline` is a point in time, or `None`. Never begin a
#    wait that would end at or after it: hand the outcome back.
#
# Nothing here really waits: the check runs on virtual time. And nothing here is a toy: the SDK
# runs the same class in production, with its own retries switched off so that only one layer
# retries.
#
# ```python
# client = anthropic.Anthropic(middleware=[MyRetry(attempts=4)], max_retries=0)
# ```

# %% setup
import random

from labkit import Layer, Now, Send, Sleep

# %% starter
class MyRetry(Layer):
    """Try again what may succeed later."""

    def __init__(self, attempts=4, base=0.5, cap=8.0, spread=2.0, longest_wait=30.0, seed=None):
        self.attempts = attempts          # requests a call may send, the first one included
        self.base = base                  # seconds: the upper end of the first wait
        self.cap = cap                    # seconds: the upper end never grows beyond this
        self.spread = spread              # seconds: the random part on top of a retry-after
        self.longest_wait = longest_wait  # seconds: a longer retry-after is not waited for
        self.dice = random.Random(seed)   # self.dice.uniform(low, high) draws a number

    def wait_after(self, attempt, outcome):
        """Return the seconds to wait after attempt 0, 1, 2, ..., or None to give up."""
        raise NotImplementedError("write `wait_after`, and check again.")

    def flow(self, request):
        """Send, and while it makes sense, wait and send again; return the last outcome.

        outcome = yield Send(request)     then ask outcome.transient, outcome.retry_after
        yield Sleep(seconds)
        now = yield Now()                 compare it with request.deadline, which may be None
        """
        raise NotImplementedError("write `flow` and `wait_after` in your answer, and check again.")

# %% [markdown] hint 1
# Begin with `flow` and leave the waits for later. You need a loop that runs `self.attempts`
# times. In it, three questions come before any wait, and each may end the flow with
# `return outcome`:
#
# - Is there a reason to send it again at all?
# - Was this the last attempt that is allowed?
# - Would the wait end before the deadline?
#
# Keep the count in a variable of `flow`, not on `self`: one layer serves many calls.

# %% [markdown] hint 2
# One turn of the loop, with `attempt` counting from 0:
#
# 1. `outcome = yield Send(request)`
# 2. not transient, or the last attempt: return it
# 3. `wait = self.wait_after(attempt, outcome)`; `None` means: return the outcome
# 4. if there is a deadline, ask for the time, and return the outcome if the wait ends too late
# 5. `yield Sleep(wait)`
#
# `wait_after` has two branches. Without a `retry_after`, work out the upper end first, with the
# cap inside (`min`), and draw below it as the very last step. If you cap after the draw, many
# waits become exactly the cap, and the clients that the jitter had spread out meet again.

# %% [markdown] hint 3
# All of `wait_after`:
#
# ```python
# if outcome.retry_after is None:
#     return self.dice.uniform(0, min(self.cap, self.base * 2**attempt))
# if outcome.retry_after > self.longest_wait:
#     return None
# return outcome.retry_after + self.dice.uniform(0, self.spread)
# ```
#
# The question about the deadline in `flow`:
#
# ```python
# if request.deadline is not None and (yield Now()) + wait >= request.deadline:
#     return outcome
# ```

# %% solution
class MyRetry(Layer):
    """Try again what may succeed later."""

    def __init__(self, attempts=4, base=0.5, cap=8.0, spread=2.0, longest_wait=30.0, seed=None):
        self.attempts = attempts          # requests a call may send, the first one included
        self.base = base                  # seconds: the upper end of the first wait
        self.cap = cap                    # seconds: the upper end never grows beyond this
        self.spread = spread              # seconds: the random part on top of a retry-after
        self.longest_wait = longest_wait  # seconds: a longer retry-after is not waited for
        self.dice = random.Random(seed)   # self.dice.uniform(low, high) draws a number

    def wait_after(self, attempt, outcome):
        """Return the seconds to wait after attempt 0, 1, 2, ..., or None to give up."""
        if outcome.retry_after is None:
            return self.dice.uniform(0, min(self.cap, self.base * 2**attempt))
        if outcome.retry_after > self.longest_wait:
            return None
        return outcome.retry_after + self.dice.uniform(0, self.spread)

    def flow(self, request):
        """Send, and while it makes sense, wait and send again; return the last outcome."""
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            wait = self.wait_after(attempt, outcome)
            if wait is None:
                return outcome
            if request.deadline is not None and (yield Now()) + wait >= request.deadline:
                return outcome
            yield Sleep(wait)

# %% checks
from labkit import Deadline, Layer, Outcome
from labkit.lab.exercise_stage import Fault, Wrong, make, play, rehearse

CLIENTS = 400
OVERLOADED = Outcome(status=529, error_type="overloaded_error")

TRANSIENT = {
    "A 529 (overloaded)": Fault("overloaded", first=1),
    "A 500": Fault("internal", first=1),
    "A 503 from a proxy, which is not even JSON,": Fault("unavailable", first=1),
    "A 429 that says when to come back": Fault("rate_limited", first=1, retry_after=3),
    "A refused connection, which has no status,": Fault("refused", first=1),
}
LASTING = {
    "A 400 (a request that is wrong)": {"messages": [{"role": "assistant", "content": "Hello"}]},
    "A 401 (no key)": {"key": False},
    "A 404 (no such model)": {"model": "no-such-model"},
}


def retry(answer, **options):
    usual = {"attempts": 4, "base": 1.0, "cap": 8.0, "spread": 2.0, "longest_wait": 30.0, "seed": 5}
    return make(answer, "MyRetry", Layer, **{**usual, **options})


def requests(number):
    return "1 request" if number == 1 else f"{number} requests"


def check_an_answer_goes_back(answer):
    """An answer goes back at once: one request, no wait."""
    story = play(retry(answer))
    if not story.sent:
        raise Wrong("The flow sent nothing. It begins with `outcome = yield Send(request)`.")
    if len(story.sent) > 1 or story.slept_after:
        raise Wrong(
            f"The first attempt was answered, and the flow sent {requests(len(story.sent))} and "
            f"slept {sum(story.gaps) + story.slept_after:.1f} s. An answer goes back at once."
        )


def check_transient_failures_are_retried(answer):
    """What may pass is retried: 429, 500, 503, 529, no connection, a stream that never began."""
    for name, fault in TRANSIENT.items():
        demand_a_second_attempt(name, play(retry(answer), fault))
    overload = Fault("stream_error", first=1, after=1)
    name = "An overload inside a stream, before its first word (the status is 200),"
    demand_a_second_attempt(name, play(retry(answer), overload, stream=True))


def demand_a_second_attempt(name, story):
    if len(story.sent) == 1:
        raise Wrong(
            f"{name} is transient, and it was not tried again. A list of statuses never holds "
            "everything that may pass: ask `outcome.transient`."
        )
    if story.error is not None:
        raise Wrong(f"{name} was tried again and answered, and the caller still got the failure.")


def check_lasting_failures_are_not(answer):
    """What cannot pass is never retried: 400, 401, 404, a spend limit."""
    for name, options in LASTING.items():
        demand_one_attempt(name, play(retry(answer), **options))
    demand_one_attempt("A 429 for a spent budget", play(retry(answer), Fault("spend_limit")))


def demand_one_attempt(name, story):
    if len(story.sent) > 1:
        raise Wrong(
            f"{name} was sent {len(story.sent)} times. It fails the same way every time: "
            "only what `outcome.transient` says may pass is worth another attempt."
        )


def check_attempts_are_bounded(answer):
    """An outage ends after `attempts` requests, in every call, and the failure goes back."""
    layer = retry(answer)
    story = play(layer, Fault("overloaded"))
    demand_four(len(story.sent))
    if story.slept_after:
        raise Wrong(
            f"After the last attempt the flow slept {story.slept_after:.1f} s more, and sent "
            "nothing. Ask whether it was the last one before you wait."
        )
    if story.status != 529:
        raise Wrong(
            f"Every attempt failed with 529, and the caller got {story.error or story.message!r}. "
            "The last outcome goes back as it is."
        )
    again = len(play(layer, Fault("overloaded")).sent)
    if again != 4:
        raise Wrong(
            f"The same layer sent 4 requests in its first call and {again} in its second. One "
            "layer serves many calls: keep the count in a variable of `flow`, not on `self`."
        )
    once = len(play(retry(answer, attempts=1), Fault("overloaded")).sent)
    if once != 1:
        raise Wrong(f"`attempts=1` allows one request and no retry, and {once} were sent.")


def demand_four(sent):
    if sent > 4:
        raise Wrong(
            f"`attempts=4` allows 4 requests, and {sent} were sent. The first one is an attempt too."
        )
    if sent < 4:
        raise Wrong(f"`attempts=4` allows 4 requests, and the flow gave up after {sent}.")


def check_backoff(answer):
    """Waits grow up to the cap, with full jitter that survives the cap."""
    layer = retry(answer, attempts=7)
    calls = rehearse(layer, OVERLOADED, calls=CLIENTS)
    waits = list(zip(*calls, strict=True))
    if all(len(set(draws)) == 1 for draws in waits):
        raise Wrong(
            f"No jitter: {CLIENTS} clients that failed together all waited exactly "
            f"{waits[0][0]:.2f} s, so they come back together. Draw the wait: "
            "`self.dice.uniform(0, ...)`."
        )
    at_cap = sum(draw == 8.0 for draw in waits[-1])
    if at_cap > CLIENTS / 10:
        raise Wrong(
            f"The jitter is lost at the cap: before the last retry {at_cap} of {CLIENTS} clients "
            "waited exactly 8.00 s. Put the cap inside the draw, not around it."
        )
    for number, draws in enumerate(waits):
        demand_full_jitter(number, draws, min(8.0, 2.0**number))


def demand_full_jitter(number, draws, ceiling):
    low, high = min(draws), max(draws)
    seen = (
        f"With base=1 and cap=8, {CLIENTS} clients waited {low:.2f} to {high:.2f} s before "
        f"retry {number + 1}"
    )
    if high > ceiling:
        raise Wrong(
            f"{seen}, and its upper end is {ceiling:g} s. The ends are `base`, `2 * base`, "
            "`4 * base` and so on, and never more than `cap`."
        )
    if high < 0.8 * ceiling:
        raise Wrong(f"{seen}, and its upper end is {ceiling:g} s. The end doubles with each retry.")
    if low > 0.2 * ceiling:
        raise Wrong(
            f"{seen}: only a little jitter, so most of the herd stays together. Full jitter draws "
            f"from 0 up to {ceiling:g} s."
        )


def check_retry_after(answer):
    """A retry-after is honoured, with a random part on top, up to `longest_wait`."""
    waited = sum(play(retry(answer), Fault("rate_limited", first=1, retry_after=20)).gaps)
    if waited < 20:
        raise Wrong(
            f"The server asked for 20 s and got the next request after {waited:.2f} s. "
            "A retry-after replaces your own wait, and the cap is for your own waits only."
        )
    if waited > 22:
        raise Wrong(f"The server asked for 20 s, spread=2 allows 22 s, and it took {waited:.2f} s.")
    asked = Outcome(status=429, error_type="rate_limit_error", headers={"retry-after": "20"})
    waits = [gaps[0] for gaps in rehearse(retry(answer, attempts=2), asked, calls=CLIENTS)]
    if min(waits) < 20:
        raise Wrong(
            f"The server asked for 20 s, and some clients came back after {min(waits):.2f} s. "
            "The random part only ever comes on top."
        )
    if max(waits) > 22:
        late = f"{max(waits):.2f} s"
        raise Wrong(f"The server asked for 20 s, spread=2 allows 22 s, and some waited {late}.")
    if len(set(waits)) == 1:
        raise Wrong(
            f"{CLIENTS} clients that were told to wait 20 s all came back after {waits[0]:.2f} s, "
            "in one instant. Add a random part of up to `spread` seconds."
        )
    story = play(retry(answer), Fault("rate_limited", retry_after=3600))
    if len(story.sent) > 1 or story.slept_after:
        raise Wrong(
            f"The server asked for 3600 s, `longest_wait` is 30 s, and the call took "
            f"{story.ended:.0f} s. A server may not put its caller to sleep for hours: hand the "
            "outcome back."
        )


def check_deadline(answer):
    """No wait is begun that would end after the request's deadline."""
    unhurried = play(retry(answer), Fault("overloaded", first=2), outer=[Deadline(1000)])
    if unhurried.error is not None:
        raise Wrong(
            "There were 1000 s left until the deadline and the flow gave up. `request.deadline` "
            "is a point in time: compare it with `(yield Now()) + wait`."
        )
    late = Fault("overloaded", retry_after=20)
    slow = {"attempts": 9, "base": 4.0, "cap": 60.0}
    for story in (
        play(retry(answer), late, outer=[Deadline(10)]),
        play(retry(answer, **slow), Fault("overloaded"), outer=[Deadline(10)]),
    ):
        if story.ended >= 10:
            raise Wrong(
                f"The caller's patience ended after 10.0 s, and the call went on for "
                f"{story.ended:.1f} s. `request.deadline` is a point in time: if "
                "`(yield Now()) + wait` is not before it, hand the outcome back now."
            )

# %% picture
import pandas as pd

from labkit import Deadline, Layer
from labkit.lab import charts
from labkit.lab.exercise_stage import Fault, make, play


def picture(answers):
    parts = []
    for name, answer in answers.items():
        for call, story in stories(answer):
            parts.append(story.table(call).assign(client=name))
    title = "Five calls with MyRetry: when it waits, and when it hands the outcome back"
    return charts.timeline(pd.concat(parts), title=title)


def stories(answer):
    retry = make(answer, "MyRetry", Layer, seed=5)
    yield "overloaded three times", play(retry, Fault("overloaded", first=3))
    yield "told to wait 10 s", play(retry, Fault("rate_limited", first=1, retry_after=10))
    yield "told to wait an hour", play(retry, Fault("rate_limited", retry_after=3600))
    yield "no such model", play(retry, model="no-such-model")
    yield "deadline at 3 s", play(retry, Fault("overloaded"), outer=[Deadline(3)])

# %% wrong retries everything: It fails the same way every time
class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if outcome.ok or attempt == self.attempts - 1:
                return outcome
            yield Sleep(self.wait_after(attempt, outcome) or 0)

# %% wrong knows a list of statuses: A refused connection, which has no status, is transient
class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if outcome.status not in (429, 500, 502, 503, 504, 529) or attempt == self.attempts - 1:
                return outcome
            yield Sleep(self.wait_after(attempt, outcome))

# %% wrong never stops: Your flow never stops
class MyRetry(MyRetry):
    def flow(self, request):
        attempt = 0
        while True:
            outcome = yield Send(request)
            if not outcome.transient:
                return outcome
            yield Sleep(self.wait_after(attempt, outcome))
            attempt += 1

# %% wrong one attempt too many: The first one is an attempt too
class MyRetry(MyRetry):
    def flow(self, request):
        outcome = yield Send(request)
        for attempt in range(self.attempts):
            if not outcome.transient:
                return outcome
            yield Sleep(self.wait_after(attempt, outcome))
            outcome = yield Send(request)
        return outcome

# %% wrong counts on self: keep the count in a variable of `flow`
class MyRetry(MyRetry):
    def __init__(self, **options):
        super().__init__(**options)
        self.tries = 0

    def flow(self, request):
        while True:
            outcome = yield Send(request)
            self.tries += 1
            if not outcome.transient or self.tries >= self.attempts:
                return outcome
            yield Sleep(self.wait_after(self.tries - 1, outcome))

# %% wrong swallows the last failure: so the failure was swallowed
class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if not outcome.transient:
                return outcome
            if attempt < self.attempts - 1:
                yield Sleep(self.wait_after(attempt, outcome))

# %% wrong no jitter: No jitter: 400 clients
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        if outcome.retry_after is None:
            return min(self.cap, self.base * 2**attempt)
        return super().wait_after(attempt, outcome)

# %% wrong jitter lost at the cap: The jitter is lost at the cap
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        if outcome.retry_after is None:
            return min(self.cap, self.base * 2**attempt + self.dice.uniform(0, 1))
        return super().wait_after(attempt, outcome)

# %% wrong a little jitter: only a little jitter
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        if outcome.retry_after is None:
            return min(self.cap, self.base * 2**attempt) * self.dice.uniform(0.75, 1)
        return super().wait_after(attempt, outcome)

# %% wrong one power too far: its upper end is 1 s
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        return super().wait_after(attempt + 1, outcome)

# %% wrong ignores retry-after: The server asked for 20 s and got the next request after
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        return self.dice.uniform(0, min(self.cap, self.base * 2**attempt))

# %% wrong comes back with the herd: clients that were told to wait 20 s all came back
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        return outcome.retry_after or super().wait_after(attempt, outcome)

# %% wrong obeys any retry-after: A server may not put its caller to sleep for hours
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        if outcome.retry_after is None:
            return super().wait_after(attempt, outcome)
        return outcome.retry_after + self.dice.uniform(0, self.spread)

# %% wrong forgets the deadline: The caller's patience ended after 10.0 s
class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            wait = self.wait_after(attempt, outcome)
            if not outcome.transient or attempt == self.attempts - 1 or wait is None:
                return outcome
            yield Sleep(wait)

# %% wrong sleeps for real: which holds up the whole program
import time

class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            time.sleep(self.wait_after(attempt, outcome))

# %% wrong reads the machine's clock: Your code reads the machine's clock
import time

class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            wait = self.wait_after(attempt, outcome)
            if wait is None or (request.deadline and time.monotonic() + wait > request.deadline):
                return outcome
            yield Sleep(wait)

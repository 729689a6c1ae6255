# The source of exercise 08; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: A throttle for three limits
# lesson: 08-rate-limits
# minutes: 40
# difficulty: 4
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `MyThrottle`, the layer that stays below all three limits of lesson 08: requests, input
# tokens and output tokens a minute. It is a **flow** again.
#
# | The flow says | What happens |
# | --- | --- |
# | `outcome = yield Send(request)` | the request is sent, and you get what came of it |
# | `yield Sleep(seconds)` | the call waits, and others go on meanwhile |
# | `now = yield Now()` | you get the time, in seconds |
# | `return outcome` | the caller gets this outcome |
#
# What it must do:
#
# 1. **A bucket for each limit.** `Bucket` holds what a tenth of a minute brings, and refills all
#    the time. Finish `wait` and `take` first; they are those of the lesson.
# 2. **Book before you wait.** A call books one request, `prompt_tokens(request)` of input and
#    `self.expected_output` of output, and waits until the slowest of its three buckets has them.
#    Calls that wait have their turns one after the other, not all at once.
# 3. **Settle.** When an answer tells what it used, replace what was booked by that:
#    `outcome.when_used(settle)` calls your `settle(used)` with `used.counted_input_tokens` (what
#    was read from the prompt cache is left out, since it does not count) and
#    `used.output_tokens`.
# 4. **Give back.** A call that is cancelled while it waits, and one that the API turned away
#    with a 429, have used nothing: everything they booked goes back.
# 5. **Refuse in time.** If the turn would come at or after `request.deadline` (a point in time,
#    or `None`), or later than `longest_wait` seconds from now, book nothing and return
#    `Outcome(error=Shed("...", retry_after=wait))` at once.
#
# Nothing here really waits: the check plays crowds of calls on virtual time, before a simulated
# API that counts too.

# %% setup
from labkit import Layer, Now, Outcome, Send, Sleep
from labkit.errors import Shed
from labkit.layers.estimate import prompt_tokens

# %% starter
class Bucket:
    """So much a minute, a tenth of it at once."""

    def __init__(self, per_minute):
        self.rate = per_minute / 60       # what comes in a second
        self.burst = per_minute / 10      # what the bucket holds
        self.level, self.at = self.burst, 0.0

    def wait(self, amount, now):
        """Bring the level up to date; return the seconds until so much is there."""
        raise NotImplementedError("write `Bucket.wait` and `Bucket.take`, and check again.")

    def take(self, amount):
        """Take it, if need be as a debt; a negative amount is given back."""
        raise NotImplementedError("write `Bucket.take`, and check again.")


class MyThrottle(Layer):
    """Stay below three limits, by waiting at home."""

    def __init__(self, requests, input_tokens, output_tokens, expected_output=300, longest_wait=30):
        self.buckets = [Bucket(requests), Bucket(input_tokens), Bucket(output_tokens)]
        self.expected_output = expected_output  # tokens: what an answer is booked with
        self.longest_wait = longest_wait        # seconds: a later turn is refused at once

    def flow(self, request):
        """Book, wait, send, settle; give back what was not used.

        booked = (1, prompt_tokens(request), self.expected_output)
        """
        raise NotImplementedError("write `Bucket` and then `flow`, and check again.")

# %% [markdown] hint 1
# Begin with `Bucket`, and try it by hand: `Bucket(60)` has six at once, and then one a second.
# The level may fall below zero. That is how a call that waits has booked already, and why the
# next one waits a second longer.
#
# Then write `flow` for the good case alone: the time, the wait, book, `Sleep`, `Send`, return.
# The three other duties (settle, give back, refuse) each add a few lines to it, and the check
# asks for them one after the other.

# %% [markdown] hint 2
# The order inside of `flow`:
#
# 1. `now = yield Now()`, and the wait of the slowest bucket: `max(...)` over the three
# 2. too late? Return the refusal, before anything is booked
# 3. take from all three buckets, **before** the sleep
# 4. `yield Sleep(wait)`; when a caller leaves, Python raises `GeneratorExit` right there, so give
#    back in an `except GeneratorExit:` and `raise` again
# 5. `outcome = yield Send(request)`; a 429 gives everything back
# 6. `outcome.when_used(settle)` for an answer, and `return outcome`
#
# Settling is taking the difference: used less booked, which may be negative.

# %% [markdown] hint 3
# The bucket:
#
# ```python
# def wait(self, amount, now):
#     self.level = min(self.burst, self.level + (now - self.at) * self.rate)
#     self.at = now
#     return max(0.0, (amount - self.level) / self.rate)
#
# def take(self, amount):
#     self.level -= amount
# ```
#
# A helper for the three of them, for booking, settling and giving back alike:
#
# ```python
# def take(self, amounts):
#     for bucket, amount in zip(self.buckets, amounts):
#         bucket.take(amount)
# ```
#
# And the settling, after the answer:
#
# ```python
# def settle(used):
#     self.take((0, used.counted_input_tokens - booked[1], used.output_tokens - booked[2]))
#
# outcome.when_used(settle)
# ```

# %% solution
class Bucket:
    """So much a minute, a tenth of it at once."""

    def __init__(self, per_minute):
        self.rate = per_minute / 60       # what comes in a second
        self.burst = per_minute / 10      # what the bucket holds
        self.level, self.at = self.burst, 0.0

    def wait(self, amount, now):
        """Bring the level up to date; return the seconds until so much is there."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        return max(0.0, (amount - self.level) / self.rate)

    def take(self, amount):
        """Take it, if need be as a debt; a negative amount is given back."""
        self.level -= amount


class MyThrottle(Layer):
    """Stay below three limits, by waiting at home."""

    def __init__(self, requests, input_tokens, output_tokens, expected_output=300, longest_wait=30):
        self.buckets = [Bucket(requests), Bucket(input_tokens), Bucket(output_tokens)]
        self.expected_output = expected_output  # tokens: what an answer is booked with
        self.longest_wait = longest_wait        # seconds: a later turn is refused at once

    def flow(self, request):
        """Book, wait, send, settle; give back what was not used."""
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed(f"The turn would come in {wait:.1f} s.", retry_after=wait))
        self.take(booked)
        try:
            yield Sleep(wait)
        except GeneratorExit:
            self.give_back(booked)
            raise
        outcome = yield Send(request)
        if outcome.status == 429:
            self.give_back(booked)
        elif outcome.ok:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

    def wait(self, amounts, now):
        """Return the seconds until all three buckets have so much."""
        waits = [bucket.wait(amount, now) for bucket, amount in zip(self.buckets, amounts)]
        return max(waits)

    def too_late(self, request, wait, now):
        """Say whether the turn would come too late."""
        late = request.deadline is not None and now + wait >= request.deadline
        return late or wait > self.longest_wait

    def take(self, amounts):
        """Take so much from each bucket."""
        for bucket, amount in zip(self.buckets, amounts):
            bucket.take(amount)

    def give_back(self, amounts):
        """Return what was taken."""
        self.take([-amount for amount in amounts])

    def settle(self, booked, used):
        """Replace what was booked by what was used."""
        _, prompt, answer = booked
        self.take((0, used.counted_input_tokens - prompt, used.output_tokens - answer))

# %% checks
from collections import Counter

from labkit import Layer, Outcome
from labkit.catalog import role
from labkit.errors import Shed
from labkit.flow import Used
from labkit.lab.exercise_crowd import Call, ask, crowd, small_api
from labkit.lab.exercise_stage import Wrong, make
from labkit.sim.prefix import Block, Prefix
from labkit.sim.traffic import Arrival, Task, requests, steady

PLENTY = 1e9
ANSWERED = Outcome(status=200)
TURNED_AWAY = Outcome(status=429, error_type="rate_limit_error")
NOW = 700.0


def throttle(answer, **options):
    usual = {"requests": PLENTY, "input_tokens": PLENTY, "output_tokens": PLENTY}
    usual |= {"expected_output": 300, "longest_wait": 30}
    return make(answer, "MyThrottle", Layer, **{**usual, **options})


def busy(answer, calls=6, **options):
    """Return a throttle of 60 requests a minute whose six at once have just gone."""
    layer = throttle(answer, requests=60, **options)
    for _ in range(calls):
        Call(layer, now=NOW).answer(ANSWERED)
    return layer


def check_an_answer_goes_back(answer):
    """A call that need not wait is sent at once, and its answer goes back."""
    call = Call(throttle(answer), now=NOW)
    if not call.sent:
        raise Wrong("Nothing was sent. At some point it says `outcome = yield Send(request)`.")
    if call.waited:
        raise Wrong(
            f"There was plenty in all buckets, and the first call waited {call.waited:.1f} s."
        )
    call.answer(ANSWERED)
    if call.outcome is not ANSWERED:
        raise Wrong("The answer did not go back as it was. End with `return outcome`.")


def check_turns_come_one_by_one(answer):
    """A tenth of a minute goes at once, then turns come one after the other."""
    layer = throttle(answer, requests=60, longest_wait=1000)
    arrivals = [Arrival(55.0, role("fast").id, 100, 20) for _ in range(80)]
    sent = sorted(crowd(layer, arrivals, small_api()).attempts["start_s"])
    at_once = sum(at == 55.0 for at in sent)
    if at_once > 7:
        raise Wrong(
            f"With 60 requests a minute, {at_once} of 80 went out in one instant, and six may. "
            "A count that starts anew every minute lets twice the limit through around the full "
            "minute. Keep a level that refills all the time and never holds more than `burst`."
        )
    together = max(Counter(round(at, 3) for at in sent if at > 55.0).values())
    if together > 2:
        raise Wrong(
            f"{together} calls that had to wait went out in the same instant: each was told the "
            "same wait. A call books before it waits, so that the next one sees the debt."
        )
    took = sent[-1] - 55.0
    if took < 70:
        raise Wrong(
            f"80 calls at 60 a minute went out within {took:.0f} s. Six at once and one a second "
            "makes 74 s: the buckets refill at `rate`, and never hold more than `burst`."
        )
    if took > 80:
        raise Wrong(f"80 calls at 60 a minute took {took:.0f} s, and 74 s were enough.")


def check_what_was_used_is_gone(answer):
    """A request that was answered is gone."""
    layer = throttle(answer, requests=60)
    for _ in range(8):
        Call(layer, now=NOW).answer(ANSWERED)
    if Call(layer, now=NOW).waited < 1:
        raise Wrong(
            "Eight calls were answered in one instant, and the ninth need not wait. Give back only "
            "what was never used: a request that was answered is gone."
        )


def check_large_calls_go_through(answer):
    """A call larger than the bucket still has its turn."""
    layer = throttle(answer, input_tokens=60_000)
    try:
        went_out = Call(layer, now=NOW, request=ask(8_000)).sent
    except Wrong:  # the watch over endless loops
        went_out = False
    if not went_out:
        raise Wrong(
            "A prompt of 8,000 tokens never went out, because the bucket holds 6,000. Take it as a "
            "debt, and wait until the debt is paid."
        )


def check_refusals(answer):
    """A turn after the deadline, or too far away, is refused at once and books nothing."""
    layer = busy(answer)
    hurried = Call(layer, now=NOW, request=ask().within(NOW + 0.5))
    demand_a_refusal(hurried, 1.0, "its deadline is in 0.5 s")
    waited = Call(layer, now=NOW, request=ask().within(NOW + 100)).waited
    if waited > 1.5:
        raise Wrong(
            f"After a refusal the next call waits {waited:.1f} s instead of one: the refused call "
            "had booked its turn. Book after you have decided."
        )
    if not waited:
        raise Wrong("A call whose deadline was far away, with an empty bucket, did not wait.")
    patient = busy(answer, longest_wait=2.5)
    waiting = [Call(patient, now=NOW, wait=False) for _ in range(2)]
    if any(call.outcome is not None for call in waiting):
        raise Wrong("`longest_wait=2.5`, the turn came within 2 s, and the call was refused.")
    demand_a_refusal(Call(patient, now=NOW), 3.0, "`longest_wait` is 2.5 s")


def demand_a_refusal(call, wait, why):
    error = call.outcome.error if call.outcome is not None else None
    if call.sent or call.waited:
        raise Wrong(
            f"The turn comes in {wait:g} s, {why}, and the call waited {call.waited:.1f} s. Waiting "
            "for an answer that comes too late helps nobody: refuse at once, and let the caller "
            "do something else."
        )
    if not isinstance(error, Shed):
        raise Wrong(
            f"The turn comes in {wait:g} s, {why}, and the caller did not get a `Shed`. Return "
            "`Outcome(error=Shed(..., retry_after=wait))`."
        )
    if error.retry_after is None or abs(error.retry_after - wait) > 0.1:
        raise Wrong(f"The refusal says to come back in {error.retry_after}, and it is {wait:g} s.")


def share_turned_away(layer, task, per_second, **limits):
    arrivals = requests(steady(per_second), until=90, mix=[task], seed=1)
    attempts = crowd(layer, arrivals, small_api(**limits, at_once_s=12)).attempts
    return (attempts["status"] == 429).mean()


def check_all_three_limits(answer):
    """Requests, input and output tokens are all counted: the API turns nobody away."""
    cases = {
        "requests": (Task("short prompts", 100, 100, spread=0.2), 15, 600),
        "input_tokens": (Task("long prompts", 4_000, 50, spread=0.2), 5, 800_000),
        "output_tokens": (Task("long answers", 200, 300, spread=0), 7, 84_000),
    }
    for name, (task, per_second, limit) in cases.items():
        layer = throttle(answer, **{name: limit, "longest_wait": 15})
        refused = share_turned_away(layer, task, per_second, **{name: limit})
        if refused > 0.01:
            raise Wrong(
                f"With {limit:,} {name.replace('_', ' ')} a minute and {task.kind}, the API "
                f"turned {refused:.0%} away with a 429. Each of the three limits needs a bucket "
                "that every call takes from."
            )


def check_it_settles(answer):
    """What was booked is replaced by what was used, more or less."""
    for expected, used in ((400, 100), (150, 300)):
        layer = throttle(answer, output_tokens=60_000, expected_output=expected, longest_wait=15)
        task = Task("answers", 100, used, spread=0)
        arrivals = requests(steady(1_500 / used), until=150, mix=[task], seed=1)
        attempts = crowd(layer, arrivals, small_api(output_tokens=60_000)).attempts
        late = attempts.query("60 <= start_s < 150 and status == 200")["output_tokens"].sum()
        share, refused = late / 90_000, (attempts["status"] == 429).mean()
        if share < 0.85:
            raise Wrong(
                f"Answers were booked with {expected:,} tokens and had {used:,}, and only "
                f"{share:.0%} of the limit was used: what is booked for ever is lost. Settle with "
                "`outcome.when_used`."
            )
        if refused > 0.05:
            raise Wrong(
                f"Answers were booked with {expected:,} tokens and had {used:,}, and {refused:.0%} "
                "of the calls got a 429. Settle with what was really used, also if it is more."
            )
    tokens = throttle(answer, output_tokens=6_000, expected_output=300)
    told = Outcome(status=200, meter=lambda listen: listen(Used(100, 900)))
    Call(tokens, now=NOW).answer(told)
    waited = Call(tokens, now=NOW).waited
    if not 5.5 < waited < 6.5:
        raise Wrong(
            "An answer was booked with 300 tokens and used 900 of the 600 that the bucket holds; "
            f"the next one, of 300, is due after 6 s, and it waited {waited:.1f} s. Settling takes "
            "the difference, once."
        )


def check_reads_from_the_prompt_cache_are_free(answer):
    """Tokens read from the prompt cache do not count against the input limit."""
    layer = throttle(answer, input_tokens=600_000, longest_wait=15)
    traffic = requests(steady(12), until=90, mix=[Task("short", 900, 50, spread=0)], seed=1)
    attempts = crowd(layer, list(cached(traffic)), small_api(input_tokens=600_000)).attempts
    answered = (attempts.query("start_s >= 30")["status"] == 200).sum()
    if answered < 120:
        raise Wrong(
            f"Nine tenths of every prompt were read from the prompt cache, and only {answered} "
            "calls were sent in a minute. Those tokens do not count: settle the input with "
            "`used.counted_input_tokens`."
        )


def cached(arrivals):
    handbook = Block("system", b"handbook", 9_000, "5m")
    for number, each in enumerate(arrivals):
        rest = Block("messages", b"%d" % number, 10_000, None)
        yield each.replace(prompt_tokens=10_000, prefix=Prefix((handbook, rest)))


def check_who_leaves_gives_back(answer):
    """A call that is cancelled while it waits gives back all that it booked."""
    layer = busy(answer, longest_wait=100)
    waiting = [Call(layer, now=NOW, wait=False) for _ in range(20)]
    for call in waiting:
        call.leave()
    waited = Call(layer, now=NOW).waited
    if waited > 2:
        raise Wrong(
            f"20 callers left while they waited, and the next call waits {waited:.0f} s for nobody. "
            "What a cancelled call booked goes back: `except GeneratorExit:` around the `Sleep`."
        )
    tokens = throttle(answer, input_tokens=60_000, longest_wait=100)
    Call(tokens, now=NOW, request=ask(6_000)).answer(ANSWERED)
    for call in [Call(tokens, now=NOW, request=ask(6_000), wait=False) for _ in range(5)]:
        call.leave()
    waited = Call(tokens, now=NOW, request=ask(1_000)).waited
    if waited > 2:
        raise Wrong(
            f"Five callers with long prompts left, and the next call waits {waited:.0f} s. Give "
            "back the tokens as well as the request."
        )


def check_a_429_gives_back(answer):
    """What the API turned away has used nothing."""
    layer = throttle(answer, requests=60)
    for _ in range(6):
        Call(layer, now=NOW).answer(TURNED_AWAY)
    waited = Call(layer, now=NOW).waited
    if waited > 0.5:
        raise Wrong(
            f"Six calls were turned away with a 429, and the next one waits {waited:.1f} s. A 429 "
            "uses nothing of the limit: give back what was booked."
        )

# %% picture
import pandas as pd

from labkit import Layer
from labkit.catalog import role
from labkit.lab import charts
from labkit.lab.exercise_crowd import crowd, small_api
from labkit.lab.exercise_stage import make
from labkit.sim.traffic import Arrival


def picture(answers):
    parts = []
    for name, answer in answers.items():
        layer = make(
            answer, "MyThrottle", Layer,
            requests=60, input_tokens=1e9, output_tokens=1e9, longest_wait=8,
        )
        arrivals = [Arrival(0.2 * n, role("fast").id, 100, 20) for n in range(16)]
        attempts = crowd(layer, arrivals, small_api()).attempts
        outcome = attempts["status"].map({200: "ok"}).fillna("rate_limited")
        parts.append(attempts.assign(client=name, outcome=outcome, label=attempts["status"].astype(str)))
    title = "Sixteen calls, one every fifth of a second, with 60 requests a minute"
    return charts.timeline(pd.concat(parts).sort_values("call", kind="stable"), title=title)

# %% wrong counts only requests: 800,000 input tokens a minute
class MyThrottle(MyThrottle):
    def __init__(self, requests, input_tokens, output_tokens, **options):
        super().__init__(requests, 1e12, 1e12, **options)

# %% wrong forgets the output: 84,000 output tokens a minute
class MyThrottle(MyThrottle):
    def __init__(self, requests, input_tokens, output_tokens, **options):
        super().__init__(requests, input_tokens, 1e12, **options)

# %% wrong counts by the minute: lets twice the limit through
class Bucket(Bucket):
    minute, count = -1, 0

    def wait(self, amount, now):
        if now // 60 > self.minute:
            self.minute, self.count = now // 60, 0
        full = self.count + amount > self.rate * 60
        return 60 * (self.minute + 1) - now if full else 0.0

    def take(self, amount):
        self.count += amount

# %% wrong books after the wait: each was told the same wait
class MyThrottle(MyThrottle):
    def flow(self, request):
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, (yield Now()))
        yield Sleep(wait)
        self.wait(booked, (yield Now()))
        self.take(booked)
        outcome = yield Send(request)
        if outcome.ok:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

# %% wrong waits until the bucket is full enough: Take it as a debt
class MyThrottle(MyThrottle):
    def flow(self, request):
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed("too late", retry_after=wait))
        while self.wait(booked, (yield Now())) > 0:
            yield Sleep(1.0)
        self.take(booked)
        outcome = yield Send(request)
        return outcome

# %% wrong never settles: what is booked for ever is lost
class MyThrottle(MyThrottle):
    def settle(self, booked, used):
        pass

# %% wrong settles only downwards: also if it is more
class MyThrottle(MyThrottle):
    def settle(self, booked, used):
        _, prompt, answer = booked
        counted, written = used.counted_input_tokens, used.output_tokens
        self.take((0, min(0, counted - prompt), min(0, written - answer)))

# %% wrong charges reads from the prompt cache: Those tokens do not count
class MyThrottle(MyThrottle):
    def settle(self, booked, used):
        _, prompt, answer = booked
        everything = used.counted_input_tokens + used.cache_read_tokens
        self.take((0, everything - prompt, used.output_tokens - answer))

# %% wrong keeps what a cancelled call booked: waits 21 s for nobody
class MyThrottle(MyThrottle):
    def flow(self, request):
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed("too late", retry_after=wait))
        self.take(booked)
        yield Sleep(wait)
        outcome = yield Send(request)
        if outcome.status == 429:
            self.give_back(booked)
        elif outcome.ok:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

# %% wrong gives back only the request: Give back the tokens
class MyThrottle(MyThrottle):
    def give_back(self, amounts):
        self.take((-1, 0, 0))

# %% wrong gives everything back: a request that was answered is gone
class MyThrottle(MyThrottle):
    def flow(self, request):
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed("too late", retry_after=wait))
        self.take(booked)
        try:
            yield Sleep(wait)
            outcome = yield Send(request)
        finally:
            self.give_back(booked)
        return outcome

# %% wrong pays for a 429: A 429 uses nothing
class MyThrottle(MyThrottle):
    def flow(self, request):
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed("too late", retry_after=wait))
        self.take(booked)
        try:
            yield Sleep(wait)
        except GeneratorExit:
            self.give_back(booked)
            raise
        outcome = yield Send(request)
        if outcome.ok:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

# %% wrong waits past the deadline: refuse at once
class MyThrottle(MyThrottle):
    def too_late(self, request, wait, now):
        return False

# %% wrong books what it refuses: the refused call had booked its turn
class MyThrottle(MyThrottle):
    def flow(self, request):
        now = yield Now()
        booked = (1, prompt_tokens(request), self.expected_output)
        wait = self.wait(booked, now)
        self.take(booked)
        if self.too_late(request, wait, now):
            return Outcome(error=Shed("too late", retry_after=wait))
        try:
            yield Sleep(wait)
        except GeneratorExit:
            self.give_back(booked)
            raise
        outcome = yield Send(request)
        if outcome.status == 429:
            self.give_back(booked)
        elif outcome.ok:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

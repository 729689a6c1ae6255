# The source of exercise 06; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Circuit breakers
# lesson: 06-circuit-breaker
# minutes: 40
# difficulty: 4
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `MyBreaker`, the breaker of lesson 06, without the faults it had there. You write it as a
# **flow**: a generator that asks for what it wants and is sent the result.
#
# | The flow says | What happens |
# | --- | --- |
# | `now = yield Now()` | you get the time, in seconds |
# | `outcome = yield Send(request)` | the request is sent, and you get what came of it |
# | `return outcome` | the caller gets this outcome, be it an answer or a failure |
# | `return Outcome(error=CircuitOpen("...", retry_after=seconds))` | the call is refused |
#
# What it must do:
#
# 1. **Open on a rate.** When a call fails, look at the calls that ended in the last `window`
#    seconds. If there are at least `minimum` of them, and a share of at least `failure_rate` has
#    failed, the circuit opens.
# 2. **Know what counts.** Failures are: no connection or no answer in time
#    (`outcome.unreachable`), 408, everything from 500 up (529 too), and an error inside a stream
#    (status 200, but not `outcome.ok`). A 429 says nothing either way: it is left out of the
#    window. Any other 4xx is a call that went well: the service answered.
# 3. **Refuse while it is open.** Nothing is sent for `rest` seconds, and `retry_after` says how
#    many of them are left. A refusal must not be taken for something that may be tried again.
# 4. **Probe.** When the rest is over the circuit is half-open: at most `probes` calls at a time
#    are let through. One that goes well closes it, with an empty window. One that fails opens it
#    again, for a new rest.
# 5. **Take back what was cut short.** A call that is cancelled says nothing about the service. If
#    it was a probe, the next call may be one.
# 6. **Ignore yesterday's news.** What a call brings counts only if the state has not changed since
#    the call began.
#
# Nothing here really waits: the check tells the time. And nothing here is a toy: the SDK runs the
# same class in production.
#
# ```python
# client = anthropic.Anthropic(middleware=[Retry(), MyBreaker()], max_retries=0)
# ```

# %% setup
from collections import deque

from labkit import Layer, Now, Outcome, Send
from labkit.errors import CircuitOpen

# %% starter
class MyBreaker(Layer):
    """Refuse calls while the service is failing, and let probes find out when it is well."""

    def __init__(self, failure_rate=0.5, minimum=4, window=30.0, rest=5.0, probes=1):
        self.failure_rate = failure_rate  # the share of failures that opens the circuit
        self.minimum = minimum            # with fewer calls in the window it never opens
        self.window = window              # seconds: how far back the window reaches
        self.rest = rest                  # seconds: how long an open circuit rests
        self.probes = probes              # calls at a time that are let through half-open
        self.state = "closed"
        self.ended = deque()              # (when, failed) of the calls in the window

    def counts(self, outcome):
        """Return True for a failure of the service, False if it did well, None for neither."""
        raise NotImplementedError("write `counts`, and check again.")

    def flow(self, request):
        """Refuse the request, or send it and take note of what came of it.

        now = yield Now()
        outcome = yield Send(request)
        return outcome, or Outcome(error=CircuitOpen("The circuit is open.", retry_after=...))
        """
        raise NotImplementedError("write `flow` and `counts` in your answer, and check again.")

# %% [markdown] hint 1
# Begin with two states, and with `counts`. A call asks for the time, is refused if the circuit is
# open, is sent otherwise, and then enters `(now, failed)` into the window:
#
# - Drop from the left what is older than `window`.
# - Did this call fail, are there `minimum` calls, and have `failure_rate` of them failed? Then
#   the circuit is open until `now + self.rest`.
#
# Then the third state. It begins when somebody asks and the rest is over; you need a count of the
# probes under way.
#
# Only then calls that overlap. Between `yield Send(request)` and its outcome anything may happen:
# other calls begin and end, the state changes, the caller leaves.

# %% [markdown] hint 2
# Two devices do the rest.
#
# - **A generation.** Count the changes of state in `self.generation`. A call remembers the number
#   when it begins; if the number is another when it ends, its result is of no interest.
# - **A `finally`.** A cancelled call's flow is closed: `GeneratorExit` is raised at its
#   `yield Send(request)`. Whatever must happen all the same belongs into a `finally` around that
#   line. Do not `yield` anything in there.
#
# One method `change(state, now)` that sets the state, raises the generation, clears the window
# and the count of probes, and sets the end of the rest, saves you from forgetting one of them.

# %% [markdown] hint 3
# The flow, when the state has been looked after:
#
# ```python
# generation, probe = self.generation, self.state == "half-open"
# self.probing += probe
# try:
#     outcome = yield Send(request)
# finally:
#     if generation == self.generation:
#         self.probing -= probe
# failed = self.counts(outcome)
# now = yield Now()
# if failed is not None and generation == self.generation:
#     self.record(now, failed)
# return outcome
# ```
#
# And `counts`:
#
# ```python
# if outcome.ok:
#     return False
# if outcome.unreachable:
#     return True
# if outcome.status is None or outcome.status == 429:
#     return None
# return outcome.status in (200, 408) or outcome.status >= 500
# ```

# %% solution
class MyBreaker(Layer):
    """Refuse calls while the service is failing, and let probes find out when it is well."""

    def __init__(self, failure_rate=0.5, minimum=4, window=30.0, rest=5.0, probes=1):
        self.failure_rate = failure_rate  # the share of failures that opens the circuit
        self.minimum = minimum            # with fewer calls in the window it never opens
        self.window = window              # seconds: how far back the window reaches
        self.rest = rest                  # seconds: how long an open circuit rests
        self.probes = probes              # calls at a time that are let through half-open
        self.state = "closed"
        self.ended = deque()              # (when, failed) of the calls in the window
        self.generation = 0               # the changes of state so far
        self.probing = 0                  # probes under way
        self.reopens_at = 0.0             # when the rest is over

    def counts(self, outcome):
        """Return True for a failure of the service, False if it did well, None for neither."""
        if outcome.ok:
            return False
        if outcome.unreachable:
            return True
        if outcome.status is None or outcome.status == 429:
            return None
        return outcome.status in (200, 408) or outcome.status >= 500

    def flow(self, request):
        """Refuse the request, or send it and take note of what came of it."""
        now = yield Now()
        if self.state == "open" and now >= self.reopens_at:
            self.change("half-open", now)
        probe = self.state == "half-open"
        if self.state == "open" or (probe and self.probing >= self.probes):
            return self.refusal(now)
        generation = self.generation
        self.probing += probe
        try:
            outcome = yield Send(request)
        finally:
            if generation == self.generation:
                self.probing -= probe
        failed = self.counts(outcome)
        now = yield Now()
        if failed is not None and generation == self.generation:
            self.record(now, failed)
        return outcome

    def refusal(self, now):
        """Return the outcome of a call that is refused."""
        left = max(0.0, self.reopens_at - now)
        return Outcome(error=CircuitOpen("The circuit is open.", retry_after=left))

    def record(self, now, failed):
        """Enter how a call ended, and draw the conclusion."""
        if self.state == "half-open":
            self.change("open" if failed else "closed", now)
            return
        self.ended.append((now, failed))
        while self.ended[0][0] <= now - self.window:
            self.ended.popleft()
        if failed and self.sick():
            self.change("open", now)

    def sick(self):
        """Say whether the window holds enough calls and too many failures."""
        failures = sum(failed for _, failed in self.ended)
        return len(self.ended) >= self.minimum and failures >= self.failure_rate * len(self.ended)

    def change(self, state, now):
        """Go over to a state: a new generation, an empty window, no probes under way."""
        self.state = state
        self.generation += 1
        self.ended.clear()
        self.probing = 0
        self.reopens_at = now + self.rest

# %% checks
from collections.abc import Generator

from labkit import Layer, Now, Outcome, Request, Retry, Send
from labkit.catalog import role
from labkit.errors import CircuitOpen, Refused
from labkit.lab.exercise_stage import BEGAN, Wrong, make, play
from labkit.lab.exercise_watch import Watched

MODEL = role("fast").id
REST = 5.0
WELL, DOWN = Outcome(status=200), Outcome(status=529, error_type="overloaded_error")

FAILURES = {
    "A 529 (overloaded)": DOWN,
    "A 500": Outcome(status=500, error_type="api_error"),
    "A 503": Outcome(status=503),
    "A 408": Outcome(status=408),
    "A lost connection, which has no status,": Outcome(error=OSError("lost"), unreachable=True),
    "An overload inside a stream (its status is 200)": Outcome(200, {}, "overloaded_error"),
}
ANSWERS = {
    "A 400 (a request that is wrong)": Outcome(status=400, error_type="invalid_request_error"),
    "A 401 (a wrong key)": Outcome(status=401, error_type="authentication_error"),
    "A 404 (no such model)": Outcome(status=404, error_type="not_found_error"),
}
OUR_LIMIT = Outcome(status=429, headers={"retry-after": "1"}, error_type="rate_limit_error")


class Bench:
    """One breaker, and calls through it that overlap as a check wants; it tells the time."""

    def __init__(self, answer, **options):
        usual = {"failure_rate": 0.5, "minimum": 4, "window": 30.0, "rest": REST, "probes": 1}
        self.layer = make(answer, "MyBreaker", Layer, **{**usual, **options})
        self.now = BEGAN

    def begin(self):
        """Let a call begin; return it under way, or its outcome if it was refused."""
        with Watched(self.layer):
            flow = self.layer.flow(Request({"model": MODEL}))
        return self._advance(flow, None, sent=False)

    def end(self, call, outcome):
        """Let a call end that is under way; return what its caller gets."""
        self._advance(call, outcome, sent=True)
        return outcome

    def _advance(self, flow, given, sent):
        answer = given
        try:
            while True:
                effect = flow.send(answer)
                if isinstance(effect, Send):
                    if sent:
                        raise Wrong("Your flow sent its request twice. A breaker never retries.")
                    return flow
                if not isinstance(effect, Now) and hasattr(effect, "seconds"):
                    raise Wrong(
                        "Your flow waits. A breaker lets a call through or refuses it, now."
                    )
                answer = self.now if isinstance(effect, Now) else None
        except StopIteration as stop:
            if sent and stop.value is not given:
                raise Wrong(
                    "A call was sent, and the caller did not get what came of it."
                ) from None
            return stop.value
        except Refused:
            raise Wrong(
                "Your flow raised its refusal. A flow hands it back: "
                "`return Outcome(error=CircuitOpen(...))`."
            ) from None

    def call(self, outcome):
        """Make a call to a service that would answer `outcome`; say whether it was sent."""
        call = self.begin()
        sent = isinstance(call, Generator)
        if sent:
            self.end(call, outcome)
        return sent

    def cancel(self, call):
        """Let a caller leave while the call is under way."""
        try:
            call.close()
        except RuntimeError:
            raise Wrong(
                "A call was cancelled, and your flow yielded something more. What is closed may "
                "not ask: keep `yield` out of the `finally`."
            ) from None

    def trip(self, what="Four calls failed, one after the other, with minimum=4"):
        """Let four calls fail and see that the next is refused; return the refusal."""
        for _ in range(4):
            self.call(DOWN)
        refusal = self.begin()
        if isinstance(refusal, Generator):
            raise Wrong(
                f"{what}, and the fifth was sent. Open the circuit when at least `minimum` calls "
                "ended in the window and `failure_rate` of them failed."
            )
        return refusal

    def half_open(self):
        """Trip, and let the rest pass."""
        self.trip()
        self.now += REST + 0.1
        return self


def check_calls_go_through(answer):
    """While all is well calls go through, and each caller gets what came of the call."""
    bench = Bench(answer)
    for outcome in (WELL, WELL, DOWN):
        call = bench.begin()
        if not isinstance(call, Generator):
            raise Wrong("The first calls were refused. A breaker begins closed and sends them.")
        bench.end(call, outcome)


def check_it_opens(answer):
    """It opens when enough calls have failed, refuses at once, and says when to come back."""
    bench = Bench(answer)
    for number in range(1, 4):
        if not bench.call(DOWN):
            raise Wrong(
                f"The circuit opened after {number - 1} failed call{'s' * (number > 2)}, and "
                "minimum=4. Few calls prove nothing: wait for the minimum."
            )
    refusal = Bench(answer).trip()
    if not isinstance(refusal.error, CircuitOpen):
        raise Wrong(
            f"A refused caller got {refusal.reason!r}. Let them know who refused: "
            "`return Outcome(error=CircuitOpen(...))`."
        )
    left = refusal.error.retry_after
    if left is None or not 0 < left <= REST:
        raise Wrong(
            f"The circuit has just opened for {REST:g} s, and the refusal says "
            f"retry_after={left!r}. It is the rest that is left, in seconds."
        )


def check_a_refusal_is_final(answer):
    """A retry outside hands a refusal on at once instead of knocking again."""
    bench = Bench(answer)
    bench.trip()
    story = play(bench.layer, outer=[Retry(attempts=4, seed=1)])
    if story.sent or story.ended > 0 or not isinstance(story.error, CircuitOpen):
        raise Wrong(
            f"`Retry` stands outside and took your refusal for a failure that may pass: the call "
            f"went on for {story.ended:.1f} s. A refusal was never sent, so it has no status: "
            "`Outcome(error=CircuitOpen(...))` and nothing else."
        )


def check_it_counts_a_rate(answer):
    """A partial outage opens it, and one failure in a hundred does not."""
    bench = Bench(answer, minimum=10)
    refused = 0
    for number in range(40):
        bench.now += 0.2
        refused += not bench.call(WELL if number % 5 == 4 else DOWN)
    if not refused:
        raise Wrong(
            "Four calls in five failed, 40 calls long, and not one was refused. Whoever counts "
            "failures in a row begins anew at every success: count a share of the window."
        )
    bench = Bench(answer, minimum=10)
    for number in range(1000):
        bench.now += 0.02
        if not bench.call(DOWN if number % 100 == 50 else WELL):
            raise Wrong(
                "One call in a hundred failed, at fifty calls a second, and the circuit opened. "
                "That is a healthy, busy service: compare the failures with the calls."
            )


def check_the_window_slides(answer):
    """Only what ended in the last `window` seconds counts."""
    bench = Bench(answer)
    for _ in range(3):
        bench.call(DOWN)
    bench.now += 40
    bench.call(DOWN)
    if not bench.call(WELL):
        raise Wrong(
            "Three calls failed, 40 s later a fourth, and the circuit opened. The window is 30 s "
            "long: drop what is older before you count."
        )
    bench = Bench(answer)
    for _ in range(50):
        bench.call(WELL)
    bench.now += 40
    bench.trip("50 calls went well, and 40 s later four failed, in a window of 30 s")


def check_what_counts(answer):
    """The service's own trouble counts; a wrong request and our own limit do not."""
    for name, outcome in FAILURES.items():
        bench = Bench(answer)
        for _ in range(4):
            bench.call(outcome)
        if bench.call(WELL):
            raise Wrong(f"{name} is the service's trouble, and four of them did not open it.")
    for name, outcome in ANSWERS.items():
        bench = Bench(answer)
        if not all(bench.call(outcome) for _ in range(20)):
            raise Wrong(
                f"{name} opened the circuit. The service has answered: one customer's mistake must "
                "not shut out all the others."
            )
    demand_429_is_neutral(answer)


def demand_429_is_neutral(answer):
    bench = Bench(answer)
    if not all(bench.call(OUR_LIMIT) for _ in range(20)):
        raise Wrong(
            "A 429 opened the circuit. It is your own limit and no word about the service's "
            "health: that is the throttle's business."
        )
    bench.trip(
        "20 calls ended with a 429, which is neither good nor bad. Then four failed, four of four"
    )


def check_the_rest(answer):
    """It rests, probes, rests again after a failed probe, and closes after a good one."""
    bench = Bench(answer)
    bench.trip()
    bench.now += 0.4 * REST
    if bench.call(WELL):
        raise Wrong(f"{0.4 * REST:g} s after it had opened a call was sent, and rest={REST:g}.")
    bench.now += 0.7 * REST
    if not bench.call(DOWN):
        raise Wrong(f"{1.1 * REST:g} s after it had opened nothing was sent. Let a probe through.")
    if bench.call(WELL):
        raise Wrong("A probe failed, and the next call was sent. A failed probe opens it again.")
    bench.now += 2.1 * REST
    if not bench.call(WELL):
        raise Wrong(f"{2.1 * REST:g} s after a failed probe nothing was sent: rest, then probe.")
    if not all([bench.call(WELL), bench.call(DOWN), bench.call(WELL)]):
        raise Wrong(
            "A probe went well, and afterwards calls were refused after a single failure. A good "
            "probe closes the circuit, and the window begins empty."
        )


def check_probes_are_limited(answer):
    """Half-open, at most `probes` calls are under way."""
    for probes in (1, 3):
        bench = Bench(answer, probes=probes).half_open()
        crowd = [bench.begin() for _ in range(50)]
        sent = [call for call in crowd if isinstance(call, Generator)]
        for call in sent:
            bench.cancel(call)
        if len(sent) != probes:
            raise Wrong(
                f"The rest was over, 50 callers came at once, and {len(sent)} of them were sent, "
                f"with probes={probes}. A service that is just getting up meets the whole crowd "
                "unless the probes under way are counted."
            )


def check_what_is_cut_short_is_given_back(answer):
    """A cancelled call says nothing, and a probe that says nothing makes room for the next."""
    bench = Bench(answer)
    callers = [bench.begin() for _ in range(20)]
    for call in callers:
        bench.cancel(call)
    if not bench.call(WELL):
        raise Wrong(
            "20 callers left before their answer came, and the circuit opened. They say nothing "
            "about the service."
        )
    bench = Bench(answer).half_open()
    probe = bench.begin()
    bench.cancel(probe)
    bench.now += 1000
    if not bench.call(WELL):
        raise Wrong(
            "The caller of the probe left, and 1000 s later the circuit was still half-open and "
            "refused everybody. It is stuck: give the probe back in a `finally`."
        )
    bench = Bench(answer).half_open()
    bench.call(OUR_LIMIT)
    if not bench.call(WELL):
        raise Wrong("A probe ended with a 429, which says nothing, and no other probe was let in.")


def check_late_results_are_ignored(answer):
    """What began before the last change of state says nothing about now."""
    bench = Bench(answer)
    slow = bench.begin()
    bench.half_open()
    probe = bench.begin()
    bench.end(slow, WELL)
    if bench.call(WELL):
        raise Wrong(
            "A call from before the trip was answered late, while a probe was under way, and it "
            "closed the circuit. It tells how the service was, not how it is: compare generations."
        )
    bench.end(probe, WELL)
    bench = Bench(answer)
    slow = [bench.begin() for _ in range(10)]
    bench.half_open()
    bench.call(WELL)
    for call in slow:
        bench.end(call, DOWN)
    if not bench.call(WELL):
        raise Wrong(
            "A good probe had closed the circuit; then ten calls from before the trip failed, and "
            "it opened again. Their failures are old news: compare generations."
        )

# %% picture
import pandas as pd

from labkit import Layer, Outcome
from labkit.flow import Now, Request, Send
from labkit.lab import charts
from labkit.lab.exercise_stage import make


def picture(answers):
    rows = [("no breaker", second, second + 1) for second in range(60)]
    for name, answer in answers.items():
        rows += [(name, second, sent) for second, sent in sent_so_far(answer)]
    return charts.curve(
        pd.DataFrame(rows, columns=["client", "second", "requests"]),
        "second",
        "requests",
        series="client",
        x_title="second",
        y_title="requests that have reached the service",
        title="A call a second; the service is down from second 10 to 40",
    )


def sent_so_far(answer):
    layer, sent = make(answer, "MyBreaker", Layer), 0
    for second in range(60):
        flow, got = layer.flow(Request({"model": "any"})), None
        outcome = Outcome(status=529 if 10 <= second < 40 else 200)
        try:
            while True:
                effect = flow.send(got)
                sent += isinstance(effect, Send)
                got = {Now: float(second), Send: outcome}.get(type(effect))
        except StopIteration:
            yield second, sent

# %% wrong counts in a row: Whoever counts failures in a row
class MyBreaker(MyBreaker):
    def sick(self):
        last = [failed for _, failed in self.ended][-self.minimum :]
        return len(last) == self.minimum and all(last)

# %% wrong counts failures without a rate: compare the failures with the calls
class MyBreaker(MyBreaker):
    def sick(self):
        return sum(failed for _, failed in self.ended) >= min(4, self.minimum)

# %% wrong no minimum: Few calls prove nothing
class MyBreaker(MyBreaker):
    def sick(self):
        failures = sum(failed for _, failed in self.ended)
        return failures >= self.failure_rate * len(self.ended)

# %% wrong never forgets: drop what is older before you count
class MyBreaker(MyBreaker):
    def record(self, now, failed):
        if self.state == "half-open":
            self.change("open" if failed else "closed", now)
            return
        self.ended.append((now, failed))
        if failed and self.sick():
            self.change("open", now)

# %% wrong counts what is not ok: one customer's mistake must not shut out all the others
class MyBreaker(MyBreaker):
    def counts(self, outcome):
        return None if outcome.status == 429 else not outcome.ok

# %% wrong looks at the status alone: An overload inside a stream
class MyBreaker(MyBreaker):
    def counts(self, outcome):
        if outcome.status == 200:
            return False
        return super().counts(outcome)

# %% wrong opens at a 429: A 429 opened the circuit
class MyBreaker(MyBreaker):
    def counts(self, outcome):
        return True if outcome.status == 429 else super().counts(outcome)

# %% wrong takes a 429 for health: which is neither good nor bad
class MyBreaker(MyBreaker):
    def counts(self, outcome):
        return False if outcome.status == 429 else super().counts(outcome)

# %% wrong everybody is a probe: meets the whole crowd
class MyBreaker(MyBreaker):
    def __init__(self, **options):
        super().__init__(**options)
        self.probes = 1000

# %% wrong a cancelled probe is never given back: It is stuck
class MyBreaker(MyBreaker):
    def flow(self, request):
        now = yield Now()
        if self.state == "open" and now >= self.reopens_at:
            self.change("half-open", now)
        probe = self.state == "half-open"
        if self.state == "open" or (probe and self.probing >= self.probes):
            return self.refusal(now)
        generation = self.generation
        self.probing += probe
        outcome = yield Send(request)
        self.probing -= probe
        failed = self.counts(outcome)
        now = yield Now()
        if failed is not None and generation == self.generation:
            self.record(now, failed)
        return outcome

# %% wrong believes late news: It tells how the service was, not how it is
class MyBreaker(MyBreaker):
    def flow(self, request):
        now = yield Now()
        if self.state == "open" and now >= self.reopens_at:
            self.change("half-open", now)
        probe = self.state == "half-open"
        if self.state == "open" or (probe and self.probing >= self.probes):
            return self.refusal(now)
        self.probing += probe
        try:
            outcome = yield Send(request)
        finally:
            self.probing -= probe
        failed = self.counts(outcome)
        if failed is not None and self.state != "open":
            self.record((yield Now()), failed)
        return outcome

# %% wrong refuses with something that may be retried: took your refusal for a failure that may pass
class MyBreaker(MyBreaker):
    def refusal(self, now):
        return Outcome(status=529, error=CircuitOpen("Open.", retry_after=self.reopens_at - now))

# %% wrong reads the machine's clock: reads the machine's clock
class MyBreaker(MyBreaker):
    def flow(self, request):
        import time

        if self.state == "open" and time.monotonic() < self.reopens_at:
            return self.refusal(time.monotonic())
        outcome = yield Send(request)
        failed = self.counts(outcome)
        if failed is not None:
            self.record(time.monotonic(), failed)
        return outcome

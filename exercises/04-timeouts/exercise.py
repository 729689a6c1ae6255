# The source of exercise 04; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Timeouts and deadlines
# lesson: 04-timeouts
# minutes: 35
# difficulty: 3
# importance: 5

# %% [markdown] task
# ## Your task
#
# Write `MyDeadline`: one layer that promises its caller an end. Inside of that promise it tries
# again where there is time for it, and it gives each attempt two clocks of its own. You write it
# as a **flow**: a generator that asks for what it wants and is sent the result.
#
# | The flow says | What happens |
# | --- | --- |
# | `now = yield Now()` | you get the time, in seconds |
# | `outcome = yield Send(request)` | the request is sent, and you get what came of it |
# | `yield Sleep(seconds)` | the call waits |
# | `return outcome` | the caller gets this outcome, be it an answer or a failure |
#
# What it must do:
#
# 1. **One deadline for the whole call.** It lies `seconds` after the call began, and every request
#    is sent with that very point in time: `request.within(deadline)` attaches it. If the request
#    that you are given has an earlier one, that one holds, and `within` sees to it.
# 2. **Two clocks for each attempt.** No more than `first_token` seconds until the first content,
#    and no more than `silence` seconds from content to content. A ping is no content.
#    `request.replace(timeout=Timeouts(...))` sets clocks, and whoever sends the request obeys them.
# 3. **Try again.** If the failure may pass, which `outcome.transient` knows, wait `pause` seconds
#    and send again, up to `attempts` requests in all, the first one included. Anything else goes
#    back at once, as it is.
# 4. **Never begin a wait that cannot end in time.** If the next request could only be sent at the
#    deadline or after it, the call is over now.
# 5. **Say what happened.** A call that ends for want of time ends with
#    `Outcome(error=DeadlineExceeded("..."))`. Return it and do not raise it: then whoever runs the
#    flow makes the failure of the last attempt its cause. (If the deadline passes *during* an
#    attempt, the outcome that you are sent is such an error already. Hand it back.)
#
# Nothing here really waits: the check runs on virtual time. And nothing here is a toy: the SDK
# runs the same class in production.
#
# ```python
# client = anthropic.Anthropic(middleware=[MyDeadline(60)], max_retries=0)
# ```

# %% setup
from labkit import Layer, Now, Outcome, Send, Sleep
from labkit.errors import DeadlineExceeded
from labkit.flow import Timeouts

# %% starter
class MyDeadline(Layer):
    """End the whole call in time, and try again while there is time."""

    def __init__(self, seconds, attempts=3, pause=1.0, first_token=20.0, silence=10.0):
        self.seconds = seconds          # from the beginning of the call to its deadline
        self.attempts = attempts        # requests a call may send, the first one included
        self.pause = pause              # seconds to wait before each further request
        self.first_token = first_token  # seconds until the first content of an attempt
        self.silence = silence          # seconds from one content to the next

    def flow(self, request):
        """Send, and while it makes sense, wait and send again; return the last outcome.

        now = yield Now()
        request.within(now + 30), request.replace(timeout=Timeouts(...))
        outcome = yield Send(request)     then ask outcome.transient, outcome.error
        yield Sleep(seconds)
        """
        raise NotImplementedError("write `flow` in your answer, and check again.")

# %% [markdown] hint 1
# Work out the deadline **once**, before the loop, and never touch it again. The same goes for the
# clocks: they are lengths, so one request carries them into every attempt.
#
# Then comes a loop: send, look, wait. Before the wait there are two ways out with
# `return outcome` (there is no reason to go on; there are no attempts left), and a third one with
# an error of its own: there is no time left.
#
# Keep everything in variables of `flow`, not on `self`: one layer serves many calls.

# %% [markdown] hint 2
# Before the loop:
#
# 1. `began = yield Now()`
# 2. `limited = request.within(began + self.seconds)`. From here on ask `limited.deadline`: it is the
#    earlier of yours and of what the request brought along.
# 3. put the clocks on it: `limited.replace(timeout=Timeouts(first_token=..., silence=...))`
#
# One turn of the loop, with `attempt` counting from 0:
#
# 1. `outcome = yield Send(limited)`
# 2. not transient, or the last attempt: return it
# 3. `(yield Now()) + self.pause` is when the next request could be sent. If that is not before the
#    deadline, return an `Outcome` with the error
# 4. `yield Sleep(self.pause)`

# %% [markdown] hint 3
# Before the loop:
#
# ```python
# began = yield Now()
# limited = request.within(began + self.seconds)
# clocks = Timeouts(first_token=self.first_token, silence=self.silence)
# limited = limited.replace(timeout=clocks)
# ```
#
# The question about the time, inside of it:
#
# ```python
# if (yield Now()) + self.pause >= limited.deadline:
#     late = DeadlineExceeded(f"No time for another attempt after {outcome.reason}.")
#     return Outcome(error=late)
# ```

# %% solution
class MyDeadline(Layer):
    """End the whole call in time, and try again while there is time."""

    def __init__(self, seconds, attempts=3, pause=1.0, first_token=20.0, silence=10.0):
        self.seconds = seconds          # from the beginning of the call to its deadline
        self.attempts = attempts        # requests a call may send, the first one included
        self.pause = pause              # seconds to wait before each further request
        self.first_token = first_token  # seconds until the first content of an attempt
        self.silence = silence          # seconds from one content to the next

    def flow(self, request):
        """Send, and while it makes sense, wait and send again; return the last outcome."""
        began = yield Now()
        limited = request.within(began + self.seconds)
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = limited.replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                late = DeadlineExceeded(f"No time for another attempt after {outcome.reason}.")
                return Outcome(error=late)
            yield Sleep(self.pause)

# %% checks
from labkit import Deadline, Layer, Now, Request, Send
from labkit.errors import DeadlineExceeded
from labkit.lab.exercise_stage import Fault, Wrong, make, play

SILENT = Fault("silence")
OVERLOADED = Fault("overloaded")


class Spy(Layer):
    """Stands behind the answer's layer and notes what it sends."""

    def __init__(self):
        self.seen = []

    def flow(self, request):
        self.seen.append(request)
        return super().flow(request)


def layer(answer, **options):
    usual = {"seconds": 20.0, "attempts": 4, "pause": 1.0, "first_token": 8.0, "silence": 2.0}
    return make(answer, "MyDeadline", Layer, **{**usual, **options})


def deadlines(answer, *faults, outer=(), **options):
    """Return the deadlines that its requests carried, in seconds from the call's beginning."""
    spy, mine = Spy(), layer(answer, **options)
    story = play(spy, *faults, outer=[*outer, mine])
    began = spy.clock.now() - story.ended
    return [each.deadline and round(each.deadline - began, 3) for each in spy.seen]


def first_deadline(mine, now):
    """Return the first request's deadline, in seconds from the beginning of a call at `now`."""
    flow, told = mine.flow(Request()), None
    while not isinstance(effect := flow.send(told), Send):
        told = now if isinstance(effect, Now) else None
    flow.close()
    return effect.request.deadline - now


def check_an_answer_goes_back(answer):
    """An answer goes back at once: one request, no wait."""
    story = play(layer(answer))
    if not story.sent and isinstance(story.error, DeadlineExceeded):
        raise Wrong(
            "Nothing was sent: the deadline had passed before the call began. A deadline is a "
            "point in time, and `seconds` is a length: it is `(yield Now())` plus `seconds`."
        )
    if not story.sent:
        raise Wrong("The flow sent nothing: `outcome = yield Send(...)` sends the request.")
    if len(story.sent) > 1 or story.slept_after:
        raise Wrong("The first attempt was answered, and the flow went on. Return the outcome.")
    if story.error is not None:
        raise Wrong("The first attempt was answered, and the caller got an error.")


def check_lasting_failures_go_back(answer):
    """A failure that cannot pass goes back as it is."""
    story = play(layer(answer), model="no-such-model")
    if len(story.sent) > 1:
        raise Wrong(
            f"A 404 (no such model) was sent {len(story.sent)} times. Only what "
            "`outcome.transient` says may pass is worth another attempt."
        )
    if story.status != 404:
        raise Wrong(
            f"The one attempt ended in time, with a 404, and the caller got {story.error!r}. Only a "
            "call that ran out of time ends with DeadlineExceeded."
        )


def check_transient_failures_are_retried(answer):
    """What may pass is tried again after a pause, in all `attempts` requests at most."""
    story = play(layer(answer), Fault("overloaded", first=2))
    if len(story.sent) != 3 or story.error is not None:
        raise Wrong(
            "Two overloads passed after 2 s, with 20 s to the deadline, and the caller was not "
            "answered. While `outcome.transient`, wait `pause` seconds and send again."
        )
    if any(abs(gap - 1.0) > 1e-6 for gap in story.gaps):
        told = " and ".join(f"{gap:g}" for gap in story.gaps)
        raise Wrong(f"`pause` is 1 s, and the waits were {told} s.")
    story = play(layer(answer), OVERLOADED)
    if len(story.sent) != 4:
        raise Wrong(f"`attempts=4` allows 4 requests, and {len(story.sent)} were sent.")
    if story.slept_after:
        raise Wrong("After the last attempt the flow slept once more. Ask before you wait.")
    if story.status != 529:
        raise Wrong(
            "All 4 attempts failed long before the deadline, and the caller did not get the last "
            "failure. Only a call that ran out of time ends with DeadlineExceeded."
        )


def check_one_deadline(answer):
    """All requests of a call carry one deadline, the same point in time."""
    seen = deadlines(answer, OVERLOADED)
    if None in seen:
        story = play(layer(answer), SILENT)
        raise Wrong(
            f"A request was sent without a deadline. Against a silent server the caller, whose "
            f"patience ends after 20 s, waited {story.ended:.0f} s: a length for each attempt is "
            "multiplied by the attempts. Attach one point in time: `request.within(...)`."
        )
    if len(set(seen)) > 1:
        told = ", ".join(f"{each:g}" for each in seen)
        raise Wrong(
            f"The deadline started anew with each attempt: it lay {told} s after the call began. "
            "Ask for the time once, before the loop. A point in time does not move."
        )
    if seen[0] != 20.0:
        raise Wrong(f"With seconds=20 the deadline lay {seen[0]:g} s after the call began.")
    mine = layer(answer)
    lengths = [first_deadline(mine, now) for now in (700.0, 900.0)]
    if lengths[1] != 20.0:
        raise Wrong(
            "The same layer served a second call 200 s later, and its deadline was not 20 s after "
            "that one's beginning. One layer serves many calls: keep what belongs to one of them in "
            "a variable of `flow`, not on `self`."
        )


def check_waits_end_in_time(answer):
    """No wait is begun that cannot end in time."""
    story = play(layer(answer, pause=8.0, attempts=9), OVERLOADED)
    if story.ended > 16.5 or story.slept_after:
        raise Wrong(
            f"At 16.2 s an attempt failed, the next one could begin at 24.2 s, and the deadline was "
            f"at 20 s. The caller was told after {story.ended:.1f} s: a wait was begun that could "
            "not end in time. Compare `(yield Now()) + self.pause` with the deadline first."
        )
    if len(story.sent) != 3:
        raise Wrong(
            f"With 20 s and pauses of 8 s there is time for 3 requests, and {len(story.sent)} were "
            "sent."
        )


def check_an_earlier_deadline_holds(answer):
    """A caller's earlier deadline is kept, and a later one shortened."""
    seen = deadlines(answer, OVERLOADED, outer=[Deadline(5)])
    if any(each is None or each > 5 for each in seen):
        raise Wrong(
            f"The caller's own deadline was 5 s away, and a request was sent with one "
            f"{max(each or 0 for each in seen):g} s away. Nobody inside may lengthen the patience of "
            "those outside: `request.within(...)` keeps the earlier of the two."
        )
    if deadlines(answer, outer=[Deadline(500)]) != [20.0]:
        raise Wrong("The caller's deadline was 500 s away, and yours of 20 s did not replace it.")
    story = play(layer(answer, pause=3.0), OVERLOADED, outer=[Deadline(5)])
    if len(story.sent) != 2 or story.ended >= 5:
        raise Wrong(
            f"The caller's deadline was 5 s away, and the call with its pauses of 3 s ended after "
            f"{story.ended:.1f} s. Compare with the deadline that `within` gave you, not with "
            "your own `seconds`."
        )


def check_words_are_clocked(answer):
    """Each attempt has two clocks, and a ping stops neither."""
    pings = Fault("ping_only", first=1, every=1.0, lasts=3600)
    story = play(layer(answer), pings, stream=True)
    if story.error is not None or abs(story.attempts[0].end_s - 8) > 0.1:
        raise Wrong(
            "With first_token=8, a stream that only pings ends after 8 s and another attempt "
            f"begins. It went on until {story.attempts[0].end_s:.0f} s. Pings are no progress: "
            "the clock that waits for content is `Timeouts(first_token=...)`."
        )
    slow = Fault("slow", factor=100)
    patient = {"seconds": 400.0, "first_token": 60.0}
    story = play(layer(answer, **patient), slow, stream=True)
    plain = play(layer(answer, silence=90.0, **patient), slow, stream=True)
    if plain.error is not None:
        raise Wrong(
            "A slow stream kept to both clocks, and it was cut. `first_token` runs until the first "
            "content and no longer; an answer may take its time as long as more of it comes."
        )
    if story.ended >= plain.ended:
        raise Wrong(
            "With silence=2, a stream whose words were further apart was read to its end. The clock "
            "between contents is `Timeouts(silence=...)`."
        )


def check_the_end_is_told(answer):
    """A call that ran out of time says so, and names the failure behind it."""
    story = play(layer(answer, pause=8.0, attempts=9), OVERLOADED)
    if not isinstance(story.error, DeadlineExceeded):
        raise Wrong(
            f"The call ended for want of time, and the caller got {type(story.error).__name__}. "
            "Say what ended it: return `Outcome(error=DeadlineExceeded(...))`."
        )
    cause = getattr(story.error.__cause__, "status_code", None)
    if cause != 529:
        raise Wrong(
            "The call ended with DeadlineExceeded and without a cause: the 529 behind it was "
            "swallowed, and whoever reads the log will not know what took so long. A flow returns "
            "how a call ended: `return Outcome(error=DeadlineExceeded(...))`, without `raise`."
        )
    story = play(layer(answer, seconds=5.0), SILENT)
    cause = story.error.__cause__ if story.error is not None else None
    if not isinstance(story.error, DeadlineExceeded) or cause is None:
        raise Wrong(
            "The deadline passed during an attempt. The outcome that you were sent said so, with "
            "its cause; hand it back as it is."
        )

# %% picture
import pandas as pd

from labkit import Layer
from labkit.lab import charts
from labkit.lab.exercise_stage import Fault, make, play

DEADLINE = 20.0


def picture(answers):
    parts = []
    for name, answer in answers.items():
        for call, story in stories(answer):
            parts.append(story.table(call).assign(client=name))
    title = "Five calls with MyDeadline: nobody waits beyond the deadline"
    return charts.timeline(pd.concat(parts), title=title, deadline=DEADLINE)


def stories(answer):
    mine = make(answer, "MyDeadline", Layer, seconds=DEADLINE, pause=2.0, first_token=8.0)
    pings = Fault("ping_only", first=1, every=1.0, lasts=3600)
    yield "overloaded twice", play(mine, Fault("overloaded", first=2))
    yield "silent once", play(mine, Fault("silence", first=1))
    yield "pings once", play(mine, pings, stream=True)
    yield "always silent", play(mine, Fault("silence"))
    yield "no such model", play(mine, model="no-such-model")

# %% wrong a timeout for each attempt only: is multiplied by the attempts
class MyDeadline(MyDeadline):
    def flow(self, request):
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        for attempt in range(self.attempts):
            outcome = yield Send(request.replace(timeout=clocks))
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            yield Sleep(self.pause)

# %% wrong the deadline starts anew with each attempt: Ask for the time once
class MyDeadline(MyDeadline):
    def flow(self, request):
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        for attempt in range(self.attempts):
            limited = request.within((yield Now()) + self.seconds)
            outcome = yield Send(limited.replace(timeout=clocks))
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong a deadline that is a length: `seconds` is a length
class MyDeadline(MyDeadline):
    def flow(self, request):
        limited = request.within(self.seconds)
        outcome = yield Send(limited)
        return outcome

# %% wrong the outer deadline is replaced: Nobody inside may lengthen the patience
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.replace(deadline=began + self.seconds, timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong compares with its own seconds: Compare with the deadline that `within` gave you
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= began + self.seconds:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong begins waits that cannot end in time: a wait was begun that could not end in time
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            now = yield Now()
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            left = limited.deadline - now
            yield Sleep(min(self.pause, left))
            if left <= self.pause:
                return Outcome(error=DeadlineExceeded("too late"))

# %% wrong pings count as progress: Pings are no progress
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(silence=self.silence)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong takes the whole attempt for the first token: an answer may take its time
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(total=self.first_token, silence=self.silence)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong keeps the beginning on self: not on `self`
class MyDeadline(MyDeadline):
    began = None

    def flow(self, request):
        if self.began is None:
            self.began = yield Now()
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.within(self.began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong no clock between contents: a stream whose words were further apart
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(first_token=self.first_token)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                return Outcome(error=DeadlineExceeded("too late"))
            yield Sleep(self.pause)

# %% wrong raises, so that the cause is lost: without a cause
class MyDeadline(MyDeadline):
    def flow(self, request):
        began = yield Now()
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.within(began + self.seconds).replace(timeout=clocks)
        for attempt in range(self.attempts):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts - 1:
                return outcome
            if (yield Now()) + self.pause >= limited.deadline:
                raise DeadlineExceeded("too late")
            yield Sleep(self.pause)

# %% wrong reads the machine's clock: Your code reads the machine's clock
import time

class MyDeadline(MyDeadline):
    def flow(self, request):
        limited = request.within(time.monotonic() + self.seconds)
        outcome = yield Send(limited)
        return outcome

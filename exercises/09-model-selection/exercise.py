# The source of exercise 09; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: A cascade that keeps its promise
# lesson: 09-model-selection
# minutes: 40
# difficulty: 3
# importance: 4

# %% [markdown] task
# ## Your task
#
# Bring a cascade into service, in the three steps of lesson 09: a fair price, a threshold that is
# proven, and a layer that survives its own verifier.
#
# 1. **`dollars_per_task(tasks)`**. Each task is the list of the calls that were made for it, and a
#    `Call` has a `model` and the *characters* of its `prompt` and `answer`. Return the mean
#    dollars for a task. `model(name).tokenizer` says "old" or "new", and `CHARACTERS_PER_TOKEN`
#    what that means; `model(name).price` has `input` and `output`, in dollars for a million
#    tokens. (All prompts are below the length from which some prices rise.)
# 2. **`choose(cases, most_harm, confidence)`**. Each case is `(score, cheap_right,
#    strong_right)`. A case is **harmed** if its score is at least the threshold, the cheap answer
#    is wrong, and the strong one would have been right. Return the lowest threshold for which,
#    as sure as `confidence`, at most the share `most_harm` of *all* tasks is harmed; `inf` if
#    there is none. `at_most(hits, trials, confidence)` is the upper bound of a share.
# 3. **`MyCascade`**, a flow again: `outcome = yield Send(request)` sends, `return outcome` hands
#    an outcome to the caller.
#    - Ask the `cheap` model first. A failure (`not outcome.ok`) goes back as it is.
#    - An answer that ended early (its `stop_reason` is no `"end_turn"`) goes on to the `strong`
#      model, and so does one whose `verify(request, message)` is below `at_least`.
#    - A verifier is a program, and programs fail. If it raises, nobody knows whether the cheap
#      answer is any good: ask the strong model.
#
# `to(name, request)` is the same request for another model, `read(outcome)` an answer's message.

# %% setup
import json
from math import inf
from typing import NamedTuple

from labkit import Layer, Send
from labkit.catalog import model
from labkit.routing.bounds import at_most
from labkit.routing.task_price import CHARACTERS_PER_TOKEN


class Call(NamedTuple):
    """One request that was made: its model, and the characters of its texts."""

    model: str
    prompt: int
    answer: int


def to(name, request):
    """Return the same request for another model."""
    return request.replace(body={**request.body, "model": name})


def read(outcome):
    """Return the message of an answer, with its `stop_reason` and `content`."""
    return json.loads(outcome.value.http_response.content)

# %% starter
def dollars_per_task(tasks):
    """Return the mean dollars for a task; each is the list of calls made for it."""
    raise NotImplementedError("write `dollars_per_task`, and check again.")


def choose(cases, most_harm, confidence=0.95):
    """Return the lowest threshold whose harm is bounded by `most_harm`, or inf."""
    raise NotImplementedError("write `choose`, and check again.")


class MyCascade(Layer):
    """Ask the cheap model, have its answer verified, and ask the strong one if need be."""

    def __init__(self, cheap, strong, verify, at_least):
        self.cheap, self.strong, self.verify, self.at_least = cheap, strong, verify, at_least

    def flow(self, request):
        """outcome = yield Send(to(self.cheap, request)), and so on."""
        raise NotImplementedError("write `flow`, and check again.")

# %% [markdown] hint 1
# The price: work it out for one call first. Characters become tokens by the call's *own* model,
# and tokens become dollars by its price. A task is the sum of its calls, and the mean is over
# tasks.
#
# The threshold: only the scores themselves matter as candidates. Go from the strictest to the
# most lenient, and stop in time.
#
# The flow has one good ending for the cheap answer, and everything else asks the strong model.

# %% [markdown] hint 2
# One candidate: `harms` counts the cases with `score >= threshold and strong_right and not
# cheap_right`. It is fine if `at_most(harms, len(cases), confidence)` is `most_harm` or less. The
# first candidate that is not fine ends the search.
#
# In the flow, put the question "may this answer go out?" into a method of its own. There a `try`
# around `self.verify(...)` with `except Exception:` says no.

# %% [markdown] hint 3
# ```python
# def dollars(call):
#     row = model(call.model)
#     size = float(CHARACTERS_PER_TOKEN[row.tokenizer])
#     paid = call.prompt * float(row.price.input) + call.answer * float(row.price.output)
#     return paid / size / 1e6
# ```
#
# ```python
# def good_enough(self, request, message):
#     if message["stop_reason"] != "end_turn":
#         return False
#     try:
#         return self.verify(request, message) >= self.at_least
#     except Exception:
#         return False
# ```

# %% solution
def dollars(call):
    """Return what one call cost."""
    row = model(call.model)
    size = float(CHARACTERS_PER_TOKEN[row.tokenizer])
    paid = call.prompt * float(row.price.input) + call.answer * float(row.price.output)
    return paid / size / 1e6


def dollars_per_task(tasks):
    """Return the mean dollars for a task; each is the list of calls made for it."""
    return sum(dollars(call) for calls in tasks for call in calls) / len(tasks)


def choose(cases, most_harm, confidence=0.95):
    """Return the lowest threshold whose harm is bounded by `most_harm`, or inf."""
    best = inf
    for threshold in sorted({score for score, _, _ in cases}, reverse=True):
        harms = sum(score >= threshold and dear and not cheap for score, cheap, dear in cases)
        if at_most(harms, len(cases), confidence) > most_harm:
            break
        best = threshold
    return best


class MyCascade(Layer):
    """Ask the cheap model, have its answer verified, and ask the strong one if need be."""

    def __init__(self, cheap, strong, verify, at_least):
        self.cheap, self.strong, self.verify, self.at_least = cheap, strong, verify, at_least

    def flow(self, request):
        """Ask, judge, and ask again if need be."""
        outcome = yield Send(to(self.cheap, request))
        if not outcome.ok or self.good_enough(request, read(outcome)):
            return outcome
        outcome = yield Send(to(self.strong, request))
        return outcome

    def good_enough(self, request, message):
        """Say whether the cheap answer may go out."""
        if message["stop_reason"] != "end_turn":
            return False
        try:
            return self.verify(request, message) >= self.at_least
        except Exception:
            return False

# %% checks
from inspect import isgenerator
from math import inf, isclose
from statistics import fmean

from labkit import Layer, Send
from labkit.catalog import model, models, role
from labkit.lab.exercise_stage import Fault, Wrong, make, play
from labkit.routing.cascades import Tried, choose_thresholds
from labkit.routing.task_price import CHARACTERS_PER_TOKEN
from labkit.sim.skill import attempted

FAST, STRONG = role("fast").id, role("strong").id
OLD = next(row.id for row in models() if row.line == "sonnet" and row.tokenizer == "old")
PROMISE, SHOPS = 0.03, 12
PER_TOKEN = "That is a price per token. Nobody buys tokens: a task's calls add up, and count whole."


def function(answer, name):
    """Return the answer's function of this name."""
    if not callable(answer.get(name)):
        raise Wrong(f"There is no `{name}` yet. Run the cell with your answer first.")
    return answer[name]


def call(answer, name, prompt, written):
    """Return a call as the answer's own setup makes it, and its right price in dollars."""
    row = model(name)
    size = float(CHARACTERS_PER_TOKEN[row.tokenizer])
    paid = prompt * float(row.price.input) + written * float(row.price.output)
    return answer["Call"](name, prompt, written), paid / size / 1e6


def near(one, two):
    """Whether two prices are the same but for the rounding of tokens."""
    return isclose(one, two, rel_tol=0.005)


def told(value):
    """Return the price an answer gave as a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Wrong(f"`dollars_per_task` gave {value!r}, which is no number of dollars.") from None


def check_tokenizers(answer):
    """A call is priced by its own model, with that model's tokenizer."""
    price = function(answer, "dollars_per_task")
    for name in (STRONG, OLD):
        one, right = call(answer, name, 34_000, 8_500)
        found = told(price([[one]]))
        if near(found, right):
            continue
        if found < right / 50:
            raise Wrong(PER_TOKEN)
        generation = model(name).tokenizer
        size = CHARACTERS_PER_TOKEN[generation]
        why = (
            f"A token of the {generation} tokenizer is about {size} characters: tokenizers differ "
            "between models, so count with the call's own."
        )
        raise Wrong(f"One call should cost ${right:.4f}, and you say ${found:.4f}. {why}")


def check_tasks(answer):
    """A task costs all of its calls, the cheap one included, and the mean is over tasks."""
    price = function(answer, "dollars_per_task")
    cheap, cents = call(answer, FAST, 200_000, 80_000)
    dear, dollars = call(answer, STRONG, 20_000, 4_000)
    right = (cents + cents + dollars) / 2  # prompts below the length from which prices rise
    found = told(price([[cheap], [cheap, dear]]))
    if near(found, right):
        return
    say = f"Two tasks, three calls: ${right:.4f} a task, and you say ${found:.4f}. "
    if near(found, (cents + dollars) / 2):
        raise Wrong(say + "You forgot that the cheap call is always paid, escalated or not.")
    if near(found, right * 2 / 3):
        raise Wrong(say + "You divided by calls. A task that was escalated is still one task.")
    raise Wrong(say + "Add up all the calls of a task, then take the mean over tasks.")


def check_small_samples(answer):
    """Too few cases prove nothing, and enough of them do."""
    choose = function(answer, "choose")
    few, many = ([(0.9, True, True)] * size for size in (10, 400))
    if choose(few, 0.02) != inf:
        raise Wrong(
            "Ten cases without harm, and you promise a harm below 2 %. Ten cannot prove that: "
            "you took the point estimate for the truth. Use the bound, `at_most`."
        )
    if choose(many, 0.02) != 0.9:
        raise Wrong("400 cases without harm prove a harm below 2 %: the threshold is their 0.9.")
    ties = [(0.9, True, True)] * 400 + [(0.5, True, False)] * 100 + [(0.2, False, False)] * 100
    if choose(ties, 0.02) != 0.2:
        raise Wrong(
            "What the strong model gets wrong as well is no harm: escalating would not have "
            "helped. Count cases that are accepted, wrong, and right from the strong model."
        )


def check_promise(answer):
    """The promise holds on traffic that the threshold has not seen, and much is accepted."""
    choose = function(answer, "choose")
    fresh, broken, accepted, possible = cases(999, 3000), 0, [], []
    for seed in range(SHOPS):
        seen = cases(seed, 200)
        threshold = choose(list(seen), PROMISE)
        harms = [score >= threshold and dear and not cheap for score, cheap, dear in fresh]
        broken += fmean(harms) > PROMISE
        accepted.append(fmean(score >= threshold for score, _, _ in seen))
        tried = [[Tried(cheap, score, 1), Tried(dear, 0, 10)] for score, cheap, dear in seen]
        possible.append(choose_thresholds(tried, most_harm=PROMISE)[0].accepted)
    if broken > SHOPS // 4:
        raise Wrong(
            f"{SHOPS} shops chose by your rule, for a harm of 3 % at most, and on new tasks "
            f"{broken} of them do more. What is seen on the tasks one chooses by is too good: "
            "choose by the bound, not by the point estimate."
        )
    if fmean(accepted) < 0.7 * fmean(possible):
        raise Wrong(
            f"Your thresholds accept {fmean(accepted):.0%} of the cheap answers, and "
            f"{fmean(possible):.0%} could be accepted. Go on to lower ones while the bound holds."
        )


def cases(seed, size):
    """Return simulated cases."""
    rows = attempted([1.5, 4.0], auc=0.9, tasks=size, seed=seed)
    return [(cheap.score, cheap.right, dear.right) for cheap, dear in rows]


def asked(answer, verify, *faults, at_least=0.5):
    """Play one call; return the models that were asked, and its story."""
    parts = {"cheap": FAST, "strong": STRONG, "verify": verify, "at_least": at_least}
    seen = Seen(make(answer, "MyCascade", Layer, **parts))
    story = play(seen, *faults, model=STRONG, max_tokens=1000)
    return seen.models, story


class Seen(Layer):
    """Notes which models a layer's flow sends to, and changes nothing."""

    def __init__(self, layer):
        self.layer, self.models = layer, []

    def flow(self, request):
        flow = self.layer.flow(request)
        return self.noted(flow) if isgenerator(flow) else flow

    def noted(self, flow):
        answer = None
        while True:
            try:
                effect = flow.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(effect, Send):
                self.models.append(effect.request.model)
            answer = yield effect


def gives(number):
    """Return a verifier that always says so."""
    return lambda request, message: number


def check_good_answers(answer):
    """A cheap answer that is good enough is the answer."""
    for number in (0.9, 0.5):
        sent, story = asked(answer, gives(number))
        if not sent or sent[0] != FAST:
            raise Wrong("The cheap model is asked first: `yield Send(to(self.cheap, request))`.")
        if sent != [FAST]:
            raise Wrong(f"A score of {number} is at least 0.5, and the strong model was asked too.")
        demand_answer(story, FAST)


def demand_answer(story, name):
    """The caller has the answer of this model."""
    if story.message is None or story.message.model != name:
        which = "strong" if name == STRONG else "cheap"
        raise Wrong(f"The caller should have the {which} model's answer: return its outcome.")


def demand_strong(told, sent, story):
    """Both were asked, and the strong one answered."""
    if sent != [FAST, STRONG]:
        names = ", ".join("cheap" if name == FAST else "strong" for name in sent) or "nobody"
        raise Wrong(f"{told} Ask cheap, then strong; asked were: {names}.")
    demand_answer(story, STRONG)


def check_poor_answers(answer):
    """A poor answer is escalated, and so is one that ended early, whatever its score."""
    low = "The verifier says 0.2 and 0.5 is needed. A poor answer looks like any other: "
    demand_strong(low + "a refusal is not the only reason.", *asked(answer, gives(0.2)))
    for kind in ("refusal", "out_of_tokens"):
        ending = {"refusal": "was refused", "out_of_tokens": "was cut off at `max_tokens`"}[kind]
        told = f"The cheap answer {ending}. That is no whole answer, and needs no judge."
        demand_strong(told, *asked(answer, gives(1.0), Fault(kind, first=1)))


def check_failing_verifier(answer):
    """A verifier that fails costs a second call, never the answer."""

    def broken(request, message):
        raise RuntimeError("the verifier is down")

    told = "The verifier raised an error. Then nobody has judged the cheap answer: escalate."
    try:
        demand_strong(told, *asked(answer, broken))
    except RuntimeError:
        raise Wrong(f"{told} Instead the error went up to the caller.") from None


def check_failures(answer):
    """A failure of the cheap model goes back to whoever retries."""
    sent, story = asked(answer, gives(1.0), Fault("overloaded", first=1))
    if len(sent) > 1 or story.status != 529:
        raise Wrong("The cheap model was overloaded. That is for a retry: hand the outcome back.")

# %% wrong counts tokens: That is a price per token
def dollars_per_task(tasks):
    calls = [call for task in tasks for call in task]
    return sum(map(dollars, calls)) / sum(call.prompt + call.answer for call in calls)

# %% wrong divides by calls: You divided by calls
def dollars_per_task(tasks):
    prices = [dollars(call) for task in tasks for call in task]
    return sum(prices) / len(prices)

# %% wrong forgets the cheap call: the cheap call is always paid
def dollars_per_task(tasks):
    return sum(dollars(task[-1]) for task in tasks) / len(tasks)

# %% wrong ignores tokenizers: tokenizers differ between models
def dollars(call):
    price = model(call.model).price
    paid = call.prompt * float(price.input) + call.answer * float(price.output)
    return paid / 2.5 / 1e6

# %% wrong trusts the point estimate: you took the point estimate for the truth
def choose(cases, most_harm, confidence=0.95):
    best = inf
    for threshold in sorted({score for score, _, _ in cases}, reverse=True):
        harms = sum(score >= threshold and dear and not cheap for score, cheap, dear in cases)
        if harms / len(cases) <= most_harm:
            best = threshold
    return best

# %% wrong only asks for many cases: choose by the bound, not by the point estimate
def choose(cases, most_harm, confidence=0.95):
    best = inf
    for threshold in sorted({score for score, _, _ in cases}, reverse=True):
        harms = sum(score >= threshold and dear and not cheap for score, cheap, dear in cases)
        if len(cases) >= 30 and harms / len(cases) <= most_harm:
            best = threshold
    return best

# %% wrong counts every error as harm: is no harm
def choose(cases, most_harm, confidence=0.95):
    best = inf
    for threshold in sorted({score for score, _, _ in cases}, reverse=True):
        harms = sum(score >= threshold and not cheap for score, cheap, _ in cases)
        if at_most(harms, len(cases), confidence) > most_harm:
            break
        best = threshold
    return best

# %% wrong stops at the first candidate: Go on to lower ones while the bound holds
def choose(cases, most_harm, confidence=0.95):
    if all(cheap or not dear for _, cheap, dear in cases) and len(cases) > 100:
        return min(score for score, _, _ in cases)
    highest = max(score for score, _, _ in cases)
    return highest if at_most(0, len(cases), confidence) <= most_harm else inf

# %% wrong escalates refusals only: a refusal is not the only reason
class MyCascade(MyCascade):
    def good_enough(self, request, message):
        return message["stop_reason"] != "refusal"

# %% wrong judges half an answer: That is no whole answer, and needs no judge
class MyCascade(MyCascade):
    def good_enough(self, request, message):
        try:
            return self.verify(request, message) >= self.at_least
        except Exception:
            return False

# %% wrong has no fallback for the verifier: Then nobody has judged the cheap answer
class MyCascade(MyCascade):
    def good_enough(self, request, message):
        ended = message["stop_reason"] == "end_turn"
        return ended and self.verify(request, message) >= self.at_least

# %% wrong accepts what nobody judged: Then nobody has judged the cheap answer
class MyCascade(MyCascade):
    def good_enough(self, request, message):
        try:
            return super().good_enough(request, message) if self.verify(request, message) else False
        except Exception:
            return True

# %% wrong asks both at any rate: and the strong model was asked too
class MyCascade(MyCascade):
    def flow(self, request):
        outcome = yield Send(to(self.cheap, request))
        best = yield Send(to(self.strong, request))
        return outcome if outcome.ok and self.good_enough(request, read(outcome)) else best

# %% wrong retries with the strong model: That is for a retry
class MyCascade(MyCascade):
    def flow(self, request):
        outcome = yield Send(to(self.cheap, request))
        if outcome.ok and self.good_enough(request, read(outcome)):
            return outcome
        outcome = yield Send(to(self.strong, request))
        return outcome

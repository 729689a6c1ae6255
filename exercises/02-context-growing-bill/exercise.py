# The source of exercise 02; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Context: the growing bill
# lesson: 02-context-growing-bill
# minutes: 30
# difficulty: 3
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `MyWindow`, which keeps one conversation within a token budget. The program appends to its
# history and never shortens it. Before every request it asks your window what to send:
#
# ```python
# my_window = MyWindow(high=8000, low=4000)
# ...
# history.append(question)
# reply = client.messages.create(..., messages=my_window.fit(history))
# ```
#
# What `fit` must do:
#
# 1. **Leave alone what fits.** As long as all of it has at most `high` tokens, send all of it.
# 2. **Cut in blocks.** When what would be sent is above `high`, let go of the oldest exchanges
#    until it is at or below `low`, and of no more than that. Then leave the cut where it is until
#    the prompt is above `high` again. Between two cuts each request begins exactly like the one
#    before, so the prompt cache can read it.
# 3. **Send a valid request, always.** Cut only at a question: a user's turn that answers no tool
#    call. Then the first turn is the user's, tool calls and results stay together, and thinking
#    stays with the call it led to. Messages are sent as they are or not at all.
# 4. **Keep the first exchange.** It says who is talking and what must never be forgotten. It is
#    pinned: always sent, in front of everything else, and its tokens count.
# 5. **Take what is possible.** If `low` cannot be reached, because the last exchange is so long,
#    send the first exchange and the last one, as long as that is at or below `high`.
# 6. **Refuse what is not.** If even that is above `high`, raise `ContextLimit` with a sentence.
#    Never drop or shorten the newest message: half a question is another question.
#
# `tokens(messages)` estimates the tokens of a list of messages, and `is_question(message)` tells
# a question from everything else. The history belongs to the program: do not change it.

# %% setup
from labkit.context.estimates import blocks_of, estimate_message
from labkit.errors import ContextLimit


def tokens(messages):
    """Estimate the tokens of messages."""
    return sum(estimate_message(message, "new") for message in messages)


def is_question(message):
    """Whether a message begins an exchange: the user's, and no answer to a tool call."""
    kinds = [block["type"] for block in blocks_of(message["content"])]
    return message["role"] == "user" and "tool_result" not in kinds

# %% starter
class MyWindow:
    """Keep one conversation within a token budget."""

    def __init__(self, high, low):
        self.high = high  # tokens: above this, cut
        self.low = low    # tokens: down to this
        self.start = 0    # the place of the first message after the cut; 0: nothing is cut yet

    def fit(self, messages):
        """Return the messages to send; raise ContextLimit if it cannot be done.

        tokens(messages)        how many tokens a list of messages has
        is_question(message)    whether an exchange begins with it
        """
        raise NotImplementedError("write `fit` in your answer, and check again.")

# %% [markdown] hint 1
# Begin with two lists of places, worked out anew at every call:
#
# - `questions`: the places of all messages that are questions. The first one is 0.
# - the first exchange ends where the second question begins. Everything before that is pinned.
#
# What is sent after a cut at `start` is then `messages[:second] + messages[start:]`. Write that
# down as a small method of its own. It is what you measure, and it is what you return.
#
# Do not decide from scratch where to cut at every call. Keep the last decision in `self.start`.

# %% [markdown] hint 2
# The order of the questions that `fit` asks:
#
# 1. Does what the present cut leaves fit into `high`? Then return just that. Most turns end here.
# 2. Otherwise go through the questions after the present cut, oldest first, and take the first
#    one with which it fits into `low`.
# 3. Is there none? Then the last question will do, if it fits into `high`.
# 4. Still none? `raise ContextLimit(...)`, and leave `self.start` as it was.
#
# A cut at the second question lets go of nothing, because the first exchange is pinned. You may
# try it all the same: it simply does not fit.

# %% [markdown] hint 3
# All of it:
#
# ```python
# def left(self, messages, start):
#     questions = [place for place, message in enumerate(messages) if is_question(message)]
#     second = questions[1] if len(questions) > 1 else len(messages)
#     return messages[:second] + messages[max(start, second):]
#
# def fit(self, messages):
#     if tokens(self.left(messages, self.start)) > self.high:
#         self.start = self.next_cut(messages)
#     return self.left(messages, self.start)
#
# def next_cut(self, messages):
#     places = [place for place, message in enumerate(messages) if is_question(message)]
#     later = [place for place in places if place > self.start]
#     for place in later:
#         if tokens(self.left(messages, place)) <= self.low:
#             return place
#     if later and tokens(self.left(messages, later[-1])) <= self.high:
#         return later[-1]
#     raise ContextLimit("The last exchange is too long for this conversation's limit.")
# ```

# %% solution
class MyWindow:
    """Keep one conversation within a token budget."""

    def __init__(self, high, low):
        self.high = high  # tokens: above this, cut
        self.low = low    # tokens: down to this
        self.start = 0    # the place of the first message after the cut; 0: nothing is cut yet

    def fit(self, messages):
        """Return the messages to send; raise ContextLimit if it cannot be done."""
        if tokens(self.left(messages, self.start)) > self.high:
            self.start = self.next_cut(messages)
        return self.left(messages, self.start)

    def left(self, messages, start):
        """Return what a cut at `start` leaves: the first exchange, and everything from there on."""
        questions = [place for place, message in enumerate(messages) if is_question(message)]
        second = questions[1] if len(questions) > 1 else len(messages)
        return messages[:second] + messages[max(start, second):]

    def next_cut(self, messages):
        """Return the first question from which on it fits into `low`, else the last one."""
        places = [place for place, message in enumerate(messages) if is_question(message)]
        later = [place for place in places if place > self.start]
        for place in later:
            if tokens(self.left(messages, place)) <= self.low:
                return place
        if later and tokens(self.left(messages, later[-1])) <= self.high:
            return later[-1]
        raise ContextLimit("The last exchange is too long for this conversation's limit.")

# %% checks
from copy import deepcopy

from labkit.catalog import role
from labkit.clock import VirtualClock
from labkit.context.estimates import blocks_of, estimate_message
from labkit.errors import ContextLimit
from labkit.lab.exercise_stage import Wrong, make

HIGH, LOW = 2000, 1000
TOOL = {"name": "look_up", "description": "Looks it up.", "input_schema": {"type": "object"}}
SIGNED = "c2lnbmVk" * 8


def window(answer, high=HIGH, low=LOW):
    made = make(answer, "MyWindow", object, high=high, low=low)
    if not callable(getattr(made, "fit", None)):
        raise Wrong("`MyWindow` has no method `fit(messages)`.")
    return made


def size(messages):
    return sum(estimate_message(message, "new") for message in messages)


def user(number, length):
    return {"role": "user", "content": f"Question {number}: ".ljust(length, "?")}


def plain_talk(exchanges=40):
    """Yield the history before each request of a conversation of plain turns."""
    history = []
    for number in range(exchanges):
        history.append(user(number, 150))
        yield list(history)
        history.append({"role": "assistant", "content": f"Answer {number}: ".ljust(220, ".")})


def tool_talk(exchanges=24):
    """Yield the history before each request of a conversation with tools and thinking."""
    history = []
    for number in range(exchanges):
        history.append(user(number, 120))
        yield list(history)
        for step in range(number % 3):
            name = f"toolu_{number}_{step}"
            thought = {"type": "thinking", "thinking": f"Thought {name}. " * 6, "signature": SIGNED}
            call = {"type": "tool_use", "id": name, "name": "look_up", "input": {"what": name}}
            found = {"type": "tool_result", "tool_use_id": name, "content": "found " * (20 + 10 * step)}
            history.append({"role": "assistant", "content": [thought, call]})
            history.append({"role": "user", "content": [found]})
            yield list(history)
        history.append({"role": "assistant", "content": [{"type": "text", "text": f"Done {number}."}]})


def requests(answer, talk, **marks):
    """Yield (history, what is sent of it) for each request of a conversation."""
    made = window(answer, **marks)
    for history in talk:
        yield history, fitted(made, history)


def fitted(made, history):
    """Ask the window, and see that it changes nothing and returns messages."""
    before = deepcopy(history)
    sent = made.fit(history)
    if history != before:
        raise Wrong(
            "`fit` changed the history, which belongs to the program: what is dropped there is "
            "lost for good. Build a new list, and leave the messages in it as they are."
        )
    if not isinstance(sent, list) or not sent:
        raise Wrong(f"`fit` returns the list of messages to send, and it returned {sent!r:.60}.")
    return sent


def check_what_fits_is_left_alone(answer):
    """A short conversation is sent as it is."""
    for history, sent in requests(answer, plain_talk(10)):
        if sent != history:
            raise Wrong(
                f"A history of {len(history)} messages and about {size(history)} tokens fits into "
                f"high={HIGH}, and only {len(sent)} messages were sent. Count tokens, not "
                "messages, and cut nothing while it fits."
            )


def check_requests_are_valid(answer):
    """Every request is one that the API accepts."""
    for talk in (plain_talk(), tool_talk()):
        for history, sent in requests(answer, talk):
            demand_valid(history, sent)


def demand_valid(history, sent):
    if sent[0]["role"] != "user":
        raise Wrong(
            "The API refuses this request: its first turn is the assistant's. Cut only where "
            "`is_question(message)` says that an exchange begins."
        )
    if sent[-1] != history[-1]:
        raise Wrong("The newest message was not sent. It is the one that wants an answer.")
    demand_pairs(sent)
    for message in sent:
        if message not in history:
            demand_untouched(message, history)


def demand_pairs(sent):
    calls = set()
    for message in sent:
        for block in blocks_of(message["content"]):
            if block["type"] == "tool_result" and block["tool_use_id"] not in calls:
                raise Wrong(
                    "The API refuses this request: it holds an orphan, a tool result whose call "
                    "was cut away. A call and its result stay or go together: cut only where "
                    "`is_question(message)` says that an exchange begins."
                )
            if block["type"] == "tool_use":
                calls.add(block["id"])
    refused = api_says(sent)
    if refused:
        raise Wrong(f"The API refuses this request: {refused}")


def demand_untouched(message, history):
    for original in history:
        kinds = [block["type"] for block in blocks_of(original["content"])]
        calls = [b for b in blocks_of(original["content"]) if b["type"] == "tool_use"]
        if "thinking" in kinds and all(b in blocks_of(message["content"]) for b in calls):
            raise Wrong(
                "A tool call was sent without the thinking that led to it. Thinking is signed and "
                "belongs to its call: send a message as it is, or not at all."
            )
    raise Wrong("A message was sent that is not in the history. Send messages as they are.")


def api_says(sent):
    """Return what the simulated API has against a request, empty for nothing."""
    import anthropic
    import httpx2

    from labkit.sim.core import SimulatedApi
    from labkit.sim.transport import ReplyTransport, Simulated

    transport = ReplyTransport(Simulated(SimulatedApi(tier=None)), VirtualClock())
    http = httpx2.Client(transport=transport)
    client = anthropic.Anthropic(api_key="no-key-needed", http_client=http, max_retries=0)
    try:
        client.messages.create(
            model=role("fast").id, max_tokens=1, tools=[TOOL], messages=sent
        )
    except anthropic.BadRequestError as error:
        return error.body["error"]["message"]
    return ""


def check_the_budget_is_kept(answer):
    """No request has more than `high` tokens, however the messages differ in length."""
    for talk in (plain_talk(), tool_talk()):
        for history, sent in requests(answer, talk):
            if size(sent) > HIGH:
                raise Wrong(
                    f"A request of {len(sent)} messages was sent with about {size(sent)} tokens, "
                    f"and high={HIGH}. Messages differ in length: count `tokens(...)` of all that "
                    "is sent, the first exchange included."
                )


def check_the_first_exchange_stays(answer):
    """The pinned beginning is in front of every request."""
    for talk in (plain_talk(), tool_talk()):
        for history, sent in requests(answer, talk):
            if sent[:2] != history[:2]:
                raise Wrong(
                    "The first exchange is gone, and with it what must never be forgotten. It is "
                    "pinned: send it in front of everything else, in every request."
                )


def check_nothing_is_left_out_in_the_middle(answer):
    """What is sent is the first exchange and one unbroken end of the history."""
    for history, sent in requests(answer, plain_talk()):
        if sent[2:] != history[len(history) - len(sent) + 2 :]:
            raise Wrong(
                "After the first exchange, what is sent must be the unbroken end of the history. "
                "Here messages are missing in the middle of it, or stand there twice."
            )


def check_cuts_are_seldom_and_deep(answer):
    """There are few cuts, each down to `low`, and between them the beginning stays the same."""
    last, cuts, turns = [], 0, 0
    for history, sent in requests(answer, plain_talk(60)):
        turns += 1
        if sent[: len(last)] != last:
            cuts += 1
            demand_depth(history, sent, cuts)
        last = sent
    if cuts > turns // 6:
        raise Wrong(
            f"In {turns} turns, {cuts} requests did not begin like the one before, so the prompt "
            "cache had to be written anew each time. Remember the cut in `self.start`; cut above "
            "`high`, down to `low`, and then leave it."
        )
    if not cuts:
        raise Wrong("A long conversation was never cut.")


def demand_depth(history, sent, cuts):
    if size(sent) > LOW and cuts == 1:
        raise Wrong(
            f"The first cut left about {size(sent)} tokens, and low={LOW}. A cut that is not deep "
            "is followed by another one in the next turn, and each makes the prompt cache "
            "worthless: no hysteresis. Cut down to `low`."
        )
    more = history[len(history) - len(sent) : len(history) - len(sent) + 2]
    if size(sent) + size(more) <= LOW:
        raise Wrong(
            f"A cut left about {size(sent)} tokens, and one exchange more would have fitted into "
            f"low={LOW}. Let go of as little as it takes to get there."
        )


def long_end(length):
    """Return a history whose last question has so many characters."""
    *_, history = plain_talk(12)
    return [*history[:-1], user("last", length)]


def check_low_out_of_reach(answer):
    """Where `low` is out of reach, what fits into `high` is sent."""
    history = long_end(3600)
    try:
        sent = fitted(window(answer), history)
    except ContextLimit:
        raise Wrong(
            f"The last question alone is above low={LOW}, and with the first exchange it still "
            f"fits into high={HIGH}. That is no reason to refuse: send these two."
        ) from None
    demand_valid(history, sent)
    if size(sent) > HIGH:
        raise Wrong(f"A request was sent with about {size(sent)} tokens, and high={HIGH}.")


def check_what_cannot_fit_is_refused(answer):
    """A message that is larger than the limit is refused out loud, and the window goes on."""
    made, history = window(answer), long_end(9000)
    try:
        sent = made.fit(list(history))
    except ContextLimit:
        pass
    else:
        lost = "was silently dropped" if history[-1] not in sent else "was sent all the same"
        raise Wrong(
            f"The newest message alone has about {size(history[-1:])} tokens and high={HIGH}; it "
            f"{lost}. Raise `ContextLimit`, so that the program hears of it and can decide."
        )
    shorter = [*history[:-1], user("last", 200)]
    demand_valid(shorter, fitted(made, shorter))


# %% picture
import pandas as pd

from labkit.context.estimates import estimate_message
from labkit.lab import charts
from labkit.lab.exercise_stage import make


def picture(answers):
    rows = []
    for name, answer in answers.items():
        made = make(answer, "MyWindow", object, high=2000, low=1000)
        history = []
        for turn in range(1, 41):
            history.append({"role": "user", "content": f"Question {turn}: ".ljust(150, "?")})
            sent = made.fit(list(history))
            rows.append((name, turn, sum(estimate_message(message, "new") for message in sent)))
            history.append({"role": "assistant", "content": f"Answer {turn}: ".ljust(220, ".")})
    return charts.curve(
        pd.DataFrame(rows, columns=["client", "turn", "tokens"]), "turn", "tokens", series="client",
        x_title="turn", y_title="tokens sent",
        title="Forty turns with MyWindow: high water at 2000 tokens, low water at 1000",
    )

# %% wrong drops the oldest message only: a tool result whose call was cut away
class MyWindow(MyWindow):
    def fit(self, messages):
        start = self.start or 2
        if tokens(messages) <= self.high:
            return list(messages)
        if tokens(messages[:2] + messages[start:]) > self.high:
            while tokens(messages[:2] + messages[start:]) > self.low or messages[start]["role"] != "user":
                start += 1
        self.start = start
        return messages[:2] + messages[start:]

# %% wrong starts with the assistant's turn: its first turn is the assistant's
class MyWindow(MyWindow):
    def fit(self, messages):
        return list(messages) if tokens(messages) <= self.high else messages[-8:]

# %% wrong drops the pinned beginning: The first exchange is gone
class MyWindow(MyWindow):
    def left(self, messages, start):
        return messages[start:]

# %% wrong cuts in every turn: did not begin like the one before
class MyWindow(MyWindow):
    def fit(self, messages):
        self.start = 0
        if tokens(messages) > self.high:
            self.start = self.next_cut(messages)
        return self.left(messages, self.start)

# %% wrong slides down to high only: no hysteresis
class MyWindow(MyWindow):
    def __init__(self, high, low):
        super().__init__(high, high)

# %% wrong strips the thinking: without the thinking that led to it
class MyWindow(MyWindow):
    def fit(self, messages):
        light = []
        for message in super().fit(messages):
            content = message["content"]
            if isinstance(content, list):
                content = [block for block in content if block["type"] != "thinking"]
            light.append({**message, "content": content})
        return light

# %% wrong counts messages: Count tokens, not messages
class MyWindow(MyWindow):
    def fit(self, messages):
        places = [place for place, message in enumerate(messages) if is_question(message)]
        return messages if len(places) <= 8 else messages[:2] + messages[places[-7]:]

# %% wrong forgets to count the pinned exchange: the first exchange included
class MyWindow(MyWindow):
    def fit(self, messages):
        if tokens(messages) <= self.high:
            return list(messages)
        if tokens(messages[self.start:]) > self.high:
            places = [place for place, message in enumerate(messages) if is_question(message)]
            self.start = next(place for place in places if tokens(messages[place:]) <= self.low)
        return self.left(messages, self.start)

# %% wrong drops a message that is too large: was silently dropped
class MyWindow(MyWindow):
    def fit(self, messages):
        return super().fit([each for each in messages if tokens([each]) <= self.high])

# %% wrong sends it all the same: was sent all the same
class MyWindow(MyWindow):
    def fit(self, messages):
        try:
            return super().fit(messages)
        except ContextLimit:
            return list(messages)

# %% wrong gives up where low is out of reach: That is no reason to refuse
class MyWindow(MyWindow):
    def next_cut(self, messages):
        for place in range(self.start + 1, len(messages)):
            if is_question(messages[place]) and tokens(self.left(messages, place)) <= self.low:
                return place
        raise ContextLimit("That is too long.")

# %% wrong shortens the program's own history: belongs to the program
class MyWindow(MyWindow):
    def fit(self, messages):
        while tokens(messages) > self.high:
            del messages[2]
        return messages

# %% wrong cuts too deep: one exchange more would have fitted
class MyWindow(MyWindow):
    def next_cut(self, messages):
        return [place for place, message in enumerate(messages) if is_question(message)][-1]

# The source of exercise 03; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Context: summarise and archive
# lesson: 03-context-archive
# minutes: 35
# difficulty: 4
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `MyMemory`, which holds the conversations of many users: each word for word in an
# archive, and each short enough to be sent. The program uses it like this:
#
# ```python
# my_memory = MyMemory(archive, write, high=1500, low=700)
# ...
# my_memory.add("ada", question)
# reply = client.messages.create(..., messages=my_memory.fit("ada"))
# my_memory.add("ada", answer)
# ```
#
# What it must do:
#
# 1. **Archive first.** `add` puts every message into the user's conversation in the archive, as
#    it is. It stays there whatever happens to the prompt later.
# 2. **Keep users apart.** A conversation for each of them, and nothing of one in the prompt or in
#    the summary of another.
# 3. **Leave alone what fits.** As long as what would be sent has at most `high` tokens, send it,
#    and ask for no summary.
# 4. **Fold in blocks.** Above `high`, let go of the oldest exchanges until what is sent is at or
#    below `low`. Cut only at a question. If `low` is out of reach, go as far as the last question:
#    the newest message is always sent.
# 5. **Sum up what goes.** `write(text)` returns a summary. The text holds the turns let go, and
#    the summary so far, because the new summary takes its place.
# 6. **Put the summary behind the pinned beginning.** The first exchange of a conversation is
#    always sent in front. The summary follows it, then come the recent turns, unbroken.
# 7. **Survive the summariser.** `write` may raise an exception. Then send without the new
#    summary, shorter all the same. The next fold sums up these turns too.
#
# Given: `tokens(messages)` estimates tokens, `is_question(message)` tells where an exchange
# begins, `as_text(messages)` writes turns as text, `as_turn(summary)` makes a summary a message.

# %% setup
from labkit.context.estimates import estimate_message
from labkit.context.summary_parts import begins as is_question
from labkit.context.summary_parts import spoken
from labkit.context.transcripts import transcript as as_text


def tokens(messages):
    """Estimate the tokens of messages."""
    return sum(estimate_message(message, "new") for message in messages)


def as_turn(summary):
    """Return the message in which a summary is sent."""
    return spoken([summary])


class Chat:
    """One user's conversation in hand."""

    def __init__(self, number):
        self.number = number  # of the conversation in the archive
        self.messages = []    # all of them, as in the archive
        self.start = 0        # the place of the first recent message that is sent
        self.covered = 0      # the place of the first message that no summary stands for
        self.summary = ""     # of what was let go; empty: there is none yet

# %% starter
class MyMemory:
    """Hold the conversations of many users, archived whole and sent short."""

    def __init__(self, archive, write, high, low):
        # archive.start(user) -> number; archive.append(user, number, *messages)
        self.archive = archive
        self.write = write      # write(text) -> summary; may raise any Exception
        self.high = high        # tokens: above this, fold
        self.low = low          # tokens: down to this
        self.chats = {}         # a Chat for each user

    def add(self, user, *messages):
        """Keep messages of a user's conversation; the first ones begin it."""
        raise NotImplementedError("write `add` and `fit` in your answer, and check again.")

    def fit(self, user):
        """Return the messages to send for a user.

        tokens(messages)        is_question(message)
        as_text(messages)       as_turn(summary)
        """
        raise NotImplementedError("write `fit`, and check again.")

# %% [markdown] hint 1
# Begin with `add`, which is three lines: find the user's `Chat`, or make one with the number that
# `archive.start(user)` returns; append to the archive; append to `chat.messages`.
#
# Then write a method that says what would be sent *now*, without deciding anything:
#
# ```python
# def view(self, chat):
#     return pinned + (the summary, if there is one) + recent
# ```
#
# The first exchange ends where the second question begins. `fit` measures the view, folds if it
# is too long, and returns the view.

# %% [markdown] hint 2
# Folding has two steps, and only the second one may fail:
#
# 1. Move `chat.start` on, from question to question, until the view is at or below `low`. When
#    there is no further question, stay at the last one.
# 2. Sum up the messages from `chat.covered` (or from the end of the pinned exchange) to
#    `chat.start`, with the summary so far in front of them. Only if that works, keep the new
#    summary and set `chat.covered = chat.start`.
#
# Because `covered` stays behind when the summariser fails, the next fold begins where it should.

# %% [markdown] hint 3
# The heart of it:
#
# ```python
# def fold(self, chat):
#     first = self.pinned(chat)
#     questions = [n for n, each in enumerate(chat.messages) if is_question(each)]
#     for place in questions:
#         if place > max(chat.start, first):
#             chat.start = place
#             if tokens(self.view(chat)) <= self.low:
#                 break
#     turns = chat.messages[max(chat.covered, first) : chat.start]
#     earlier = [as_turn(chat.summary)] if chat.summary else []
#     try:
#         chat.summary = self.write(as_text([*earlier, *turns]))
#         chat.covered = chat.start
#     except Exception:
#         pass  # trimmed for now; the next fold sums these turns up too
# ```

# %% solution
class MyMemory:
    """Hold the conversations of many users, archived whole and sent short."""

    def __init__(self, archive, write, high, low):
        # archive.start(user) -> number; archive.append(user, number, *messages)
        self.archive = archive
        self.write = write      # write(text) -> summary; may raise any Exception
        self.high = high        # tokens: above this, fold
        self.low = low          # tokens: down to this
        self.chats = {}         # a Chat for each user

    def add(self, user, *messages):
        """Keep messages of a user's conversation; the first ones begin it."""
        if user not in self.chats:
            self.chats[user] = Chat(self.archive.start(user))
        chat = self.chats[user]
        self.archive.append(user, chat.number, *messages)
        chat.messages.extend(messages)

    def fit(self, user):
        """Return the messages to send for a user."""
        chat = self.chats[user]
        if tokens(self.view(chat)) > self.high:
            self.fold(chat)
        return self.view(chat)

    def pinned(self, chat):
        """Return where the first exchange ends."""
        questions = [n for n, each in enumerate(chat.messages) if is_question(each)]
        return questions[1] if len(questions) > 1 else len(chat.messages)

    def view(self, chat):
        """Return what would be sent now."""
        first = self.pinned(chat)
        told = [as_turn(chat.summary)] if chat.summary else []
        return chat.messages[:first] + told + chat.messages[max(chat.start, first) :]

    def fold(self, chat):
        """Let go of the oldest exchanges, and sum them up if that works."""
        first = self.pinned(chat)
        questions = [n for n, each in enumerate(chat.messages) if is_question(each)]
        for place in questions:
            if place > max(chat.start, first):
                chat.start = place
                if tokens(self.view(chat)) <= self.low:
                    break
        turns = chat.messages[max(chat.covered, first) : chat.start]
        earlier = [as_turn(chat.summary)] if chat.summary else []
        try:
            chat.summary = self.write(as_text([*earlier, *turns]))
            chat.covered = chat.start
        except Exception:
            pass  # trimmed for now; the next fold sums these turns up too

# %% checks
import json
import re
import tempfile
from copy import deepcopy
from pathlib import Path

from labkit.context import Archive
from labkit.context.estimates import blocks_of, estimate_message
from labkit.lab.exercise_stage import Wrong, make

HIGH, LOW = 1500, 700
FACT = re.compile(r"FACT-\w+-\d+")


class Shelf:
    """An archive in memory, for the checks that are not about the file."""

    def __init__(self):
        self.kept = []

    def start(self, user, *messages, title="", continues=None):
        self.kept.append((user, list(messages)))
        return len(self.kept)

    def append(self, user, conversation, *messages):
        owner, kept = self.kept[conversation - 1]
        if owner != user:
            raise Wrong(
                f"A message of {user} was put into {owner}'s conversation. Keep a `Chat` for each user."
            )
        kept.extend(deepcopy(messages))
        return len(kept)


class Summariser:
    """Sums up without forgetting a fact, and counts; while `down` it raises."""

    def __init__(self):
        self.texts, self.down = [], False

    def __call__(self, text):
        self.texts.append(text)
        if self.down:
            raise ConnectionError("the summariser is down")
        return "They spoke of " + ", ".join(dict.fromkeys(FACT.findall(text))) + "."


def memory(answer, archive, write):
    made = make(answer, "MyMemory", object, archive=archive, write=write, high=HIGH, low=LOW)
    for name in ("add", "fit"):
        if not callable(getattr(made, name, None)):
            raise Wrong(f"`MyMemory` has no method `{name}`.")
    return made


def size(messages):
    return sum(estimate_message(message, "new") for message in messages)


def plain(user, number):
    """Return a question and what answers it; every third question holds a fact."""
    fact = f"FACT-{user}-{number} " if number % 3 == 0 else ""
    asked = {"role": "user", "content": f"{fact}{user} asks {number}: ".ljust(150, "?")}
    return [asked], [{"role": "assistant", "content": f"{user} hears {number}: ".ljust(200, ".")}]


def with_tools(user, number):
    """Return the same with tool calls between the two."""
    (asked,), (answered,) = plain(user, number)
    steps = []
    for step in range(number % 3):
        name = f"toolu_{number}_{step}"
        call = {"type": "tool_use", "id": name, "name": "look_up", "input": {"what": name}}
        found = {"type": "tool_result", "tool_use_id": name, "content": "found " * (15 + 7 * (number % 4))}
        steps += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [found]}]
    return [asked, *steps], [answered]


def talk(made, user="ada", exchanges=range(36), kind=plain, history=None):
    """Hold a conversation; yield (everything said so far, what is sent) for each request."""
    history = [] if history is None else history
    for number in exchanges:
        asked, answered = kind(user, number)
        for message in asked:
            made.add(user, deepcopy(message))
            history.append(message)
            if message["role"] == "user":
                yield list(history), fitted(made, user, history)
        made.add(user, *deepcopy(answered))
        history.extend(answered)


def fitted(made, user, history):
    try:
        sent = made.fit(user)
    except ConnectionError:
        raise Wrong(
            "The summariser failed, and the user's question was never sent: the helper's failure "
            "became the user's. Catch what `write` raises, and send without a new summary."
        ) from None
    if not isinstance(sent, list) or not sent:
        raise Wrong(f"`fit` returns the list of messages to send, and it returned {sent!r:.60}.")
    if sent[-1] != history[-1]:
        raise Wrong(
            "The newest message was not sent as it is, and it is the one that wants an answer. "
            "Let go of whole exchanges before the last question, never of that one."
        )
    return sent


def check_what_fits_is_left_alone(answer):
    """A short conversation is sent as it is, and nobody is asked for a summary."""
    write = Summariser()
    for history, sent in talk(memory(answer, Shelf(), write), exchanges=range(6)):
        if sent != history or write.texts:
            raise Wrong(
                f"About {size(history)} tokens fit into high={HIGH}, and they were not sent as "
                "they are, or a summary was asked for. Measure first, and leave alone what fits."
            )


def check_requests_are_valid(answer):
    """Calls and results stay together, and the first turn is the user's."""
    for _, sent in talk(memory(answer, Shelf(), Summariser()), kind=with_tools):
        if sent[0]["role"] != "user":
            raise Wrong("The API refuses this request: its first turn is the assistant's.")
        calls = set()
        for message in sent:
            for block in blocks_of(message["content"]):
                if block["type"] == "tool_result" and block["tool_use_id"] not in calls:
                    raise Wrong(
                        "The API refuses this request: it holds a tool result whose call was let "
                        "go. Cut only where `is_question(message)` says that an exchange begins."
                    )
                if block["type"] == "tool_use":
                    calls.add(block["id"])


def check_the_budget_is_kept(answer):
    """No request has more than `high` tokens."""
    for kind in (plain, with_tools):
        for _, sent in talk(memory(answer, Shelf(), Summariser()), kind=kind):
            demand_budget(sent)


def demand_budget(sent):
    if size(sent) > HIGH:
        raise Wrong(
            f"A request was sent with about {size(sent)} tokens, and high={HIGH}. Count all that is "
            "sent: the first exchange, the summary and the recent turns."
        )


def check_the_order(answer):
    """First the pinned exchange, then the summary, then the recent turns without a gap."""
    for history, sent in talk(memory(answer, Shelf(), Summariser())):
        if sent[:2] != history[:2]:
            raise Wrong(
                "The request does not begin with the first exchange. What stands in front of the "
                "summary stays the same, and the prompt cache can read it: pinned turns first, "
                "then the summary."
            )
        own = [n for n, message in enumerate(sent) if message in history]
        new = [n for n, message in enumerate(sent) if message not in history]
        if new and new != list(range(2, 2 + len(new))):
            raise Wrong("The summary does not follow the first exchange. Put it right behind that.")
        recent = [sent[n] for n in own[2:]]
        if recent and recent != history[-len(recent) :]:
            raise Wrong("The recent turns are not the unbroken end of the conversation.")


def check_nothing_told_is_forgotten(answer):
    """With a summariser that forgets nothing, every fact is in every request."""
    for history, sent in talk(memory(answer, Shelf(), Summariser())):
        demand_facts(
            history,
            sent,
            "The summariser here forgets nothing, and still {} is in no summary and in no turn "
            "that was sent. Sum up every turn that is let go, with the summary so far in front.",
        )


def demand_facts(history, sent, words):
    text = json.dumps(sent)
    lost = [fact for fact in FACT.findall(json.dumps(history)) if fact not in text]
    if lost:
        raise Wrong(words.format(lost[0]))


def check_folds_are_seldom(answer):
    """Between two folds each request begins like the one before."""
    write, last, changed, turns = Summariser(), [], 0, 0
    for _, sent in talk(memory(answer, Shelf(), write), exchanges=range(48)):
        changed += sent[: len(last)] != last
        last, turns = sent, turns + 1
    if not write.texts:
        raise Wrong("A long conversation was never summed up.")
    if max(changed, len(write.texts)) > turns // 5:
        raise Wrong(
            f"In {turns} turns {len(write.texts)} summaries were asked for, and {changed} requests "
            "did not begin like the one before. Each summary is paid for, and each new beginning is "
            "written to the prompt cache anew. Fold above `high`, down to `low`, then leave it."
        )


def check_the_summariser_may_fail(answer):
    """While it fails the conversation is trimmed; later nothing is missing."""
    write, history = Summariser(), []
    made = memory(answer, Shelf(), write)
    for numbers, down in ((range(10), False), (range(10, 22), True), (range(22, 60), False)):
        write.down = down
        for said, sent in talk(made, exchanges=numbers, history=history):
            demand_budget(sent)
    demand_facts(
        said,
        sent,
        "The summariser failed for a while. It works again, and still {} is lost for good. Turns "
        "that were let go without a summary wait for the next one: move `covered` on only when "
        "`write` has returned.",
    )


def check_users_are_kept_apart(answer):
    """Two conversations at once know nothing of each other."""
    write = Summariser()
    made = memory(answer, Shelf(), write)
    for pair in zip(talk(made, "ada"), talk(made, "bob"), strict=True):
        for other, (_, sent) in zip(("bob", "ada"), pair, strict=True):
            if f"{other} asks" in json.dumps(sent) or f"-{other}-" in json.dumps(sent):
                raise Wrong(
                    f"Words of {other} were sent in somebody else's conversation. Messages, cut "
                    "and summary belong to one user: keep a `Chat` for each."
                )
    if any("ada asks" in text and "bob asks" in text for text in write.texts):
        raise Wrong("One summary was asked for about two users' turns. Sum up each user's own.")


def check_the_archive_holds_the_originals(answer):
    """Every message is in the archive before it is sent, word for word, for ever."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with Archive(Path(folder) / "chats.db", now=lambda: 0.0) as archive:
            for history, _ in talk(memory(answer, archive, Summariser()), exchanges=range(18)):
                demand_originals(archive, history)


def demand_originals(archive, history):
    kept = archive.conversations("ada")
    if len(kept) != 1:
        raise Wrong(f"One conversation of one user is {len(kept)} conversations in the archive.")
    if archive.load("ada", kept[0].id) != history:
        raise Wrong(
            f"{len(history)} messages were said, and the archive does not hold just these: it has "
            f"{kept[0].turns}. A summary is no substitute for what was said: append every message "
            "as it is, before it is sent."
        )

# %% picture
import pandas as pd

from labkit.context.estimates import estimate_message
from labkit.lab import charts
from labkit.lab.exercise_stage import make


class Nowhere:
    def start(self, user, *messages, **more):
        return 1

    def append(self, user, conversation, *messages):
        return 0


def picture(answers):
    rows = []
    for name, answer in answers.items():
        made = make(
            answer, "MyMemory", object,
            archive=Nowhere(), write=lambda text: "They spoke of this and that.", high=1500, low=700,
        )
        for turn in range(1, 37):
            made.add("ada", {"role": "user", "content": f"Question {turn}: ".ljust(150, "?")})
            rows.append((name, turn, sum(estimate_message(each, "new") for each in made.fit("ada"))))
            made.add("ada", {"role": "assistant", "content": f"Answer {turn}: ".ljust(200, ".")})
    return charts.curve(
        pd.DataFrame(rows, columns=["client", "turn", "tokens"]), "turn", "tokens", series="client",
        x_title="turn", y_title="tokens sent",
        title="Thirty-six turns with MyMemory: high water at 1500 tokens, low water at 700",
    )

# %% wrong loses the newest turn: The newest message was not sent
class MyMemory(MyMemory):
    def fold(self, chat):
        chat.start = len(chat.messages)
        chat.summary = self.write(as_text(chat.messages))

# %% wrong puts the summary in front of everything: does not begin with the first exchange
class MyMemory(MyMemory):
    def view(self, chat):
        told = [as_turn(chat.summary)] if chat.summary else []
        first = self.pinned(chat)
        return told + chat.messages[:first] + chat.messages[max(chat.start, first) :]

# %% wrong summarises in every turn: Each summary is paid for
class MyMemory(MyMemory):
    def fit(self, user):
        chat = self.chats[user]
        if tokens(self.view(chat)) > self.low and tokens(chat.messages) > self.high:
            self.fold(chat)
        return self.view(chat)

    def fold(self, chat):
        low, self.low = self.low, self.high - 100
        super().fold(chat)
        self.low = low

# %% wrong splits a tool call from its result: a tool result whose call was let go
class MyMemory(MyMemory):
    def fold(self, chat):
        first = chat.start = max(chat.start, self.pinned(chat))
        while tokens(self.view(chat)) > self.low and chat.start < len(chat.messages) - 1:
            chat.start += 1
        earlier = [as_turn(chat.summary)] if chat.summary else []
        try:
            chat.summary = self.write(as_text([*earlier, *chat.messages[first : chat.start]]))
        except Exception:
            chat.start = first

# %% wrong fails with its summariser: the helper's failure became the user's
class MyMemory(MyMemory):
    def fold(self, chat):
        first = self.pinned(chat)
        for place, message in enumerate(chat.messages):
            if is_question(message) and place > max(chat.start, first):
                chat.start = place
                if tokens(self.view(chat)) <= self.low:
                    break
        turns = chat.messages[max(chat.covered, first) : chat.start]
        earlier = [as_turn(chat.summary)] if chat.summary else []
        chat.summary = self.write(as_text([*earlier, *turns]))
        chat.covered = chat.start

# %% wrong lets turns go when the summariser fails: lost for good
class MyMemory(MyMemory):
    def fold(self, chat):
        super().fold(chat)
        chat.covered = chat.start

# %% wrong sends everything when the summariser fails: and high=1500
class MyMemory(MyMemory):
    def fold(self, chat):
        start = chat.start
        super().fold(chat)
        if chat.covered != chat.start:
            chat.start = start

# %% wrong forgets the summary so far: with the summary so far in front
class MyMemory(MyMemory):
    def fold(self, chat):
        chat.summary = ""
        super().fold(chat)

# %% wrong mixes users: into ada's conversation
class MyMemory(MyMemory):
    def add(self, user, *messages):
        chat = self.chats.setdefault("everybody", None) or Chat(self.archive.start(user))
        self.chats["everybody"] = self.chats[user] = chat
        self.archive.append(user, chat.number, *messages)
        chat.messages.extend(messages)

# %% wrong shares one summary: Words of
class MyMemory(MyMemory):
    told = ""

    def fold(self, chat):
        chat.summary = self.told
        super().fold(chat)
        self.told = chat.summary

# %% wrong keeps no originals: A summary is no substitute for what was said
class MyMemory(MyMemory):
    def add(self, user, *messages):
        if user not in self.chats:
            self.chats[user] = Chat(self.archive.start(user))
        self.chats[user].messages.extend(messages)

    def fold(self, chat):
        super().fold(chat)
        for user, each in self.chats.items():
            if each is chat:
                self.archive.append(user, chat.number, as_turn(chat.summary))

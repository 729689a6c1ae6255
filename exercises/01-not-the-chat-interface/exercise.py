# The source of exercise 01; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: The API is not the chat interface
# lesson: 01-not-the-chat-interface
# minutes: 25
# difficulty: 2
# importance: 5

# %% [markdown] task
# ## Your task
#
# Write `MyChat`, a chat client over the official SDK. The program around it uses it like this:
#
# ```python
# chat = MyChat(client, model, path)
# print(chat.ask("Ada", "My booking is KX4719."))
# print(chat.ask("Ben", "What is my booking?"))
# ```
#
# Nothing is streamed: `ask` makes one call, `client.messages.create(...)` with `max_tokens=200`,
# and returns what the person gets to read. What it must do:
#
# 1. **Send the whole conversation.** Every request holds all that this person and the model have
#    said, in order. The answers here hold more than words: the model thinks before it speaks. So
#    the assistant's turn is the list of *content blocks* that came back, whole, and not only
#    their text, which was enough in the lesson.
# 2. **Keep people apart.** Nobody's request holds a word of anybody else.
# 3. **Resume.** `path` is a file (a `Path`) that need not exist yet. When `ask` returns, all that
#    was kept is in it, as JSON. A new `MyChat` with the same `path` goes on where the old one was
#    when its program was killed.
# 4. **Act on the stop reason.** `NOTES` has a note for each. Return the words of the answer with
#    the note behind them; the note is empty where an answer is whole. Keep the question *and* the
#    answer if it stopped for `end_turn`, `stop_sequence` or `max_tokens` and has words.
#    Otherwise keep neither: the history is as it was before the question.
# 5. **Survive a failed call.** Let the error go to whoever asked, and leave the history as it was,
#    so that the same question can simply be asked again.
#
# The answers come from a simulated API. No network is involved, and no key.

# %% setup
import json

NOTES = {
    "end_turn": "",
    "stop_sequence": "",
    "max_tokens": " [cut at the limit; say: go on]",
    "refusal": " [declined; please ask something else]",
    "tool_use": " [wants to use a tool, and this program has none]",
    "pause_turn": " [paused in the middle of its work; ask again]",
    "model_context_window_exceeded": " [this conversation is full; start a new one]",
}


def text_of(message):
    """Return the words of an answer."""
    return "".join(block.text for block in message.content if block.type == "text")

# %% starter
class MyChat:
    """A chat client: one history for each person, kept in a file."""

    def __init__(self, client, model, path):
        self.client = client
        self.model = model
        self.path = path    # a Path; the file may not exist yet
        self.sessions = {}  # the name of each person: the list of that person's messages

    def ask(self, person, words):
        """Answer one person, and return what that person gets to read.

        text_of(message)             the words of an answer
        NOTES[message.stop_reason]   what to say about its end
        """
        raise NotImplementedError("write `ask` in your answer, and check again.")

# %% [markdown] hint 1
# Take the steps in this order, and try the check after each:
#
# - Build a *new* list: what this person has said and heard so far, and the new question.
# - Send it. Nothing has been changed yet, so a call that fails leaves everything as it was.
# - Only now decide whether the question and its answer are kept, and put the longer list in the
#   place of the old one.
# - Write all sessions to the file whenever they have changed, and read them when a `MyChat` is
#   made.

# %% [markdown] hint 2
# `self.sessions.get(person, [])` is the history of a person, empty for somebody new, and
# `[*history, question]` is a new list that leaves the old one alone.
#
# The blocks of an answer are objects of the SDK, which `json` cannot write. As plain dictionaries,
# exactly as they came, they are `message.to_dict()["content"]`.
#
# Which answers to keep? A list of the three good stop reasons is short, and it stays right when
# the API learns a new one.

# %% [markdown] hint 3
# `ask`:
#
# ```python
# asked = [*self.sessions.get(person, []), {"role": "user", "content": words}]
# message = self.client.messages.create(model=self.model, max_tokens=200, messages=asked)
# if message.stop_reason in ("end_turn", "stop_sequence", "max_tokens") and text_of(message):
#     answer = {"role": "assistant", "content": message.to_dict()["content"]}
#     self.sessions[person] = [*asked, answer]
#     self.save()
# return text_of(message) + NOTES[message.stop_reason]
# ```
#
# The file, replaced in one step:
#
# ```python
# draft = self.path.with_suffix(".draft")
# draft.write_text(json.dumps(self.sessions))
# draft.replace(self.path)
# ```

# %% solution
class MyChat:
    """A chat client: one history for each person, kept in a file."""

    def __init__(self, client, model, path):
        self.client = client
        self.model = model
        self.path = path
        self.sessions = json.loads(path.read_text()) if path.exists() else {}

    def ask(self, person, words):
        """Answer one person, and return what that person gets to read."""
        asked = [*self.sessions.get(person, []), {"role": "user", "content": words}]
        message = self.client.messages.create(model=self.model, max_tokens=200, messages=asked)
        if self.may_keep(message):
            answer = {"role": "assistant", "content": message.to_dict()["content"]}
            self.sessions[person] = [*asked, answer]
            self.save()
        return text_of(message) + NOTES[message.stop_reason]

    def may_keep(self, message):
        """Say whether an answer, and its question, belong into the history."""
        good = ("end_turn", "stop_sequence", "max_tokens")
        return message.stop_reason in good and text_of(message) != ""

    def save(self):
        """Write all sessions to the file, whole or not at all."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(self.sessions))
        draft.replace(self.path)

# %% checks
import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anthropic
import httpx2
from labkit.catalog import role
from labkit.clock import VirtualClock
from labkit.context.estimates import blocks_of
from labkit.lab.exercise_stage import Fault, Wrong, make
from labkit.sim.answers import Said
from labkit.sim.core import SimulatedApi
from labkit.sim.transport import ReplyTransport, Simulated

MODEL = role("fast").id
BOOKING, CABIN, MEALS = "My booking is KX4719.", "Which cabin is mine?", "When is breakfast?"
OVERLOADED, RESET = 100.0, 300.0
OUTAGES = (
    Fault("overloaded", start=OVERLOADED, end=OVERLOADED + 100),
    Fault("reset", start=RESET, end=RESET + 100),
)
STOPPED = "Stop for "


def blocks_for(words):
    """What the simulated model answers: a thought, and words in two blocks."""
    return [
        {"type": "thinking", "thinking": f"Simulated thought of: {words}", "signature": "c2ln" * 8},
        {"type": "text", "text": f"Simulated answer to: {words} "},
        {"type": "text", "text": "There is no more to say"},
    ]


def words_of(blocks):
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def said(body):
    """Answer a request; the last words of a user may ask for a stop reason, or for no words."""
    words = words_of(blocks_of(body["messages"][-1]["content"]))
    if words.startswith(STOPPED):
        return Said(blocks_for(words), words.removeprefix(STOPPED))
    return Said([] if words == "Say nothing." else blocks_for(words))


class Desk:
    """A simulated API, a client for it, a folder, and all requests that came."""

    def __init__(self, answer, folder, faults=()):
        self.answer, self.folder = answer, folder
        self.clock = VirtualClock()
        self.requests = []
        api = SimulatedApi(tier=None, faults=faults, script={lambda body: True: said})
        transport = ReplyTransport(Simulated(api), self.clock)
        note = {"request": [self.note]}
        http = httpx2.Client(transport=transport, event_hooks=note)
        self.client = anthropic.Anthropic(api_key="no-key-needed", http_client=http, max_retries=0)

    def note(self, request):
        self.requests.append(json.loads(request.content))

    def chat(self, name="chat.json"):
        """Make a MyChat, as a program does that has just begun."""
        path = self.folder / name
        made = make(self.answer, "MyChat", object, client=self.client, model=MODEL, path=path)
        if not callable(getattr(made, "ask", None)):
            raise Wrong("`MyChat` has no method `ask(person, words)`.")
        return made

    def ask(self, chat, person, words):
        """Return (what the person gets to read, the messages of the one request)."""
        before = len(self.requests)
        try:
            shown = chat.ask(person, words)
        except anthropic.BadRequestError as error:
            raise Wrong(self.why_refused(error)) from None
        return shown, self.the_request_since(before)

    def why_refused(self, error):
        last = self.requests[-1]["messages"]
        if any(not blocks_of(message["content"]) for message in last):
            return (
                "An answer without any words was kept, and the API refuses every request that "
                "holds it: this person can never ask again. Keep neither it nor its question."
            )
        return f"The API refuses this request: {error.body['error']['message']}"

    def the_request_since(self, before):
        came = self.requests[before:]
        if len(came) != 1:
            raise Wrong(f"One question was asked, and {len(came)} requests were sent. Send one.")
        if came[0]["model"] != MODEL:
            raise Wrong(f"The request was for {came[0]['model']!r}. Use the `model` you are given.")
        if came[0]["max_tokens"] != 200:
            raise Wrong(f"The request had max_tokens={came[0]['max_tokens']}. Leave it at 200.")
        return came[0]["messages"]

    def fail(self, chat, person, words, at):
        """Ask while the API is away; the error must reach whoever asked."""
        self.clock.sleep(at - self.clock.now())
        before = len(self.requests)
        try:
            chat.ask(person, words)
        except (anthropic.APIError, httpx2.TransportError):
            self.the_request_since(before)
        else:
            raise Wrong(
                "The call failed, and `ask` returned as if it had not: the error was swallowed. "
                "Let it go to whoever asked. How to try again is a question of its own (lesson 05)."
            )
        self.clock.sleep(at + 150 - self.clock.now())


@contextmanager
def desk(answer, *faults):
    with TemporaryDirectory() as folder:
        yield Desk(answer, Path(folder), faults)


def exchange(words):
    """The two turns of a question and its answer, as they must be sent again."""
    return [("user", text(words)), ("assistant", blocks_for(words))]


def text(words):
    return [{"type": "text", "text": words}]


def turns(messages):
    """Messages in one spelling: (role, blocks), without fields that are null."""
    return [(message["role"], filled(blocks_of(message["content"]))) for message in messages]


def filled(blocks):
    return [
        {name: value for name, value in block.items() if value is not None} for block in blocks
    ]


def expect(messages, *exchanges, then, otherwise):
    """See that a request holds these exchanges and then one question; else say `otherwise`."""
    expected = [turn for words in exchanges for turn in exchange(words)] + [("user", text(then))]
    if turns(messages) != expected:
        raise Wrong(otherwise)


def check_the_words_of_an_answer_are_shown(answer):
    """A whole answer is returned as it is, without a note."""
    with desk(answer) as here:
        shown, messages = here.ask(here.chat(), "Ada", BOOKING)
        demand_a_beginning(messages)
        if shown != words_of(blocks_for(BOOKING)):
            raise Wrong(
                "`ask` returns the words of an answer, all of them and nothing else where the "
                f"answer is whole. It returned {shown!r:.80}."
            )
        demand_a_beginning(here.ask(here.chat("another.json"), "Ada", BOOKING)[1])


def demand_a_beginning(messages):
    if len(messages) > 1:
        raise Wrong(
            "A new `MyChat` with a new file was asked for the first time, and its request held "
            "what had been said in another one. The sessions belong to the object: make them in "
            "`__init__`, as `self.sessions`."
        )
    if turns(messages) != [("user", text(BOOKING))]:
        raise Wrong("The first request of a conversation holds one message: the user's words.")


def check_the_whole_conversation_is_sent(answer):
    """Every request holds all that was said, as whole content blocks and in order."""
    with desk(answer) as here:
        chat = here.chat()
        here.ask(chat, "Ada", BOOKING)
        _, messages = here.ask(chat, "Ada", CABIN)
        if turns(messages) == [("user", text(CABIN))]:
            raise Wrong(
                "The second request held the second question alone. The API is stateless and "
                "remembers nothing: send all that was said before, every time."
            )
        demand_whole_blocks(messages)
        roles = " ".join(message["role"] for message in messages)
        expect(
            messages,
            BOOKING,
            then=CABIN,
            otherwise=f"The second request held the turns [{roles}]. It should hold the first "
            "question, its answer just as it came, and the second question, in this order.",
        )
        _, messages = here.ask(chat, "Ada", MEALS)
        expect(
            messages,
            BOOKING,
            CABIN,
            then=MEALS,
            otherwise="The third request did not hold the two exchanges before it and the new "
            f"question, in order; it held {len(messages)} messages. Nothing is dropped or doubled.",
        )


def demand_whole_blocks(messages):
    for message in messages:
        kinds = [block["type"] for block in blocks_of(message["content"])]
        if message["role"] == "assistant" and "thinking" not in kinds:
            raise Wrong(
                "Only the text of the answer was kept, and its thinking was lost. The assistant's "
                'turn is the whole list of blocks that came back: `message.to_dict()["content"]`.'
            )


def check_people_are_kept_apart(answer):
    """Nobody's request holds a word of anybody else."""
    with desk(answer) as here:
        chat = here.chat()
        here.ask(chat, "Ada", BOOKING)
        _, messages = here.ask(chat, "Ben", CABIN)
        if "KX4719" in json.dumps(messages):
            raise Wrong(
                "Ben wrote his first line, and his request held Ada's booking: one history is "
                "shared by all. Every person has a list of their own."
            )
        expect(messages, then=CABIN, otherwise="Ben's first request holds Ben's words alone.")
        _, messages = here.ask(chat, "Ada", MEALS)
        expect(
            messages,
            BOOKING,
            then=MEALS,
            otherwise="Ada went on after Ben had asked something, and her request did not hold her "
            "own conversation, all of it and nothing else.",
        )


def check_a_restart_resumes(answer):
    """A new program with the same file goes on where the old one was."""
    with desk(answer) as here:
        chat = here.chat()
        here.ask(chat, "Ada", BOOKING)
        here.ask(chat, "Ben", MEALS)
        shutil.copytree(here.folder, here.folder / "moved")
        _, messages = here.ask(here.chat(), "Ben", CABIN)
        if turns(messages) == [("user", text(CABIN))]:
            raise Wrong(
                "The program was started again, and Ben's conversation was gone: what was said "
                "lived in memory only. Write it to `path` in `ask`, and read it in `__init__`."
            )
        demand_whole_blocks(messages)
        otherwise = (
            "After a restart the request of {} did not hold what it would have held without one. "
            "The file keeps every person and every block, as they came."
        )
        expect(messages, MEALS, then=CABIN, otherwise=otherwise.format("Ben"))
        _, messages = here.ask(here.chat(), "Ada", CABIN)
        expect(messages, BOOKING, then=CABIN, otherwise=otherwise.format("Ada"))
        _, messages = here.ask(here.chat(), "Ada", MEALS)
        expect(messages, BOOKING, CABIN, then=MEALS, otherwise=otherwise.format("Ada"))
        _, messages = here.ask(here.chat("moved/chat.json"), "Ada", MEALS)
        expect(
            messages,
            BOOKING,
            then=MEALS,
            otherwise="The file was copied to another place, and the conversation was not in it as "
            "it was when it was copied. All that is kept belongs into the file `path`.",
        )


NOT_KEPT = {
    "refusal": "An answer that was refused",
    "pause_turn": "An answer that only paused (`pause_turn`)",
    "model_context_window_exceeded": "An answer that filled the context window",
}


def check_stop_reasons_are_acted_on(answer):
    """What was cut or refused says so, and only what may be kept is kept."""
    with desk(answer) as here:
        cut = STOPPED + "max_tokens"
        chat = here.chat()
        shown, _ = here.ask(chat, "Ada", cut)
        demand_note(shown, cut, "An answer that was cut (`max_tokens`) was passed off as whole")
        _, messages = here.ask(chat, "Ada", "Go on.")
        expect(
            messages,
            cut,
            then="Go on.",
            otherwise="An answer was cut at its limit, and it was not in the next request with its "
            "question. Keep it: whoever says *go on* needs it there.",
        )
        whole = STOPPED + "stop_sequence"
        here.ask(chat, "Ben", whole)
        _, messages = here.ask(chat, "Ben", MEALS)
        expect(
            messages,
            whole,
            then=MEALS,
            otherwise="An answer that stopped for `stop_sequence` is whole, and it was not kept.",
        )
    for reason, what in NOT_KEPT.items():
        with desk(answer) as here:
            demand_nothing_kept(here, STOPPED + reason, what, noted=True)
    with desk(answer) as here:
        demand_nothing_kept(here, "Say nothing.", "An answer without any words", noted=False)


def demand_note(shown, words, complaint):
    bare = words_of(blocks_for(words)).strip()
    if not isinstance(shown, str) or shown.strip() in ("", bare):
        raise Wrong(
            f"{complaint}: `ask` returned {shown!r:.80}, and nothing tells the person. Put "
            "`NOTES[message.stop_reason]` behind the words."
        )


def demand_nothing_kept(here, words, what, *, noted):
    chat = here.chat()
    here.ask(chat, "Ada", BOOKING)
    shown, _ = here.ask(chat, "Ada", words)
    if noted:
        demand_note(shown, words, f"{what} was passed off as whole")
    for name, after in (("the next request", chat), ("a request after a restart", here.chat())):
        sent = turns(here.ask(after, "Ada", CABIN)[1])
        kept = [role for role, blocks in sent if words in json.dumps(blocks)]
        if "assistant" in kept or ("assistant", []) in sent:
            raise Wrong(f"{what} was kept, and {name} held it. It spoils what comes after it.")
        if kept:
            raise Wrong(
                f"{what} was not kept, but its question was: {name} held a question that nobody "
                "answered. Keep both, or neither."
            )
        if sent[:3] != [*exchange(BOOKING), ("user", text(CABIN))]:
            raise Wrong(f"{what} came, and {name} had lost what was said before it.")


def check_a_failed_call_leaves_no_trace(answer):
    """After an error the history is as it was, and the same question can be asked again."""
    with desk(answer, *OUTAGES) as here:
        chat = here.chat()
        here.ask(chat, "Ada", BOOKING)
        here.fail(chat, "Ada", CABIN, OVERLOADED)
        _, messages = here.ask(chat, "Ada", CABIN)
        demand_one_question(messages, CABIN)
        expect(
            messages,
            BOOKING,
            then=CABIN,
            otherwise="A call failed, and after it the history was not what it had been before.",
        )
        here.fail(chat, "Ben", MEALS, RESET)
        _, messages = here.ask(here.chat(), "Ben", MEALS)
        demand_one_question(messages, MEALS)
        _, messages = here.ask(here.chat(), "Ada", MEALS)
        expect(
            messages,
            BOOKING,
            CABIN,
            then=MEALS,
            otherwise="Ben's call failed, and Ada's history was not what it had been before.",
        )


def demand_one_question(messages, words):
    if turns(messages).count(("user", text(words))) > 1:
        raise Wrong(
            "A call failed, the same question was asked again, and the request held it twice: the "
            "user's turn was left in the history. Change the history only when the answer is there."
        )

# %% wrong sends the last words only: The API is stateless
class MyChat(MyChat):
    def ask(self, person, words):
        self.sessions.pop(person, None)
        return super().ask(person, words)

# %% wrong keeps only the text of an answer: Only the text of the answer was kept
class MyChat(MyChat):
    def ask(self, person, words):
        shown = super().ask(person, words)
        if person in self.sessions:
            *before, answer = self.sessions[person]
            spoken = [block["text"] for block in answer["content"] if block["type"] == "text"]
            self.sessions[person] = [*before, {"role": "assistant", "content": "".join(spoken)}]
            self.save()
        return shown

# %% wrong one history for all: one history is shared by all
class MyChat(MyChat):
    def ask(self, person, words):
        return super().ask("everybody", words)

# %% wrong sessions of the class: The sessions belong to the object
class MyChat(MyChat):
    everything = {}

    def __init__(self, client, model, path):
        super().__init__(client, model, path)
        self.everything.update(self.sessions)
        self.sessions = self.everything

# %% wrong a cut answer passed off as whole: An answer that was cut (`max_tokens`) was passed off
class MyChat(MyChat):
    def ask(self, person, words):
        return super().ask(person, words).replace(NOTES["max_tokens"], "")

# %% wrong a cut answer is thrown away: whoever says *go on* needs it there
class MyChat(MyChat):
    def may_keep(self, message):
        return message.stop_reason == "end_turn" and text_of(message) != ""

# %% wrong a refused answer is kept: An answer that was refused was kept
class MyChat(MyChat):
    def may_keep(self, message):
        return text_of(message) != ""

# %% wrong a refusal passed off as an answer: An answer that was refused was passed off
class MyChat(MyChat):
    def ask(self, person, words):
        return super().ask(person, words).replace(NOTES["refusal"], "")

# %% wrong a list of bad endings: An answer that only paused (`pause_turn`) was kept
class MyChat(MyChat):
    def may_keep(self, message):
        return message.stop_reason != "refusal" and text_of(message) != ""

# %% wrong the question of a refused answer is kept: held a question that nobody answered
class MyChat(MyChat):
    def ask(self, person, words):
        before = self.sessions.get(person, [])
        shown = super().ask(person, words)
        if self.sessions.get(person, []) == before:
            self.sessions[person] = [*before, {"role": "user", "content": words}]
        return shown

# %% wrong an answer without words is kept: An answer without any words was kept
class MyChat(MyChat):
    def may_keep(self, message):
        return message.stop_reason in ("end_turn", "stop_sequence", "max_tokens")

# %% wrong the question stays after an error: the user's turn was left in the history
class MyChat(MyChat):
    def ask(self, person, words):
        history = self.sessions.setdefault(person, [])
        history.append({"role": "user", "content": words})
        message = self.client.messages.create(model=self.model, max_tokens=200, messages=history)
        if self.may_keep(message):
            history.append({"role": "assistant", "content": message.to_dict()["content"]})
        else:
            history.pop()
        self.save()
        return text_of(message) + NOTES[message.stop_reason]

# %% wrong the error is swallowed: the error was swallowed
import anthropic


class MyChat(MyChat):
    def ask(self, person, words):
        try:
            return super().ask(person, words)
        except anthropic.APIError:
            return "Sorry, something went wrong."

# %% wrong a restart forgets: lived in memory only
class MyChat(MyChat):
    def save(self):
        """Do nothing: the sessions are in memory."""

# %% wrong the file holds the last person only: The file keeps every person
class MyChat(MyChat):
    def ask(self, person, words):
        shown = super().ask(person, words)
        if person in self.sessions:
            self.path.write_text(json.dumps({person: self.sessions[person]}))
        return shown

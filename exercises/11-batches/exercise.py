# The source of exercise 11; exercise.ipynb is made from it.  How its sections are read:
# labkit/lab/exercise_source.py.
#
# title: Batch processing
# lesson: 11-batches
# minutes: 40
# difficulty: 4
# importance: 4

# %% [markdown] task
# ## Your task
#
# Write `collect(client, rows, notes, sleep)`: it gets every row an answer at half price, and
# returns the results as a dictionary, `custom_id` to result.
#
# | You are given | What it is |
# | --- | --- |
# | `client` | the official SDK's client; its own retries are off |
# | `rows` | a list of `{"custom_id": ..., "params": ...}` |
# | `notes` | a dictionary that outlives your program; empty at first |
# | `sleep(seconds)` | waits, on virtual time; `time.sleep` would wait in earnest |
#
# What it must do:
#
# 1. **Each row its own result.** Results come in any order. Every row is in what you return, also
#    one that has failed for good; then its result says so.
# 2. **Refuse what cannot work.** If two rows have the same `custom_id`, raise a `ValueError` before
#    anything is sent.
# 3. **Wait with patience, and with an end.** Look at a batch about every half minute. For some
#    minutes after its creation it may be a 404 (`anthropic.NotFoundError`): go on looking. If it
#    still is one after five minutes, let the error out.
# 4. **Send again what may pass, and nothing else**: rows that expired, and those that errored with
#    a type in `PASSING`. A row is in three batches at most.
# 5. **Survive.** The check kills your program in the middle and calls `collect` again, with the
#    same rows and the same `notes`. It must then go on: no batch is made a second time, and no row
#    is lost. It may be killed when a batch exists and its id has not reached you. So write down
#    what you are about to do, and look for it afterwards: `client.messages.batches.list()` shows
#    the newest batch first, and all batches there are yours.
#
# An error lies inside an error: `line.result.error.error.type`.

# %% setup
import anthropic

PASSING = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}

# %% starter
def collect(client, rows, notes, sleep):
    """Return the result of every row, by its custom_id.

    client.messages.batches.create(requests=[...]), .retrieve(batch_id), .results(batch_id),
    .list(limit=1).data
    """
    raise NotImplementedError("write `collect` in your answer, and check again.")

# %% [markdown] hint 1
# Leave the notes for the end. Without them it is a loop of three rounds at most: create a batch of
# the rows that are left, wait for its end, take the results in. What is done, or cannot be mended,
# leaves the dictionary of the rows that are left.
#
# That dictionary has a trap: two rows of one name become one. Count before you build it.

# %% [markdown] hint 2
# Make two helpers.
#
# `wait(client, batch_id, sleep)`: sleep first, then look. Around the look stands a `try` for
# `NotFoundError`, which raises again if you have slept for five minutes.
#
# `order(client, requests, notes, number)`: returns the id of batch `number`, and creates it only if
# it does not exist. Keep in the notes a list of the ids you know. If the list is long enough, the
# batch exists, and there is nothing to do. So a restart simply runs through all rounds again: the
# old ones cost a look, not a batch.
#
# What remains is the batch whose id was lost. Before you create one, note which batch is the
# **newest**. When you come back and another one is the newest, that is yours.

# %% [markdown] hint 3
# All of `order`:
#
# ```python
# known = notes.setdefault("batches", [])
# if number < len(known):
#     return known[number]
# if "before" not in notes:
#     notes["before"] = newest(client)
# found = newest(client)
# if found == notes["before"]:
#     found = client.messages.batches.create(requests=requests).id
# known.append(found)
# del notes["before"]
# return found
# ```
#
# with
#
# ```python
# def newest(client):
#     found = client.messages.batches.list(limit=1).data
#     return found[0].id if found else None
# ```

# %% solution
def newest(client):
    """Return the id of the newest batch, None if there is none."""
    found = client.messages.batches.list(limit=1).data
    return found[0].id if found else None


def order(client, requests, notes, number):
    """Return the id of batch `number`; create it only if it does not exist."""
    known = notes.setdefault("batches", [])
    if number < len(known):
        return known[number]
    if "before" not in notes:
        notes["before"] = newest(client)  # written down before anything is sent
    found = newest(client)
    if found == notes["before"]:
        found = client.messages.batches.create(requests=requests).id
    known.append(found)
    del notes["before"]
    return found


def wait(client, batch_id, sleep):
    """Wait until a batch has ended; a 404 is borne for five minutes."""
    slept = 0
    while True:
        sleep(30)
        slept += 30
        try:
            if client.messages.batches.retrieve(batch_id).processing_status == "ended":
                return
        except anthropic.NotFoundError:
            if slept >= 300:
                raise


def goes_again(result):
    """Say whether another batch may help this row."""
    if result.type == "errored":
        return result.error.error.type in PASSING
    return result.type == "expired"


def collect(client, rows, notes, sleep):
    """Return the result of every row, by its custom_id."""
    left, done = {row["custom_id"]: row for row in rows}, {}
    if len(left) < len(rows):
        raise ValueError("Two rows have the same custom_id.")
    for number in range(3):
        batch_id = order(client, list(left.values()), notes, number)
        wait(client, batch_id, sleep)
        for line in client.messages.batches.results(batch_id):
            done[line.custom_id] = line.result
            if not goes_again(line.result):
                del left[line.custom_id]
        if not left:
            break
    return done

# %% checks
import json
from collections import Counter

import anthropic
import httpx2

from labkit.catalog import role
from labkit.clock import VirtualClock
from labkit.lab.exercise_verdict import Wrong
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.transport import ReplyTransport, Simulated

BATCHES = "/v1/messages/batches"
DAY = 86_400.0
PASSING = {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}
SHARE = 0.3
BAD_DAY = [Fault("batch_row_errored", share=SHARE), Fault("batch_row_expired", share=SHARE)]


class Killed(BaseException):
    """The answer's process is gone; no `except Exception` catches that."""


class Stopped(BaseException):
    """The bench has seen enough; the message is for the learner."""


class Waiting(VirtualClock):
    """The clock of a bench: a wait takes `pace` times as long, and one day it is enough."""

    def __init__(self, pace, longest):
        super().__init__()
        self.pace, self.longest = pace, longest

    def sleep(self, seconds):
        # Shorter ones are those of the wire itself.
        super().sleep(seconds * self.pace if seconds > 1 else seconds)
        if self.now() > self.longest:
            raise Stopped(
                "Your code waited on and on. A batch ends after one day at the latest, with "
                "whatever it has: wait for `processing_status`, and never for a number of answers."
            )


class Bench:
    """A simulated API whose every exchange is seen, and that can kill who asks it."""

    def __init__(self, *faults, kill_at=None, arrives=True):
        self.api = Simulated(SimulatedApi(faults=faults))
        takes_days = any(fault.kind == "batch_row_expired" for fault in faults)
        self.clock = Waiting(60, 8 * DAY) if takes_days else Waiting(1, DAY / 4)
        self.kill_at, self.arrives = kill_at, arrives
        self.seen = 0
        self.looks = {}  # path: when a batch was looked at
        self.made = {}  # batch id: what was asked, by custom_id
        self.lines = {}  # batch id: results, by what was asked
        http = httpx2.Client(transport=ReplyTransport(self, self.clock))
        self.client = anthropic.Anthropic(api_key="no-key-needed", http_client=http, max_retries=0)

    def reply_to(self, request, now):
        """Answer as the API does; at request `kill_at` the asker dies."""
        self.seen += 1
        dies = self.seen == self.kill_at
        if dies and not self.arrives:
            raise Killed
        reply = self.api.reply_to(request, now)
        if reply.status == 200:
            self.note(request, reply, now)
        elif request.method == "GET":
            self.look(request.url.path, now)
        if dies:
            raise Killed
        return reply

    def note(self, request, reply, now):
        """Remember what was ordered and what came of it."""
        path = request.url.path
        if request.method == "POST" and path == BATCHES:
            asked = json.loads(request.content)["requests"]
            batch_id = json.loads(reply.body)["id"]
            self.made[batch_id] = {each["custom_id"]: question(each) for each in asked}
            if len(self.made) > 5:
                raise Stopped(
                    f"{len(self.made)} batches were made for one job, and it went on. Some rows "
                    "fail every time: put each into three batches at most."
                )
        elif path.endswith("/results"):
            batch_id = path.split("/")[-2]
            found = map(json.loads, reply.body.splitlines())
            names = self.made[batch_id]
            self.lines[batch_id] = {names[each["custom_id"]]: each["result"] for each in found}
        elif request.method == "GET" and path != BATCHES:
            self.look(request.url.path, now)

    def look(self, path, now):
        """Count a look at a batch; a download begins with one of its own."""
        looks = self.looks.setdefault(path, [])
        looks.append(now)
        if len(looks) > 5 and now - looks[-6] < 10:
            raise Stopped(
                "Your code looked at a batch six times within ten seconds. A batch takes minutes "
                "to hours: `sleep(30)` between two looks."
            )

    def run(self, answer, rows, notes):
        """Run the answer's `collect` once."""
        if not callable(answer.get("collect")):
            raise Wrong("There is no `collect` yet. Run the cell with your answer first.")
        try:
            return answer["collect"](self.client, rows, notes, self.clock.sleep)
        except Stopped as stopped:
            raise Wrong(str(stopped)) from None

    @property
    def ordered(self):
        """How often each row was put into a batch."""
        return Counter(asked for batch in self.made.values() for asked in batch.values())


def row(number, **params):
    """Return a row of a question of its own."""
    messages = [{"role": "user", "content": f"Review {number}: good or bad?"}]
    usual = {"model": role("fast").id, "max_tokens": 20, "messages": messages}
    return {"custom_id": f"review-{number}", "params": {**usual, **params}}


def question(each):
    return each["params"]["messages"][0]["content"]


def rows(count):
    return [row(number) for number in range(1, count + 1)]


def kind(result):
    """Return how a row ended: its type, and that of the error."""
    return f"errored, {result.error.error.type}" if result.type == "errored" else result.type


def kind_of(line):
    """Return the same for a line as it was on the wire."""
    if line["type"] == "errored":
        return f"errored, {line['error']['error']['type']}"
    return line["type"]


def demand_own_results(given, results, bench):
    """Every row is there, with the last result that the API had for it."""
    if not isinstance(results, dict):
        raise Wrong("`collect` returns a dictionary, `custom_id` to result.")
    missing = [each["custom_id"] for each in given if each["custom_id"] not in results]
    if missing:
        raise Wrong(
            f"{len(missing)} of {len(given)} rows are not in what `collect` returned, "
            f"`{missing[0]}` for one. A row that failed has a result too."
        )
    last = {}
    for lines in bench.lines.values():
        last.update(lines)
    names = {each["custom_id"]: last[question(each)] for each in given}
    foreign = [name for name, line in names.items() if not own(results[name], line)]
    if foreign:
        raise Wrong(
            f"{len(foreign)} of {len(given)} rows have a result that is another row's, or an old "
            f"one, `{foreign[0]}` for one. Results come in any order, and every batch has an order "
            "of its own: join by `custom_id`, and keep each row's for good."
        )


def own(result, line):
    if kind(result) != kind_of(line):
        return False
    return result.type != "succeeded" or result.message.id == line["message"]["id"]


def check_each_row_has_its_result(answer):
    """Every row gets its own result, by `custom_id`."""
    given, bench = rows(12), Bench()
    results = bench.run(answer, given, {})
    if not bench.made:
        raise Wrong("No batch was made: `client.messages.batches.create(requests=rows)`.")
    demand_own_results(given, results, bench)
    if len(bench.made) > 1:
        raise Wrong(f"All rows were answered, and it took {len(bench.made)} batches. One will do.")


def check_a_repeated_name_is_refused(answer):
    """Two rows with the same `custom_id` are refused before anything is sent."""
    bench = Bench()
    try:
        bench.run(answer, [*rows(3), row(4), {**row(5), "custom_id": "review-4"}], {})
    except ValueError:
        if bench.made:
            raise Wrong("The `ValueError` came when a batch had been made. Look first.") from None
        return
    except anthropic.BadRequestError:
        raise Wrong(
            "Two rows with the same `custom_id` went out, and the API refused them all. "
            "Look for it yourself, and raise a `ValueError`."
        ) from None
    raise Wrong(
        "Two rows had the same `custom_id`, and nobody noticed: in a dictionary the second one "
        "replaces the first, and a row is lost. Count, and raise a `ValueError`."
    )


def check_a_404_is_borne(answer):
    """A batch that is a 404 for a while is waited for, one that stays a 404 is not."""
    given, bench = rows(3), Bench(Fault("batch_not_found_yet", lasts=100))
    try:
        demand_own_results(given, bench.run(answer, given, {}), bench)
    except anthropic.NotFoundError:
        raise Wrong(
            f"The batch was a 404 for 100 s after its creation, and your code gave up after "
            f"{bench.clock.now():.0f} s. The batch runs on, and is paid for: go on looking."
        ) from None
    bench = Bench(Fault("batch_not_found_yet", lasts=30 * DAY))
    try:
        bench.run(answer, given, {})
    except anthropic.NotFoundError:
        return
    except Wrong:
        raise Wrong(
            "A batch that stays a 404 was waited for without end. After five minutes it is no "
            "hiccup any more: let the error out."
        ) from None
    raise Wrong("A batch stayed a 404, and `collect` returned as if nothing had happened.")


def check_only_what_may_pass_goes_again(answer):
    """Rows that expired or met a passing error go again, three times at most; no others do."""
    given, bench = [*rows(20), row(21, model="no-such-model")], Bench(*BAD_DAY)
    results = bench.run(answer, given, {})
    ordered, answered, passing = bench.ordered, Counter(), set()
    for lines in bench.lines.values():
        for asked, line in lines.items():
            answered[asked] += line["type"] == "succeeded"
            if line["type"] == "expired" or kind_of(line).removeprefix("errored, ") in PASSING:
                passing.add(asked)
    paid_twice = [asked for asked, times in answered.items() if times > 1]
    if paid_twice:
        raise Wrong(
            f"{len(paid_twice)} rows that had been answered were sent again, and paid for again. "
            "Only rows that failed go into the next batch."
        )
    hopeless = ordered[question(given[-1])]
    if hopeless > 1:
        raise Wrong(
            f"A row with a model that does not exist was sent {hopeless} times. "
            "It fails the same way every time: look at the type of the error."
        )
    if max(ordered.values()) > 3:
        raise Wrong(f"A row was in {max(ordered.values())} batches, and three are the most.")
    dropped = [asked for asked in passing if not answered[asked] and ordered[asked] < 3]
    if dropped:
        raise Wrong(
            f"{len(dropped)} rows expired, or met an error of the server, and were given up before "
            "their third batch. That may pass: send them again."
        )
    demand_own_results(given, results, bench)


def check_it_survives(answer):
    """Killed at any request and started again, it makes no batch twice and loses no row."""
    given, calm = rows(5), Bench()
    calm.run(answer, given, {})
    for arrives in (True, False):
        for kill_at in range(1, calm.seen + 1):
            demand_survival(answer, given, Bench(kill_at=kill_at, arrives=arrives))
    whole = Bench(*BAD_DAY)
    whole.run(answer, given, {})
    creates = len(whole.made)
    for number in range(1, creates + 1):
        demand_survival(answer, given, killed_with_batch(number), most=3)


def killed_with_batch(number):
    """Return a bench of a bad day that kills when so many batches have just been made."""
    bench = Bench(*BAD_DAY)
    note = bench.note

    def note_and_kill(request, reply, now):
        before = len(bench.made)
        note(request, reply, now)
        if before < len(bench.made) == number:
            raise Killed

    bench.note = note_and_kill
    return bench


def demand_survival(answer, given, bench, most=1):
    notes = {}
    try:
        bench.run(answer, given, notes)
    except Killed:
        pass
    made = len(bench.made)
    results = bench.run(answer, given, notes)
    again = max(bench.ordered.values(), default=0)
    answered = Counter(
        asked
        for lines in bench.lines.values()
        for asked, line in lines.items()
        if line["type"] == "succeeded"
    )
    if again > most or max(answered.values(), default=0) > 1:
        raise Wrong(
            f"Killed when {made} batch{'' if made == 1 else 'es'} had been made, and started "
            "again, your code ordered rows that were on order already. They are paid for twice. "
            "Write down what you are about to do, and look in the list before you create a batch."
        )
    demand_own_results(given, results, bench)

# %% wrong joins by position: rows have a result that is another row's
def collect(client, rows, notes, sleep):
    batch = client.messages.batches.create(requests=rows)
    wait(client, batch.id, sleep)
    lines = client.messages.batches.results(batch.id)
    return {row["custom_id"]: line.result for row, line in zip(rows, lines)}

# %% wrong loses a row: in a dictionary the second one
def collect(client, rows, notes, sleep, collect=collect):
    return collect(client, list({row["custom_id"]: row for row in rows}.values()), notes, sleep)

# %% wrong lets the API find the repeated name: the API refused them all
def collect(client, rows, notes, sleep, collect=collect):
    if len({row["custom_id"] for row in rows}) < len(rows):
        client.messages.batches.create(requests=rows)
    return collect(client, rows, notes, sleep)

# %% wrong gives up at the first 404: your code gave up after
def wait(client, batch_id, sleep):
    while client.messages.batches.retrieve(batch_id).processing_status != "ended":
        sleep(30)

# %% wrong bears any 404: was waited for without end
def wait(client, batch_id, sleep):
    while True:
        sleep(30)
        try:
            if client.messages.batches.retrieve(batch_id).processing_status == "ended":
                return
        except anthropic.NotFoundError:
            continue

# %% wrong polls without a pause: six times within ten seconds
def wait(client, batch_id, sleep):
    while client.messages.batches.retrieve(batch_id).processing_status != "ended":
        pass

# %% wrong polls without end: waited on and on
def wait(client, batch_id, sleep):
    slept = 0
    while True:
        sleep(30)
        slept += 30
        try:
            counts = client.messages.batches.retrieve(batch_id).request_counts
            if counts.succeeded and not counts.errored + counts.expired:
                return
        except anthropic.NotFoundError:
            if slept >= 300:
                raise

# %% wrong sends everything again: were sent again, and paid for again
def collect(client, rows, notes, sleep):
    if len({row["custom_id"] for row in rows}) < len(rows):
        raise ValueError("Two rows have the same custom_id.")
    for number in range(3):
        batch_id = order(client, rows, notes, number)
        wait(client, batch_id, sleep)
        done = {line.custom_id: line.result for line in client.messages.batches.results(batch_id)}
        if not any(map(goes_again, done.values())):
            break
    return done

# %% wrong sends again what is invalid: It fails the same way every time
def goes_again(result):
    return result.type != "succeeded"

# %% wrong never gives a row up: put each into three batches at most
def collect(client, rows, notes, sleep):
    left, done, number = {row["custom_id"]: row for row in rows}, {}, 0
    if len(left) < len(rows):
        raise ValueError("Two rows have the same custom_id.")
    while left:
        batch_id = order(client, list(left.values()), notes, number)
        wait(client, batch_id, sleep)
        for line in client.messages.batches.results(batch_id):
            done[line.custom_id] = line.result
            if line.result.type == "succeeded":
                del left[line.custom_id]
        number += 1
    return done

# %% wrong sends nothing again: were given up before
def goes_again(result):
    return False

# %% wrong gives names anew in every batch: rows have a result that is another row's
def collect(client, rows, notes, sleep):
    if len({row["custom_id"] for row in rows}) < len(rows):
        raise ValueError("Two rows have the same custom_id.")
    left, done = list(rows), {}
    for number in range(3):
        requests = [{**row, "custom_id": f"row-{place}"} for place, row in enumerate(left)]
        batch_id = order(client, requests, notes, number)
        wait(client, batch_id, sleep)
        lines = client.messages.batches.results(batch_id)
        results = {line.custom_id: line.result for line in lines}
        done.update(results)
        left = [row for place, row in enumerate(left) if goes_again(results[f"row-{place}"])]
        if not left:
            break
    return {row["custom_id"]: done[f"row-{place}"] for place, row in enumerate(rows)}

# %% wrong orders again after a crash: They are paid for twice
def order(client, requests, notes, number):
    known = notes.setdefault("batches", [])
    if number == len(known):
        known.append(client.messages.batches.create(requests=requests).id)
    return known[number]

# %% wrong remembers nothing: They are paid for twice
def order(client, requests, notes, number):
    return client.messages.batches.create(requests=requests).id

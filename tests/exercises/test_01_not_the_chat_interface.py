"""Exercise 01 asks for what it says, and only behaviour counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercise_verdict import Verdict

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/01-not-the-chat-interface/exercise.py"
EXERCISE = read_exercise(SOURCE)


def judged(text: str) -> Verdict:
    """Return the verdict on an answer that differs from the solution in `text`."""
    return judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, Code(text, SOURCE)))


OTHER_WAYS = {
    "the SDK's own blocks, spelt out with their nulls": """\
class MyChat(MyChat):
    def ask(self, person, words):
        asked = self.sessions.get(person, []) + [
            {"role": "user", "content": [{"type": "text", "text": words}]}
        ]
        message = self.client.messages.create(model=self.model, max_tokens=200, messages=asked)
        if self.may_keep(message):
            blocks = [block.model_dump(mode="json") for block in message.content]
            self.sessions[person] = asked + [{"role": "assistant", "content": blocks}]
            self.path.write_text(json.dumps(self.sessions))
        return text_of(message) + NOTES[message.stop_reason]
""",
    "takes the question back after an error": """\
class MyChat(MyChat):
    def ask(self, person, words):
        history = self.sessions.setdefault(person, [])
        history.append({"role": "user", "content": words})
        kept = False
        try:
            message = self.client.messages.create(
                model=self.model, max_tokens=200, messages=history
            )
            kept = self.may_keep(message)
        finally:
            if not kept:
                history.pop()
        if kept:
            history.append({"role": "assistant", "content": message.to_dict()["content"]})
            self.save()
        return text_of(message) + NOTES[message.stop_reason]
""",
    "reads the file at every turn, and keeps nothing in memory": """\
class MyChat(MyChat):
    def ask(self, person, words):
        self.sessions = json.loads(self.path.read_text()) if self.path.exists() else {}
        return super().ask(person, words)
""",
    "streams, and puts the note in front": """\
class MyChat(MyChat):
    def ask(self, person, words):
        asked = [*self.sessions.get(person, []), {"role": "user", "content": words}]
        with self.client.messages.stream(
            model=self.model, max_tokens=200, messages=asked
        ) as stream:
            message = stream.get_final_message()
        if self.may_keep(message):
            blocks = [block.to_dict() for block in message.content]
            self.sessions[person] = [*asked, {"role": "assistant", "content": blocks}]
            self.save()
        return NOTES[message.stop_reason] + text_of(message)
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    assert str(judged(OTHER_WAYS[way])).startswith("Exercise 01: passed.")


def changed(old: str, new: str) -> Verdict:
    """Return the verdict on the solution with one piece of its text replaced."""
    text = EXERCISE.solution.text
    assert old in text
    return judge(EXERCISE, EXERCISE.answered(Code(text.replace(old, new), SOURCE)))


def test_an_answer_that_returns_nothing_is_told_so() -> None:
    """A forgotten `return` is no traceback."""
    verdict = changed("return text_of(message) +", "text_of(message) +")
    assert verdict.ending == "wrong"
    assert "It returned None" in verdict.message


def test_a_whole_answer_with_a_note_is_wrong() -> None:
    """A warning that stands behind every answer warns of nothing."""
    verdict = changed("NOTES[message.stop_reason]", '" [ask me more]"')
    assert "nothing else where the answer is whole" in verdict.message


def test_every_good_ending_is_kept() -> None:
    """An answer that met a stop sequence is whole."""
    verdict = changed('"stop_sequence", ', "")
    assert "`stop_sequence` is whole, and it was not kept" in verdict.message


def test_one_question_is_one_request() -> None:
    """Nobody pays twice for an answer."""
    verdict = changed(
        "        if self.may_keep",
        "        self.client.messages.create(\n"
        "            model=self.model, max_tokens=200, messages=asked\n        )\n"
        "        if self.may_keep",
    )
    assert "2 requests were sent" in verdict.message


def test_blocks_that_cannot_be_written_are_the_answers_own_mistake() -> None:
    """An object of the SDK is no JSON, and the learner is told so."""
    verdict = changed('message.to_dict()["content"]', "message.content")
    assert verdict.ending == "broken"
    assert "ThinkingBlock is not JSON serializable" in verdict.message


def test_the_same_answer_may_be_checked_twice() -> None:
    """No check leaves anything behind for the next."""
    answer = EXERCISE.answered(EXERCISE.solution)
    assert str(judge(EXERCISE, answer)) == str(judge(EXERCISE, answer))
    assert judge(EXERCISE, answer).ending == "passed"

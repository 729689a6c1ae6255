"""A miss shows the word that changed, wherever it stands, and what can be done."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from labkit.lab.miss import explain
from labkit.lab.scrub import canonical

PATH = Path("cassettes/05-retry/no-retries.yaml")


def asked(words: str, path: str = "/v1/messages") -> tuple[str, str, str]:
    """A request that says these words."""
    body = json.dumps({"max_tokens": 5, "messages": [{"role": "user", "content": words}]})
    return "POST", path, canonical(body)


def test_the_nearest_recorded_request_is_compared() -> None:
    """Of several the one most alike is shown, and only the lines that differ."""
    recorded = [asked("Tell me about trains."), asked("Why do queues grow?")]
    message = explain(PATH, recorded, asked("Why do queues shrink?"))
    assert "05-retry/no-retries.yaml" in message
    assert "nothing was sent" in message
    assert "Why do queues grow?" in message
    assert "trains" not in message
    assert "max_tokens" not in message


def test_a_change_deep_in_a_long_prompt_is_shown() -> None:
    """A window moves to the first difference in a line of any length."""
    long = "word " * 2000
    message = explain(PATH, [asked(f"{long}red{long}")], asked(f"{long}blue{long}"))
    changed = [line for line in message.splitlines() if line.lstrip().startswith(("- ", "+ "))]
    assert len(changed) == 2
    assert "red" in changed[0]
    assert "blue" in changed[1]
    assert all(line.count("...") == 2 for line in changed)
    assert len(message) < 1500


def test_a_wholly_different_request_does_not_fill_the_screen() -> None:
    """At most twenty lines, and how many more there are."""
    one = ("POST", "/v1/messages", "\n".join(f"one {n}" for n in range(300)))
    other = ("POST", "/v1/messages", "\n".join(f"other {n}" for n in range(400)))
    message = explain(PATH, [one], other)
    assert "... and 680 more lines" in message
    assert len(message.splitlines()) < 35


def test_another_address_is_a_difference() -> None:
    """The same body sent elsewhere is another request."""
    message = explain(PATH, [asked("hi")], asked("hi", "/v1/messages/count_tokens"))
    assert "- POST /v1/messages\n" in message
    assert "+ POST /v1/messages/count_tokens\n" in message


def test_a_repeat_is_told_apart() -> None:
    """There is no difference to show: the recording has been used up."""
    message = explain(PATH, [asked("hi"), asked("hi")], asked("hi"))
    assert "holds this request 2 times, and it has been played already" in message
    assert "rewinds" in message


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.text(max_size=60))
def test_there_is_always_something_to_say(recorded: list[str], wanted: str) -> None:
    """Whatever was asked, the message names the cassette and the three choices."""
    message = explain(PATH, [asked(words) for words in recorded], asked(wanted))
    assert "05-retry/no-retries.yaml" in message
    assert "LABKIT_MODE=simulate" in message
    assert "labkit record --live" in message
    if wanted not in recorded:
        assert "    - " in message or "    + " in message

"""Random valid conversations: tools, thinking, images, documents, system turns, breakpoints.

Hypothesis draws a seed and a size, and plain dice do the rest: ten thousand of them are made in
seconds.  The simulator's own validation says whether they are valid; a test holds it to that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hypothesis import strategies as st

from labkit.sim.validation import complaint

__all__ = ["Talk", "judged", "talk", "talks"]

TODAY = date(2026, 11, 22)
NEWEST = "2026-10-21"
MODELS = ("claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5", "claude-opus-4-8")
WITHOUT_SYSTEM_TURNS = ("claude-sonnet-4-6", "claude-haiku-4-5")
WORDS = ["the", "queue", "grows", "while", "a", "breaker", "räume", "füllen", "雨", "retries"]
PICTURE = {"type": "base64", "media_type": "image/png", "data": "AA=="}
PAGES = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
MARK = {"type": "ephemeral"}
TOOL = {"name": "look_up", "description": "Looks it up.", "input_schema": {"type": "object"}}
Message = dict[str, Any]


@dataclass
class Talk:
    """A whole conversation; `asked` are the lengths of the history at which a request is made."""

    model: str
    system: Any = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    cached: bool = False
    messages: list[Message] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def request(self, length: int) -> dict[str, Any]:
        """Return the request that a program without any trimming would send."""
        more = {"system": self.system, "tools": self.tools}
        more["cache_control"] = MARK if self.cached else None
        body = {"model": self.model, "max_tokens": 500, "messages": self.messages[:length]}
        return body | {name: value for name, value in more.items() if value}


def judged(body: Any) -> str:
    """Return what the simulated API has against a request, empty for nothing."""
    found = complaint(body, version=NEWEST, today=TODAY)
    return "" if found is None else found.message


def talks(longest: int = 8) -> st.SearchStrategy[Talk]:
    """Draw conversations of one to `longest` exchanges."""
    return st.builds(talk, st.integers(0, 2**32), st.integers(1, longest))


def talk(seed: int, exchanges: int) -> Talk:
    """Write the conversation of a seed, of so many exchanges."""
    return _Writer(seed).talk(exchanges)


class _Writer:
    """Writes one conversation with its own dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.calls = 0
        self.marks = 3

    def chance(self, share: float) -> bool:
        return self.dice.random() < share

    def text(self, most: int = 60) -> str:
        return " ".join(self.dice.choices(WORDS, k=self.dice.randint(1, most)))

    def talk(self, exchanges: int) -> Talk:
        steered = self.chance(0.5)
        talk = Talk(self.dice.choice(MODELS if steered else (*MODELS, *WITHOUT_SYSTEM_TURNS)))
        if self.chance(0.5):
            talk.system = self.text() if self.chance(0.5) else [self.said()]
        talk.tools = [TOOL] if self.chance(0.6) else []
        talk.cached = self.chance(0.5)
        for _ in range(exchanges):
            self.exchange(talk, steered=steered)
        return talk

    def exchange(self, talk: Talk, *, steered: bool) -> None:
        """A question, some steps with tools, and an answer."""
        for _ in range(2 if self.chance(0.1) else 1):
            talk.messages.append({"role": "user", "content": self.question()})
            if steered and self.chance(0.05):
                effort = {"effort": "low"}
                talk.messages.append({"role": "system", "content": [], "output_config": effort})
        self.ask(talk, steered=steered)
        for _ in range(self.dice.randint(0, 4) if talk.tools and self.chance(0.6) else 0):
            calls = [self.call() for _ in range(self.dice.randint(1, 2))]
            talk.messages.append({"role": "assistant", "content": [*self.thought(), *calls]})
            results: list[Any] = [self.result(call["id"]) for call in calls]
            if len(results) == 2 and self.chance(0.3):
                talk.messages.append({"role": "user", "content": [results.pop(0)]})
            results += [self.said()] if self.chance(0.2) else []
            talk.messages.append({"role": "user", "content": results})
            self.ask(talk, steered=steered)
        if talk.tools and self.chance(0.1):  # the server's own tool, and a turn that was paused
            talk.messages.append({"role": "assistant", "content": self.searched()})
            if steered and self.chance(0.3):
                talk.messages.append({"role": "system", "content": "Answer now."})
        answer: Any = self.text() if self.chance(0.4) else [*self.thought(), self.said()]
        talk.messages.append({"role": "assistant", "content": answer})

    def ask(self, talk: Talk, *, steered: bool) -> None:
        """Perhaps steer in mid-conversation; then the program makes a request."""
        if steered and self.chance(0.3):
            said: Any = "Answer briefly." if self.chance(0.5) else [self.said()]
            talk.messages.append({"role": "system", "content": said})
        talk.asked.append(len(talk.messages))

    def question(self) -> Any:
        if self.chance(0.5):
            return self.text()
        blocks: list[Any] = [self.said()]
        if self.chance(0.3):
            blocks.insert(0, {"type": "image", "source": PICTURE})
        if self.chance(0.1):
            blocks.insert(0, {"type": "document", "source": PAGES})
        return blocks

    def said(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": self.text()}
        if self.marks and self.chance(0.1):
            block["cache_control"] = dict(MARK)
            self.marks -= 1
        return block

    def thought(self) -> list[dict[str, Any]]:
        if self.chance(0.5):
            return []
        thought = self.text() if self.chance(0.5) else ""
        return [{"type": "thinking", "thinking": thought, "signature": "c2VhbA" * 20}]

    def call(self) -> dict[str, Any]:
        self.calls += 1
        asked = {"what": self.text(10)}
        return {"type": "tool_use", "id": f"toolu_{self.calls}", "name": "look_up", "input": asked}

    def result(self, name: str) -> dict[str, Any]:
        content: Any = self.text(120)
        if self.chance(0.2):
            content = [{"type": "text", "text": content}, {"type": "image", "source": PICTURE}]
        return {"type": "tool_result", "tool_use_id": name, "content": content}

    def searched(self) -> list[dict[str, Any]]:
        self.calls += 1
        name = f"srvtoolu_{self.calls}"
        call = {
            "type": "server_tool_use",
            "id": name,
            "name": "web_search",
            "input": {"query": "q"},
        }
        found = {"type": "web_search_tool_result", "tool_use_id": name, "content": []}
        return [call, found]

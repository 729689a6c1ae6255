"""A cassette: what a server did, recorded once and replayed for ever, without key or network.

The file is ordinary vcrpy YAML with two additions that vcrpy keeps and ignores: `timing` in
each response (when each part arrived, when and how the exchange ended) and
`metadata.provenance` (who made it, when, with what).  A request is matched by method, path and
canonical JSON body; each recording is played once, in order.  There is no network behind a
cassette, so nothing that was not recorded can be answered.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from labkit.errors import CassetteMiss
from labkit.lab.miss import explain
from labkit.lab.scrub import canonical
from labkit.lab.store import broken, load
from labkit.lab.taped import parts_of
from labkit.sim.reply import ENDINGS, UPSTREAM, Reply

__all__ = ["Replay", "Tape", "read_cassette"]


@dataclass(frozen=True, slots=True)
class Tape:
    """What a cassette file holds: vcrpy requests, their replies, and where they come from."""

    requests: Sequence[Any]
    replies: Sequence[Reply]
    provenance: Mapping[str, Any]


def read_cassette(path: Path) -> Tape:
    """Read a cassette file; raises `CassetteBroken`, whose one sentence says what to do next."""
    requests, responses, metadata = load(path)
    provenance = metadata.get("provenance", {})
    if not isinstance(provenance, dict):
        raise broken(path, "its provenance has a wrong type")
    return Tape(requests, [_reply(response, path) for response in responses], provenance)


class Replay:
    """A cassette as a source of replies; it starts at the beginning, and threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tape = read_cassette(path)
        self.provenance = self._tape.provenance
        self._lock = threading.Lock()
        self._left: defaultdict[tuple[str, str, str], deque[Reply]] = defaultdict(deque)
        for request, reply in zip(self._tape.requests, self._tape.replies, strict=True):
            self._left[_asked(request.method, request.uri, request.body)].append(reply)

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Return the next recording of this very request; raises `CassetteMiss` if none is left."""
        asked = _asked(request.method, str(request.url), request.content)
        with self._lock:
            if self._left[asked]:
                return self._left[asked].popleft()
        recorded = [_asked(each.method, each.uri, each.body) for each in self._tape.requests]
        raise CassetteMiss(explain(self.path, recorded, asked))


def _asked(method: str, url: str, body: bytes | None) -> tuple[str, str, str]:
    """Return what a request is matched by: method, path (the query does not matter) and body."""
    return method.upper(), urlsplit(url).path, canonical(body)


def _reply(response: Mapping[str, Any], path: Path) -> Reply:
    """Return a stored response as a reply; a cassette of other makers has no `timing`."""
    try:
        headers = {name.lower(): _value(values) for name, values in response["headers"].items()}
        raw = response["body"]["string"]
        body = raw.encode() if isinstance(raw, str) else raw or b""
        parts = parts_of(body, headers)
        timing = response.get("timing")
        if timing is None:
            latency = float(headers.get(UPSTREAM, 0)) / 1000
            timing = {"at_s": [latency] * len(parts)}
        times = [_seconds(at) for at in timing["at_s"]]
        ending, ended = timing.get("ending", "complete"), _seconds(timing.get("ended_s", 0))
        status = response["status"]["code"]
        if len(times) != len(parts) or times != sorted(times) or ending not in ENDINGS:
            raise ValueError
        nobody = status == 0 and not parts and ending != "complete"
        if type(status) is not int or not (nobody or 100 <= status < 600):
            raise ValueError
        chunks = tuple(zip(times, parts, strict=True))
        return Reply(status, headers, chunks, ending, ended)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise broken(path, "a response in it was changed so that it does not fit") from None


def _value(values: Any) -> str:
    value = values if isinstance(values, str) else values[0]
    if not isinstance(value, str):
        raise TypeError
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError
    return float(value)

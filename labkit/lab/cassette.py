"""A cassette: what a server did, recorded once and replayed for ever, without key or network.

The file is ordinary vcrpy YAML with two additions that vcrpy keeps and ignores: `timing` in
each response (when each part arrived, how the exchange ended) and `metadata.provenance` (who
made it, when, with what).  A request is matched by method, path and canonical JSON body; each
recording is played once, in order.  There is no network behind a cassette, so nothing that was
not recorded can be answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from labkit.errors import CassetteBroken, CassetteMiss
from labkit.lab.miss import explain
from labkit.lab.scrub import scrub_body, scrub_headers
from labkit.lab.store import Store, same_body, same_endpoint
from labkit.sim.reply import ENDINGS, Reply
from labkit.tap import Played

__all__ = ["Recorder", "Replay", "read_cassette"]


def read_cassette(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return (vcrpy cassette, provenance); raises `CassetteBroken` with what to do next."""
    from vcr.cassette import Cassette
    from vcr.record_mode import RecordMode

    cassette = Cassette.load(
        path=path,
        persister=Store,
        record_mode=RecordMode.NONE,
        match_on=(same_endpoint, same_body),
    )
    replies = [_reply(response, path) for response in cassette.responses]
    if not replies:
        raise CassetteBroken(f"The cassette {path.name} is empty; make it with `labkit record`.")
    provenance = cassette.get_metadata("provenance", {}) if cassette._metadata else {}
    return cassette, provenance


class Replay:
    """A cassette as a source of replies; it starts at the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cassette, self.provenance = read_cassette(path)

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Return the next recording of this very request; raises `CassetteMiss` if none is left."""
        from vcr.request import Request

        asked = Request(request.method, str(request.url), request.content, {})
        if not self.cassette.can_play_response_for(asked):
            raise CassetteMiss(explain(self.path, self.cassette.requests, asked))
        return _reply(self.cassette.play_response(asked), self.path)


class Recorder:
    """Collects the attempts of one client and writes them as a cassette on `save`."""

    def __init__(self, path: Path, provenance: Mapping[str, Any]) -> None:
        self.path = path
        self.provenance = dict(provenance)
        self._played: list[Played] = []

    def observe(self, played: Played) -> None:
        """Keep one attempt (the tap calls this)."""
        self._played.append(played)

    def save(self) -> None:
        """Write the cassette atomically; nothing recorded leaves the old file alone."""
        if not self._played:
            return
        from vcr.serializers import yamlserializer

        in_order = sorted(self._played, key=lambda each: each.began)
        data = {
            "requests": [_stored_request(each) for each in in_order],
            "responses": [_stored_reply(each.reply) for each in in_order],
            "metadata": {"provenance": self.provenance},
        }
        Store.save_cassette(self.path, data, yamlserializer)


def _stored_request(played: Played) -> Any:
    from vcr.request import Request

    request = played.request
    headers = scrub_headers(request.headers, response=False)
    body = scrub_body(request.content).decode() if request.content else None
    return Request(request.method, str(request.url), body, headers)


def _stored_reply(reply: Reply) -> dict[str, Any]:
    parts = _parts(reply)
    return {
        "status": {"code": reply.status, "message": ""},
        "headers": {
            name: [value] for name, value in scrub_headers(reply.headers, response=True).items()
        },
        "body": {"string": b"".join(data for _, data in parts).decode("utf-8", "replace")},
        "timing": {"at_s": [round(at, 3) for at, _ in parts], "ending": reply.ending},
    }


def _parts(reply: Reply) -> list[tuple[float, bytes]]:
    """Cut a body where its events end and give each the time at which it was complete."""
    parts: list[tuple[float, bytes]] = []
    rest, at = b"", 0.0
    for at, data in reply.chunks:
        *whole, rest = (rest + data).split(b"\n\n")
        parts += [(at, scrub_body(event + b"\n\n")) for event in whole]
    if rest:
        parts.append((at, scrub_body(rest)))
    return parts


def _reply(response: Mapping[str, Any], path: Path) -> Reply:
    """Return a stored response as a reply; a cassette of other makers has no `timing`."""
    try:
        raw = response["body"]["string"]
        body = raw.encode() if isinstance(raw, str) else raw or b""
        headers = {name.lower(): values[0] for name, values in response["headers"].items()}
        latency = float(headers.get("x-envoy-upstream-service-time", 0)) / 1000
        timing = response.get("timing") or {}
        parts = [event for event in body.replace(b"\n\n", b"\n\n\0").split(b"\0") if event]
        times = timing.get("at_s") or [latency] * len(parts)
        ending = timing.get("ending", "complete")
        if len(times) != len(parts) or ending not in ENDINGS or times != sorted(times):
            raise ValueError("its timing does not fit its body")
        chunks = tuple((float(at), part) for at, part in zip(times, parts, strict=True))
        return Reply(int(response["status"]["code"]), headers, chunks, ending)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CassetteBroken(
            f"The cassette {path.parent.name}/{path.name} was edited into something unreadable "
            f"({error}). Restore it with `git checkout cassettes`."
        ) from None

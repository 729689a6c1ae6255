"""From attempts as they were lived through to a cassette file: cut into events, and scrubbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from labkit.lab.atomic import write_atomically
from labkit.lab.provenance import used
from labkit.lab.scrub import SCRUBBED, scrub_body, scrub_headers, scrub_url
from labkit.lab.scrub_stream import scrub_deltas
from labkit.sim.reply import Reply
from labkit.tap import Played

__all__ = ["Recorder", "parts_of"]


class Recorder:
    """Collects the attempts of one client and writes them as a cassette on `save`.

    `secrets` are texts that must not be in the file, whatever they look like; they are long,
    as keys are.
    """

    def __init__(
        self, path: Path, provenance: Mapping[str, Any], secrets: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.provenance = dict(provenance)
        self.secrets = tuple(secrets)
        self._played: list[Played] = []

    def observe(self, played: Played) -> None:
        """Keep one attempt (the tap calls this)."""
        self._played.append(played)

    def save(self) -> None:
        """Write the cassette whole or not at all; nothing recorded leaves the old file alone."""
        if not self._played:
            return
        from vcr.serializers import yamlserializer

        in_order = sorted(self._played, key=lambda each: each.began)
        exchanges = [
            {"request": _stored_request(each.request), "response": _stored_reply(each.reply)}
            for each in in_order
        ]
        story = {**self.provenance, **used(exchanges)}
        document = {"version": 1, "interactions": exchanges, "metadata": {"provenance": story}}
        text = yamlserializer.serialize(document)
        for secret in self.secrets:
            text = text.replace(secret, SCRUBBED)
        write_atomically(self.path, text)


def parts_of(body: bytes, headers: Mapping[str, str]) -> list[bytes]:
    """Cut a body into what arrives at one time each: a stream's events, or else all of it."""
    if not headers.get("content-type", "").startswith("text/event-stream"):
        return [body] if body else []
    *whole, rest = body.split(b"\n\n")
    return [event + b"\n\n" for event in whole] + ([rest] if rest else [])


def _stored_request(request: httpx2.Request) -> dict[str, Any]:
    headers = scrub_headers(request.headers, response=False)
    return {
        "method": request.method,
        "uri": scrub_url(str(request.url)),
        "headers": {name: [value] for name, value in headers.items()},
        "body": _readable(scrub_body(request.content)) if request.content else None,
    }


def _stored_reply(reply: Reply) -> dict[str, Any]:
    headers = scrub_headers(reply.headers, response=True)
    body = _decoded(reply)
    parts = parts_of(body, headers)
    times = _times(parts, reply) if body == reply.body else [reply.duration_s] * len(parts)
    timing: dict[str, Any] = {"at_s": [round(at, 3) for at in times], "ending": reply.ending}
    if round(reply.ended_s, 3) > round(reply.chunks[-1][0] if reply.chunks else 0.0, 3):
        timing["ended_s"] = round(reply.ended_s, 3)
    scrubbed = [scrub_body(part) for part in scrub_deltas(parts)]
    return {
        "status": {"code": reply.status, "message": ""},
        "headers": {name: [value] for name, value in headers.items()},
        "body": {"string": _readable(b"".join(scrubbed))},
        "timing": timing,
    }


def _readable(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _decoded(reply: Reply) -> bytes:
    """Return the body as text even if the server compressed it unasked."""
    coding = reply.headers.get("content-encoding", "identity")
    if coding == "identity" or not reply.body:
        return reply.body
    headers = {"content-encoding": coding}
    return httpx2.Response(reply.status or 200, headers=headers, content=reply.body).content


def _times(parts: Sequence[bytes], reply: Reply) -> list[float]:
    """Return when each part was complete."""
    times, arrived, chunks = [], 0, iter(reply.chunks)
    at, wanted = 0.0, 0
    for part in parts:
        wanted += len(part)
        while arrived < wanted:
            at, data = next(chunks)
            arrived += len(data)
        times.append(at)
    return times

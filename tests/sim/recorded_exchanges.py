"""The recorded exchanges with the real API, as requests that can be sent again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from labkit.recorded.body import text_of
from labkit.recorded.exchange import Exchange, exchanges
from labkit.recorded.tolerant_yaml import read_yaml
from labkit.sim.dates import EPOCH

RECORDINGS = Path("../shared/recordings")
UNDATED = -86_400.0 * 365
"""When an exchange whose recording kept no date is taken to have been: a year before the epoch,
when all models of such recordings but the newest were served."""
BETWEEN_S = 30.0
MASSIVE = "x" * 1_133_000
"""What one `<MASSIVE_TEXT>` stands for; a recording has ten."""
OWN = ("anthropic-version", "anthropic-beta", "x-api-key", "authorization")


@dataclass(frozen=True)
class Recorded:
    """One exchange: what was sent, and what the real API answered.

    `at` is virtual time; `headers` are those of the answer, `is_whole` unless the recording
    left most of them out.
    """

    name: str
    number: int
    method: str
    path: str
    sent: Mapping[str, str]
    request: Mapping[str, Any]
    at: float
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def is_whole(self) -> bool:
        """Whether the recording kept the headers of the answer."""
        return "date" in self.headers

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def content(self) -> bytes:
        """The body to send, with whole texts in place of placeholders."""
        if not self.request:
            return b""
        return json.dumps(self.request).replace("<MASSIVE_TEXT>", MASSIVE).encode()

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


def recordings() -> list[Path]:
    """List the files that hold exchanges; none where the recordings are not here."""
    kinds = (".yaml", ".yml", ".json")
    return sorted(path for path in RECORDINGS.glob("*") if path.suffix in kinds)


def read(path: Path) -> Iterator[Recorded]:
    """Read one file's exchanges in order."""
    document = read_yaml(path.read_text(encoding="utf-8"))
    assert isinstance(document, Mapping)
    listed = document.get("interactions", document.get("http_interactions", [document]))
    found = exchanges(document) or []
    for number, (raw, each) in enumerate(zip(listed, found, strict=True), 1):
        assert each is not None
        yield _recorded(path.name, number, raw["request"].get("headers") or {}, each)


def _recorded(name: str, number: int, sent: Mapping[str, Any], each: Exchange) -> Recorded:
    lowered = {str(key).lower(): value for key, value in sent.items()}
    flat = {key: value[0] if isinstance(value, list) else value for key, value in lowered.items()}
    url = re.sub(r"^https?://[^/]+", "", each.url or "")
    return Recorded(
        name=name,
        number=number,
        method=each.method or "POST",
        path=url,
        sent={key: str(flat[key]) for key in OWN if key in flat},
        request=each.request,
        at=_time(each.headers.get("date"), number),
        status=each.status or 0,
        headers=each.headers,
        body=_text(each.body),
    )


def _time(date: str | None, number: int) -> float:
    """Return when the exchange was; of those without a date, each is a little after the other."""
    if date is None:
        return UNDATED + number * BETWEEN_S
    return parsedate_to_datetime(date).timestamp() - EPOCH + number / 1000


def _text(body: object) -> str:
    if isinstance(body, bytes):
        return text_of(body)
    return body if isinstance(body, str) else json.dumps(body)


def events(body: str) -> list[dict[str, Any]]:
    """Read the events of a stream; the name of each is the type in its data."""
    pairs = [frame.split("\n") for frame in body.removesuffix("\n\n").split("\n\n")]
    read = [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in pairs]
    assert all(name == data["type"] for name, data in read)
    return [data for _, data in read]


def whole_message(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Put a streamed message together."""
    message: dict[str, Any] = {}
    for event in told:
        kind = event["type"]
        if kind == "message_start":
            message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            message["content"].append({**event["content_block"]})
        elif kind == "content_block_delta":
            _grow(message["content"][event["index"]], event["delta"])
        elif kind == "message_delta":
            message |= event["delta"]
    for block in message.get("content", []):
        if "json" in block:
            block["input"] = json.loads(block.pop("json") or "{}")
    return message


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        block["json"] = block.get("json", "") + delta["partial_json"]
    elif kind in ("text_delta", "thinking_delta", "signature_delta"):
        field = kind.removesuffix("_delta")
        block[field] = block.get(field, "") + delta[field]

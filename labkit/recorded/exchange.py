"""One request and its response, out of any of the cassette shapes in use.

Known shapes: vcrpy (`interactions`; body under `body.string`, a bare `body`, `content`,
pydantic-ai's `parsed_body` or `body: {type, content}`), Ruby VCR and R vcr
(`http_interactions`; R writes plain header strings and a bare status), and a single
`request`/`response` object.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from labkit.errors import UserError
from labkit.recorded.body import read_body

__all__ = ["Exchange", "exchanges"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A recorded exchange; header names are in lower case, None is "not recorded"."""

    method: str | None
    url: str | None
    request: Mapping[str, object]
    status: int | None
    headers: Mapping[str, str]
    body: object

    @property
    def path(self) -> str:
        """The path of the URL, without query and host."""
        return _url(self.url)[1]

    @property
    def host(self) -> str:
        """The host of the URL."""
        return _url(self.url)[0]


def exchanges(document: object) -> list[Exchange | None] | None:
    """Take the exchanges out of a parsed file; None when it is not a cassette.

    An exchange that has no response (the file was cut there) is None.
    """
    if isinstance(document, Mapping):
        for name in ("interactions", "http_interactions"):
            if name in document:
                listed = document[name]
                return [_exchange(item) for item in (listed if isinstance(listed, list) else [])]
        return [_exchange(document)] if _is_exchange(document) else None
    if isinstance(document, list) and document and all(_is_exchange(item) for item in document):
        return [_exchange(item) for item in document]
    return None


def _is_exchange(item: object) -> bool:
    return isinstance(item, Mapping) and "request" in item and "response" in item


def _exchange(item: object) -> Exchange | None:
    request, response = _child(item, "request"), _child(item, "response")
    if not response:
        return None
    asked = _first_mapping(_body(request))
    method, url = request.get("method"), request.get("uri", request.get("url"))
    return Exchange(
        method=method.upper() if isinstance(method, str) else None,
        url=url if isinstance(url, str) else None,
        request=asked,
        status=_status(response),
        headers=_headers(response.get("headers")),
        body=_body(response),
    )


def _child(item: object, name: str) -> Mapping[object, object]:
    child = item.get(name) if isinstance(item, Mapping) else None
    return child if isinstance(child, Mapping) else {}


def _body(half: Mapping[object, object]) -> object:
    """Find the body of a request or response, wherever its recorder puts it."""
    if "parsed_body" in half:
        return half["parsed_body"]
    body = half.get("body") or half.get("content")
    if not isinstance(body, Mapping):
        return body
    for name in ("string", "base64_string"):
        if body.get(name) is not None:
            text = body[name]
            return _from_base64(text) if name == "base64_string" else text
    wrapped = "content" in body and "usage" not in body and body.get("type") != "message"
    return body["content"] if wrapped else body


def _from_base64(text: object) -> object:
    try:
        return base64.b64decode(text) if isinstance(text, str | bytes) else None
    except ValueError:
        return None


def _first_mapping(body: object) -> Mapping[str, object]:
    """Read a request body's JSON object; an unreadable one is empty, it only tells the model."""
    try:
        values = read_body(body).values
    except UserError:
        return {}
    return next((value for value in values if isinstance(value, Mapping)), {})


def _status(response: Mapping[object, object]) -> int | None:
    status = response.get("status") or response.get("status_code")
    if isinstance(status, Mapping):
        status = status.get("code", status.get("status_code"))
    if isinstance(status, str) and status.isdecimal() and len(status) == 3:
        status = int(status)
    return status if type(status) is int and 100 <= status <= 599 else None


def _headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        return {}
    firsts = {
        str(name).lower(): value[0] if isinstance(value, list) and value else value
        for name, value in headers.items()
    }
    return {name: value for name, value in firsts.items() if isinstance(value, str)}


def _url(url: str | None) -> tuple[str, str]:
    try:
        parts = urlsplit(url or "")
        return parts.hostname or "", parts.path
    except ValueError:
        return "", ""

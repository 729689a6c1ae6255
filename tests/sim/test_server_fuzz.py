"""Ten thousand bad requests over HTTP: never a 500 of ours, never a hang, and it keeps serving."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from labkit.catalog import models
from labkit.sim.serve import HOST
from tests.sim.serving import ASK, BODY, GUARD_S, Serving, eventually, head_of, request_of

CASES = 10_000
"""In all, over the ways of being bad below."""
AT_ONCE = 100
SLOW, LEAVES = 0.02, 0.03
"""Shares of the clients that send in pieces, and of those that do not wait for the answer."""
PATHS = (
    *("/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"),
    *("/v1/messages/batches", "/v1/messages/batches/msgbatch_sim1/cancel", "/v1/models"),
    *("/v1/models/claude-haiku-5-5", "/v1/nothing", "/", "//", "/v1/messages/batches/x/results"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "post", "TRACE")
NAMES = (
    *("model", "max_tokens", "messages", "role", "content", "type", "text", "system", "tools"),
    *("name", "input_schema", "tool_choice", "stream", "thinking", "budget_tokens", "requests"),
    *("custom_id", "params", "cache_control", "ttl", "output_config", "format", "schema", "input"),
    *("tool_use_id", "id", "source", "data", "metadata", "stop_sequences", "properties", "speed"),
)
WORDS = (
    *("user", "assistant", "system", "text", "tool_use", "tool_result", "image", "document"),
    *("ephemeral", "5m", "1h", "auto", "any", "json_schema", "object", "array", "string", "", "a"),
    *(
        "adaptive",
        "enabled",
        "Classify this as red or blue: red",
        "2 + 2 * (3",
        "\0",
        "\ud83d\ude00",
    ),
    *("What is my name?", "Summarise: my dog is Rex.", "\x7f\x80\u2028\ufeff", "x" * 3000),
    *(row.id for row in models()),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    4.5,
    1e308,
    10**30,
    200_000,
    [],
    {},
    "",
    "claude-haiku-5-5",
)


def value(dice: Random, depth: int = 0) -> Any:
    """Draw any JSON, made of the names and words that the API knows."""
    kind = dice.randrange(4 if depth < 5 else 2)
    if kind == 0:
        return dice.choice(VALUES)
    if kind == 1:
        return dice.choice(WORDS)
    inner = (value(dice, depth + 1) for _ in range(dice.randrange(5)))
    return list(inner) if kind == 2 else {dice.choice(NAMES): each for each in inner}


def spoiled(dice: Random, good: Any, rate: float) -> Any:
    """Change about this share of the places of a good value."""
    if dice.random() < rate:
        return value(dice, 2)
    if isinstance(good, dict):
        bad = {k: spoiled(dice, v, rate) for k, v in good.items() if dice.random() >= rate / 2}
        return {**bad, dice.choice(NAMES): value(dice, 2)} if dice.random() < rate else bad
    return [spoiled(dice, each, rate) for each in good] if isinstance(good, list) else good


CALL = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain"}
SCHEMA = {"type": "object", "properties": {"a": {}}}
GOOD: dict[str, Any] = {
    **BODY,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "What is the weather in Bonn?"}]},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT]},
    ],
    "tools": [{"name": "get", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
}


def closing(body: object, *, path: str = "/v1/messages") -> bytes:
    """Write a request that is the only one on its connection."""
    return request_of(body, path=path, connection="close")


def odd_json(dice: Random) -> bytes:
    """A well-formed request whose body is a good one with a few changes, or any JSON at all."""
    path = dice.choice(PATHS[:5])
    good = {"requests": [{"custom_id": "a", "params": GOOD}]} if "batches" in path else GOOD
    body = value(dice) if dice.random() < 0.2 else spoiled(dice, good, dice.random() / 8)
    return closing(json.dumps(body).encode(), path=path)


def odd_bytes(dice: Random) -> bytes:
    """A well-formed request whose body is no JSON: cut, bent, nested too deeply, badly encoded."""
    good = json.dumps(GOOD, ensure_ascii=False).encode()
    place = dice.randrange(len(good))
    body = dice.choice(
        [
            good[:place],
            good[:place] + dice.randbytes(3) + good[place:],
            dice.randbytes(dice.randrange(60)),
            b"[" * dice.randrange(3000),
            b'{"a":' * dice.randrange(900) + b"1" + b"}" * dice.randrange(900),
            b'{"model": "\\ud800"}',
            json.dumps(GOOD).encode("utf-16"),
            b"\xef\xbb\xbf" + good,
            b'{"max_tokens": ' + b"9" * dice.randrange(1, 6000) + b"}",
            good.replace(b"Bonn", bytes([dice.randrange(256)])),
            b"",
        ]
    )
    return closing(body, path=dice.choice(PATHS[:4]))


def odd_encoding(dice: Random) -> bytes:
    """A body compressed well or badly, and named so or otherwise."""
    packed = gzip.compress(json.dumps(spoiled(dice, GOOD, 0.01)).encode(), 1)
    place = dice.randrange(len(packed))
    body = dice.choice(
        [packed, packed[:place], packed[:place] + b"\0" + packed[place:], b"", b"{}"]
    )
    encoding = dice.choice(
        ["gzip", "gzip", "GZIP", "x-gzip", "br", "deflate", "gzip, gzip", "\xff"]
    )
    head, _, content = closing(body).partition(b"\r\n\r\n")
    return head + f"\r\ncontent-encoding: {encoding}\r\n\r\n".encode("latin-1") + content


def odd_envelope(dice: Random) -> bytes:
    """Any method on any path with any query, with headers of good and bad values."""
    path = dice.choice(PATHS) + dice.choice(
        ["", "", "?limit=x", "?after_id=%ff&limit=1", "?&=&%", "/"]
    )
    content = dice.choice([b"", b"{}", json.dumps(BODY).encode()])
    some = {
        "authorization": dice.choice(["Bearer k", "", "Basic eA==", "Bearer " + "k" * 5000]),
        "x-api-key": dice.choice(["", "k", "invalid"]),
        "anthropic-version": dice.choice(["2026-10-21", "2023-06-01", "2099-01-01", "x" * 900]),
        "anthropic-beta": dice.choice(["", "a,b", "," * 99, "output-300k-2026-03-24"]),
        "content-type": dice.choice(["application/json", "text/plain", "", "\xe9"]),
        "expect": dice.choice(["100-continue", "nothing"]),
        "x-odd": dice.choice(["", "\xff\xfe", "a" * 9000]),
    }
    lines = [f"{dice.choice(METHODS)} {path} HTTP/1.{dice.choice('0111')}", "host: sim"]
    lines += [f"{name}: {text}" for name, text in some.items() if dice.random() < 0.6]
    length = 10**12 if dice.random() < 0.02 else len(content)
    lines += [f"content-length: {length}", "connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + content


def odd_chunks(dice: Random) -> bytes:
    """A chunked body, its chunks sound or not."""
    body, parts = json.dumps(BODY).encode(), []
    while body:
        size = dice.randrange(1, 60)
        said = len(body[:size]) + (dice.randrange(-2, 3) if dice.random() < 0.05 else 0)
        parts.append(
            f"{max(0, said):x}{dice.choice(['', ';x=1'])}\r\n".encode() + body[:size] + b"\r\n"
        )
        body = body[size:]
    parts.append(
        dice.choice([b"0\r\n\r\n", b"0\r\nx: 1\r\n\r\n", b"g\r\n\r\n", b"-1\r\n\r\n", b""])
    )
    head = closing(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    return head + b"".join(parts)


def odd_http(dice: Random) -> bytes:
    """A good request with bytes of its head cut, doubled, changed or put in."""
    good = bytearray(closing({**BODY, "max_tokens": 1}))
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(good.index(b"\r\n\r\n") + 4) if b"\r\n\r\n" in good else 0
        length = dice.randrange(1, 8)
        act = dice.randrange(4)
        if act == 0:
            del good[place : place + length]
        elif act == 1:
            good[place:place] = good[place : place + length]
        elif act == 2:
            good[place : place + 1] = dice.randbytes(1)
        else:
            good[place:place] = dice.choice(
                [b"\r\n", b"\0", b": ", b"\t", b" ", b"\n", b"\xff" * 9]
            )
    return bytes(good)


KINDS: tuple[tuple[Callable[[Random], bytes], int], ...] = (
    *((odd_json, 40), (odd_bytes, 20), (odd_encoding, 8)),
    *((odd_envelope, 16), (odd_chunks, 8), (odd_http, 8)),
)
"""Ways of being bad, and the share of each in a hundred cases."""


class Client:
    """Sends cases, many at once, and gathers what came of them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.places = asyncio.Semaphore(AT_ONCE)
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []

    async def send(self, name: str, sent: bytes, dice: Random) -> None:
        """Send one case on a connection of its own, in one piece or slowly, and judge the end."""
        async with self.places:
            try:
                answer = await asyncio.wait_for(self._exchange(sent, dice), GUARD_S)
                self.statuses[name, verdict(answer)] += 1
            except (AssertionError, ValueError, TimeoutError) as error:
                self.wrong.append(f"{name}: {error!r}: {sent[:300]!r}")

    async def _exchange(self, sent: bytes, dice: Random) -> bytes:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        answer = b""
        with suppress(ConnectionError):
            if dice.random() < SLOW:
                for place in range(0, len(sent), len(sent) // 3 + 1):
                    writer.write(sent[place : place + len(sent) // 3 + 1])
                    await asyncio.sleep(0.02)
            else:
                writer.write(sent)
            if dice.random() >= LEAVES:
                while part := await reader.read(65536):
                    answer += part
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer


def verdict(answer: bytes) -> int:
    """Return the status of an answer, 0 for none; an error must have the API's own shape."""
    if not answer:
        return 0
    status, _, body = head_of(answer)
    while status == 100:
        status, _, body = head_of(body)
    assert status < 500, body
    if status >= 400 and body:
        error = json.loads(body.partition(b"HTTP/1.1 ")[0])
        assert set(error) == {"type", "error", "request_id"}, error
        assert set(error["error"]) >= {"type", "message"}, error
    return status


async def test_ten_thousand_bad_requests_leave_a_server_that_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each gets an answer or a closed connection, none an error of ours, and nothing stays."""
    dice = Random(20261122)
    makers, shares = zip(*KINDS, strict=True)
    with Serving(patience_s=1, tier=None) as serving:
        client = Client(serving.port)
        drawn = ((make.__name__, make(dice)) for make in dice.choices(makers, shares, k=CASES))
        await asyncio.gather(*(client.send(name, sent, dice) for name, sent in drawn))
        assert client.wrong == []
        assert [record.getMessage() for record in caplog.records] == []
        assert sum(client.statuses.values()) == CASES
        assert head_of(serving.say(ASK))[0] == 200
        state = serving.server.server_state
        eventually(lambda: not state.tasks and not state.connections)
        assert serving.door.log.under_way == 0
    of_kind: dict[str, set[int]] = {make.__name__: set() for make, _ in KINDS}
    for name, status in client.statuses:
        of_kind[name].add(status)
    assert all({200, 400} <= statuses for statuses in of_kind.values()), of_kind
    assert {0, 401, 404, 405, 408, 413} <= set().union(*of_kind.values())

"""Usual requests are read as h11 would read them, and answered in the bytes it would send."""

from __future__ import annotations

import json
import logging
import re
import socket
import time

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.faults import Fault
from labkit.sim.server_exchange import LARGEST, read_request
from tests.sim.serving import ASK, BODY, Serving, eventually, head_of, post, request_of

USUAL = request_of(BODY)
ODD = b"\r\nx-odd: \xff\r\n\r\n"
"""The end of a head that only h11 reads."""
CHANGES: tuple[dict[str, object], ...] = ({}, {"stream": True}, {"max_tokens": "many"})
KINDS = (
    "overloaded",
    "unavailable",
    "reset",
    "cut",
    "wrong_length",
    "malformed_json",
    "drip",
    "slow",
)
PIECES = st.sampled_from(
    [
        *(b"POST ", b"GET ", b"/v1/messages", b"/?a=%00", b" HTTP/1.1", b" HTTP/1.0", b"\r\n"),
        *(b"\n", b"\r", b" ", b"\t", b"\0", b"\xff", b":", b": ", b",", b"host: sim", b"Host:b"),
        *(b"content-length: 2", b"Content-Length:3 ", b"content-length: 2, 2", b"x-a: b c "),
        *(b"transfer-encoding: chunked", b"expect: 100-continue", b"connection: close"),
        *(b"connection: keep-alive", b"upgrade: h2c", b"\r\n\r\n", b"{}", b"{} ", b"0"),
    ]
)
LINES = st.lists(
    st.one_of(PIECES, st.sampled_from([b"x-a:  b", b"X-C:", b"x-d:e ,f "])), max_size=3
)
NEARLY = st.builds(
    lambda lines, more, body: b"\r\n".join(
        [b"POST /v1/messages?a HTTP/1.1", *lines, *more, b"", body]
    ),
    st.permutations([b"host: sim", b"content-length: 2", b"accept: */*"]),
    LINES,
    st.sampled_from([b"", b"{", b"{}", b"{} ", b"{}POST "]),
)
ANY = st.lists(PIECES, max_size=20).map(b"".join)


@given(st.one_of(ANY, NEARLY))
def test_what_is_read_is_what_h11_reads(data: bytes) -> None:
    """Target, headers and body are the same; what h11 refuses or reads on from is never taken."""
    heard = read_request(data)
    if heard is None:
        return
    scope, body, length = heard
    h11_side = h11.Connection(h11.SERVER)
    h11_side.receive_data(data)
    head = h11_side.next_event()
    assert isinstance(head, h11.Request)
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    assert (head.method, head.http_version) == (b"POST", b"1.1")
    assert head.target.rstrip(b"?") == (scope["raw_path"] + query).rstrip(b"?")
    assert [(bytes(name), bytes(value)) for name, value in head.headers] == scope["headers"]
    taken = b""
    while isinstance(event := h11_side.next_event(), h11.Data):
        taken += event.data
    assert taken == body
    assert (event is h11.NEED_DATA) == (len(body) < length)
    assert h11_side.trailing_data == (b"", False)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"PUT"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"host: sim", b"hose: sim"),
        (b"host: sim", b"host: sim\r\nhost: sim"),
        (b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"),
        (b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        (b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
        (b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"),
        (b"content-length: ", b"content-length: +"),
        (b"content-length: ", b"content-length: %d" % LARGEST),
        (b"content-length", b"content-size"),
        (b"\r\n\r\n", ODD),
        (USUAL, USUAL + b"P"),
        (USUAL, USUAL[:60]),
    ],
)
def test_what_is_not_usual_is_left_to_h11(old: bytes, new: bytes) -> None:
    """Other methods, other framing, a second request behind the first, half a head."""
    assert read_request(USUAL) is not None
    changed = USUAL.replace(old, new, 1)
    assert changed != USUAL
    assert read_request(changed) is None


def answer_on(connection: socket.socket) -> bytes:
    """Read one answer to its end, or to that of the connection."""
    heard = connection.recv(65536)
    while not heard.endswith(b"\r\n0\r\n\r\n"):
        head, _, body = heard.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length is not None and len(body) == int(length[1]):
            break
        piece = connection.recv(65536)
        if not piece:
            break
        heard += piece
    return heard


def answers(end_of_head: bytes) -> list[bytes]:
    """Let every fault strike every kind of request, one by one, each on its own connection."""
    asked = [request_of({**BODY, **change}) for change in CHANGES for _ in KINDS]
    faults = [Fault(kind, first=n, after=4) for n, kind in enumerate(KINDS * len(CHANGES), 1)]
    heard = []
    with Serving(seed=5, faults=faults) as serving:
        for each in asked:
            with serving.connect() as connection:
                connection.sendall(each.replace(b"\r\n\r\n", end_of_head, 1))
                heard.append(answer_on(connection))
    return heard


def test_both_ways_send_the_same_bytes() -> None:
    """Head and framing included, whole or broken."""
    usual = answers(b"\r\n\r\n")
    assert usual == answers(ODD)
    assert [place for place, each in enumerate(usual) if not each] == [
        KINDS.index("reset") + n * len(KINDS) for n in range(len(CHANGES))
    ]


def test_a_body_may_come_in_pieces() -> None:
    """The answer follows the last one; what comes too early waits for its turn."""
    head, _, content = USUAL.partition(b"\r\n\r\n")
    with Serving() as serving, serving.connect() as connection:
        for piece in (head + b"\r\n\r\n", content[:9], content[9:40], content[40:] + USUAL + ASK):
            connection.sendall(piece)
            time.sleep(0.02)
        heard = b""
        while piece := connection.recv(65536):
            heard += piece
    assert heard.count(b"HTTP/1.1 200 OK") == 3
    assert heard.endswith(b"}")


def test_a_request_that_comes_while_one_is_answered_is_answered_next() -> None:
    """On one connection, however far the first answer has come."""
    with Serving(speed=20.0) as serving, serving.connect() as connection:
        connection.sendall(request_of({**BODY, "stream": True}))
        heard = connection.recv(65536)
        connection.sendall(ASK)
        while piece := connection.recv(65536):
            heard += piece
    stream, _, answer = heard.partition(b"0\r\n\r\n")
    assert b"message_stop" in stream
    assert json.loads(head_of(answer)[2])["type"] == "message"


def test_a_connection_may_carry_usual_and_other_requests() -> None:
    """Whatever comes after the first one is answered too."""
    with Serving() as serving, serving.connect() as connection:
        for asked in (USUAL, USUAL, USUAL.replace(b"\r\n\r\n", ODD, 1), USUAL):
            connection.sendall(asked)
            assert head_of(answer_on(connection))[0] == 200


def test_a_fault_of_ours_ends_the_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, nobody waits for an answer, and the next request is served."""
    with Serving() as serving:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(serving.door.api, "reply", lambda *_, **__: 1 / 0)
            assert serving.say(USUAL) == b""
        assert "ZeroDivisionError" in caplog.text
        assert post(serving)[0].status == 200


def test_a_usual_request_must_be_whole_soon_too() -> None:
    """Half a body gets a 408, and the connection ends."""
    with Serving(patience_s=1) as serving:
        status, _, body = head_of(serving.say(USUAL[:-5]))
    assert status == 408
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_a_client_that_leaves_in_the_middle_of_its_request_is_forgotten() -> None:
    """Nothing is counted, and no task is left."""
    with Serving() as serving:
        with serving.connect() as connection:
            connection.sendall(USUAL[:-5])
            eventually(lambda: len(serving.server.server_state.tasks) == 1)
        eventually(lambda: not serving.server.server_state.tasks)
        assert not serving.door.log.requests

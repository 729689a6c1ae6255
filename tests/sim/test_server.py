"""Door 2: what the simulated API says and does goes over real HTTP, and nothing stays behind."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from http.client import IncompleteRead

import pytest

from labkit.errors import UserError
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.serve import HOST, listen
from tests.sim.serving import ASK, BODY, KEY, Serving, eventually, head_of, post, request_of

STREAM = {**BODY, "stream": True}


@pytest.mark.parametrize("change", [{}, {"stream": True}, {"max_tokens": "many"}])
def test_what_the_core_says_goes_over_the_wire(change: dict[str, object]) -> None:
    """Status, headers and body are those of the in-process door, byte for byte."""
    content = json.dumps({**BODY, **change}).encode()
    with Serving(seed=3) as serving:
        response, body = serving.ask("POST", "/v1/messages", content)
    reply = SimulatedApi(seed=3).reply("POST", "/v1/messages", KEY, content, 0.0)
    assert (response.status, body) == (reply.status, reply.body)
    framing = ("content-length", "transfer-encoding")
    sent = {n: v for n, v in response.getheaders() if n.lower() not in framing}
    assert sent == reply.headers


def session() -> bytes:
    """Ask for this and that, on one connection after the other."""
    batch = {"requests": [{"custom_id": "a", "params": BODY}]}
    with Serving(seed=7, faults=[Fault("overloaded", share=0.3), Fault("slow", share=0.2)]) as on:
        said = [on.say(request_of({**BODY, "max_tokens": n}, connection="close")) for n in range(9)]
        said += [on.say(request_of(STREAM, connection="close")) for _ in range(3)]
        said += [on.say(request_of(batch, path="/v1/messages/batches", connection="close"))]
        said += [on.say(request_of(b"{", connection="close"))]
    return b"\n".join(said)


def test_at_speed_0_a_session_is_repeatable_to_the_byte() -> None:
    """Two servers with one seed tell one story, head and framing included."""
    assert session() == session()


def test_at_speed_0_the_clock_moves_by_the_length_of_each_reply() -> None:
    """Nobody waits, and the next request finds the time that the answers would have taken."""
    with Serving(seed=1) as serving:
        for _ in range(3):
            post(serving)
        moved = serving.metric("labkit_virtual_seconds")
    api, now = SimulatedApi(seed=1), 0.0
    for _ in range(3):
        now += api.reply("POST", "/v1/messages", KEY, json.dumps(BODY).encode(), now).duration_s
    assert moved == pytest.approx(now, abs=0.001)


def test_in_real_time_a_stream_arrives_in_pieces() -> None:
    """The first event is there long before the last one."""
    with Serving(speed=2.0) as serving, serving.connect() as connection:
        connection.sendall(request_of(STREAM))
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(b"0\r\n\r\n"):
            pieces.append(connection.recv(65536))
    assert len(pieces) > 3
    assert b"message_stop" not in pieces[0]


def test_results_lie_at_the_address_the_client_came_to() -> None:
    """A batch's results are fetched from this server, whatever name it goes by."""
    batch = {"requests": [{"custom_id": "a", "params": BODY}]}
    with Serving() as serving:
        _, made = serving.ask("POST", "/v1/messages/batches", json.dumps(batch).encode())
        path = f"/v1/messages/batches/{json.loads(made)['id']}"
        serving.door._virtual += 86_400
        _, found = serving.ask("GET", path, host="localhost:1234")
        url = json.loads(found)["results_url"]
        assert url == f"http://localhost:1234{path}/results"
        _, found = serving.ask("GET", path, host='"><script>')
        assert json.loads(found)["results_url"] == f"{serving.url}{path}/results"
        response, lines = serving.ask("GET", f"{path}/results")
    assert response.headers["content-type"] == "application/x-jsonl"
    assert json.loads(lines)["result"]["type"] == "succeeded"


@pytest.mark.parametrize("kind", ["refused", "reset"])
def test_a_broken_connection_says_nothing(kind: str) -> None:
    """It is closed without a byte, and the next one is served."""
    with Serving(faults=[Fault(kind, first=1)]) as serving:
        assert serving.say(ASK) == b""
        assert head_of(serving.say(ASK))[0] == 200


def test_a_cut_stream_ends_in_the_middle() -> None:
    """So many whole events come, and then not even the end of the chunks."""
    with Serving(faults=[Fault("cut", after=4)]) as serving:
        status, headers, body = head_of(serving.say(request_of(STREAM)))
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert body.count(b"event: ") == 4
    assert not body.endswith(b"0\r\n\r\n")


def test_a_wrong_length_is_never_reached() -> None:
    """Fewer bytes come than were announced."""
    with Serving(faults=[Fault("wrong_length")]) as serving, pytest.raises(IncompleteRead):
        post(serving)


def test_broken_json_comes_whole() -> None:
    """The connection is sound; only what it carries is not."""
    with Serving(faults=[Fault("malformed_json")]) as serving:
        response, body = post(serving)
    assert int(response.headers["content-length"]) == len(body)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(body)


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        (Fault("no_message_stop"), "message_delta"),
        (Fault("stream_error", after=3), "error"),
        (Fault("drip"), "message_stop"),
        (Fault("ping_only", lasts=20.0), "message_stop"),
    ],
)
def test_a_stream_that_goes_wrong_in_good_order_ends_properly(fault: Fault, last: str) -> None:
    """Its last event is the one that the fault leaves, and the chunks have an end."""
    with Serving(faults=[fault]) as serving:
        _, _, body = head_of(serving.say(request_of(STREAM, connection="close")))
    assert re.findall(rb"event: (\w+)", body)[-1].decode() == last
    assert body.endswith(b"0\r\n\r\n")


def test_a_stream_of_pings_goes_on_until_the_client_leaves() -> None:
    """After the first event there are pings and nothing else."""
    fault = Fault("ping_only", every=0.02)
    with Serving(faults=[fault], speed=1.0) as serving:
        with serving.connect() as connection:
            connection.sendall(request_of(STREAM))
            heard = b""
            while heard.count(b"event: ping") < 20:
                heard += connection.recv(65536)
        assert set(re.findall(rb"event: (\w+)", heard)) == {b"message_start", b"ping"}
        eventually(lambda: serving.door.log.under_way == 0)


def test_silence_lasts_as_long_as_the_client_does() -> None:
    """Nothing comes; the server keeps no trace of a client that gave up, and says so."""
    with Serving(faults=[Fault("silence", first=1)]) as serving:
        with serving.connect() as connection:
            connection.sendall(ASK)
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert serving.metric("labkit_answers_under_way") == 1
        eventually(lambda: serving.metric("labkit_answers_under_way") == 0)
        assert b"client left" in serving.ask("GET", "/")[1]


@pytest.mark.parametrize("fault", [None, Fault("silence"), Fault("drip"), Fault("slow", factor=50)])
def test_clients_that_leave_take_everything_with_them(fault: Fault | None) -> None:
    """After a hundred of them there is no task, no connection and no answer left."""
    with Serving(faults=[fault] if fault else [], speed=0.01, tier=None) as serving:
        connections = [serving.connect() for _ in range(100)]
        for place, connection in enumerate(connections):
            connection.sendall(request_of(STREAM if place % 2 else BODY))
        eventually(lambda: serving.door.log.under_way == 100)
        for connection in connections:
            connection.close()
        state = serving.server.server_state
        eventually(lambda: not state.tasks and not state.connections)
        assert serving.door.log.under_way == 0


def test_a_client_that_leaves_while_sending_is_forgotten() -> None:
    """Half a request is none: nothing is counted and nothing kept."""
    with Serving() as serving:
        with serving.connect() as connection:
            connection.sendall(ASK[:-5])
            eventually(lambda: len(serving.server.server_state.tasks) == 1)
        eventually(lambda: not serving.server.server_state.tasks)
        assert not serving.door.log.requests


def test_a_server_that_stops_ends_what_is_under_way() -> None:
    """Streams and silences are cut; nobody waits for their end."""
    with Serving(faults=[Fault("silence", first=5)], speed=0.01) as serving:
        connections = [serving.connect() for _ in range(10)]
        for connection in connections:
            connection.sendall(request_of(STREAM))
        eventually(lambda: serving.door.log.under_way == 10)
        serving.stop()
        assert not serving.server.server_state.tasks
        for connection in connections:
            with connection:
                assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (ASK[:40], 408),
        (ASK[:-5], 408),
        (request_of(b"", transfer_encoding="chunked")[:-1].replace(b"content-length: 0\r\n", b"")
         + b"\n5\r\n{", 408),
        (b"", None),
    ],
)  # fmt: skip
def test_a_slow_sender_is_not_waited_for(sent: bytes, status: int | None) -> None:
    """Half a head and half a body get a 408; a connection without a request is closed."""
    with Serving(patience_s=1) as serving:
        answer = serving.say(sent)
        if status is None:
            assert answer == b""
        else:
            assert head_of(answer)[0] == status
            assert json.loads(head_of(answer)[2])["error"]["type"] == "invalid_request_error"
        assert head_of(serving.say(ASK))[0] == 200


def test_a_trickle_is_a_slow_sender_too() -> None:
    """A byte now and then does not begin the wait anew."""
    with Serving(patience_s=1) as serving, serving.connect() as connection:
        end = time.monotonic() + 20
        connection.settimeout(0.1)
        answer = b""
        for byte in ASK:
            try:
                connection.sendall(bytes([byte]))
                answer = connection.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if answer:
                break
        assert time.monotonic() < end
        assert answer == b"" or head_of(answer)[0] == 408


TOO_MUCH = 33 * 1024 * 1024


def test_an_oversized_body_is_refused_before_its_end() -> None:
    """What announces too much is a 413 at once; what turns out so, soon after the limit."""
    head = request_of(b"", content_length=str(TOO_MUCH))
    with Serving() as serving:
        with serving.connect() as connection:
            connection.sendall(head)
            assert head_of(connection.recv(65536))[0] == 413
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        chunked = request_of(b"", transfer_encoding="chunked")
        with serving.connect() as connection:
            connection.sendall(chunked.replace(b"content-length: 0\r\n", b"") + chunk * 33)
            answer = connection.recv(65536)
            while not answer.endswith(b"}") and (more := connection.recv(65536)):
                answer += more  # head and body may come apart
            status, _, body = head_of(answer)
    assert (status, json.loads(body)["error"]["type"]) == (413, "request_too_large")


def test_an_endless_body_is_cut_off() -> None:
    """After the refusal a little more is taken in, and then no more."""
    with Serving() as serving, serving.connect() as connection:
        connection.sendall(request_of(b"", content_length=str(10**12)))
        with pytest.raises(ConnectionError):
            send_for_ever(connection)


def send_for_ever(connection: socket.socket) -> None:
    """Send until the other side has enough of it."""
    while True:
        connection.sendall(b" " * 65536)


def test_whoever_asks_before_sending_too_much_never_sends_it() -> None:
    """With `Expect: 100-continue` the refusal comes instead of the invitation."""
    ask = {"expect": "100-continue"}
    with Serving() as serving, serving.connect() as connection:
        connection.sendall(request_of(b"", content_length=str(TOO_MUCH), **ask))
        assert head_of(connection.recv(65536))[0] == 413
        with serving.connect() as other:
            head, _, content = request_of(BODY, **ask).partition(b"\r\n\r\n")
            other.sendall(head + b"\r\n\r\n")
            assert head_of(other.recv(65536))[0] == 100
            other.sendall(content)
            assert head_of(other.recv(65536))[0] == 200


def test_a_compressed_request_is_read() -> None:
    """Gzip is taken, whole or in chunks; a bomb is a 413 and a broken one a 400."""
    packed = gzip.compress(json.dumps(BODY).encode())
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (packed[:9], packed[9:])) + b"0\r\n\r\n"
    )
    chunked = request_of(b"", content_encoding="gzip", transfer_encoding="chunked")
    bomb = gzip.compress(bytes(TOO_MUCH))
    sent = [
        request_of(packed, content_encoding="gzip", connection="close"),
        chunked.replace(b"content-length: 0\r\n", b"connection: close\r\n") + chunks,
        request_of(bomb, content_encoding="gzip", connection="close"),
        request_of(packed[:-1], content_encoding="gzip", connection="close"),
        request_of(packed, content_encoding="br", connection="close"),
    ]
    with Serving() as serving:
        answers = [head_of(serving.say(each)) for each in sent]
    assert [status for status, _, _ in answers] == [200, 200, 413, 400, 400]
    codes = [json.loads(body)["error"]["details"]["error_code"] for _, _, body in answers[2:]]
    assert codes == [
        "request_body_too_large_after_decoding",
        "request_body_encoding_invalid",
        "request_body_encoding_unsupported",
    ]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/messages HTTP/1.1", 405),
        ("OPTIONS /v1/messages HTTP/1.1", 405),
        ("BREW /v1/messages HTTP/1.1", 405),
        ("POST / HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET /v1/nothing?x=%00 HTTP/1.1", 404),
        ("GET http://sim/v1/models HTTP/1.1", 200),
        ("GET /v1/models HTTP/1.0", 200),
        ("GET /v1/models/%2e%2e/%ff HTTP/1.1", 404),
        ("nonsense", 400),
        ("GET  /v1/models HTTP/1.1", 400),
        ("CONNECT sim:443 HTTP/1.1", 404),
    ],
)
def test_every_path_and_method_gets_the_apis_own_answer(line: str, status: int) -> None:
    """What does not exist or is not allowed says so in the shape of an API error."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
    with Serving() as serving:
        sent = f"{line}\r\nhost: sim\r\nconnection: close\r\n{headers}\r\n".encode()
        found, _, body = head_of(serving.say(sent))
    assert found == status
    if status >= 400:
        assert set(json.loads(body)) == {"type", "error", "request_id"}


def test_a_head_request_has_no_body() -> None:
    """The headers are those of the answer that it would have."""
    with Serving() as serving:
        response, body = serving.ask("HEAD", "/v1/nothing")
        page, nothing = serving.ask("HEAD", "/")
    assert (response.status, body, nothing, page.status) == (404, b"", b"", 200)


def test_requests_in_one_breath_are_answered_in_order() -> None:
    """Three on one connection, sent without waiting, get three answers."""
    asked = [request_of({**BODY, "max_tokens": n}) for n in (1, 2)]
    with Serving() as serving:
        answer = serving.say(b"".join(asked) + ASK)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert [int(n) for n in re.findall(rb'"output_tokens":(\d+)', answer)][:2] == [1, 2]


@pytest.mark.parametrize(
    "header",
    [
        b"x-odd: \xff\xfe",
        b"authorization: Bearer other",
        b"content-type: application/x-nonsense",
        b"anthropic-beta: ,,, ,\x80",
        b"upgrade: h2c\r\nconnection: upgrade",
        b"x-many: 1\r\n" * 99 + b"x: 1",
        b"x-long: " + b"a" * 60_000,
    ],
)
def test_odd_headers_do_not_matter(header: bytes) -> None:
    """What nobody needs is overlooked."""
    with Serving() as serving:
        assert (
            head_of(serving.say(ASK.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n")))[0] == 200
        )


@pytest.mark.parametrize(
    "header",
    [
        b"no colon",
        b"host: another",
        b"content-length: 7",
        b"transfer-encoding: rot13",
        b"x-long: " + b"a" * 600_000,
        b"x-null: \x00",
    ],
)
def test_what_is_no_http_is_a_400(header: bytes) -> None:
    """The refusal has the shape of an API error, and the connection is closed."""
    with Serving() as serving:
        status, _, body = head_of(
            serving.say(request_of(BODY).replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n"))
        )
        assert head_of(serving.say(ASK))[0] == 200
    assert status == 400
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_the_page_shows_the_latest_requests_first() -> None:
    """It says that all is simulated, is meant for light and dark, and trusts no client."""
    with Serving(about="A <b>bad</b> day", faults=[Fault("overloaded", first=1)]) as serving:
        post(serving)
        post(serving)
        serving.ask("GET", "/v1/%3Cscript%3E<img>")
        response, content = serving.ask("GET", "/")
    page = content.decode()
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "Everything here is simulated" in page
    assert "color-scheme: light dark" in page
    assert serving.url in page
    statuses = re.findall(r"<span[^>]*>(\w+)</span>", page)
    assert statuses == ["404", "200", "529"]
    assert "overloaded" in page
    assert "claude-haiku-5-5" in page
    assert "<img>" not in page
    assert "<b>" not in page


def test_the_page_remembers_no_more_than_it_shows() -> None:
    """Two hundred requests at most, and of each a line."""
    with Serving() as serving:
        asked = request_of({}, path=f"/v1/{'x' * 3000}")
        serving.say(asked * 250 + ASK)
        assert len(serving.door.log.latest) == 200
        assert len(serving.ask("GET", "/")[1]) < 200_000
        assert serving.metric('labkit_requests_total{endpoint="other",status="404"}') == 250


def test_the_metrics_count_what_happened() -> None:
    """Requests, tokens by kind, refusals, faults: in the text format that Prometheus reads."""
    long = {"type": "text", "text": "word " * 3000, "cache_control": {"type": "ephemeral"}}
    cached = {"system": [long], "max_tokens": 5}
    with Serving(faults=[Fault("overloaded", first=1), Fault("refused", start=9, end=9)]) as on:
        post(on)
        written = json.loads(post(on, cached)[1])["usage"]
        read = json.loads(post(on, cached)[1])["usage"]
        post(on, {"messages": [{"role": "user", "content": "word " * 1_000_000}]})
        post(on, {"model": "claude-9"})
        response, text = on.ask("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = text.decode().splitlines()
    sample = re.compile(r'\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.]+|# (HELP|TYPE) \w+ .+')
    assert all(sample.fullmatch(line) for line in lines)
    counts = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    for name, count in {
        'labkit_requests_total{endpoint="/v1/messages",status="529"}': 1,
        'labkit_requests_total{endpoint="/v1/messages",status="200"}': 2,
        'labkit_requests_total{endpoint="/v1/messages",status="404"}': 1,
        'labkit_faults_total{kind="overloaded"}': 1,
        'labkit_tokens_total{kind="cache_write_5m"}': written["cache_creation_input_tokens"],
        'labkit_tokens_total{kind="cache_read"}': read["cache_read_input_tokens"],
        'labkit_tokens_total{kind="input"}': written["input_tokens"] + read["input_tokens"],
        'labkit_tokens_total{kind="output"}': 10,
        "labkit_answers_under_way": 0,
    }.items():
        assert float(counts[name]) == count, name


def test_a_rate_limit_is_counted() -> None:
    """A thousand requests in no time are too many for a minute of the first tier."""
    with Serving() as serving:
        content = json.dumps({**BODY, "max_tokens": 0}).encode()
        for _ in range(1001):
            serving.door.api.reply("POST", "/v1/messages", KEY, content, 0.0)
        response, _ = post(serving)
        assert response.status == 429
        assert serving.metric('labkit_refusals_total{limit="requests"}') == 1


def test_it_listens_on_this_machine_only() -> None:
    """The address is the loopback's; a port that is taken is one sentence."""
    with listen(0) as listening:
        host, port = listening.getsockname()
        assert host == HOST == "127.0.0.1"
        with pytest.raises(UserError, match=f"Port {port} is in use"):
            listen(port)
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect((HOST, port))

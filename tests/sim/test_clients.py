"""Clients of several makes and languages at the server: they all come to the same, faults too."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic

from labkit.clock import VirtualClock
from labkit.sim.core import SimulatedApi
from labkit.sim.fault_kinds import BATCH_FAULTS
from labkit.sim.faults import FAULTS, Fault
from labkit.sim.transport import ReplyTransport, Simulated
from tests.sim.conversation import converse
from tests.sim.serving import BODY, Serving

TYPESCRIPT = Path(__file__).parent / "typescript"
UNREACHABLE = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"),
    *("ERR_SOCKET_TIMEOUT", "EHOSTUNREACH"),
)
GUARD_S = 120.0
SPEED = 40.0
"""A batch of two minutes is through in a few seconds."""
HEADERS = ["-H", "x-api-key: k", "-H", "anthropic-version: 2026-10-21"]


@pytest.fixture(autouse=True, scope="module")
def _straight_to_this_machine() -> Iterator[None]:
    """Keep any proxy of the environment out of the way."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield


@contextmanager
def rough_start() -> Iterator[Serving]:
    """Serve an API whose first two answers are a 429 and a 529; see that both were met."""
    faults = [Fault("rate_limited", first=1, retry_after=1), Fault("overloaded", first=2)]
    with Serving(faults=faults, speed=SPEED, seed=5) as serving:
        yield serving
        for status in (429, 529):
            name = f'labkit_requests_total{{endpoint="/v1/messages",status="{status}"}}'
            assert serving.metric(name) == 1


@pytest.fixture(scope="module")
def transcript() -> dict[str, Any]:
    """Hold the conversation with `Anthropic`."""
    with rough_start() as serving, Anthropic(api_key="k", base_url=serving.url) as client:
        return asyncio.run(converse(client))


def test_the_python_client_holds_the_conversation(transcript: dict[str, Any]) -> None:
    """Retries, streams, tools, counting, pages, errors and batches all come to their end."""
    assert transcript["after_retries"]["content"][0]["text"].startswith("Simulated answer")
    streams = transcript["streams"]
    assert streams["final"]["content"] == [{"type": "text", "text": streams["text"]}]
    assert streams["events"][0] == "message_start"
    assert streams["events"][-1] == "message_stop"
    call, report = transcript["tools"]
    assert (call["stop_reason"], report["stop_reason"]) == ("tool_use", "end_turn")
    assert call["content"][0]["input"] == {"city": "Berlin"}
    assert "Rain, 9 degrees" in report["content"][0]["text"]
    assert transcript["counted"] == transcript["after_retries"]["input_tokens"]
    assert len(set(transcript["models"])) == len(transcript["models"]) > 9
    assert transcript["model"] in transcript["models"]
    assert transcript["unknown"]["kind"] == "NotFoundError"
    batches = transcript["batches"]
    assert len(set(batches["listed"])) == 2
    assert sorted(name for name, _, _ in batches["rows"]) == ["a", "b", "c"]
    assert batches["counts"]["succeeded"] == 3


async def test_the_async_client_comes_to_the_same(transcript: dict[str, Any]) -> None:
    """Every word, number and id."""
    with rough_start() as serving:
        async with AsyncAnthropic(api_key="k", base_url=serving.url) as client:
            assert await converse(client) == transcript


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the official TypeScript SDK into a folder of its own."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "conversation.mjs"):
        shutil.copy(TYPESCRIPT / name, folder)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        ["npm", "install", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=2 * GUARD_S,
        check=False,
    )
    if done.returncode and any(code in done.stderr for code in UNREACHABLE):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_typescript_client_comes_to_the_same(
    typescript: Path, transcript: dict[str, Any]
) -> None:
    """Another language, and every word, number and id is the same."""
    with rough_start() as serving:
        done = subprocess.run(
            ["node", "conversation.mjs", serving.url],
            cwd=typescript,
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )
    assert done.stderr == ""
    assert json.loads(done.stdout) == transcript


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("words", "status", "kind", "message"),
    [
        ([], 401, "authentication_error", "invalid x-api-key"),
        (["-H", "x-api-key: k"], 400, "invalid_request_error", "anthropic-version: "),
        (["-X", "PUT", *HEADERS], 405, "invalid_request_error", "Method Not Allowed"),
        (HEADERS, 400, "invalid_request_error", "model: Field required"),
    ],
)
def test_curl_gets_an_error_that_can_be_read(
    words: list[str], status: int, kind: str, message: str
) -> None:
    """Whoever forgets a header is told in one line of JSON, with the status that fits."""
    with Serving() as serving:
        answer = curl(f"{serving.url}/v1/messages", "--data", "{}", *words)
    assert answer.pop("status") == status
    assert answer["error"]["type"] == kind
    assert answer["error"]["message"].startswith(message)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_is_stopped_before_it_sends_too_much(tmp_path: Path) -> None:
    """It asks first, as it does before large bodies, and gets the 413 instead."""
    (tmp_path / "large").write_bytes(b" " * (33 * 1024 * 1024))
    with Serving() as serving:
        words = [*HEADERS, "-H", "expect: 100-continue", "--data-binary", f"@{tmp_path / 'large'}"]
        answer = curl(f"{serving.url}/v1/messages", *words)
    assert answer["status"] == 413
    assert answer["error"]["type"] == "request_too_large"


def curl(*words: str) -> dict[str, Any]:
    """Type a curl command; return the JSON it shows, and the status."""
    shown = ["--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"]
    done = subprocess.run(
        ["curl", *shown, *words], capture_output=True, text=True, timeout=GUARD_S, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return {**json.loads(body), "status": int(status)}


def outcome(client: Anthropic, *, streamed: bool) -> tuple[str, str, str | None]:
    """Ask once; return the text so far, and the kind of the error or the reason it stopped."""
    text = ""
    try:
        if not streamed:
            message = client.messages.create(**BODY)
            return message.content[0].text if message.content else "", "", message.stop_reason
        with client.messages.stream(**BODY) as stream:
            for piece in stream.text_stream:
                text += piece
            return text, "", stream.get_final_message().stop_reason
    except Exception as error:
        return text, type(error).__name__, getattr(error, "type", None)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("kind", sorted(set(FAULTS) - set(BATCH_FAULTS)))
def test_a_fault_is_the_same_to_the_sdk_over_http_as_in_process(kind: str, streamed: bool) -> None:
    """The same text arrives, and it ends in the same kind of error or for the same reason."""
    fault = Fault(kind, after=3)
    patience = 2.0 if kind in ("silence", "ping_only") else 60.0
    transport = ReplyTransport(Simulated(SimulatedApi(faults=[fault])), VirtualClock())
    http = httpx2.Client(transport=transport)
    with Anthropic(api_key="k", http_client=http, max_retries=0, timeout=60) as client:
        expected = outcome(client, streamed=streamed)
    with (
        Serving(faults=[fault]) as serving,
        Anthropic(api_key="k", base_url=serving.url, max_retries=0, timeout=patience) as client,
    ):
        assert outcome(client, streamed=streamed) == expected

"""Cassettes are matched strictly, refused clearly, and readable by plain vcrpy."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
import vcr
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labkit.drivers import Layer
from labkit.errors import CassetteBroken, CassetteMiss
from labkit.lab.cassette import Replay, read_cassette
from labkit.lab.taped import Recorder
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.sim.faults import Fault
from tests.scenes import ASK, Scene

STORY = {"answered_by": "labkit's simulated API"}
URL = "https://api.anthropic.com/v1/messages"


def question(words: str) -> dict[str, Any]:
    """A request that asks something of its own."""
    return {**ASK, "messages": [{"role": "user", "content": words}]}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that records the answers to questions, in order."""

    def record(*questions: str, faults: tuple[Fault, ...] = (), stream: bool = False) -> Path:
        path = tmp_path / "05-retry" / "scene.yaml"
        recorder = Recorder(path, STORY)
        client = Scene(faults=faults, observers=[recorder.observe]).client(Retry(seed=1))
        for words in questions:
            if stream:
                with client.messages.stream(**question(words)) as answer:
                    answer.until_done()
            else:
                client.messages.create(**question(words))
        recorder.save()
        return path

    return record


def answers(client: anthropic.Anthropic, *questions: str) -> list[Any]:
    """Ask and return the ids of the answers."""
    return [client.messages.create(**question(words)).id for words in questions]


class Counting:
    """A source that counts what it is asked."""

    def __init__(self, inner: Replay) -> None:
        self.inner, self.asked = inner, 0

    def reply_to(self, request: httpx2.Request, now: float) -> Any:
        """Count and pass on."""
        self.asked += 1
        return self.inner.reply_to(request, now)


def test_different_requests_may_come_in_any_order(recorded: Any) -> None:
    """Swapped questions never get swapped answers."""
    words = ["one", "two", "three"]
    path = recorded(*words)
    right = dict(zip(words, answers(Scene(Replay(path)).client(), *words), strict=True))
    assert len(set(right.values())) == 3
    for order in itertools.permutations(words):
        client = Scene(Replay(path)).client()
        assert answers(client, *order) == [right[each] for each in order]


def test_equal_requests_are_answered_in_recorded_order(recorded: Any) -> None:
    """A failure recorded before a success is played before it, and each once."""
    path = recorded("again", faults=(Fault("overloaded", first=2),))
    scene = Scene(Replay(path))
    answers(scene.client(Retry(seed=1)), "again")
    assert [attempt.label for attempt in scene.ledger.attempts] == ["529", "529", "200"]


def test_the_query_does_not_matter_and_the_path_does(recorded: Any) -> None:
    """The beta endpoint's address is another query on the same path."""
    path = recorded("one")
    scene = Scene(Replay(path))
    assert scene.client().beta.messages.create(**question("one")).id
    client = Scene(Replay(path)).client()
    with pytest.raises(CassetteMiss, match=r"(?s)- POST /v1/messages\n.*count_tokens"):
        client.messages.count_tokens(model=ASK["model"], messages=question("one")["messages"])


LAYERS: dict[str, Callable[[], list[Layer]]] = {
    "no layer": list,
    "retry": lambda: [Retry(6, seed=1)],
    "deadline and retry": lambda: [Deadline(60), Retry(6, seed=1)],
}


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("stream", [False, True])
def test_one_changed_word_is_a_miss_that_is_never_retried(
    recorded: Any, layers: str, stream: bool
) -> None:
    """The error names the cassette and the word, and the request was made once."""
    source = Counting(Replay(recorded("Why do queues grow?", stream=stream)))
    scene = Scene(source)
    with pytest.raises(CassetteMiss) as caught:
        scene.client(*LAYERS[layers]()).messages.create(
            **question("Why do queues shrink?"), stream=stream
        )
    message = str(caught.value)
    assert "05-retry/scene.yaml" in message
    assert '- "content": "Why do queues grow?"' in " ".join(message.split())
    assert '+ "content": "Why do queues shrink?"' in " ".join(message.split())
    assert "LABKIT_MODE=simulate" in message
    assert "labkit record" in message
    assert source.asked == 1
    assert scene.clock.now() == 0
    assert scene.ledger.attempts == []


@pytest.mark.parametrize("retries", [0, 2, 5])
def test_the_sdks_own_retries_do_not_repeat_a_miss(recorded: Any, retries: int) -> None:
    """A miss is not a network fault, whoever owns the retries."""
    source = Counting(Replay(recorded("one")))
    scene = Scene(source)

    async def main() -> None:
        await scene.async_client(max_retries=retries).messages.create(**question("two"))

    with pytest.raises(CassetteMiss):
        scene.run(main)
    assert (source.asked, scene.clock.now()) == (1, 0)


def test_asking_once_too_often_has_a_message_of_its_own(recorded: Any) -> None:
    """There is nothing to compare: the request is there, but it has been played."""
    client = Scene(Replay(recorded("one"))).client()
    answers(client, "one")
    with pytest.raises(CassetteMiss, match="holds this request once, and it has been played"):
        answers(client, "one")
    client = Scene(Replay(recorded("one", "one"))).client()
    answers(client, "one", "one")
    with pytest.raises(CassetteMiss, match="holds this request 2 times"):
        answers(client, "one")


def test_every_client_starts_at_the_beginning(recorded: Any) -> None:
    """Two replays of one file do not take answers away from each other."""
    path = recorded("one")
    assert answers(Scene(Replay(path)).client(), "one") == answers(
        Scene(Replay(path)).client(), "one"
    )


def test_threads_never_get_the_same_recording_twice(recorded: Any) -> None:
    """Of ten threads that ask ten times the same, each gets an answer of its own."""
    replay = Replay(recorded(*["same"] * 40))
    request = httpx2.Request("POST", URL, content=json.dumps(question("same")).encode())
    bodies: list[bytes] = []
    misses: list[CassetteMiss] = []

    def work() -> None:
        for _ in range(5):
            try:
                bodies.append(replay.reply_to(request, 0.0).body)
            except CassetteMiss as miss:
                misses.append(miss)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(bodies), len(set(bodies)), len(misses)) == (40, 40, 10)


@pytest.mark.parametrize("stream", [False, True])
def test_plain_vcrpy_replays_ours(recorded: Any, stream: bool) -> None:
    """Without labkit the file is still a cassette: vcrpy and a plain client read it."""
    path = recorded("one", stream=stream)
    ours = Scene(Replay(path))
    with vcr.use_cassette(str(path), record_mode="none") as cassette:
        client = anthropic.Anthropic(api_key="none", max_retries=0)
        if stream:
            with client.messages.stream(**question("one")) as answer:
                theirs = answer.get_final_message()
            with ours.client().messages.stream(**question("one")) as answer:
                assert answer.get_final_message().to_dict() == theirs.to_dict()
        else:
            theirs = client.messages.create(**question("one"))
            assert ours.client().messages.create(**question("one")).to_dict() == theirs.to_dict()
        assert cassette.all_played


def test_a_cassette_of_other_makers_is_read_without_timing(tmp_path: Path) -> None:
    """Plain vcrpy files have no times but the server's own, and that is used."""
    body = json.dumps({"type": "message"})
    headers = {"Content-Type": ["application/json"], "X-Envoy-Upstream-Service-Time": ["962"]}
    exchange = {
        "request": {"method": "POST", "uri": URL, "body": "{}", "headers": {}},
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": headers,
            "body": {"string": body},
        },
    }
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [exchange]}))
    tape = read_cassette(path)
    assert tape.replies[0].chunks == ((0.962, body.encode()),)
    assert tape.provenance == {}


def spoil(path: Path, change: Callable[[Any], object]) -> None:
    """Edit a cassette as a tree and write it back."""
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def response_of(document: Any) -> Any:
    """The first response of a cassette."""
    return document["interactions"][0]["response"]


EDITS: dict[str, Callable[[Any], object]] = {
    "no interactions": lambda d: d.pop("interactions"),
    "interactions are a word": lambda d: d.update(interactions="none"),
    "no exchange": lambda d: d.update(interactions=[]),
    "exchange is a number": lambda d: d.update(interactions=[5]),
    "no response": lambda d: d["interactions"][0].pop("response"),
    "response is a list": lambda d: d["interactions"][0].update(response=[1]),
    "request lacks its address": lambda d: d["interactions"][0]["request"].pop("uri"),
    "method is a number": lambda d: d["interactions"][0]["request"].update(method=7),
    "address is a number": lambda d: d["interactions"][0]["request"].update(uri=7),
    "body is a tree": lambda d: d["interactions"][0]["request"].update(body={"a": 1}),
    "body is a list": lambda d: d["interactions"][0]["request"].update(body=[1]),
    "no status": lambda d: response_of(d).pop("status"),
    "status is a word": lambda d: response_of(d).update(status={"code": "good"}),
    "status is far away": lambda d: response_of(d).update(status={"code": 99999}),
    "status is nothing": lambda d: response_of(d).update(status={"code": 0}),
    "headers are a list": lambda d: response_of(d).update(headers=["a"]),
    "a header is a number": lambda d: response_of(d)["headers"].update({"retry-after": [5]}),
    "a header is empty": lambda d: response_of(d)["headers"].update({"retry-after": []}),
    "no body": lambda d: response_of(d).pop("body"),
    "body of an answer is a number": lambda d: response_of(d).update(body={"string": 5}),
    "timing is a word": lambda d: response_of(d).update(timing="soon"),
    "timing has no times": lambda d: response_of(d).update(timing={"ending": "complete"}),
    "one time too many": lambda d: response_of(d)["timing"]["at_s"].append(9.0),
    "times run backwards": lambda d: response_of(d)["timing"]["at_s"].insert(0, 9.0),
    "a time is a word": lambda d: response_of(d)["timing"].update(at_s=["soon"]),
    "a time is true": lambda d: response_of(d)["timing"].update(at_s=[True]),
    "a time is negative": lambda d: response_of(d)["timing"].update(at_s=[-1]),
    "a time is no number": lambda d: response_of(d)["timing"].update(at_s=[float("nan")]),
    "a time is endless": lambda d: response_of(d)["timing"].update(at_s=[float("inf")]),
    "an unknown ending": lambda d: response_of(d)["timing"].update(ending="happy"),
    "an ending that is a list": lambda d: response_of(d)["timing"].update(ending=[]),
    "an end that is a word": lambda d: response_of(d)["timing"].update(ended_s="late"),
    "metadata is a word": lambda d: d.update(metadata="provenance"),
    "metadata is a list": lambda d: d.update(metadata=["provenance"]),
    "provenance is a word": lambda d: d.update(metadata={"provenance": "me"}),
}
REPAIR = (
    r"restore it with `git checkout cassettes`, or make it (anew )?with `labkit record [^`]+`\.$"
)


def assert_broken(path: Path) -> None:
    """The error is one sentence that names the file and the repair, and the file is untouched."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(CassetteBroken, match=REPAIR) as caught:
        Replay(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert len(message) < 300
    assert (path.read_bytes() if path.is_file() else None) == before
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("edit", EDITS)
def test_a_hand_edited_cassette_is_refused(recorded: Any, edit: str) -> None:
    """Whatever no longer fits is one sentence naming the repair."""
    path = recorded("one")
    spoil(path, EDITS[edit])
    assert_broken(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe",
        b"hello",
        b"{}",
        b"[]",
        b"- request: {}\n",
        b"interactions: [",
        b"interactions:\n- request: 'never closed\n",
        b"a: &a [1]\nb: *c\n",
        b"interactions: 2026-13-45\n",
        b"interactions: !!python/object/apply:os.system ['touch owned']\n",
        b"interactions: !!python/name:os.system\n",
        b"interactions:\n- request: !!python/object/new:os.system [touch owned]\n",
        b"version: 1\ninteractions: !weird {}\n",
        b"\x00\x01\x02",
    ],
    ids=lambda content: repr(content[:30]),
)
def test_what_is_no_cassette_is_refused(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty, binary, half a file, tags that would run code: refused, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "05-retry" / "scene.yaml"
    path.parent.mkdir()
    path.write_bytes(content)
    assert_broken(path)
    assert not (tmp_path / "owned").exists()


def test_a_bomb_of_aliases_does_not_explode(tmp_path: Path) -> None:
    """A billion laughs are refused like anything else that is no cassette."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "x.yaml"
    path.write_text("\n".join([*lines, "interactions: *a11", "metadata: *a11"]))
    assert_broken(path)


def test_a_missing_cassette_or_a_folder_is_refused(tmp_path: Path) -> None:
    """What is not there, or is no file, is the same one sentence."""
    assert_broken(tmp_path / "scene.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert_broken(tmp_path / "folder.yaml")


@given(st.data())
def test_a_truncated_cassette_never_plays_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut anywhere, it is refused, or it still holds what it held up to there."""
    path = tmp_path_factory.mktemp("t") / "05-retry" / "scene.yaml"
    recorder = Recorder(path, STORY)
    client = Scene(observers=[recorder.observe]).client()
    answers(client, "one", "two")
    recorder.save()
    whole = read_cassette(path)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        cut = list(read_cassette(path).replies)
    except CassetteBroken:
        cut = []
    assert cut == list(whole.replies)[: len(cut)]

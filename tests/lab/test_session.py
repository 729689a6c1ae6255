"""The bench in its four modes, for the learner who gets something wrong as well."""

from __future__ import annotations

import atexit
import contextvars
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import pytest
import yaml

from labkit.clock import SystemClock, VirtualClock
from labkit.errors import BudgetSpent, CassetteMiss, SocketRefused, TimeUp, UnknownModel, UserError
from labkit.lab.session import Lab
from labkit.layers.retry import Retry
from labkit.sim.faults import Fault
from tests.loopback import Loopback

KEY = "sk-ant-" + "api03-AbC_123-xyz"
ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}
Bench = Callable[..., Lab]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, with nothing of labkit's or the SDK's in the environment."""
    for name in [*os.environ]:
        if name.startswith(("LABKIT_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    for name in ("notebooks", "cassettes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bench(project: Path) -> Iterator[Bench]:
    """Make benches in that project whose guards are opened again."""
    labs: list[Lab] = []

    def make(mode: str | None = None, lesson: str = "05-retry", **options: Any) -> Lab:
        lab = Lab(lesson, mode=mode, **options)
        labs.append(lab)
        return lab

    assert project.is_dir()
    yield make
    for lab in labs:
        lab.guard.open()
        atexit.unregister(lab.close)


@pytest.fixture
def recorded(bench: Bench) -> None:
    """One recorded answer to `ASK`, in the cassette "one"."""
    lab = bench("record")
    lab.client("one").messages.create(**ASK)
    lab.close()


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A simulated API behind a real socket."""
    with Loopback() as server:
        yield server


@pytest.mark.usefixtures("recorded")
def test_replay_is_what_one_gets_without_asking(bench: Bench) -> None:
    """No mode, no key, no network: the recording is played on virtual time."""
    lab = bench()
    assert lab.mode == "replay"
    assert isinstance(lab.clock, VirtualClock)
    assert lab.client("one").messages.create(**ASK).content
    assert lab.ledger.calls[0].latency_s > 0
    assert repr(lab) == (
        "Lab 05-retry · replay of recordings made with the simulator; no key, no network, $0"
    )


@pytest.mark.usefixtures("recorded")
def test_the_environment_chooses_the_mode_and_an_argument_overrules_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LABKIT_MODE first, then what the cell says."""
    monkeypatch.setenv("LABKIT_MODE", "simulate")
    assert bench().mode == "simulate"
    assert bench("replay").mode == "replay"
    monkeypatch.setenv("LABKIT_MODE", "")
    assert bench().mode == "replay"


@pytest.mark.parametrize("mode", ["nonsense", "Replay", "live "])
def test_a_mode_that_does_not_exist_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The message names the four there are, wherever the wrong one came from."""
    with pytest.raises(UserError, match="replay, simulate, record, live"):
        bench(mode)
    monkeypatch.setenv("LABKIT_MODE", mode)
    with pytest.raises(UserError, match="no mode"):
        bench()


def test_an_unknown_lesson_is_refused(bench: Bench) -> None:
    """Replay of a lesson that has no recordings says where the names are."""
    with pytest.raises(UserError, match=r"'06-retry'.*folder cassettes"):
        bench("replay", "06-retry")


@pytest.mark.parametrize("lesson", ["", "..", "../elsewhere", "a/b", "/tmp", ".hidden", "a\nb"])  # noqa: S108
@pytest.mark.parametrize("mode", ["replay", "simulate", "record"])
def test_a_lesson_is_a_name_and_not_a_way(bench: Bench, mode: str, lesson: str) -> None:
    """Nothing is read or written outside of the folder cassettes."""
    with pytest.raises(UserError, match="no name for a lesson"):
        bench(mode, lesson)


def test_a_cassette_is_a_name_and_not_a_way(bench: Bench) -> None:
    """The same for the recording of a scene."""
    with pytest.raises(UserError, match="no name for a cassette"):
        bench("record").client("../one")


@pytest.mark.usefixtures("recorded")
def test_a_key_in_replay_is_ignored_and_said_to_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    """It is in no request, no representation and no file."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    for mode in ("replay", "simulate", "record"):
        lab = bench(mode)
        client = lab.client("one")
        client.messages.create(**ASK)
        lab.close()
        if mode != "record":
            assert "ANTHROPIC_API_KEY is set and ignored" in repr(lab)
        told = [repr(lab), repr(vars(lab)), repr(client), lab.ledger.table().to_csv()]
        assert not any(KEY in text for text in told)
        assert client.api_key != KEY
    assert not any(KEY in path.read_text() for path in project.rglob("*.*") if path.is_file())


@pytest.mark.usefixtures("recorded")
def test_a_gateway_in_the_environment_does_not_disturb_a_replay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another base address, token or header of the learner's changes no request's path."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example/anthropic")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: blue")
    assert bench().client("one").messages.create(**ASK).content


@pytest.mark.usefixtures("recorded")
def test_a_changed_prompt_is_a_miss_through_the_bench(bench: Bench) -> None:
    """With layers, and with the SDK's retries, a miss arrives as itself."""
    changed = {**ASK, "messages": [{"role": "user", "content": "Why do queues shrink?"}]}
    lab = bench()
    with pytest.raises(CassetteMiss, match=r"05-retry/one\.yaml"):
        lab.client("one", layers=[Retry(5)]).messages.create(**changed)

    async def main() -> None:
        await lab.async_client("one", max_retries=5).messages.create(**changed)

    with pytest.raises(CassetteMiss, match="shrink"):
        lab.run(main())
    assert lab.clock.now() == 0
    assert lab.ledger.attempts == []


def test_simulation_needs_nothing(bench: Bench) -> None:
    """No cassettes, no key: the simulated API answers, with the faults asked for."""
    lab = bench("simulate", "anything")
    with pytest.raises(anthropic.OverloadedError):
        lab.client("x", faults=[Fault("overloaded")]).messages.create(**ASK)
    assert "simulated API; no key, no network, $0" in repr(lab)


@pytest.mark.parametrize("name", ["fast", "balanced", "strong"])
def test_models_go_by_role(bench: Bench, name: str) -> None:
    """A role is a model's id."""
    assert bench("simulate").model(name).startswith("claude-")


def test_the_sync_sdks_own_retries_are_refused_where_they_would_really_wait(bench: Bench) -> None:
    """On virtual time only the async client can show them."""
    with pytest.raises(UserError, match=r"lab\.async_client"):
        bench("simulate").client("x", max_retries=2)


@pytest.mark.parametrize("option", ["middleware", "http_client", "open_telemetry", "api_key"])
def test_options_that_leave_the_bench_are_refused(bench: Bench, option: str) -> None:
    """A client without ledger, budget or recording would be no client of this bench."""
    lab = bench("simulate")
    options: Any = {option: None}
    for make in (lab.client, lab.async_client):
        with pytest.raises(UserError, match=f"sets {option} itself"):
            make("x", **options)


def test_async_scenes_run_on_virtual_time(bench: Bench) -> None:
    """The SDK's own retries cost no real time, and context reaches the coroutine."""
    lab = bench("simulate")
    name = contextvars.ContextVar[str]("name")
    name.set("Ada")

    async def main() -> str:
        client = lab.async_client("x", faults=[Fault("silence", first=1)])
        await client.messages.create(**ASK)
        return name.get()

    assert lab.run(main()) == "Ada"
    assert lab.clock.now() > 600
    assert [row.attempts for row in lab.ledger.calls] == [2]


def test_a_hand_made_client_on_virtual_time_is_refused_in_one_sentence(bench: Bench) -> None:
    """What the SDK would call a connection error says what it is."""
    lab = bench("simulate")

    async def main() -> None:
        async with anthropic.AsyncAnthropic(api_key="x") as client:
            await client.messages.create(**ASK)

    with pytest.raises(SocketRefused, match="use the simulated API or a cassette"):
        lab.run(main())


def test_a_scene_can_be_given_an_end(bench: Bench) -> None:
    """`until` ends a scene that would go on for ever."""
    lab = bench("simulate")

    async def main() -> None:
        await lab.async_client("x", faults=[Fault("silence")]).messages.create(**ASK)

    with pytest.raises(TimeUp):
        lab.run(main(), until=100)


@pytest.mark.parametrize("mode", ["live", "record"])
def test_the_real_api_needs_a_key_and_a_budget(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Each is asked for by name, before anything is sent."""
    monkeypatch.setenv("LABKIT_RECORD_FROM", "api")
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY"):
        bench(mode, budget=1)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with pytest.raises(UserError, match="LABKIT_BUDGET"):
        bench(mode)
    for nonsense in (0, -1, float("nan"), float("inf"), "much", "0,50", True):
        with pytest.raises(UserError, match="give a budget in dollars"):
            bench(mode, budget=nonsense)
    monkeypatch.setenv("LABKIT_BUDGET", "a little")
    with pytest.raises(UserError, match="give a budget in dollars"):
        bench(mode)
    monkeypatch.setenv("LABKIT_BUDGET", "0.25")
    lab = bench(mode)
    assert lab.budget is not None
    assert (lab.budget.limit, isinstance(lab.clock, SystemClock)) == (Decimal("0.25"), True)
    assert repr(lab) == f"Lab 05-retry · {mode} with the real API"


def test_live_stays_within_its_budget(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, server: Loopback
) -> None:
    """What could cross it is refused, and the server never hears of it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    lab = bench("live", budget=0.0001)
    with lab.client("x", base_url=server.url) as client:
        client.messages.create(**ASK)
        assert lab.budget is not None
        assert lab.budget.spent == lab.ledger.total() > 0
        with pytest.raises(BudgetSpent):
            client.messages.create(**{**ASK, "max_tokens": 10_000})
    assert len(server.requests) == 1
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_error_of_a_live_coroutine_arrives(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, server: Loopback
) -> None:
    """What goes wrong on the real loop is raised as it is."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    lab = bench("live", budget=1)

    async def main() -> None:
        async with lab.async_client("x", base_url=server.url, max_retries=0) as client:
            await client.messages.create(**{**ASK, "model": "claude-9"})

    with pytest.raises(UnknownModel, match="claude-9"):
        lab.run(main())


def performance(lab: Lab, url: str) -> list[Any]:
    """Plain, streamed, retried and broken off: sync first, then async."""
    seen: list[Any] = []
    options: dict[str, Any] = {"base_url": url, "default_headers": {"x-team": "blue"}}
    with lab.client("sync", layers=[Retry(3, seed=1)], **options) as client:
        seen.append(client.messages.create(**ASK).to_dict())
        with client.messages.stream(**ASK) as stream:
            seen.append(stream.get_final_message().to_dict())

    async def main() -> None:
        async with lab.async_client("async", layers=[Retry(3, seed=1)], **options) as client:
            seen.append((await client.messages.create(**ASK)).to_dict())
            async with client.messages.stream(**ASK) as stream:
                try:
                    seen.append((await stream.get_final_message()).to_dict())
                except Exception as error:
                    seen.append(type(error).__name__)

    lab.run(main())
    return seen


def test_recording_from_the_real_api_end_to_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, project: Path, server: Loopback
) -> None:
    """Over real sockets: times, secrets, budget and replay all fit together."""
    server.script = ["529", "", "", "", "cut"]
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("LABKIT_RECORD_FROM", "api")
    lab = bench("record", budget=1)
    live = performance(lab, server.url)
    lab.close()
    assert lab.budget is not None
    assert 0 < lab.ledger.total() < lab.budget.spent < lab.budget.limit
    folder = project / "cassettes" / "05-retry"
    for name in ("sync", "async"):
        text = (folder / f"{name}.yaml").read_text()
        for secret in (KEY, server.ORGANISATION, server.SIGNATURE, "session=1", "blue"):
            assert secret not in text
        story = yaml.safe_load(text)["metadata"]["provenance"]
        assert story["answered_by"] == "the real Claude API"
        assert story["models"] == [ASK["model"]]

    monkeypatch.delenv("ANTHROPIC_API_KEY")
    again = bench("replay")
    assert repr(again).startswith("Lab 05-retry · replay of recordings of the real API")
    replayed = performance(again, server.url)
    scrubbed = json.dumps(live).replace(server.SIGNATURE, "scrubbed")
    assert json.dumps(replayed) == scrubbed.replace(server.ORGANISATION, "scrubbed")
    assert len(server.requests) == 5
    one, other = lab.ledger.attempts, again.ledger.attempts
    assert (
        [a.label for a in other] == [a.label for a in one] == ["529", "200", "200", "200", "reset"]
    )
    for a, b in zip(one, other, strict=True):
        assert b.end_s - b.start_s == pytest.approx(a.end_s - a.start_s, abs=0.0021)
    calls = [
        (row.input_tokens, row.output_tokens, row.cost_usd, row.attempts)
        for row in lab.ledger.calls
    ]
    assert calls == [
        (row.input_tokens, row.output_tokens, row.cost_usd, row.attempts)
        for row in again.ledger.calls
    ]


def test_a_bench_writes_each_recording_once(bench: Bench, project: Path) -> None:
    """Closing twice, as a cell and the kernel's end do, changes nothing."""
    lab = bench("record")
    lab.client("one").messages.create(**ASK)
    lab.close()
    path = project / "cassettes" / "05-retry" / "one.yaml"
    before = path.stat().st_mtime_ns
    lab.close()
    assert path.stat().st_mtime_ns == before


def test_while_staging_a_bench_leaves_a_marker_until_it_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever runs the notebook can tell whether all of it was written, and what it cost."""
    staging = tmp_path / "staging"
    staging.mkdir()
    monkeypatch.setenv("LABKIT_STAGING", str(staging))
    monkeypatch.setenv("LABKIT_RECORD_FROM", "api")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    lab = bench("record", budget=1)
    assert [path.suffix for path in staging.iterdir()] == [".open"]
    with pytest.raises(UserError, match="one Lab in a notebook"):
        bench("record", budget=1)
    lab.close()
    (marker,) = staging.iterdir()
    assert (marker.suffix, marker.read_text()) == (".closed", "0")

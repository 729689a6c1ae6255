"""The same seed and the same requests give the same log, byte for byte, at all three doors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from anthropic import Anthropic

from labkit.catalog import model
from labkit.clock import VirtualClock
from labkit.flow import Flow, Outcome, Request, Send
from labkit.sim.core import SimulatedApi
from labkit.sim.engine import Engine
from labkit.sim.fleet import Fleet
from labkit.sim.prefix import read_prefix
from labkit.sim.rows import Kept
from labkit.sim.traffic import Arrival
from labkit.sim.transport import ReplyTransport, Simulated
from tests.sim.engine_log import parse
from tests.sim.one_script import FAULTS, asks, send, small_limits
from tests.sim.serving import Serving

GOLDEN = Path(__file__).with_name("engine_log_of_seed_7.txt")
PATHS = {
    "count": "/v1/messages/count_tokens",
    "batch": "/v1/messages/batches",
}


class Told(NamedTuple):
    """What went through a door: the log, and each request as a decision's sizes, or as a path."""

    log: list[str]
    requests: list[Arrival | tuple[float, str, str]]


@pytest.fixture(autouse=True)
def _small_limits() -> Iterator[None]:
    with small_limits():
        yield


def through_the_transport(seed: int) -> Told:
    """Tell the script in-process: the SDK on a virtual clock."""
    log: list[str] = []
    api, clock = SimulatedApi(seed=seed, faults=FAULTS, log=log.append), VirtualClock()
    http = httpx2.Client(transport=ReplyTransport(Simulated(api), clock))
    client = Anthropic(api_key="k", max_retries=0, http_client=http)
    told = Told(log, [])
    for how, body in asks():
        now = clock.now()
        send(client, how, body)
        decided = api.engine.decided
        if decided is None:
            path = PATHS.get(how, "/v1/messages")
            told.requests.append((now, str(body["model"]) if how != "batch" else "", path))
            continue
        prefix = read_prefix(body, model(body["model"]).id) if decided.cached else None
        sizes = (decided.prompt_tokens, decided.output_tokens, int(body["max_tokens"]))
        told.requests.append(Arrival(now, str(body["model"]), *sizes, prefix=prefix))
    return told


def over_http(seed: int) -> list[str]:
    """Tell the script over a loopback socket, to a server that waits for nothing."""
    log: list[str] = []
    with Serving(seed=seed, faults=FAULTS) as serving:
        serving.door.api.engine.log = log.append
        client = Anthropic(api_key="k", max_retries=0, base_url=serving.url)
        for how, body in asks():
            send(client, how, body)
        client.close()
    return log


def through_the_fleet(seed: int, told: Told) -> list[str]:
    """Tell the same sizes at the same times to the engine of a fleet."""
    log: list[str] = []
    engine = Engine(seed=seed, faults=FAULTS, log=log.append)

    def traffic() -> Iterator[Arrival]:
        for request in told.requests:
            if isinstance(request, Arrival):
                yield request
            else:  # no answer was asked of a model, but the request is counted all the same
                now, name, path = request
                engine.strike(now, model_name=name, path=path)

    Fleet([], engine, Kept()).run(traffic())
    return log


def test_all_three_doors_write_the_same_log() -> None:
    """In-process, over HTTP and in a fleet."""
    told = through_the_transport(7)
    assert over_http(7) == told.log
    assert through_the_fleet(7, told) == told.log


def test_another_seed_writes_another_log() -> None:
    """At every door."""
    seven, eight = through_the_transport(7), through_the_transport(8)
    assert seven.log != eight.log
    assert over_http(8) == eight.log
    assert through_the_fleet(8, seven) != seven.log


def test_the_log_is_the_one_that_is_kept(tmp_path: Path) -> None:
    """Whatever the machine and the version of Python; new decisions are kept on purpose only."""
    ours = tmp_path / GOLDEN.name
    ours.write_text("".join(f"{line}\n" for line in through_the_transport(7).log))
    same = ours.read_bytes() == GOLDEN.read_bytes()
    assert same, f"the engine decides differently now; if it is meant to, keep {ours}"


def test_the_script_meets_what_it_is_to_meet() -> None:
    """Faults, every limit, reads and writes of both lifetimes."""
    log = [parse(line) for line in through_the_transport(7).log]
    assert {line.fault for line in log} == {"-", *(fault.kind for fault in FAULTS)}
    assert {line.refused for line in log} == {"-", "requests", "input_tokens", "output_tokens"}
    served = [line for line in log if line.refused == "-"]
    assert any(line.read for line in served)
    assert any(line.written_5m for line in served)
    assert any(line.written_1h for line in served)


class Elsewhere:
    """A layer that asks another model, once it has asked the one that was meant."""

    def flow(self, request: Request) -> Flow:
        """Ask both."""
        yield Send(request)
        other = {**request.body, "model": "claude-haiku-5-5"}
        outcome: Outcome = yield Send(request.replace(body=other))
        return outcome


def test_a_fleet_uses_the_prompt_cache_for_the_model_that_was_meant() -> None:
    """A prompt sent to another model pays in full there, since nothing is kept across models."""
    _, body = next(each for each in asks() if "system" in each[1])
    log: list[str] = []
    prefix = read_prefix(body, "claude-sonnet-5-5")
    calls = [Arrival(at, body["model"], prefix.tokens, 9, prefix=prefix) for at in (0.0, 20.0)]
    Fleet([Elsewhere()], Engine(log=log.append, tier=None), Kept()).run(calls)
    lines = [parse(line) for line in log]
    assert [line.model for line in lines] == ["claude-sonnet-5-5", "claude-haiku-5-5"] * 2
    assert [line.read > 0 for line in lines] == [False, False, True, False]
    assert [line.uncached == prefix.tokens for line in lines] == [False, True, False, True]

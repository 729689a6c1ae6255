"""The life of a batch: what it shows at which time, and that no row is ever lost."""

from __future__ import annotations

import gc
import json
import weakref
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from labkit.recorded.exchange import exchanges
from labkit.recorded.tolerant_yaml import read_yaml
from labkit.sim.batch import Batch
from labkit.sim.batch_script import BatchPace, BatchScript
from labkit.sim.batches import BATCH_LIMITS, BatchLimits, BatchStore
from labkit.sim.problem import ApiError

HOUR, DAY = 3600.0, 86_400.0
RECORDING = Path("../shared/recordings/ruby_llm--batch_create_poll_results.yml")
GOOD = {
    "model": "claude-haiku-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is 2 + 2?"}],
}
BAD = {**GOOD, "model": "claude-9"}
OUTCOMES = ("succeeded", "errored", "canceled", "expired")
NEVER = BatchPace(start_s=2 * DAY)
"""A pace at which nothing gets through in a day."""


def answer(params: Mapping[str, Any], custom_id: str) -> dict[str, Any]:
    """A message as the core would make it for a row."""
    return {
        "id": f"msg_{custom_id}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": [{"type": "text", "text": "4"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 5,
            "service_tier": "standard",
            "inference_geo": "global",
        },
    }


def rows(count: int, params: Mapping[str, Any] = GOOD) -> dict[str, Any]:
    """A creation body with rows 0, 1, ..."""
    return {"requests": [{"custom_id": str(place), "params": params} for place in range(count)]}


def ok(found: dict[str, Any] | ApiError) -> dict[str, Any]:
    """What is no error."""
    assert not isinstance(found, ApiError), found
    return found


def lines(store: BatchStore, batch_id: str, now: float) -> list[dict[str, Any]]:
    """The results, read."""
    found = store.results(batch_id, now)
    assert not isinstance(found, ApiError), found
    return [json.loads(line) for line in found]


def kinds(results: list[dict[str, Any]]) -> Counter[str]:
    """How many results there are of each type."""
    return Counter(line["result"]["type"] for line in results)


def tally(batch: Mapping[str, Any]) -> Counter[str]:
    """The counts of a batch, without those that are zero."""
    return +Counter(batch["request_counts"])


def test_a_batch_shows_nothing_until_it_ends_and_then_everything() -> None:
    """Counts stay in processing, the address of the results null, until the whole batch ends."""
    store = BatchStore(answer)
    batch = ok(store.create(rows(3), 0.0, origin="http://127.0.0.1:8000"))
    assert batch["processing_status"] == "in_progress"
    assert batch["expires_at"] == "2026-11-23T00:00:00.000000+00:00"
    early = ok(store.retrieve(batch["id"], 20.0))
    assert (tally(early), early["results_url"]) == (Counter(processing=3), None)
    late = ok(store.retrieve(batch["id"], HOUR, origin="http://127.0.0.1:8000"))
    assert late["processing_status"] == "ended"
    assert tally(late) == Counter(succeeded=3)
    assert late["results_url"] == (
        f"http://127.0.0.1:8000/v1/messages/batches/{batch['id']}/results"
    )
    assert batch["id"].startswith("msgbatch_sim")
    assert len(batch["id"]) == len("msgbatch_") + 24


def test_usage_of_an_answer_says_batch() -> None:
    """The service tier of every succeeded row is that of batches."""
    store = BatchStore(answer)
    batch = ok(store.create(rows(2), 0.0))
    found = lines(store, batch["id"], HOUR)
    tiers = {line["result"]["message"]["usage"]["service_tier"] for line in found}
    assert tiers == {"batch"}


def test_a_bad_row_shows_only_at_the_end_and_its_error_is_nested_twice() -> None:
    """Creation takes a row that cannot be answered; its result says why."""
    store = BatchStore(answer)
    body = rows(2)
    body["requests"].append({"custom_id": "bad", "params": BAD})
    body["requests"].append({"custom_id": "streamed", "params": {**GOOD, "stream": True}})
    batch = ok(store.create(body, 0.0))
    assert tally(ok(store.retrieve(batch["id"], HOUR))) == Counter(succeeded=2, errored=2)
    results = {line["custom_id"]: line["result"] for line in lines(store, batch["id"], HOUR)}
    error = results["bad"]["error"]
    assert results["bad"]["type"] == "errored"
    assert error["type"] == "error"
    assert error["error"] == {"type": "not_found_error", "message": "model: claude-9"}
    assert error["request_id"].startswith("req_sim")
    assert results["streamed"]["error"]["error"]["type"] == "invalid_request_error"


@given(st.integers(2, 40), st.integers(0, 1000))
def test_results_never_come_in_the_order_of_the_request(count: int, seed: int) -> None:
    """Whatever the seed, the lines are shuffled; the same seed shuffles them alike."""
    stores = [BatchStore(answer, seed=seed) for _ in range(2)]
    orders = []
    for store in stores:
        batch = ok(store.create(rows(count), 0.0))
        orders.append([line["custom_id"] for line in lines(store, batch["id"], DAY)])
    assert orders[0] == orders[1]
    assert orders[0] != [str(place) for place in range(count)]
    assert sorted(orders[0], key=int) == [str(place) for place in range(count)]


def test_results_are_made_one_at_a_time() -> None:
    """Reading three lines of a large batch makes three answers."""
    made: list[str] = []

    def counted(params: Mapping[str, Any], custom_id: str) -> dict[str, Any]:
        made.append(custom_id)
        return answer(params, custom_id)

    store = BatchStore(counted)
    batch = ok(store.create(rows(5000), 0.0))
    found = store.results(batch["id"], DAY)
    assert not isinstance(found, ApiError)
    assert len(list(islice(found, 3))) == len(made) == 3


def test_what_is_through_at_a_cancellation_is_kept() -> None:
    """A canceled batch ends a little later with some rows succeeded and the rest canceled."""
    store = BatchStore(answer, pace=BatchPace(start_s=0.0, rows_per_s=1.0, sigma=0.0))
    batch = ok(store.create(rows(100), 0.0))
    canceled = ok(store.cancel(batch["id"], 30.0))
    assert canceled["processing_status"] == "canceling"
    assert canceled["cancel_initiated_at"] == "2026-11-22T00:00:30.000000+00:00"
    assert tally(canceled) == Counter(processing=100)
    assert ok(store.cancel(batch["id"], 31.0)) == canceled
    ended = ok(store.retrieve(batch["id"], 99.0))
    assert ended["processing_status"] == "ended"
    assert tally(ended) == Counter(succeeded=30, canceled=70)
    assert kinds(lines(store, batch["id"], 99.0)) == tally(ended)


def test_looking_at_a_batch_that_is_being_canceled_changes_nothing() -> None:
    """Rows that would have erred after the cancellation are canceled, whoever looked meanwhile."""
    pace = BatchPace(start_s=0.0, rows_per_s=10.0, sigma=0.0)
    store = BatchStore(answer, pace=pace)
    batch = ok(store.create(rows(100, BAD), 0.0))
    ok(store.cancel(batch["id"], 3.0))
    assert ok(store.retrieve(batch["id"], 9.0))["processing_status"] == "canceling"
    ended = ok(store.retrieve(batch["id"], HOUR))
    assert tally(ended) == Counter(errored=30, canceled=70)


def test_archived_rows_are_let_go() -> None:
    """Once its results are archived a batch no longer holds its rows in memory."""

    class Rows(list[dict[str, Any]]):
        """A list that can be watched."""

    store = BatchStore(answer)
    listed = Rows(rows(3)["requests"])
    watched = weakref.ref(listed)
    batch_id = ok(store.create({"requests": listed}, 0.0))["id"]
    del listed
    ok(store.retrieve(batch_id, 29 * DAY - 1))
    gc.collect()
    assert watched() is not None
    ok(store.retrieve(batch_id, 29 * DAY))
    gc.collect()
    assert watched() is None


def test_what_is_not_through_after_a_day_expires() -> None:
    """At 24 hours a slow batch ends, the rest of its rows expired."""
    store = BatchStore(answer, pace=BatchPace(start_s=0.0, rows_per_s=40 / DAY, sigma=0.0))
    batch = ok(store.create(rows(50), 0.0))
    assert ok(store.retrieve(batch["id"], DAY - 1))["processing_status"] == "in_progress"
    ended = ok(store.retrieve(batch["id"], DAY))
    assert ended["ended_at"] == ended["expires_at"]
    assert tally(ended) == Counter(succeeded=40, expired=10)
    assert kinds(lines(store, batch["id"], DAY)) == tally(ended)


def test_scripted_rows_fail_as_told() -> None:
    """A share of the rows errs with the given error, a share expires when the day is over."""
    script = BatchScript(errored=0.25, expired=0.1, error=ApiError(529, "overloaded_error", "Oh"))
    store = BatchStore(answer, script=script)
    batch = ok(store.create(rows(1000), 0.0))
    assert ok(store.retrieve(batch["id"], DAY - 1))["processing_status"] == "in_progress"
    found = lines(store, batch["id"], DAY)
    assert kinds(found)["expired"] == 100
    assert 150 < kinds(found)["errored"] < 300
    assert kinds(found) == tally(ok(store.retrieve(batch["id"], DAY)))
    errors = [line["result"]["error"]["error"] for line in found if "error" in line["result"]]
    assert {error["type"] for error in errors} == {"overloaded_error"}


def test_a_fresh_batch_may_be_hidden_for_a_while() -> None:
    """For the first seconds a batch is not found, as has happened on the real API."""
    store = BatchStore(answer, script=BatchScript(hidden_s=5.0))
    batch = ok(store.create(rows(1), 10.0))
    missing = store.retrieve(batch["id"], 14.9)
    assert isinstance(missing, ApiError)
    assert (missing.status, missing.type) == (404, "not_found_error")
    assert ok(store.retrieve(batch["id"], 15.0))["id"] == batch["id"]


def test_results_are_archived_after_29_days() -> None:
    """From then on the batch is still shown, counts and all, without results."""
    store = BatchStore(answer)
    batch = ok(store.create(rows(2), 0.0))
    last = 29 * DAY
    running = store.results(batch["id"], last - 1)
    archived = ok(store.retrieve(batch["id"], last))
    assert (archived["archived_at"], archived["results_url"]) == (
        "2026-12-21T00:00:00.000000+00:00",
        None,
    )
    assert tally(archived) == Counter(succeeded=2)
    gone = store.results(batch["id"], last)
    assert isinstance(gone, ApiError)
    assert gone.status == 404
    assert not isinstance(running, ApiError)
    assert len(list(running)) == 2


def test_only_an_ended_batch_can_be_deleted_and_only_a_running_one_canceled() -> None:
    """What comes too early or too late is a 400; a deleted batch is gone."""
    store = BatchStore(answer)
    batch_id = ok(store.create(rows(1), 0.0))["id"]
    early = [store.delete(batch_id, 1.0), store.results(batch_id, 1.0)]
    late = store.cancel(batch_id, HOUR)
    for refused in [*early, late]:
        assert isinstance(refused, ApiError)
        assert refused.status == 400
    deleted = {"id": batch_id, "type": "message_batch_deleted"}
    assert store.delete(batch_id, HOUR) == deleted
    again = store.retrieve(batch_id, HOUR)
    assert isinstance(again, ApiError)
    assert again.status == 404


def test_a_body_that_is_no_batch_is_refused() -> None:
    """Creation judges the list of rows."""
    refused = BatchStore(answer).create({"requests": []}, 0.0)
    assert isinstance(refused, ApiError)
    assert refused.status == 400


def test_batches_are_listed_newest_first_by_the_page() -> None:
    """A page holds whole batch objects, and the next one goes on where it ended."""
    store = BatchStore(answer)
    made = [ok(store.create(rows(1), float(place)))["id"] for place in range(3)]
    first = ok(store.page({"limit": ["2"]}, 10.0))
    assert [batch["id"] for batch in first["data"]] == made[:0:-1]
    assert first["has_more"]
    assert first["data"][0] == ok(store.retrieve(made[2], 10.0))
    rest = ok(store.page({"limit": ["2"], "after_id": [first["last_id"]]}, 10.0))
    assert [batch["id"] for batch in rest["data"]] == made[:1]
    assert isinstance(store.page({"limit": ["0"]}, 10.0), ApiError)


def test_the_queue_is_limited_until_rows_get_through() -> None:
    """Rows that wait count against the queue, rows that are through do not."""
    store = BatchStore(answer, limits=BatchLimits(requests=1000, queue=100))
    ok(store.create(rows(60), 0.0))
    refused = store.create(rows(60), 1.0)
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.type) == (429, "rate_limit_error")
    assert ok(store.create(rows(40), 1.0))
    assert ok(store.create(rows(60), HOUR))


def test_calls_are_limited_by_the_minute() -> None:
    """The thousand and first call of a moment has to wait, and says how long."""
    store = BatchStore(answer)
    assert all(store.admit(0.0) is None for _ in range(BATCH_LIMITS["start"].requests))
    refused = store.admit(0.0)
    assert refused is not None
    assert (refused.status, refused.retry_after) == (429, 1)
    assert store.admit(1.0) is None
    assert BatchStore(answer, limits=None).admit(0.0) is None


def test_durations_are_those_assumed() -> None:
    """The recorded 126 s lie amid the durations of two rows, an hour above most of 100,000."""
    ended: dict[int, list[float]] = {2: [], 100_000: []}
    for count, times in ended.items():
        listed = [{"custom_id": "same", "params": GOOD}] * count
        for seed in range(200):
            how: Any = {"seed": seed, "pace": BatchPace(), "script": BatchScript()}
            times.append(Batch(1, listed, 0.0, check=lambda _: None, **how).ended)
    assert 80 < sum(time < 126.0 for time in ended[2]) < 150
    assert sum(time < HOUR for time in ended[100_000]) > 150


def keys(value: object, path: str = "") -> set[str]:
    """Give the paths of all members of nested objects."""
    found = {path}
    if isinstance(value, dict):
        for name, member in value.items():
            found |= keys(member, f"{path}.{name}")
    return found


@pytest.mark.skipif(not RECORDING.exists(), reason="../shared/recordings is not here")
def test_objects_and_result_lines_have_the_recorded_fields() -> None:
    """Batch objects in progress and ended, and succeeded lines, have exactly the real keys."""
    real = [found for found in exchanges(read_yaml(RECORDING.read_text())) or [] if found]
    store = BatchStore(answer)
    created = ok(store.create(dict(real[0].request), 0.0))
    ended = ok(store.retrieve(created["id"], HOUR))
    recorded_ended = json.loads(str(real[-2].body))
    assert keys(created) == keys(json.loads(str(real[0].body)))
    assert keys(ended) == keys(recorded_ended)
    assert tally(ended) == tally(recorded_ended)
    recorded_lines = [json.loads(line) for line in str(real[-1].body).splitlines()]
    ours = lines(store, created["id"], HOUR)
    assert {line["custom_id"] for line in ours} == {line["custom_id"] for line in recorded_lines}
    assert keys(ours[0]) == keys(recorded_lines[0])


class BatchLife(RuleBasedStateMachine):
    """Any sequence of operations at any times: rows are conserved and what has ended stays."""

    batches = Bundle("batches")

    @initialize(
        seed=st.integers(0, 99),
        errored=st.sampled_from([0.0, 0.3, 1.0]),
        expired=st.sampled_from([0.0, 0.3, 1.0]),
        pace=st.sampled_from([BatchPace(), BatchPace(5.0, 0.01), BatchPace(1.0, 0.5), NEVER]),
    )
    def begin(self, seed: int, errored: float, expired: float, pace: BatchPace) -> None:
        """Start with an empty store."""
        script = BatchScript(errored=errored, expired=expired)
        self.store = BatchStore(answer, seed=seed, pace=pace, script=script)
        self.now = 0.0
        self.ids: dict[str, set[str]] = {}
        self.final: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.status: dict[str, int] = {}

    @rule(seconds=st.sampled_from([0.0, 1.0, 60.0, 600.0, HOUR, DAY, 10 * DAY]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(target=batches, bad=st.lists(st.booleans(), min_size=1, max_size=12))
    def create(self, bad: list[bool]) -> str:
        """Create a batch with good and bad rows."""
        requests: list[dict[str, Any]] = [
            {"custom_id": f"row-{place}", "params": BAD if wrong else GOOD}
            for place, wrong in enumerate(bad)
        ]
        batch = ok(self.store.create({"requests": requests}, self.now))
        assert batch["id"] not in self.ids
        self.ids[batch["id"]] = {row["custom_id"] for row in requests}
        return str(batch["id"])

    @rule(batch_id=batches)
    def cancel(self, batch_id: str) -> None:
        """Cancel a batch: it is refused exactly when it has ended."""
        before = ok(self.store.retrieve(batch_id, self.now))
        found = self.store.cancel(batch_id, self.now)
        assert isinstance(found, ApiError) == (before["processing_status"] == "ended")

    @rule(target=batches, batch_id=consumes(batches))
    def delete(self, batch_id: str) -> Any:
        """Delete a batch: it works exactly when it has ended."""
        before = ok(self.store.retrieve(batch_id, self.now))
        found = self.store.delete(batch_id, self.now)
        assert isinstance(found, ApiError) == (before["processing_status"] != "ended")
        if isinstance(found, ApiError):
            return batch_id
        del self.ids[batch_id]
        assert isinstance(self.store.retrieve(batch_id, self.now), ApiError)
        return multiple()

    @invariant()
    def rows_are_conserved(self) -> None:
        """Every batch accounts for each of its rows once, and its status never goes back."""
        for batch_id, ids in getattr(self, "ids", {}).items():
            batch = ok(self.store.retrieve(batch_id, self.now))
            counts = batch["request_counts"]
            assert sum(counts.values()) == len(ids)
            step = ("in_progress", "canceling", "ended").index(batch["processing_status"])
            assert step >= self.status.get(batch_id, 0)
            self.status[batch_id] = step
            found = self.store.results(batch_id, self.now)
            if step < 2:
                assert isinstance(found, ApiError)
                assert counts["processing"] == len(ids)
            elif batch["archived_at"] is None:
                assert not isinstance(found, ApiError)
                self.check_results(batch, ids, [json.loads(line) for line in found])

    def check_results(
        self, batch: dict[str, Any], ids: set[str], found: list[dict[str, Any]]
    ) -> None:
        """Compare results with the batch, and both with what they were before."""
        assert Counter(line["custom_id"] for line in found) == Counter(ids)
        assert kinds(found) == tally(batch)
        assert set(kinds(found)) <= set(OUTCOMES)
        assert self.final.setdefault(batch["id"], batch) == batch
        assert self.lines.setdefault(batch["id"], found) == found

    @invariant()
    def the_list_is_complete(self) -> None:
        """The list shows every batch that has not been deleted, newest first."""
        if hasattr(self, "ids"):
            found = ok(self.store.page({"limit": ["1000"]}, self.now))["data"]
            assert [batch["id"] for batch in found] == list(reversed(self.ids))


BatchLife.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
TestBatchLife = BatchLife.TestCase

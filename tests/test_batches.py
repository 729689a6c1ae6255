"""A batch job from rows to results, in-process: what it sends, keeps, repeats and never repeats."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.batches import BatchJob
from labkit.errors import BudgetSpent, UserError
from labkit.layers.budget import Budget
from labkit.layers.retry import Retry
from labkit.sim.batches import BatchLimits
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.batching import Bench, Trick, creates, row, rows


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A simulated API and a folder for the job."""
    return Bench(tmp_path)


def once_each(bench: Bench, count: int) -> None:
    """See that the finished job has every row once, and that the simulator billed it once."""
    with bench.job() as job:
        found = list(job.results())
        assert [line["custom_id"] for line in found] == [f"row-{place}" for place in range(count)]
        asked, dollars = bench.billed()
        assert asked == Counter(f"What is {place} + 2?" for place in range(count))
        assert job.bill() == dollars > 0


def test_every_row_has_its_own_answer_although_they_come_in_any_order(bench: Bench) -> None:
    """Results are joined by custom_id: each answer is to what its row asked."""
    answer = bench.api.batches.answer

    def echo(params: Any, custom_id: str) -> dict[str, Any]:
        said = [{"type": "text", "text": params["messages"][0]["content"]}]
        return {**answer(params, custom_id), "content": said}

    bench.api.batches.answer = echo
    with bench.job(most_rows=40) as job:
        assert job.give(rows(100)) == 100
        assert job.run().kinds == {"succeeded": 100}
        texts = [line["result"]["message"]["content"][0]["text"] for line in job.results()]
    assert texts == [f"What is {place} + 2?" for place in range(100)]
    assert bench.batches == 3
    once_each(bench, 100)


def test_only_rows_that_failed_for_a_passing_reason_are_sent_again(tmp_path: Path) -> None:
    """Errored rows go out anew, an invalid one and the answered ones never."""
    bench = Bench(tmp_path, faults=[Fault("batch_row_errored", share=0.2)])
    with bench.job(attempts=20) as job:
        job.give([*rows(60), row("bad", model="claude-9"), row("worse", temperature=7)])
        assert job.run().kinds == {"succeeded": 60, "errored": 2}
        kinds = {line["custom_id"]: line["result"] for line in job.results()}
    for name in ("bad", "worse"):
        assert kinds[name]["error"]["error"]["type"] in ("invalid_request_error", "not_found_error")
    sent = Counter(
        each["custom_id"].rpartition("-")[2]
        for batch in bench.api.batches._batches.values()
        for each in batch.rows
    )
    assert (sent["61"], sent["62"]) == (1, 1)
    assert 62 < sent.total() < 120
    assert max(bench.billed()[0].values()) == 1


def test_rows_that_expired_are_sent_again_until_their_attempts_are_used_up(tmp_path: Path) -> None:
    """Each batch holds only what expired in the one before."""
    bench = Bench(tmp_path, faults=[Fault("batch_row_expired", share=0.4)])
    with bench.job(attempts=3, poll_s=7200.0) as job:
        job.give(rows(10))
        assert job.run().kinds == {"succeeded": 9, "expired": 1}
    assert [batch.size for batch in bench.api.batches._batches.values()] == [10, 4, 2]


def test_a_row_that_goes_on_failing_is_given_up(tmp_path: Path) -> None:
    """After so many attempts its last error is its result."""
    bench = Bench(tmp_path, faults=[Fault("batch_row_errored", share=1.0)])
    with bench.job(attempts=3) as job:
        job.give(rows(2))
        assert job.run().kinds == {"errored": 2}
        assert [line["result"]["error"]["error"]["type"] for line in job.results()] == [
            "api_error"
        ] * 2
    assert bench.batches == 3


def test_a_refusal_is_an_answer_and_is_not_asked_again(bench: Bench) -> None:
    """A row that the model refused has succeeded as far as the batch is concerned."""

    def refusing(params: Any, custom_id: str) -> dict[str, Any]:
        message = answer(params, custom_id)
        usage = {**message["usage"], "output_tokens": 0}
        return {**message, "content": [], "usage": usage, "stop_reason": "refusal"}

    answer = bench.api.batches.answer
    bench.api.batches.answer = refusing
    with bench.job() as job:
        job.give(rows(3))
        assert job.run().kinds == {"succeeded": 3}
        assert job.bill() == 0  # it comes before any output
    assert bench.batches == 1


def test_a_batch_that_is_not_found_at_first_is_waited_for(tmp_path: Path) -> None:
    """A 404 after creation is no reason to send the rows again."""
    bench = Bench(tmp_path, faults=[Fault("batch_not_found_yet", lasts=30)])
    with bench.job(poll_s=5.0) as job:
        job.give(rows(5))
        job.run()
    assert bench.batches == 1
    once_each(bench, 5)


def test_trouble_that_lasts_is_told_and_nothing_is_lost(bench: Bench) -> None:
    """A batch that stays missing ends the run; when it is back, the job goes on."""
    gone = Reply(404, {"content-type": "application/json"}, ((0.0, b'{"type":"error"}'),))
    bench.trick = lambda request, ask: (
        gone if request.method == "GET" and "msgbatch" in str(request.url) else ask()
    )
    with bench.job(patience_s=3600) as job:
        job.give(rows(4))
        with pytest.raises(anthropic.NotFoundError):
            job.run()
    bench.trick = None
    with bench.job() as job:
        job.run()
    once_each(bench, 4)


def lost_answer(times: int, error: Exception, *, arrives: bool) -> Trick:
    """A wire that loses the answer to the first creations, after or before they arrived."""
    left = [times]

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        if not creates(request) or not left[0]:
            return ask()  # type: ignore[no-any-return]
        left[0] -= 1
        if arrives:
            ask()
        raise error

    return trick


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("error", [httpx2.ReadTimeout("late"), httpx2.RemoteProtocolError("cut")])
def test_a_lost_answer_to_a_creation_is_looked_up_and_not_sent_again_blindly(
    bench: Bench, error: Exception, arrives: bool
) -> None:
    """What has arrived is adopted, what has not is sent; neither the SDK nor we send it twice."""
    bench.trick = lost_answer(1, error, arrives=arrives)
    with bench.job(poll_s=20.0) as job:
        job.give(rows(8))
        job.run()
    assert bench.batches == 1
    assert bench.calls.count("POST /batches") == (1 if arrives else 2)
    once_each(bench, 8)


def test_a_server_error_after_a_creation_is_uncertain_too(bench: Bench) -> None:
    """A 500 does not say that the batch was not made."""
    broken = Reply(500, {"content-type": "application/json"}, ((0.0, b"{}"),))

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        made = ask()
        return broken if creates(request) else made

    bench.trick = trick
    with bench.job() as job:
        job.give(rows(8))
        job.run()
    assert bench.batches == 1
    once_each(bench, 8)


@pytest.mark.parametrize("answer", [None, 500, 429])
def test_a_layer_that_retries_never_creates_a_batch_twice(bench: Bench, answer: int | None) -> None:
    """The client's layers stay in force, but what may have arrived is not sent again."""
    retry, left = Retry(attempts=4), [1]
    retry.clock = bench.clock
    bench.client = bench.client.with_options(max_retries=0, middleware=[retry])

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        if not creates(request) or not left[0]:
            return ask()  # type: ignore[no-any-return]
        left[0] -= 1
        if answer == 429:
            return Reply(429, {"content-type": "application/json"}, ((0.0, b"{}"),))
        ask()
        if answer is None:
            raise httpx2.ReadTimeout("late")
        return Reply(answer, {"content-type": "application/json"}, ((0.0, b"{}"),))

    bench.trick = trick
    with bench.job() as job:
        job.give(rows(5))
        job.run()
    assert bench.batches == 1
    assert bench.calls.count("POST /batches") == (2 if answer == 429 else 1)
    once_each(bench, 5)


def test_a_budget_in_the_client_stands_before_every_batch(bench: Bench) -> None:
    """A batch that could cross it is not sent, and its rows wait; with more money it goes."""
    poor, rich = Budget(0.0001), Budget(1)
    plain = bench.client
    bench.client = plain.with_options(middleware=[poor])
    with bench.job() as job:
        job.give(rows(5))
        with pytest.raises(BudgetSpent):
            job.run()
        assert (job.counts.waiting, bench.batches) == (5, 0)
    bench.client = plain.with_options(middleware=[rich])
    with bench.job() as job:
        told = job.forecast()
        job.submit()
        job.cancel()  # which costs nothing
        job.run()
        assert job.bill() <= told.at_most <= rich.spent < 1
    assert len(rich.lines) == bench.batches == 2
    bench.client = plain
    once_each(bench, 5)


def test_somebody_elses_batch_of_the_same_size_is_never_taken_for_ours(bench: Bench) -> None:
    """Only the names of its rows make a batch ours."""
    others = [{**row, "custom_id": f"other-1-{place}"} for place, row in enumerate(rows(8))]

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        if creates(request) and not bench.batches:
            bench.trick = None
            bench.client.messages.batches.create(requests=others)  # type: ignore[arg-type]
            raise httpx2.ReadTimeout("late")
        return ask()  # type: ignore[no-any-return]

    bench.trick = trick
    with bench.job() as job:
        job.give(rows(8))
        job.run()
        names = {line["custom_id"] for line in job.results()}
    assert names == {f"row-{place}" for place in range(8)}
    assert bench.batches == 2


def test_what_the_api_refuses_is_raised_and_the_rows_wait(bench: Bench) -> None:
    """A refused key says so at once; with the right one the job goes on."""
    with bench.job() as job:
        job.give(rows(3))
        bench.client.api_key = "invalid"
        with pytest.raises(anthropic.AuthenticationError):
            job.run()
        assert job.counts.waiting == 3
    bench.client.api_key = "k"
    with bench.job() as job:
        job.run()
    once_each(bench, 3)


def test_a_full_queue_is_waited_for(bench: Bench) -> None:
    """A 429 of the queue leaves rows waiting until batches have ended."""
    bench.api.batches.limits = BatchLimits(1000, 25)
    with bench.job(most_rows=10) as job:
        job.give(rows(40))
        first = job.step()
        assert (first.sent, first.waiting) == (20, 20)
        job.run()
    once_each(bench, 40)


@pytest.mark.parametrize("way", ["cut", "short", "garbled"])
def test_a_download_that_fails_is_repeated(bench: Bench, way: str) -> None:
    """An ended batch whose results break off is downloaded again, and nothing counts twice."""
    downloads = []

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        reply: Reply = ask()
        if not request.url.path.endswith("/results"):
            return reply
        downloads.append(request)
        if len(downloads) > 2:
            return reply
        lines = reply.body.splitlines(keepends=True)
        half = b"".join(lines[: len(lines) // 2])
        if way == "garbled":
            half += b'{"custom_id": "te'
        return Reply(200, reply.headers, ((0.0, half),), "reset" if way == "cut" else "complete")

    bench.trick = trick
    with bench.job() as job:
        job.give(rows(600))
        assert job.run().kinds == {"succeeded": 600}
    assert len(downloads) == 3
    once_each(bench, 600)


def test_ctrl_c_cancels_and_the_next_run_pays_only_for_the_rest(bench: Bench) -> None:
    """What was through is kept, the cancelled rest goes out again, and no row is billed twice."""
    clock_sleep = bench.clock.sleep

    def interrupted(seconds: float) -> None:
        clock_sleep(seconds)
        if any(each.through(bench.clock.now()) for each in bench.api.batches._batches.values()):
            raise KeyboardInterrupt

    with bench.job(poll_s=5.0) as job:
        job.give(rows(1000))
        bench.clock.sleep = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            job.run()
        (batch,) = bench.api.batches._batches.values()
        assert batch.canceled is not None
    bench.clock.sleep = clock_sleep  # type: ignore[method-assign]
    paid = sum(bench.billed()[0].values())
    assert 0 < paid < 1000
    with bench.job() as job:
        job.give(rows(1000))
        assert job.run().kinds == {"succeeded": 1000}
    assert bench.batches == 2
    once_each(bench, 1000)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_a_batch_is_created_waits_for_its_id_and_cancels_it(bench: Bench) -> None:
    """No batch is left behind that nobody knows of."""

    def trick(request: httpx2.Request, ask: Any) -> Reply:
        if creates(request):
            signal.raise_signal(signal.SIGINT)
        return ask()  # type: ignore[no-any-return]

    bench.trick = trick
    with bench.job() as job:
        job.give(rows(4))
        with pytest.raises(KeyboardInterrupt):
            job.run()
    bench.trick = None
    (batch,) = bench.api.batches._batches.values()
    assert batch.canceled is not None
    with bench.job() as job:
        job.run()
    once_each(bench, 4)


def test_a_batch_that_somebody_else_cancelled_is_not_sent_again(bench: Bench) -> None:
    """Who cancelled it meant it: its rows end as canceled."""
    with bench.job() as job:
        job.give(rows(4))
        job.submit()
        (name,) = bench.api.batches._batches
        bench.client.messages.batches.cancel(name)
        assert job.run().kinds == {"canceled": 4}
    assert bench.batches == 1


def test_small_batches_keep_to_the_sizes_given(bench: Bench) -> None:
    """No batch has more rows or bytes than it may, save for a single row that is larger."""
    with bench.job(most_rows=7, most_bytes=4000) as job:
        job.give(
            [*rows(20), row("big", "x" * 9000), *(row(f"mid-{n}", "y" * 900) for n in range(8))]
        )
        job.run()
    sizes = [len(each.rows) for each in bench.api.batches._batches.values()]
    weights = [len(json.dumps(each.rows)) for each in bench.api.batches._batches.values()]
    assert max(sizes) == 7
    assert sum(sizes) == 29
    assert [weight for weight in weights if weight > 4500] == [max(weights)]


def test_lines_end_at_newlines_alone(bench: Bench) -> None:
    """What Unicode calls a line separator may be part of an answer."""
    answer = bench.api.batches.answer

    def separated(params: Any, custom_id: str) -> dict[str, Any]:
        return {**answer(params, custom_id), "content": [{"type": "text", "text": "a\u2028b\x85c"}]}

    bench.api.batches.answer = separated
    with bench.job() as job:
        job.give(rows(2))
        job.run()
        assert {line["result"]["message"]["content"][0]["text"] for line in job.results()} == {
            "a\u2028b\x85c"
        }


def test_results_are_saved_as_lines_in_the_order_of_the_rows(bench: Bench, tmp_path: Path) -> None:
    """The file holds what `results` yields."""
    with bench.job() as job:
        job.give(rows(5))
        job.run()
        assert job.save(tmp_path / "out.jsonl") == 5
        lines = (tmp_path / "out.jsonl").read_text("utf-8").split("\n")
        assert [json.loads(line) for line in lines[:-1]] == list(job.results())


class Killed(BaseException):
    """The process dies: nothing below may catch this."""


def death(after: int, *, arrives: bool) -> Trick:
    """A process that makes so many requests and dies in the next, before or after it arrives."""
    left = [after]

    def trick(_: httpx2.Request, ask: Any) -> Reply:
        left[0] -= 1
        if left[0] >= 0:
            return ask()  # type: ignore[no-any-return]
        if arrives:
            ask()
        raise Killed

    return trick


def test_two_uncertain_batches_of_the_same_size_are_told_apart(bench: Bench) -> None:
    """Each is found by its own mark, though both are looked for at once."""

    def dying(request: httpx2.Request, ask: Any) -> Reply:
        made: Reply = ask()
        if creates(request):
            raise Killed
        return made

    bench.trick = dying
    for _ in range(2):
        with bench.job(most_rows=5) as job:
            job.give(rows(10))
            with pytest.raises(Killed):
                job.run()
    bench.trick = None
    bench.clock.advance(7200)
    with bench.job(most_rows=5) as job:
        assert len(job.parts.in_state("sending")) == 2
        job.run()
    assert bench.batches == 2
    once_each(bench, 10)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.3]),
)
def test_wherever_a_run_dies_every_row_is_billed_once(
    tmp_path_factory: pytest.TempPathFactory, deaths: list[tuple[int, bool]], errored: float
) -> None:
    """Runs that die before or after any request of theirs arrives, one after the other."""
    faults = [Fault("batch_row_errored", share=errored)] if errored else []
    bench = Bench(tmp_path_factory.mktemp("job"), faults=faults)
    for after, arrives in deaths:
        bench.trick = death(after, arrives=arrives)
        job = bench.job(most_rows=5, attempts=30)
        try:
            job.give(rows(12))
            job.run()
        except Killed:
            pass
        finally:
            job.close()
    bench.trick = None
    with bench.job(most_rows=5, attempts=30) as job:
        job.give(rows(12))
        assert job.run().kinds == {"succeeded": 12}
    once_each(bench, 12)


def test_a_name_is_kept_with_the_file(bench: Bench) -> None:
    """Another name for the same file is refused; without one, the job gets one of its own."""
    bench.job(name=None).close()
    with bench.job(name=None) as job:
        own = job.parts.name
    with pytest.raises(UserError, match=f"is called '{own}'"):
        bench.job(name="other")
    assert len(own) == 15
    with pytest.raises(UserError, match="1 to 40 letters"):
        BatchJob(bench.client, bench.folder / "new.db", name="a b")


@pytest.mark.parametrize("wrong", [{"most_rows": 100_001}, {"most_bytes": 0}, {"attempts": 0}])
def test_sizes_beyond_the_apis_are_refused(bench: Bench, wrong: dict[str, int]) -> None:
    """100,000 rows and 256 MB are the most."""
    with pytest.raises(UserError, match="100,000 rows"):
        bench.job(**wrong)


def test_a_bar_is_shown_where_it_is_wanted(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes to standard error, and only on a terminal if nothing is said."""
    with bench.job() as job:
        job.give(rows(3))
        job.run(progress=True)
    assert "3/3" in capsys.readouterr().err
    with bench.job() as job:
        job.run()
    assert capsys.readouterr().err == ""

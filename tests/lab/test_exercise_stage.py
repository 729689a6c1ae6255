"""The stage: an answer's layer under the real SDK and a simulated API, on virtual time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labkit import Deadline, Fault, Layer, Now, Outcome, Request, Retry, Send, Sleep
from labkit.errors import DeadlineExceeded
from labkit.flow import Flow
from labkit.lab.exercise_stage import make, play, rehearse
from labkit.lab.exercise_verdict import Wrong

OVERLOADED = Outcome(status=529, error_type="overloaded_error")


class Twice(Layer):
    """Send, wait two seconds in two steps, send again, and wait once more for nothing."""

    def flow(self, request: Request) -> Flow:
        """Say nothing about the outcome of the first attempt."""
        yield Send(request)
        yield Sleep(0.5)
        yield Sleep(1.5)
        outcome: Outcome = yield Send(request)
        yield Sleep(4)
        return outcome


def test_a_story_tells_what_was_sent_slept_and_given_back() -> None:
    """Sleeps between two requests are one gap, however many steps they were taken in."""
    layer = Twice()
    story = play(layer, Fault("overloaded", first=1))
    assert story.gaps == [2.0]
    assert story.slept_after == 4.0
    assert story.sent == pytest.approx([0.0, 2.05])
    assert story.message.content[0].text
    assert (story.error, story.status) == (None, None)


def test_the_layer_is_left_as_it_was() -> None:
    """It is watched for the length of one call."""
    layer = Twice()
    play(layer)
    assert "flow" not in vars(layer)


def test_a_failure_that_the_caller_gets_is_part_of_the_story() -> None:
    """The API's own error and a deadline's alike."""
    story = play(Retry(attempts=2, seed=1), Fault("overloaded"))
    assert (story.status, len(story.sent), story.message) == (529, 2, None)
    late = Fault("overloaded", retry_after=20)
    assert isinstance(play(Retry(), late, outer=[Deadline(10)]).error, DeadlineExceeded)


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (400, {"messages": [{"role": "assistant", "content": "Hello"}]}),
        (401, {"key": False}),
        (404, {"model": "no-such-model"}),
    ],
)
def test_a_request_can_be_wrong(status: int, options: dict[str, Any]) -> None:
    """The simulated API refuses it as the real one does."""
    assert play(Layer(), **options).status == status


def test_a_stream_that_fails_before_its_first_word_is_one_attempt() -> None:
    """And the next one is read to its end."""
    story = play(Retry(seed=1), Fault("stream_error", first=1, after=1), stream=True)
    assert len(story.sent) == 2
    assert story.message.usage.output_tokens > 0


def test_a_defect_of_the_stage_is_not_taken_for_a_lost_connection() -> None:
    """The SDK would call it one, and the answer would be blamed for it."""

    class Broken(Fault):
        def strikes(self, *_: Any, **__: Any) -> bool:
            raise ZeroDivisionError("the server is badly made")

    with pytest.raises(ZeroDivisionError, match="badly made"):
        play(Layer(), Broken("overloaded"))
    assert play(Layer(), Fault("refused")).error is not None


def test_the_table_has_a_row_for_each_attempt() -> None:
    """In the columns of the request timeline."""
    table = play(Twice(), Fault("overloaded", first=1)).table("twice")
    assert list(table.columns) == ["call", "attempt", "start_s", "end_s", "outcome", "label"]
    assert list(table["label"]) == ["529", "200"]
    assert list(table["attempt"]) == [1, 2]


def test_a_rehearsal_needs_no_server_and_sees_every_draw() -> None:
    """The layer's dice go on from call to call."""
    calls = rehearse(Retry(attempts=3, seed=1), OVERLOADED, calls=100)
    assert {len(gaps) for gaps in calls} == {2}
    assert len({gaps[0] for gaps in calls}) == 100


def test_a_rehearsal_tells_the_time_its_waits_have_taken() -> None:
    """A flow that waits until a point in time gets there."""

    class Until(Layer):
        def flow(self, request: Request) -> Flow:
            yield Send(request)
            began = yield Now()
            while (yield Now()) < began + 5:
                yield Sleep(1)
            outcome: Outcome = yield Send(request)
            return outcome

    assert rehearse(Until(), OVERLOADED) == [[5.0]]


def test_a_missing_class_and_one_of_another_kind_are_told() -> None:
    """The message says how the class must begin."""
    with pytest.raises(Wrong, match="no `MyRetry` yet"):
        make({}, "MyRetry", Layer)
    with pytest.raises(Wrong, match=r"`class MyRetry\(Layer\):`"):
        make({"MyRetry": dict}, "MyRetry", Layer)
    with pytest.raises(Wrong, match=r"`class MyRetry\(Layer\):`"):
        make({"MyRetry": Layer()}, "MyRetry", Layer)


def test_changed_parameters_are_told_and_an_error_inside_is_not_hidden() -> None:
    """Only a call that does not fit is about the parameters."""

    class Other(Layer):
        def __init__(self, times: int) -> None:
            self.dice = random.Random([times])  # type: ignore[arg-type]

    with pytest.raises(Wrong, match=r"'attempts'. Leave the parameters of `Other`"):
        make({"Other": Other}, "Other", Layer, attempts=4)
    with pytest.raises(TypeError, match="seed types"):
        make({"Other": Other}, "Other", Layer, times=4)

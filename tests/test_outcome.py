"""An outcome says whether the attempt failed, whether it may succeed later, and when."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import CircuitOpen, DeadlineExceeded
from labkit.outcome import Outcome, retry_after_seconds

LOST = anthropic.APIConnectionError(request=httpx2.Request("POST", "https://api.anthropic.com"))

OUTCOMES: list[tuple[str, Outcome, bool]] = [
    ("200", Outcome(status=200), False),
    ("204", Outcome(status=204), False),
    ("408", Outcome(status=408), True),
    ("409", Outcome(status=409), True),
    ("429 with retry-after", Outcome(status=429, headers={"retry-after": "7"}), True),
    ("429 with retry-after-ms", Outcome(status=429, headers={"retry-after-ms": "70"}), True),
    ("429 that says now", Outcome(status=429, headers={"retry-after": "0"}), True),
    ("429 that says a date", Outcome(status=429, headers={"retry-after": "a date"}), True),
    ("429 without", Outcome(status=429), False),
    ("500", Outcome(status=500), True),
    ("501", Outcome(status=501), True),
    ("502", Outcome(status=502), True),
    ("503", Outcome(status=503), True),
    ("504", Outcome(status=504), True),
    ("505", Outcome(status=505), False),
    ("529", Outcome(status=529), True),
    ("overload in a stream", Outcome(status=200, error_type="overloaded_error"), True),
    ("internal error in a stream", Outcome(status=200, error_type="api_error"), True),
    ("timeout in a stream", Outcome(status=200, error_type="timeout_error"), True),
    ("bad request in a stream", Outcome(status=200, error_type="invalid_request_error"), False),
    ("cut off", Outcome(status=200, error_type="truncated", unreachable=True), True),
    ("lost connection", Outcome(error=LOST, unreachable=True), True),
    ("refused by a breaker", Outcome(error=CircuitOpen("open", retry_after=5)), False),
    ("deadline", Outcome(error=DeadlineExceeded("late")), False),
    ("no response at all", Outcome(), False),
    *[(str(code), Outcome(status=code), False) for code in (304, 400, 401, 402, 403, 404, 412)],
    *[(str(code), Outcome(status=code), False) for code in (413, 422, 431, 499)],
]


@pytest.mark.parametrize(
    ("outcome", "transient"),
    [(outcome, transient) for _, outcome, transient in OUTCOMES],
    ids=[name for name, _, _ in OUTCOMES],
)
def test_2_1_check_4_only_what_may_succeed_later_is_transient(
    outcome: Outcome, transient: bool
) -> None:
    """Connection errors, 408, 409, 429 with retry-after, 500 to 504, 529; nothing else."""
    assert outcome.transient is transient


SPENT = ["enforced_spend_limit_reached", "contract_spend_limit_reached"]


@pytest.mark.parametrize("code", SPENT)
@pytest.mark.parametrize("headers", [{}, {"retry-after": "7"}, {"x-should-retry": "true"}])
def test_2_1_check_4_a_spend_limit_is_never_transient(code: str, headers: dict[str, str]) -> None:
    """Not even where a header says otherwise: the money is gone until somebody acts."""
    spent = Outcome(status=429, headers=headers, error_type="rate_limit_error", error_code=code)
    assert not spent.transient


@pytest.mark.parametrize("status", [400, 404, 429, 500, 529])
@pytest.mark.parametrize("advice", ["true", "false"])
def test_the_servers_own_advice_decides(status: int, advice: str) -> None:
    """`x-should-retry` overrides the status, as in the SDK."""
    outcome = Outcome(status=status, headers={"x-should-retry": advice, "retry-after": "1"})
    assert outcome.transient is (advice == "true")


def test_advice_that_is_no_advice_decides_nothing() -> None:
    """Only "true" and "false" are understood."""
    assert Outcome(status=529, headers={"x-should-retry": "maybe"}).transient
    assert not Outcome(status=400, headers={"x-should-retry": "1"}).transient


@given(st.integers(100, 599), st.sampled_from([None, "error"]), st.booleans())
def test_an_answer_is_never_transient(status: int, kind: str | None, lost: bool) -> None:
    """Ok and transient exclude each other."""
    outcome = Outcome(status=status, error_type=kind, unreachable=lost)
    assert not (outcome.ok and outcome.transient)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(status=200), "ok"),
        (Outcome(status=529, error_type="overloaded_error"), "529 overloaded_error"),
        (Outcome(status=503), "503"),
        (Outcome(status=200, error_type="overloaded_error"), "200 overloaded_error"),
        (Outcome(error=LOST), "APIConnectionError"),
        (Outcome(), "no response"),
    ],
)
def test_the_reason_is_a_word_or_two(outcome: Outcome, reason: str) -> None:
    """It stands in notes, tables and messages."""
    assert outcome.reason == reason


def test_an_error_raised_is_no_answer_whatever_the_status() -> None:
    """A layer may fail a call whose response was good."""
    assert not Outcome(status=200, error=ValueError("no")).ok


# -- when to come back ----------------------------------------------------------------------------

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
LATER = "Wed, 21 Oct 2026 07:29:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "100"}, 0.1),
        ({"retry-after-ms": "100", "retry-after": "7"}, 0.1),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after-ms": "0", "retry-after": "7"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": LATER, "date": DATE}, 90.0),
        ({"retry-after": LATER.removesuffix(" GMT"), "date": DATE}, 90.0),
        ({"retry-after": DATE, "date": LATER}, None),
        ({"retry-after": LATER, "date": "yesterday"}, None),
        ({"retry-after": LATER}, None),
    ],
)
def test_the_header_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, milliseconds or a date; nothing, nonsense and the past are no answer."""
    assert retry_after_seconds(headers) == seconds


def test_without_a_date_header_the_date_of_today_may_be_given() -> None:
    """The function itself consults no clock."""
    today = 1_000_000.0
    header = {"retry-after": formatdate(today + 42, usegmt=True)}
    assert retry_after_seconds(header, today=today) == 42


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
def test_the_machines_time_zone_does_not_matter() -> None:
    """A date that names no zone is in GMT, as all dates of HTTP are."""
    bare = LATER.removesuffix(" GMT")
    assert retry_after_seconds({"retry-after": bare, "date": DATE}) == 90


header_texts = (
    st.text(max_size=30)
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes().map(lambda moment: formatdate(moment.timestamp(), usegmt=True))
)


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), header_texts),
    st.none() | st.floats(0, 4e9),
)
def test_whatever_the_header_says_the_answer_is_a_wait_or_nothing(
    headers: dict[str, str], today: float | None
) -> None:
    """It never raises, and what it returns can be slept."""
    seconds = retry_after_seconds(headers, today=today)
    assert seconds is None or 0 < seconds < math.inf


@pytest.mark.parametrize(
    "good", [Outcome(status=200), Outcome(status=200, error_type="overloaded_error")]
)
def test_a_retry_after_on_a_200_means_nothing(good: Outcome) -> None:
    """The real API sends it with answers too; a stream that fails later did not mean it."""
    fields: dict[str, Any] = {"status": good.status, "error_type": good.error_type}
    assert Outcome(**fields, headers={"retry-after": "55"}).retry_after is None


def test_a_retry_after_on_an_error_counts() -> None:
    """There it is what the server asks for."""
    assert Outcome(status=529, headers={"retry-after": "55"}).retry_after == 55

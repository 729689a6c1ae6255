"""A bench for scripted failures never asks the real API, whatever mode is chosen."""

import pytest

from labkit.clock import SystemClock, VirtualClock
from labkit.errors import UserError
from labkit.lab.session import Lab


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "LABKIT_BUDGET", "LABKIT_MODE", "LABKIT_RECORD_FROM"):
        monkeypatch.delenv(name, raising=False)


def test_a_scripted_bench_simulates_in_live_mode_and_needs_no_key() -> None:
    """An outage cannot be ordered from the real API, so neither key nor budget is asked for."""
    lab = Lab("05-retry", mode="live", scripted=True)
    assert (lab.mode, lab.from_api) == ("simulate", False)
    assert isinstance(lab.clock, VirtualClock)


def test_the_same_bench_unscripted_goes_to_the_real_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `scripted` live mode asks for a key, and with one it is real."""
    with pytest.raises(UserError, match="key"):
        Lab("05-retry", mode="live")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key")
    lab = Lab("05-retry", mode="live", budget=0.01)
    assert lab.from_api
    assert isinstance(lab.clock, SystemClock)


def test_a_scripted_bench_leaves_the_network_open_for_the_real_one() -> None:
    """Both may stand in one notebook; in replay the guard is closed all the same."""
    assert not Lab("05-retry", mode="live", scripted=True).guard.closed
    guard = Lab("05-retry", mode="simulate", scripted=True).guard
    assert guard.closed
    guard.open()


def test_a_scripted_bench_is_recorded_from_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording a lesson from the real API keeps its scripted scenes simulated."""
    monkeypatch.setenv("LABKIT_RECORD_FROM", "api")
    lab = Lab("05-retry", mode="record", scripted=True)
    assert (lab.mode, lab.from_api) == ("record", False)

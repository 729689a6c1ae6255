"""A verified fake: every recorded request is sent to the simulator, and the answers compared.

Status, header names and formats, key paths of bodies and the order of events are those of the
recording, but for the differences in `known_differences`.  A reason that explains nothing any
more fails as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.differences import differences
from tests.sim.known_differences import REASONS, Reason
from tests.sim.recorded_exchanges import Recorded, read, recordings
from tests.sim.replaying import replay

pytestmark = pytest.mark.skipif(
    not recordings(), reason="the recordings of the real API are not at ../shared/recordings"
)
Found = dict[str, list[tuple[Recorded, str]]]


@pytest.fixture(scope="module")
def found() -> Found:
    """Send everything, and return the differences by the name of the file."""
    return {path.name: _differences(path) for path in recordings()}


def _differences(path: Path) -> list[tuple[Recorded, str]]:
    exchanges = list(read(path))
    pairs = zip(exchanges, replay(exchanges), strict=True)
    return [(real, each) for real, ours in pairs for each in differences(real, ours)]


def reason_of(each: Recorded, difference: str) -> Reason | None:
    """Return the first reason that explains a difference."""
    return next((reason for reason in REASONS if reason.explains(difference, each)), None)


@pytest.mark.parametrize("name", [path.name for path in recordings()])
def test_the_answer_is_the_recorded_one(found: Found, name: str) -> None:
    """Whatever differs has a reason."""
    loose = [f"{each}: {what}" for each, what in found[name] if reason_of(each, what) is None]
    assert loose == []


def test_every_reason_is_needed(found: Found) -> None:
    """What does not differ any more must leave the list."""
    needed = {id(reason_of(each, what)) for listed in found.values() for each, what in listed}
    idle = [f"{each.files} {each.what}" for each in REASONS if id(each) not in needed]
    assert idle == []


def test_most_exchanges_differ_in_nothing_but_their_age_and_their_way(found: Found) -> None:
    """Four in five are of a kind that is simulated in full."""
    total = sum(len(list(read(path))) for path in recordings())
    lacking = {
        str(each)
        for listed in found.values()
        for each, what in listed
        if (reason := reason_of(each, what)) is not None and "not simulated" in reason.why
    }
    assert total >= 149
    assert len(lacking) < total / 5

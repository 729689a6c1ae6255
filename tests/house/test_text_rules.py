"""What git tracks speaks of the project alone."""

import pytest

from tests.house.project import tracked
from tests.house.text_rules import traces

FILES = tracked()


def test_tracked_files_hold_no_trace_of_a_machine_a_registry_or_a_key() -> None:
    """Nothing in the repository tells where it was made or opens an account."""
    assert {path: found for path, text in FILES.items() if (found := traces(path, text))} == {}


def test_no_lock_file_is_tracked() -> None:
    """A lock file is made of registry addresses; a date pins the versions instead."""
    assert not {"uv.lock", "package-lock.json"} & {path.rpartition("/")[2] for path in FILES}


@pytest.mark.parametrize(
    "text",
    [
        "see /ho~me/ada/lab.py",
        "open('/ro~ot/x')",
        '"/wo~rk/main/x"',
        "fi~le:///x/y",
        "https://files.python~hosted.org/x",
        "https://pypi.~org/simple/x",
        "https://registry.~npmjs.org/x",
        "sk-~ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz",
    ],
)
def test_a_trace_is_caught(text: str) -> None:
    """Each is broken by a tilde here, or this file would be a complaint itself."""
    assert traces("labkit/x.py", text) == []
    assert traces("labkit/x.py", text.replace("~", "")) != []


@pytest.mark.parametrize("trace", ["see /tmp/x", "sk-ant-" + "1"])
def test_recordings_are_read_more_strictly(trace: str) -> None:
    """A temporary path or the beginning of a key is a complaint in a stored output only."""
    assert traces("notebooks/01-x.ipynb", trace) != []
    assert traces("cassettes/01-x/y.yaml", trace) != []
    assert traces("labkit/x.py", trace) == []


@pytest.mark.parametrize("text", ["https://x.org/home/y", "cassettes/work/x", "sk-ant-..."])
def test_what_only_looks_like_a_trace_passes(text: str) -> None:
    """Addresses, relative paths and placeholders are no trace."""
    assert traces("notebooks/01-x.ipynb", text) == []

"""How vcrpy loads, saves and matches our cassettes: strictly, atomically, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labkit.errors import CassetteBroken
from labkit.lab.atomic import write_atomically
from labkit.lab.scrub import canonical

__all__ = ["Store", "same_body", "same_endpoint"]


def same_body(ours: Any, theirs: Any) -> None:
    """Match two vcrpy requests by canonical body (an assertion is vcrpy's way to say no)."""
    assert canonical(ours.body) == canonical(theirs.body), "bodies differ"  # noqa: S101


def same_endpoint(ours: Any, theirs: Any) -> None:
    """Match two vcrpy requests by method and path; the query does not matter."""
    here, there = (r.method + " " + urlsplit(r.uri).path for r in (ours, theirs))
    assert here == there, f"{here} is not {there}"  # noqa: S101


class Store:
    """Where vcrpy loads from and saves to: one clear error instead of an empty cassette."""

    @staticmethod
    def load_cassette(path: Path, serializer: Any) -> Any:
        """Read a cassette file; raises `CassetteBroken`."""
        from vcr.serialize import deserialize

        try:
            data = deserialize(Path(path).read_text(encoding="utf-8"), serializer)
        except FileNotFoundError:
            raise CassetteBroken(
                f"There is no cassette {path.name} in {path.parent.name}. "
                "Restore it with `git checkout cassettes`, or make it with `labkit record`."
            ) from None
        except Exception as error:
            what = str(error).split("\n")[0] or type(error).__name__
            raise CassetteBroken(
                f"The cassette {path.parent.name}/{path.name} cannot be read ({what}). "
                "Restore it with `git checkout cassettes`, or make it anew with `labkit record`."
            ) from None
        return data

    @staticmethod
    def save_cassette(path: Path, data: Mapping[str, Any], serializer: Any) -> None:
        """Write a cassette file whole or not at all."""
        from vcr.serialize import serialize

        write_atomically(Path(path), serialize(data, serializer))

"""Read a cassette file: strictly, with one sentence that names the repair where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.errors import CassetteBroken

__all__ = ["broken", "load"]


def broken(path: Path, what: str) -> CassetteBroken:
    """Return the error for a cassette that is there but cannot be used; `what` is wrong with it."""
    return CassetteBroken(
        f"The cassette {path.parent.name}/{path.name} cannot be read ({what}); restore it with "
        f"`git checkout cassettes`, or make it anew with `labkit record {path.parent.name}`."
    )


def load(path: Path) -> tuple[list[Any], list[dict[str, Any]], dict[str, Any]]:
    """Return (vcrpy requests, responses, metadata) of a cassette file; raises `CassetteBroken`."""
    from vcr.serialize import deserialize
    from vcr.serializers import yamlserializer

    text = _text(path)
    try:
        requests, responses, *rest = deserialize(text, yamlserializer)
    except Exception as error:  # whatever an edited file leads vcrpy and YAML into
        raise broken(path, _reason(error)) from None
    metadata = rest[0] if rest else {}
    if not requests:
        raise broken(path, "it holds no interactions")
    if not isinstance(metadata, dict) or not all(isinstance(each, dict) for each in responses):
        raise broken(path, "its parts have wrong types")
    if not all(_is_request(each) for each in requests):
        raise broken(path, "a request in it has wrong types")
    return requests, responses, metadata


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CassetteBroken(
            f"There is no cassette {path.name} in {path.parent.name}; restore it with "
            f"`git checkout cassettes`, or make it with `labkit record {path.parent.name}`."
        ) from None
    except UnicodeDecodeError:
        raise broken(path, "it is not text") from None
    except OSError as error:
        raise broken(path, error.strerror or type(error).__name__) from None
    if not text.strip():
        raise broken(path, "it is empty")
    return text


def _reason(error: Exception) -> str:
    """Say in a few words what YAML or vcrpy stumbled over."""
    mark = getattr(error.__cause__ or error, "problem_mark", None)
    if mark is not None:
        return f"its line {mark.line + 1} is not what it should be"
    return "it is not a list of interactions"


def _is_request(request: Any) -> bool:
    return (
        isinstance(request.method, str)
        and isinstance(request.uri, str)
        and isinstance(request.body, bytes | None)
    )

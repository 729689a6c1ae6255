"""What a model is, costs and allows, looked up by name or by role.

The rows are text in `labkit.catalog.table`, each with its source and the date of that source.
A name nobody knows is an error that suggests the nearest ones; a price nobody established is
None in the row and an error when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

from labkit.catalog.model import Model, Price, PriceStep
from labkit.catalog.reading import read_models
from labkit.errors import UnknownModel

__all__ = ["ROLES", "Model", "Price", "PriceStep", "model", "models", "role"]

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "fast": "claude-haiku-5-5",
        "balanced": "claude-sonnet-5-5",
        "strong": "claude-opus-5-5",
    }
)
"""The lessons' names for models, so that a new generation is one line here."""


def model(name: str) -> Model:
    """Look a model up by its id or an alias.

    Raises `UnknownModel`, naming the nearest known ids, for any other name.

    >>> model("claude-haiku-4-5-20251001").id
    'claude-haiku-4-5'
    """
    known = _by_name()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=3, cutoff=0.6) or list(ROLES.values())
    raise UnknownModel(f"The catalogue knows no model {name!r}. The nearest: {', '.join(near)}.")


def role(name: str) -> Model:
    """Look a model up by role: fast, balanced or strong.

    Raises `UnknownModel` for any other role.

    >>> role("fast").line
    'haiku'
    """
    if name not in ROLES:
        raise UnknownModel(f"There is no role {name!r}. The roles are {', '.join(ROLES)}.")
    return model(ROLES[name])


@cache
def models() -> tuple[Model, ...]:
    """Give every model of the catalogue, newest first, retired ones last."""
    return tuple(read_models())


@cache
def _by_name() -> Mapping[str, Model]:
    return {name: row for row in models() for name in row.names}

"""The key of a response cache: everything that changes an answer, and whose answer it is.

Canonical JSON of the whole body, so that a field nobody here has heard of counts too.  Left out
are `metadata` and `stream`, which change nothing about the answer, and key material, which never
comes here (resilience.md 2.5).  The request's words cannot be read off a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from labkit.flow import Request

__all__ = ["SCHEMA", "Key", "digest", "key_of"]

SCHEMA = 1
"""Raise it whenever what is stored changes its shape: old entries are then never found."""
NO_MATTER = ("metadata", "stream")
CALL = "(path and headers)"
"""Stands among the fields of the body for what lies outside of it."""
BETAS = "anthropic-beta"
HEADERS = ("anthropic-version", "anthropic-workspace-id", "anthropic-user-profile-id")
"""Of a call's own headers those that change its answer, besides the betas."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key's `name`, the digest of its `tenant`, and those of the request's `parts` by field."""

    name: str
    tenant: str
    parts: Mapping[str, str]


def key_of(request: Request, tenant: str) -> Key:
    """Return the key of a request for a tenant.

    Raises TypeError or ValueError for a body that is no JSON.
    """
    parts = {
        field: digest(value) for field, value in request.body.items() if field not in NO_MATTER
    }
    parts[CALL] = digest([request.method, request.path, *_headers(request.headers)])
    name = digest([SCHEMA, tenant, sorted(parts.items())])
    return Key(name, digest(tenant), parts)


def digest(value: object) -> str:
    """Return 32 hexadecimal digits that stand for a value of JSON, whatever order its fields have.

    Raises TypeError or ValueError for what is no JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _headers(given: Mapping[str, object]) -> list[object]:
    lowered = {name.lower(): value for name, value in given.items() if isinstance(value, str)}
    betas = sorted({beta.strip() for beta in lowered.get(BETAS, "").split(",")})
    return [betas, *(lowered.get(name) for name in HEADERS)]

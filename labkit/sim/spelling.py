"""JSON as the API writes it: no space that is not needed, and every character as itself."""

from __future__ import annotations

import json

__all__ = ["spelled"]

spelled = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Write a value; `json.dumps` would make an encoder for each event of a stream."""

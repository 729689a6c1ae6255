"""What the API says when it refuses: an error as a value, before it becomes bytes.

    {"type": "error", "error": {"type", "message", "details"?}, "request_id"}

Statuses, types and shapes are those of claude-api.md 3.1 and of the recordings
(WIRE-FORMAT.md 3).  Nothing here is an exception: whoever refuses returns an `ApiError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ApiError", "invalid", "not_allowed", "not_found"]


@dataclass(frozen=True, slots=True)
class ApiError:
    """One refusal: HTTP status, `error.type`, message, and the stable code where there is one.

    `retry_after` (seconds) is for the header of that name; None sends none.  `unsupported` names
    what a message thread cannot be combined with.
    """

    status: int
    type: str
    message: str
    code: str | None = None
    retry_after: int | None = None
    unsupported: tuple[str, ...] = ()

    def body(self, request_id: str | None) -> dict[str, Any]:
        """Return the JSON object that is sent; the batch results nest it once more."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["details"] = {"error_code": self.code}
        if self.unsupported:
            error["details"] = {"error_code": self.code, "unsupported": list(self.unsupported)}
        return {"type": "error", "error": error, "request_id": request_id}


def invalid(message: str) -> ApiError:
    """Return the 400 that says what is wrong with a request."""
    return ApiError(400, "invalid_request_error", message)


def not_found(message: str) -> ApiError:
    """Return the 404 for a model, batch or path that does not exist."""
    return ApiError(404, "not_found_error", message)


def not_allowed() -> ApiError:
    """Return the 405 for a path that exists, but not for this method."""
    return ApiError(405, "invalid_request_error", "Method Not Allowed")

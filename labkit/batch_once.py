"""A guard at the innermost place that lets a request out once, whoever would send it again.

A client's own layers stay in force when a batch is created, a budget above all.  But a layer
that retries or hedges cannot know that a batch may exist although its answer was lost.
"""

from __future__ import annotations

from typing import Any

from anthropic import APIRequest, APIResponse, CallNext, Middleware

from labkit.errors import LabkitError

__all__ = ["NotAgain", "Once", "may_exist"]

UNCERTAIN = (408, 409)
"""Statuses below 500 after which the batch may exist all the same."""


class NotAgain(LabkitError):
    """The batch may exist, so it was not created a second time."""


def may_exist(status: int) -> bool:
    """Say whether what was asked for may have come to be, by the status of the answer."""
    return status < 400 or status >= 500 or status in UNCERTAIN


class Once(Middleware):
    """Lets one request through, and another one only if the API has plainly refused the first.

    Raises `NotAgain` instead of sending.
    """

    def __init__(self) -> None:
        self._may_exist = False

    def handle(self, request: APIRequest, call_next: CallNext) -> APIResponse[Any]:
        """Send, unless what was sent before may have arrived."""
        if self._may_exist:
            raise NotAgain("This batch may have been created already: it is looked for instead.")
        self._may_exist = True
        response = call_next(request)
        self._may_exist = may_exist(response.status_code)
        return response

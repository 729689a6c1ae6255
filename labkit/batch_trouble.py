"""Which trouble with the API a batch job waits out, and for how long."""

from __future__ import annotations

from collections.abc import Callable

import anthropic

from labkit.clock import Clock
from labkit.errors import Refused

__all__ = ["Trouble", "passes"]

PASSING = (408, 409, 429)


def passes(error: Exception, *, missing_passes: bool) -> bool:
    """Say whether it is worth trying again later; a refusal of ours says so itself.

    A 404 is, where `missing_passes`: a batch has been seen to be missing for a moment, when it was
    new and later too (anthropic-sdk-python issue 1432).  A spend limit is not.
    """
    if isinstance(error, Refused):
        return error.retry_after is not None
    if not isinstance(error, anthropic.APIStatusError):
        return isinstance(error, anthropic.APIConnectionError)
    if (error.error_code or "").endswith("spend_limit_reached"):
        return False
    status = error.status_code
    return status >= 500 or status in PASSING or (status == 404 and missing_passes)


class Trouble:
    """Bears passing errors of a step, for `patience_s` seconds without a success in between."""

    def __init__(self, clock: Clock, patience_s: float) -> None:
        self.clock, self.patience_s = clock, patience_s
        self._since: dict[str, float] = {}

    def bear(self, step: Callable[[], object], *, missing_passes: bool) -> None:
        """Take a step; raises what does not pass, or has not passed for too long."""
        name = getattr(step, "__name__", "")
        try:
            step()
        except (anthropic.APIError, Refused) as error:
            since = self._since.setdefault(name, self.clock.now())
            too_long = self.clock.now() - since >= self.patience_s
            if too_long or not passes(error, missing_passes=missing_passes):
                raise
        else:
            self._since.pop(name, None)

"""What a policy is asked: given how large the next prompt is, whether to cut and down to what."""

from __future__ import annotations

from typing import NamedTuple

from labkit.context.forecasting import Forecast, Size

__all__ = ["Goal", "Policy"]


class Goal(NamedTuple):
    """At most so many tokens and so many exchanges are to be left; None is no matter.

    Where `tokens` is out of reach, `or_tokens` will do.
    """

    tokens: int | None = None
    turns: int | None = None
    or_tokens: int | None = None


class Policy:
    """A rule for trimming; this one leaves every conversation as it is.

    `horizon` is over how many requests a cut is judged.
    """

    horizon: int = 20

    @property
    def budget(self) -> int | None:
        """The most tokens of a prompt; what cannot be brought below is refused.  None: no limit."""
        return None

    def goal(self, size: Size) -> Goal | None:  # noqa: ARG002
        """Say what to cut down to, None to leave the conversation as it is."""
        return None

    def wants(self, forecast: Forecast | None) -> bool:  # noqa: ARG002
        """Say whether to cut, given what it is expected to cost and save (None: no price known)."""
        return True

    def advice(self, size: Size) -> str:  # noqa: ARG002
        """Return a sentence for whoever is talking, empty for none."""
        return ""

    def refusal(self, size: Size) -> str:
        """Say that what is left after the deepest valid cut is above the budget."""
        return (
            f"The prompt has about {size.tokens:,} tokens even after the deepest valid cut, and "
            f"its limit is {self.budget:,}: shorten the last message, pin less, or start a new "
            "conversation with a brief."
        )

"""A stage for exercises about layers: the answer's layer under the real SDK, the server scripted.

    layer = make(answer, "MyRetry", Layer, attempts=4)
    story = play(layer, Fault("overloaded", first=2))
    story.sent            when each request reached the server: [0.0, 1.3, 2.9]
    story.gaps            seconds the flow slept between them: [1.2, 1.6]
    story.error           what the caller got, if it was no answer

    rehearse(layer, Outcome(status=529), calls=400)    the same without a server: the gaps of each

Everything is on virtual time.  What a flow may not do (yield something else, go on for ever, end
with nothing) is met here with a `Wrong` that says so, whatever the exercise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from labkit.catalog import role
from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded, Refused
from labkit.flow import Now, Outcome, Request, Send, Sleep
from labkit.lab.exercise_verdict import Wrong
from labkit.lab.exercise_watch import Watched
from labkit.ledger import Ledger
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.transport import ReplyTransport, Simulated
from labkit.tap import Tap

if TYPE_CHECKING:
    import pandas as pd

    from labkit.attempts import Attempt

__all__ = ["Fault", "Story", "Wrong", "make", "play", "rehearse"]

T = TypeVar("T")
BEGAN = 700.0
"""The driver's time when a call begins: not zero, or a deadline could pass for a length of time."""


@dataclass
class Story:
    """What came of one call; all times are virtual seconds from its beginning.

    `attempts` is what reached the server, `gaps` what the layer slept between two attempts, and
    `slept_after` what it slept after the last.  The caller got `error`, or else `message`.
    """

    attempts: Sequence[Attempt] = ()
    gaps: list[float] = field(default_factory=list)
    slept_after: float = 0.0
    ended: float = 0.0
    message: Any = None
    error: Exception | None = None

    @property
    def sent(self) -> list[float]:
        """When each request reached the server."""
        return [attempt.start_s for attempt in self.attempts]

    @property
    def status(self) -> int | None:
        """The HTTP status of the error that the caller got, None if it is not the API's."""
        return getattr(self.error, "status_code", None)

    def table(self, call: str) -> pd.DataFrame:
        """Return the attempts as a request timeline wants them, in a lane called `call`."""
        import pandas as pd

        rows = [
            (call, number, each.start_s, each.end_s, each.outcome, each.label)
            for number, each in enumerate(self.attempts, start=1)
        ]
        columns = ["call", "attempt", "start_s", "end_s", "outcome", "label"]
        return pd.DataFrame(rows, columns=columns)


def make(answer: dict[str, Any], name: str, kind: type[T], **options: Any) -> T:
    """Return an object of the answer's class `name`; raises `Wrong` if there is no such class."""
    if name not in answer:
        raise Wrong(f"There is no `{name}` yet. Run the cell with your answer first.")
    made = answer[name]
    if not (isinstance(made, type) and issubclass(made, kind)):
        line = f"class {name}({kind.__name__}):"
        raise Wrong(f"`{name}` must stay a kind of {kind.__name__}. Begin it with `{line}`.")
    try:
        return made(**options)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise
        raise Wrong(f"{error}. Leave the parameters of `{name}` as the starter has them.") from None


def play(
    layer: Layer,
    *faults: Fault,
    outer: Sequence[Layer] = (),
    stream: bool = False,
    key: bool = True,
    **body: Any,
) -> Story:
    """Make one call through the SDK with `outer` layers and then `layer`; return its story.

    `faults` is what goes wrong at the simulated API; without `key` the request carries none.
    `body` replaces parts of a request that is right.
    """
    import anthropic
    import httpx2

    clock = VirtualClock(BEGAN)
    ledger = Ledger(clock)
    story = Story()
    transport = ReplyTransport(Simulated(SimulatedApi(faults=faults)), clock)
    for each in (*outer, layer):
        each.clock = clock
    no_key: Any = dict.fromkeys(("X-Api-Key", "Authorization"), anthropic.Omit())
    client = anthropic.Anthropic(
        api_key="no-key-needed",
        http_client=httpx2.Client(transport=Tap(transport, clock, [ledger.observe])),
        default_headers=None if key else no_key,
        middleware=[*outer, layer],
        max_retries=0,
    )
    asked = {"model": role("fast").id, "max_tokens": 50, "messages": QUESTION, **body}
    with Watched(layer) as watched:
        try:
            if stream:
                with client.messages.stream(**asked) as events:
                    story.message = events.get_final_message()
            else:
                story.message = client.messages.create(**asked)
        except (anthropic.APIError, Refused, DeadlineExceeded) as error:
            cause = error.__cause__
            if isinstance(error, anthropic.APIConnectionError) and _is_a_defect(cause):
                raise cause from None
            story.error = error
    story.attempts = [
        replace(each, start_s=each.start_s - BEGAN, end_s=each.end_s - BEGAN)
        for each in ledger.attempts
    ]
    story.gaps, story.slept_after = watched.gaps, watched.slept_after
    story.ended = clock.now() - BEGAN
    return story


def _is_a_defect(cause: BaseException | None) -> TypeGuard[BaseException]:
    """Whether the SDK took a defect of the bench for a lost connection."""
    import httpx2

    return cause is not None and not isinstance(cause, httpx2.TransportError)


QUESTION = [{"role": "user", "content": "Is the shop open on Sunday?"}]


def rehearse(
    layer: Layer, outcome: Outcome, *, calls: int = 1, request: Request | None = None
) -> list[list[float]]:
    """Drive the layer's flow by hand, with `outcome` for every attempt; return each call's gaps.

    No server and no SDK: thousands of attempts take no time, enough to see a distribution.
    """
    gaps = []
    for _ in range(calls):
        with Watched(layer) as watched:
            flow = layer.flow(request if request is not None else Request())
            now, answer = BEGAN, None
            try:
                while True:
                    effect = flow.send(answer)
                    now += effect.seconds if isinstance(effect, Sleep) else 0.0
                    answers: dict[type, Any] = {Send: outcome, Now: now}
                    answer = answers.get(type(effect))
            except StopIteration:
                gaps.append(watched.gaps)
    return gaps

"""The bench a lesson stands on: `Lab` makes SDK clients that replay, simulate, record or go live.

    lab = Lab("05-retry")
    client = lab.client("overloaded-twice", faults=[Fault("overloaded", first=2)], layers=[Retry()])

Only the bench knows the mode.  The client is the official one, the layers are those a program
would ship, and the cell reads the same in every mode.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import httpx2

from labkit.catalog import role
from labkit.clock import Clock, SystemClock, VirtualClock
from labkit.drivers import Layer
from labkit.errors import UserError
from labkit.lab.cassette import Replay
from labkit.lab.money import api_key, dollars
from labkit.lab.places import cassette_path, cassettes_of, chosen_mode
from labkit.lab.provenance import made_by, provenance
from labkit.lab.sockets import SocketGuard
from labkit.lab.staging import finish, mark
from labkit.lab.taped import Recorder
from labkit.lab.wiring import client_options, plainly, run_for_real
from labkit.layers.annotate import Annotate
from labkit.layers.budget import Budget
from labkit.ledger import Ledger
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport, Simulated, Source
from labkit.tap import AsyncTap, Observer, Tap
from labkit.virtual_loop import run_virtual

__all__ = ["Lab"]

T = TypeVar("T")
NO_KEY = "no-key-needed"


class Lab:
    """One lesson's bench.

    `lesson` names the folder of cassettes, such as "05-retry".  `mode` is replay, simulate,
    record or live (default: LABKIT_MODE, else replay).  Live needs ANTHROPIC_API_KEY and a
    `budget` in dollars (or LABKIT_BUDGET); so does record against the real API
    (LABKIT_RECORD_FROM=api).  `scripted` is for scenes whose failures we order, because nobody
    can order an outage from the real API: live becomes simulate, and recording simulates.
    `ledger` holds every call, `clock` the time the lesson lives in: virtual unless the real API
    is involved.  Raises `UserError` for a wrong or incomplete set-up.
    """

    def __init__(
        self,
        lesson: str,
        *,
        mode: str | None = None,
        budget: float | None = None,
        scripted: bool = False,
    ) -> None:
        self.lesson = lesson
        asked = chosen_mode(mode)
        taping = asked == "record" and os.environ.get("LABKIT_RECORD_FROM") == "api"
        real = asked == "live" or taping
        self.mode = "simulate" if scripted and asked == "live" else asked
        self.from_api = real and not scripted
        self.folder: Path = cassettes_of(lesson)
        if self.mode == "replay" and not self.folder.is_dir():
            raise UserError(
                f"There are no cassettes for a lesson called {lesson!r}. "
                "Look into the folder cassettes for the names there are."
            )
        self.key = api_key() if self.from_api else NO_KEY
        self.budget = Budget(dollars(budget)) if self.from_api else None
        self.clock: Clock = SystemClock() if self.from_api else VirtualClock()
        self.ledger = Ledger(self.clock)
        self.guard = SocketGuard()
        self.guard.lift() if real else self.guard.close()
        self._recorders: list[Recorder] = []
        self._marker: Path | None = None
        if self.mode == "record":
            self._marker = mark(lesson, spends=self.from_api)
            atexit.register(self.close)

    def model(self, name: str) -> str:
        """Return the id of the model in a role: fast, balanced or strong."""
        return role(name).id

    def client(
        self,
        cassette: str,
        *,
        layers: Sequence[Layer] = (),
        faults: Sequence[Fault] = (),
        seed: int = 0,
        **options: Any,
    ) -> anthropic.Anthropic:
        """Return a sync client for one scene.

        `cassette` names the recording after what the server did; each client starts it from
        the beginning.  `faults` and `seed` are what the simulated API does.  `layers` are
        middleware, outermost first; the SDK's own retries are off, because a sync SDK waits
        in real time.  Other options go to `anthropic.Anthropic`.
        """
        if options.get("max_retries", 0) and not self.from_api:
            raise UserError(
                "The sync SDK sleeps for real between its own retries. "
                "Use lab.async_client and lab.run to see them on virtual time."
            )
        options.setdefault("max_retries", 0)
        inner, observers = self._inside(cassette, faults, seed)
        transport: httpx2.BaseTransport = (
            httpx2.HTTPTransport() if inner is None else ReplyTransport(inner, self.clock)
        )
        http = httpx2.Client(transport=Tap(transport, self.clock, observers))
        return anthropic.Anthropic(http_client=http, **self._options(layers, options))

    def async_client(
        self,
        cassette: str,
        *,
        layers: Sequence[Layer] = (),
        faults: Sequence[Fault] = (),
        seed: int = 0,
        **options: Any,
    ) -> anthropic.AsyncAnthropic:
        """Return an async client for one scene, to be used inside `run`.

        Without layers it keeps the SDK's own two retries, which `run` plays on virtual time.
        """
        if layers:
            options.setdefault("max_retries", 0)
        inner, observers = self._inside(cassette, faults, seed)
        transport: httpx2.AsyncBaseTransport = (
            httpx2.AsyncHTTPTransport() if inner is None else AsyncReplyTransport(inner, self.clock)
        )
        http = httpx2.AsyncClient(transport=AsyncTap(transport, self.clock, observers))
        return anthropic.AsyncAnthropic(http_client=http, **self._options(layers, options))

    def run(self, main: Coroutine[Any, Any, T], *, until: float | None = None) -> T:
        """Run a coroutine to its end and return its result; on virtual time unless the API is real.

        `until` is the virtual second at which to give up with `TimeUp`.
        """
        if isinstance(self.clock, VirtualClock):
            with plainly():
                return run_virtual(main, self.clock, until=until)
        return run_for_real(main)

    def close(self) -> None:
        """Write what was recorded; the end of the notebook's kernel does this too."""
        while self._recorders:
            self._recorders.pop(0).save()
        finish(self._marker, self.budget.spent if self.budget else Decimal(0))

    def __repr__(self) -> str:
        source = {
            "replay": f"replay of recordings {made_by(self.folder)}; no key, no network, $0",
            "simulate": "simulate: a simulated API; no key, no network, $0",
        }.get(self.mode, f"{self.mode} with the {'real' if self.from_api else 'simulated'} API")
        ignored = not self.from_api and os.environ.get("ANTHROPIC_API_KEY")
        note = "\nANTHROPIC_API_KEY is set and ignored: this mode needs no key." if ignored else ""
        return f"Lab {self.lesson} · {source}{note}"

    def _inside(
        self, cassette: str, faults: Sequence[Fault], seed: int
    ) -> tuple[Source | None, list[Observer]]:
        """Return what answers this client (None: the real API) and who watches."""
        path = cassette_path(self.folder, cassette)
        if self.mode == "replay":
            return Replay(path), [self.ledger.observe]
        source: Source | None = None
        if not self.from_api:
            source = Simulated(SimulatedApi(seed=seed, faults=faults))
        observers: list[Observer] = [self.ledger.observe]
        if self.mode == "record":
            story = provenance(from_api=self.from_api, seed=seed)
            recorder = Recorder(path, story, secrets=[self.key] if self.from_api else [])
            self._recorders.append(recorder)
            observers.append(recorder.observe)
        return source, observers

    def _options(self, layers: Sequence[Layer], options: dict[str, Any]) -> dict[str, Any]:
        return client_options(
            options,
            stack=[*layers, *([self.budget] if self.budget else []), Annotate()],
            clock=self.clock,
            ledger=self.ledger,
            key=self.key,
            from_api=self.from_api,
        )

"""Door 2: the simulated API over HTTP, for any client in any language.

A plain ASGI application.  A request goes to the API as it came, its reply is played in real
time divided by `speed`; at speed 0 nothing waits, and the virtual clock moves on by the length
of each reply instead, so that a script of requests is repeatable to the byte.  Beside the API
there are a page of the latest requests at `/` and counts for Prometheus at `/metrics`.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from labkit.sim.core import SimulatedApi
from labkit.sim.reply import Reply
from labkit.sim.scenario import Scenario
from labkit.sim.server_log import LONGEST, Entry, RequestLog
from labkit.sim.server_pages import PROMETHEUS, log_page, metrics_text
from labkit.sim.server_playing import Player
from labkit.sim.server_protocol import CONNECTION
from labkit.sim.server_reading import headers_of, origin_of, read_body, target_of

__all__ = ["Door", "create_app"]

PAGES = ("/", "/metrics")


class Door:
    """One server as an ASGI application: the API behind it, its clock, and what it has seen.

    It needs uvicorn with `labkit.sim.server_protocol`, since ASGI has no word for breaking a
    connection.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.api = SimulatedApi(
            seed=scenario.seed,
            faults=scenario.faults,
            script=scenario.script,
            tier=scenario.tier,
            comfortable=scenario.comfortable,
            ramp=scenario.ramp,
            spend_cap=scenario.spend_cap,
        )
        self.log = RequestLog()
        self._began = monotonic()
        self._virtual = 0.0
        self._pages = Starlette(
            routes=[Route("/", self._show_page), Route("/metrics", self._show_metrics)]
        )

    def now(self) -> float:
        """Return the API's time in seconds; it begins with the server."""
        speed = self.scenario.speed
        return (monotonic() - self._began) * speed if speed else self._virtual

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in PAGES and scope["method"] in ("GET", "HEAD"):
            await self._pages(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request to the API and play its reply; a client that leaves ends it."""
        headers, target = headers_of(scope), target_of(scope)
        content = await read_body(receive, target, headers)
        if content is None:
            return
        now, method = self.now(), str(scope["method"])
        origin = origin_of(headers, scope)
        reply = self.api.reply(method, target, headers, content, now, origin=origin)
        self._virtual += reply.duration_s
        entry = self._noted(now, method, target, reply)
        player = Player(receive, send, scope["state"][CONNECTION], self.scenario.speed)
        self.log.under_way += 1
        try:
            entry.client_left = not await player.play(reply)
        finally:
            self.log.under_way -= 1

    def _noted(self, now: float, method: str, target: str, reply: Reply) -> Entry:
        engine = self.api.engine
        entry = Entry(now, method, target, reply.status, reply.duration_s, engine.asked[:LONGEST])
        return self.log.note(entry, engine.struck, engine.decided)

    async def _show_page(self, request: Request) -> Response:
        base_url = str(request.base_url).rstrip("/")
        return HTMLResponse(log_page(self.log, self.scenario, base_url, self.now()))

    async def _show_metrics(self, _request: Request) -> Response:
        return PlainTextResponse(metrics_text(self.log, self.now()), media_type=PROMETHEUS)


def create_app(scenario: Scenario | None = None, **settings: Any) -> Door:
    """Return the application that serves a scenario, or one made of its fields by keyword."""
    return Door(scenario or Scenario(**settings))

"""Run the simulated API as a server of this machine until somebody stops it."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import uvicorn

from labkit.errors import UserError
from labkit.sim.scenario import Scenario, read_scenario
from labkit.sim.server import Door, create_app
from labkit.sim.server_protocol import Protocol

__all__ = ["HOST", "PATIENCE_S", "allow_connections", "listen", "make_server", "serve"]

HOST = "127.0.0.1"
"""No other machine can reach it."""
PATIENCE_S = 30
"""Seconds in which a request must be whole; an idle connection is closed after as long."""
LARGEST_HEAD = 64 * 1024
BACKLOG = 2048
"""Connections that may wait to be taken, so that a thousand clients can come at once."""

MOST_OPEN = 8192
"""Connections, and a few files, that a process may have open where the system lets us choose."""


def serve(
    port: int, scenario: Path | None = None, seed: int | None = None, speed: float | None = None
) -> None:
    """Serve a scenario file, or the usual scenario, until Ctrl-C; print where it listens.

    `seed` and `speed` overrule those of the scenario, and port 0 is any free one.  Raises
    `UserError` for a scenario that makes no sense and for a port that cannot be had.
    """
    chosen = read_scenario(scenario) if scenario is not None else Scenario()
    chosen = replace(
        chosen,
        seed=chosen.seed if seed is None else seed,
        speed=chosen.speed if speed is None else speed,
    )
    server = make_server(create_app(chosen))
    allow_connections()
    with listen(port) as listening, suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        print(f"listening on http://{HOST}:{listening.getsockname()[1]}", flush=True)
        server.run(sockets=[listening])


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; raises `UserError` if it cannot."""
    # With the protocol named, asyncio turns Nagle's algorithm off: no answer waits for an ACK.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            advice = "choose another with --port, or 0 for any free one"
            raise UserError(f"Port {port} is in use; {advice}.") from None
        raise UserError(f"Port {port} cannot be had: {error.strerror}.") from None
    return listening


def allow_connections() -> None:
    """Let this process have thousands of connections open; some systems begin at 256."""
    try:
        import resource
    except ImportError:  # on Windows there is no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def make_server(app: Door, *, patience_s: int = PATIENCE_S) -> uvicorn.Server:
    """Return uvicorn with an application: no date and no log of its own, and none too patient."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            access_log=False,
            date_header=False,
            server_header=False,
            log_config=None,
            log_level="error",
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=patience_s,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
    )

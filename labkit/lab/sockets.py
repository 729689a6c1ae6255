"""Keep replay and simulation off the network: a guard that refuses to connect anywhere else.

The laboratory's own clients have no network behind them in these modes.  The guard is for
everything else in the notebook, such as a client made by hand.  It listens to Python's audit
events, so it sees every socket of the process; loopback stays open because Jupyter needs it.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address

from labkit.errors import SocketRefused

__all__ = ["SocketGuard"]


class SocketGuard:
    """Refuses connections to anything but this machine while `closed` is True.

    An audit hook cannot be taken out again, so it is put in once a guard and only looks at
    `closed`.
    """

    def __init__(self) -> None:
        self.closed = False
        self._installed = False

    def close(self) -> None:
        """Refuse connections from now on."""
        if not self._installed:
            sys.addaudithook(self._hear)
            self._installed = True
        self.closed = True

    def open(self) -> None:
        """Allow connections again."""
        self.closed = False

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.closed:
            return
        if event == "socket.connect":
            address = args[1]
            host = address[0] if isinstance(address, tuple) and address else None
        elif event == "socket.getaddrinfo":
            host = args[0]
        else:
            return
        if isinstance(host, (str, bytes)) and not _is_here(host):
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            raise SocketRefused(
                f"This notebook replays recordings, so it may not connect to {name}. "
                "Make the client with lab.client(...), or use live mode with a key and a budget."
            )


def _is_here(host: str | bytes) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if text in ("", "localhost"):
        return True
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False

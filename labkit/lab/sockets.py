"""Keep replay and simulation off the network: a guard that refuses to connect anywhere else.

The laboratory's own clients have no network behind them in these modes.  The guard is for
everything else in the notebook, such as a client made by hand.  It listens to Python's audit
events, so it sees every socket of the process; loopback stays open because Jupyter needs it.
"""

from __future__ import annotations

import sys
from ipaddress import ip_address

import anthropic

from labkit.errors import SocketRefused

__all__ = ["SocketGuard"]

CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")


class _RefusedAtOnce(SocketRefused, anthropic.AnthropicError):
    """The SDK retries what it does not know; its own kind of error it hands up at once."""


class SocketGuard:
    """Refuses connections to anything but this machine while `closed` is True.

    An audit hook cannot be taken out again, so it is put in once a guard and only looks at
    `closed`.  Audit events are the whole process's, so once a bench in this process uses the
    real API (`lift`), no guard refuses anything any more.
    """

    lifted = False

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

    @classmethod
    def lift(cls) -> None:
        """Let every guard of this process stand aside: the real API is used on purpose."""
        cls.lifted = True

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.closed or self.lifted:
            return
        if event in CONNECTIONS:
            address = args[1]  # a file's name, where it is no internet socket
            host = address[0] if isinstance(address, tuple) and address else None
        elif event in LOOK_UPS:
            host = args[0]
        else:
            return
        name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
        if isinstance(name, str) and not _is_here(name):
            raise _RefusedAtOnce(
                f"This notebook runs without the network, so it may not connect to {name}; make "
                "the client with lab.client(...), or use live mode, with a key and a budget, in a "
                "fresh kernel."
            )


def _is_here(name: str) -> bool:
    if name.lower().rstrip(".") in ("", "localhost"):
        return True
    try:
        return ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False

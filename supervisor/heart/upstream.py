"""The service manager above heart (systemd, or a command that waits for READY=1), if there is one.

It gets what the supervisor says: READY, STATUS, WATCHDOG, STOPPING. Its watchdog watches heart,
so heart also writes WATCHDOG=1 by itself, twice as often as it must: whether the supervisor lives
is heart's to see to.
"""

import os
import socket
from collections.abc import Mapping

from osupervisor.supervisor.heart.notification import number, render


class Upstream:
    """Where messages go; they are dropped where there is nobody, or nobody reads."""

    def __init__(self, address: str, interval_s: float | None, now: float) -> None:
        """`address` as in NOTIFY_SOCKET, empty: nobody; `interval_s`: the watchdog's, if any."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._interval_s = interval_s if address else None
        self._next_beat = now
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def tell(self, fields: Mapping[str, str]) -> None:
        """Send these assignments."""
        if self._address:
            try:
                self._socket.sendto(render(fields), self._address)
            except OSError:
                return  # a manager that is gone or deaf is no reason to stop

    def due(self) -> float | None:
        """When the next WATCHDOG=1 is wanted."""
        return None if self._interval_s is None else self._next_beat

    def beat(self, now: float) -> None:
        """Write WATCHDOG=1 if it is time."""
        if self._interval_s is not None and now >= self._next_beat:
            self._next_beat = now + self._interval_s / 2
            self.tell({"WATCHDOG": "1"})

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def upstream_of_environment(now: float) -> Upstream:
    """What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; they are taken out of os.environ."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    interval_us = number(os.environ.pop("WATCHDOG_USEC", None))
    pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
    meant = interval_us if pid == str(os.getpid()) else None
    return Upstream(address, meant / 1e6 if meant else None, now)

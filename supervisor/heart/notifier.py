"""The supervisor's voice towards heart or systemd: sd_notify(3), hardly ever blocking.

What it says is kept as state and not as a queue: READY, the last STATUS, and for each name of the
store whether heart knows it. So a heart that is busy, stopped or dead costs nothing, what it
missed is sent by the next call of any method, and a revived one is told all of it. Without a
NOTIFY_SOCKET everything is accepted and nothing is sent. Not for several threads at once.
"""

import os
import select
import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.notification import REFUSED, render

LAST_WORDS_S = 1.0  # how long `stopping` and `refuse` wait for a place in heart's queue


class Notifier:
    """The supervisor's end of the notify socket."""

    def __init__(self, address: str, stored: Mapping[str, int]) -> None:
        """`address` as in NOTIFY_SOCKET, empty: nobody; `stored`: what heart holds already."""
        self._address = address
        self._stored = dict(stored)
        self._held = set(stored)  # names under which heart holds something
        self._unsent: dict[str, None] = {}  # names whose state heart hasn't been told, in order
        self._ready = False
        self._status = ""
        self._state_unsent = False
        self._socket: socket.socket | None = None

    @property
    def stored(self) -> Mapping[str, int]:
        """Name to descriptor: what heart is to hold, whether it has been told yet or not."""
        return MappingProxyType(self._stored)

    @property
    def unsent(self) -> int:
        """How many stores and removals heart hasn't been told yet."""
        return len(self._unsent)

    def ready(self) -> None:
        """READY=1: the supervisor serves; the watchdog runs from here on."""
        self._ready = self._state_unsent = True
        self.flush()

    def status(self, text: str) -> None:
        """STATUS: one line for people, at most 2,048 bytes; the last one stands."""
        self._status = text
        self._state_unsent = True
        self.flush()

    def store(self, name: str, fd: int) -> None:
        """Have heart hold a copy of this descriptor, which the next supervisor inherits.

        A known name is replaced. The descriptor stays the caller's and must stay open until
        `remove`: it is what a revived heart is given. Heart has it as soon as `unsent` is 0.
        """
        assert descriptor_name.is_store_name(name), name
        self._stored[name] = fd
        self._unsent[name] = None
        self.flush()

    def remove(self, name: str) -> None:
        """Have heart close what it holds under this name; unknown names are fine."""
        if self._stored.pop(name, None) is not None:
            self._unsent[name] = None
        self.flush()

    def watchdog(self) -> None:
        """WATCHDOG=1: I am alive. To be called at least twice in the watchdog's time."""
        self.flush()
        self._send({"WATCHDOG": "1"})

    def extend(self, seconds: float) -> None:
        """Grant a start or a stop so many seconds from now (EXTEND_TIMEOUT_USEC)."""
        self._send({"EXTEND_TIMEOUT_USEC": str(int(seconds * 1e6))})

    def stopping(self) -> None:
        """STOPPING=1: the end that follows is meant, and nothing is started again."""
        self._send({"STOPPING": "1"}, patience_s=LAST_WORDS_S)

    def refuse(self, message: str) -> None:
        """Say why there must be no further start; the caller then exits with status 78."""
        fields = {"STATUS": message, "EXIT_STATUS": str(REFUSED)}
        self._send(fields, patience_s=LAST_WORDS_S)

    def barrier(self, timeout_s: float) -> bool:
        """Wait until heart has read all that was sent before; False: not in that time."""
        flushed = self.flush()
        here, there = os.pipe()
        try:
            sent = self._send({"BARRIER": "1"}, there, timeout_s)
            os.close(there)
            poll = select.poll()
            poll.register(here, 0)  # end of file alone: heart closes its copy
            return flushed and sent and bool(poll.poll(int(timeout_s * 1000)))
        finally:
            os.close(here)

    def flush(self) -> bool:
        """Send what heart missed; True when nothing is left."""
        while self._unsent:
            name = next(iter(self._unsent))
            if not self._send_name(name):
                return False
            del self._unsent[name]
        if self._state_unsent:
            fields = {"READY": "1"} if self._ready else {}
            fields |= {"STATUS": self._status} if self._status else {}
            self._state_unsent = not self._send(fields)
        return not self._state_unsent

    def renew(self, address: str) -> None:
        """There is a new heart at this address, and it has been given all of `stored`.

        The address is used now and not kept: it may be one that this process alone can use.
        """
        self._disconnect()
        self._connect(address)
        self._held = set(self._stored)
        self._unsent.clear()
        self._state_unsent = self._ready or bool(self._status)
        self.flush()

    def close(self) -> None:
        """Give the socket back; stored descriptors are the caller's."""
        self._disconnect()

    def _send_name(self, name: str) -> bool:
        fd = self._stored.get(name)
        if name in self._held:  # systemd would keep the old one beside the new
            if not self._send({"FDSTOREREMOVE": "1", "FDNAME": name}):
                return False
            self._held.discard(name)
        if fd is None:
            return True
        # FDPOLL=0: systemd is not to drop it when its far end hangs up; that is ours to see.
        if not self._send({"FDSTORE": "1", "FDNAME": name, "FDPOLL": "0"}, fd):
            return False
        self._held.add(name)
        return True

    def _send(
        self, fields: Mapping[str, str], fd: int | None = None, patience_s: float = 0.0
    ) -> bool:
        """False: heart is gone, or its queue (10 datagrams by default) is full."""
        if not self._address:
            return True
        target = self._socket or self._connect(self._address)
        if target is None:
            return False
        rights = [struct.pack("i", fd)] if fd is not None else []
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, data) for data in rights]
        target.settimeout(patience_s)
        try:
            target.sendmsg([render(fields)], ancillary)
        except (BlockingIOError, TimeoutError):
            return False
        except ConnectionError:
            self._disconnect()
            return False
        return True

    def _connect(self, address: str) -> socket.socket | None:
        try:
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError:  # no descriptor is left: it is said later, as to a heart that is gone
            return None
        try:
            connected.connect("\0" + address[1:] if address.startswith("@") else address)
        except (ConnectionError, FileNotFoundError):
            connected.close()
            return None
        self._socket = connected
        return connected

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

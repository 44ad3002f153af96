"""The brain's end of its line: datagrams that bring descriptors.

    ["load"]  state file, segments     ["checkpoint", lsn]  file, pipe
    ["spawn", brain id]  port, line, hot segment, output     ["port", epoch]  port, output

All but "port" belong to a port message of the same name and were sent before it, by the supervisor
of that port. There may be several "load" in a row, as a datagram carries no more than 253
descriptors. "checkpoint" without descriptors calls it off. What is left of a dead supervisor's is
closed unread when a new port is waited for; a new port that comes early is kept.
"""

import os
from socket import socket
from typing import Any

from osupervisor.brain.errors import PortError
from osupervisor.bridge.line import Datagram, receive


class Line:
    """A connected SOCK_SEQPACKET socket, read only when something is expected on it."""

    def __init__(self, connection: socket) -> None:
        connection.setblocking(True)
        self.connection = connection
        self._new_port: Datagram | None = None

    def descriptors(self, name: str, arguments: list[Any], timeout_s: float) -> list[int]:
        """Those of the datagram `[name, *arguments]`; the caller closes them.

        Raises PortError when it doesn't come in time, or another one does.
        """
        self.connection.settimeout(timeout_s)
        try:
            while True:
                found = self._receive()
                if found is None:
                    raise PortError(f"the line ended where {name!r} was expected")
                if found.name == "port":
                    self._keep(found)
                elif (found.name, found.arguments) == (name, arguments):
                    return found.descriptors
                else:
                    close_all(found.descriptors)
                    raise PortError(f"found {found.name!r:.80} on the line, wanted {name!r}")
        except TimeoutError:
            raise PortError(f"no {name!r} on the line within {timeout_s} s") from None
        finally:
            self.connection.settimeout(None)

    def new_port(self) -> list[int] | None:
        """Wait for `["port", epoch]`; its descriptors. None: end of file, nobody will send one."""
        while self._new_port is None:
            found = self._receive()
            if found is None:
                return None
            if found.name == "port":
                self._keep(found)
            else:
                close_all(found.descriptors)
        descriptors = self._new_port.descriptors
        self._new_port = None
        return descriptors

    def close(self) -> None:
        self.connection.close()
        if self._new_port is not None:
            close_all(self._new_port.descriptors)
            self._new_port = None

    def _keep(self, found: Datagram) -> None:
        """The newest port counts: whoever sent an older one is dead."""
        if self._new_port is not None:
            close_all(self._new_port.descriptors)
        self._new_port = found

    def _receive(self) -> Datagram | None:
        try:
            return receive(self.connection)
        except ConnectionError:
            return None


def close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

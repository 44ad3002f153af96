"""Takes connections off the listening sockets that heart holds.

A connection that was made while no supervisor lived waits in the socket's backlog: its client
sees a delay, nothing more. On a Unix socket the peer must be the service's own user, or root.
"""

import asyncio
import errno
import os
import socket
import struct
import time
from dataclasses import dataclass

from osupervisor.config.address import address_text
from osupervisor.supervisor.runtime.connection import Connection, Serving

ACCEPTS_PER_TURN = 64
PAUSE_S = 0.5
"""Without descriptors left, accepting again at once would only fail again."""
SWEEP_S = 1.0
_CREDENTIALS = struct.Struct("3i")


@dataclass(slots=True)
class Counters:
    """What the metrics tell of connections."""

    accepted: int = 0
    refused: int = 0


class Listener:
    """All listening sockets and all connections."""

    def __init__(
        self,
        sockets: list[socket.socket],
        serving: Serving,
        *,
        connections_max: int,
        frame_timeout_s: float,
        token: str,
    ) -> None:
        self.connections: set[Connection] = set()
        self.counters = Counters()
        self._sockets = sockets
        self._serving = serving
        self._loop: asyncio.AbstractEventLoop = serving.loop
        self._connections_max = connections_max
        self._frame_timeout_s = frame_timeout_s
        self._token = token
        self._accepting = False
        self._swept_s = time.monotonic()

    @property
    def tcp(self) -> str | None:
        """Where TCP clients connect, with the port that the kernel chose; None: nowhere."""
        for sock in self._sockets:
            if sock.family != socket.AF_UNIX:
                return address_text(*sock.getsockname()[:2])
        return None

    def start(self) -> None:
        self._accepting = True
        for sock in self._sockets:
            sock.setblocking(False)
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def stop(self) -> None:
        """Accept nothing more. Connections live on until `close`."""
        self._accepting = False
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def close(self) -> None:
        self.stop()
        for connection in list(self.connections):
            connection.close()

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                peer, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    self._loop.remove_reader(sock.fileno())
                    self._loop.call_later(PAUSE_S, self._resume, sock)
                return
            self._take(peer)

    def _resume(self, sock: socket.socket) -> None:
        if self._accepting:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _take(self, peer: socket.socket) -> None:
        token = ""
        if peer.family == socket.AF_UNIX:
            allowed = _peer_uid(peer) in (os.geteuid(), 0)
        else:
            token = self._token
            allowed = bool(token)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not allowed or len(self.connections) >= self._connections_max:
            self.counters.refused += 1
            peer.close()
            return
        self.counters.accepted += 1
        self.connections.add(Connection(peer, self._serving, self.connections.discard, token))

    def sweep(self) -> None:
        """To be called each SWEEP_S: end connections that take too long for a frame.

        Where the loop stood still nothing was read: what has come meanwhile is read first, and
        the next sweep tells.
        """
        now = time.monotonic()
        stood_still, self._swept_s = now - self._swept_s > 2 * SWEEP_S, now
        if stood_still:
            return
        limit = now - self._frame_timeout_s
        for connection in list(self.connections):
            if 0.0 < connection.half_since_s < limit:
                connection.close()


def _peer_uid(peer: socket.socket) -> int:
    data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])

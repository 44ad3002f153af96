"""Bytes on their way out of a non-blocking socket: sent at once, the rest when there is room."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

SEND_BYTES: Final = 1024 * 1024


class Outgoing:
    """What could not be sent yet waits here, in order. Its bound is its owner's business."""

    __slots__ = ("_broken", "_fd", "_loop", "_lost", "_parts", "_sent_all", "_sock", "unsent_bytes")

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        sent_all: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """`sent_all`: what had to wait is sent. `lost`: the peer takes nothing more."""
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._sent_all = sent_all
        self._lost = lost
        self._parts: deque[memoryview] = deque()
        self._broken = False
        self.unsent_bytes = 0

    def send(self, data: bytes) -> None:
        if self._broken:
            return
        if self._parts:
            self._parts.append(memoryview(data))
            self.unsent_bytes += len(data)
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self._parts.append(memoryview(data)[sent:])
            self.unsent_bytes = len(data) - sent
            self._loop.add_writer(self._fd, self._writable)

    def close(self) -> None:
        if self._parts:
            self._loop.remove_writer(self._fd)
            self._parts.clear()
        self._broken = True
        self.unsent_bytes = 0

    def _writable(self) -> None:
        try:
            while self._parts:
                part = self._parts[0]
                sent = self._sock.send(part[:SEND_BYTES])
                self.unsent_bytes -= sent
                if sent == len(part):
                    self._parts.popleft()
                else:
                    self._parts[0] = part[sent:]
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._loop.remove_writer(self._fd)
            self._break()
            return
        self._loop.remove_writer(self._fd)
        self._sent_all()

    def _break(self) -> None:
        self._parts.clear()
        self.unsent_bytes = 0
        self._broken = True
        self._lost()

"""A disk with a volatile cache, for a virtual machine: an NBD server that writes down everything.

The machine is told of a cache that it must flush, and of nothing else: no FUA, no discard. Answers
to writes come late and out of order, as do those to flushes, so that more is in flight. The serial
port is served by the same loop, which looks at it first: what was told is never put behind a write
that came after it.
"""

import heapq
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.power_cut.events import ANSWERED, FLUSHED, TOLD, WRITE, Event, Recording

WRITE_LATE_S: Final = 0.003
"""At most, for every other write: a good disk answers in a tenth of that, a bad one in more."""
FLUSH_LATE_S: Final = 0.006
LOOK_S: Final = 0.1

# NBD, as its protocol's document has it: the handshake's magics, options and answers.
_MAGIC: Final = b"NBDMAGIC"
_OPTION_MAGIC: Final = b"IHAVEOPT"
_FIXED_NEWSTYLE: Final = 1
_OPTION_ABORT, _OPTION_GO = 2, 7
_ACK, _INFO, _UNSUPPORTED = 1, 3, 2**31 + 1
_HAS_FLAGS, _SENDS_FLUSH = 1, 4
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
_REQUEST: Final = struct.Struct(">IHHQQI")
_OPTION: Final = struct.Struct(">8sII")


class Disk:
    """One machine's disk and serial port, at two sockets in `folder`."""

    def __init__(self, image: Path, folder: Path, recording: Recording, seed: int) -> None:
        """`image` is what the machine sees; it is written to."""
        self._fd = os.open(image, os.O_RDWR)
        self._size = os.fstat(self._fd).st_size
        self._recording = recording
        self._source = random.Random(seed)
        self._late: list[tuple[float, int, bytes, Event]] = []
        """Answers by when they are due: their bytes, and what to note then."""
        self._begun = ""
        self.lines: list[str] = []
        """What was told, whole lines."""
        self.disk_path, self.port_path = folder / "disk.sock", folder / "port.sock"
        self._listening = [_listen(path) for path in (self.port_path, self.disk_path)]
        self._connected: list[socket.socket] = []

    def serve(self, done: Callable[[], bool]) -> None:
        """Until `done`, or until the machine has gone."""
        for listening in self._listening:
            listening.settimeout(60)
        port, disk = (listening.accept()[0] for listening in self._listening)
        self._connected = [port, disk]
        self._shake_hands(disk)
        while not done():
            due = self._late[0][0] - time.monotonic() if self._late else LOOK_S
            ready = select.select(self._connected, [], [], min(max(due, 0), LOOK_S))[0]
            if port in ready and not self._hear(port):
                return
            # Whatever has come, came before the answers that follow: no flush covers those.
            while select.select([disk], [], [], 0)[0]:
                if not self._take(disk):
                    return
            self._answer_due(disk)

    def close(self) -> None:
        for each in (*self._listening, *self._connected):
            each.close()
        os.close(self._fd)

    def _hear(self, port: socket.socket) -> bool:
        heard = port.recv(65536)
        *lines, self._begun = (self._begun + heard.decode()).split("\n")
        for line in lines:
            self.lines.append(line)
            self._note(Event(TOLD, time.monotonic(), 0, line.encode()))
        return bool(heard)

    def _note(self, event: Event) -> int:
        return self._recording.add(event)

    def _take(self, disk: socket.socket) -> bool:
        """One request; whether there may be others."""
        head = _receive(disk, _REQUEST.size)
        if not head:
            return False
        _, _, kind, handle, offset, size = _REQUEST.unpack(head)
        now = time.monotonic()
        if kind == _READ:
            disk.sendall(_reply(handle) + os.pread(self._fd, size, offset))
        elif kind == _WRITE:
            data = _receive(disk, size)
            os.pwrite(self._fd, data, offset)
            place = self._note(Event(WRITE, now, offset, data))
            late = max(0.0, self._source.uniform(-WRITE_LATE_S, WRITE_LATE_S))
            self._later(now + late, handle, Event(ANSWERED, 0, place))
        elif kind == _FLUSH:
            late = self._source.uniform(0, FLUSH_LATE_S)
            self._later(now + late, handle, Event(FLUSHED, 0, self._recording.count))
        else:
            assert kind == _DISCONNECT, f"an NBD request that nobody offered: {kind}"
            return False
        return True

    def _later(self, due: float, handle: int, event: Event) -> None:
        heapq.heappush(self._late, (due, handle, _reply(handle), event))

    def _answer_due(self, disk: socket.socket) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, answer, event = heapq.heappop(self._late)
            self._note(Event(event.kind, now, event.number))
            disk.sendall(answer)

    def _shake_hands(self, disk: socket.socket) -> None:
        disk.sendall(_MAGIC + _OPTION_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE))
        _receive(disk, 4)
        while True:
            _, option, size = _OPTION.unpack(_receive(disk, _OPTION.size))
            _receive(disk, size)
            if option == _OPTION_GO:
                flags = _HAS_FLAGS | _SENDS_FLUSH
                disk.sendall(_said(option, _INFO, struct.pack(">HQH", 0, self._size, flags)))
            known = option in (_OPTION_GO, _OPTION_ABORT)
            disk.sendall(_said(option, _ACK if known else _UNSUPPORTED))
            if option == _OPTION_GO:
                return


def _said(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data


def _reply(handle: int) -> bytes:
    return struct.pack(">IIQ", 0x67446698, 0, handle)


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    return listening


def _receive(source: socket.socket, size: int) -> bytes:
    """So many bytes; none when the other side has gone."""
    parts: list[bytes] = []
    while size and (part := source.recv(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts) if not size else b""

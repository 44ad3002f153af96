"""The nursery as the supervisor sees it: the process that forks brains and reaps them.

    S>N  ["spawn", id] + port, line, hot segment, output     N>S  ["ready", version, schema]
                                                                  ["failed", traceback]
                                                                  ["spawned", id, pid]
                                                                  ["exited", pid, status]

It imports the brain's code once, so that a brain is there a millisecond after it is asked for. It
ends when this supervisor does; its brains live on. A change of the code needs a new nursery.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from typing import Protocol

from osupervisor.bridge import line
from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError
from osupervisor.supervisor.runtime import scheduling
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess


class NurseryEvents(Protocol):
    """Who is told what the nursery says."""

    def nursery_ready(self, version: str) -> None: ...
    def nursery_failed(self, traceback: str) -> None: ...
    def nursery_ended(self, status: int) -> None: ...
    def spawned(self, brain: int, pid: int) -> None: ...
    def exited(self, pid: int, status: int) -> None: ...


class Nursery:
    """One process; `ready` when it may be asked for brains."""

    def __init__(
        self,
        started: NurseryProcess,
        loop: asyncio.AbstractEventLoop,
        events: NurseryEvents,
    ) -> None:
        """Take over a process that was started; it may be ready already, or dead."""
        self._loop = loop
        self._events = events
        self.ready = False
        self.spoke = False
        """Whether it has ever said that it is ready, or why it can't be."""
        self.asked_to_end = False
        self._line = started.line
        self._open = True
        self._process = started.process
        self.pid = self._process.pid
        scheduling.shorten_slices(self.pid, scheduling.BRAIN_SLICE_NS)
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._line.fileno(), self._readable)
        loop.add_reader(self._pidfd, self._end)

    def spawn(self, brain: int, descriptors: Sequence[int]) -> bool:
        """Have a brain forked around these descriptors. False: it can't be asked now."""
        if not self.ready:
            return False
        try:
            line.send(self._line, ["spawn", brain], descriptors)
        except (OSError, LocalProtocolError):
            return False
        return True

    def stop(self) -> None:
        """Ask it to end; the brains that it forked are not touched."""
        if self._open:
            self.ready = False
            self.asked_to_end = True
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it by force. It is not reaped before `nursery_ended`, so its pid is its own."""
        if self._open:
            self._process.send_signal(signal.SIGKILL)

    def _readable(self) -> None:
        while self._open:
            try:
                datagram = line.receive(self._line)
            except BlockingIOError:
                return
            except (OSError, RemoteProtocolError):
                datagram = None
            if datagram is None:
                self._loop.remove_reader(self._line.fileno())
                return
            self._take(datagram)

    def _take(self, datagram: line.Datagram) -> None:
        for descriptor in datagram.descriptors:
            os.close(descriptor)
        match datagram.name, datagram.arguments:
            case "ready", [str(version), _]:
                self.ready = self.spoke = True
                self._events.nursery_ready(version)
            case "failed", [str(traceback)]:
                self.spoke = True
                self._events.nursery_failed(traceback)
            case "spawned", [int(brain), int(pid)]:
                self._events.spawned(brain, pid)
            case "exited", [int(pid), int(status)]:
                self._events.exited(pid, status)
            case _:
                self._events.nursery_failed(f"the nursery said {datagram.name!r}")

    def _end(self) -> None:
        self._readable()
        self._close()
        code = self._process.wait()
        self._events.nursery_ended(code << 8 if code >= 0 else -code)

    def _close(self) -> None:
        if self._open:
            self._open = self.ready = False
            self._loop.remove_reader(self._line.fileno())
            self._loop.remove_reader(self._pidfd)
            self._line.close()
            os.close(self._pidfd)

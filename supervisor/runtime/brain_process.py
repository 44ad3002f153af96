"""One brain's process and all that the supervisor holds of it."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from osupervisor.bridge import line
from osupervisor.supervisor.core.lease import Delivery
from osupervisor.supervisor.runtime.death_watch import DeathWatch
from osupervisor.supervisor.runtime.port import BrainPort, PortEvents
from osupervisor.vault_store import hot
from osupervisor.vault_store.hot import HotReader

PORT_BUFFER_BYTES = 1024 * 1024


@dataclass(slots=True, eq=False)
class Verdict:
    """Why the supervisor ended a brain, when it did."""

    reason: str
    hung: Delivery | None = None
    """What it executed for too long, if that is why."""
    own_fault: bool = False
    """It broke the port's protocol, or closed it: as good as a death of its own."""
    outgrown: bool = False
    """It took more memory than it may."""
    halted: bool = False
    """It was stopped, or silent."""


@dataclass(frozen=True, slots=True)
class Death:
    """When a brain died, and where the log was then. Its report is written later."""

    unix_s: float
    monotonic_s: float
    lsn: int
    epoch: int


@dataclass(slots=True, eq=False)
class BrainProcess:
    """A brain from the making of its descriptors to its report."""

    id: int
    port: BrainPort
    line: socket.socket
    """Our end; heart holds it too."""
    hot_fd: int
    reader: HotReader
    output: int
    """Our end of the pipe with its standard output and error."""
    started_s: float = field(default_factory=time.monotonic)
    pid: int = 0
    pidfd: int = -1
    watch: DeathWatch | None = None
    ready: bool = False
    safe: bool = False
    """It runs none of the author's code (safe_brain.py)."""
    loads: int = 0
    schema: dict[str, object] = field(default_factory=dict[str, object])
    version: str = ""
    doing: tuple[str, str] | None = None
    """Op and key of what it was executing when it died."""
    leads: bool = False
    """It got the lease, and has not been told to be fenced, nor anybody else to lead."""
    was_primary: bool = False
    took_over: str | None = None
    """Who got the lease when it died."""
    death: Death | None = None
    rss_bytes: int = 0
    """Its memory, when it was last measured; 0: it never was."""
    killed: Verdict | None = None
    sigkilled: bool = False
    """SIGKILL was sent while it was there: what it died of is known, also when its exit status
    never comes."""
    asked_to_end: bool = False
    excused: bool = False
    """A fault was done to it on command: its death blames no request."""
    within_n: int = 0
    """The delivery that went alone to it, and before which it was found within its memory's limit;
    0: none."""
    gone: bool = False
    status: int | None = None
    """As waitpid gives it; None while it is not known."""
    pinged_s: float = 0.0
    ping_id: int = 0

    def identify(self, pid: int, loop: asyncio.AbstractEventLoop, died: Callable[[], None]) -> bool:
        """Learn which process it is. False: that process is gone already, or never was."""
        if self.pid:
            return self.pid == pid
        if self.pidfd < 0:
            try:
                self.pidfd = os.pidfd_open(pid)
            except (OSError, OverflowError):
                return False
        self.pid = pid
        self.watch = DeathWatch(pid, self.pidfd, self.hot_fd, loop, died)
        return True

    def signal(self, number: int) -> bool:
        """Send a signal to this process and to no other. False: it has ended."""
        if self.pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return False
        self.sigkilled = self.sigkilled or number == signal.SIGKILL
        return True

    def close(self) -> None:
        """Let go of everything but the pidfd and the output, which its report still needs."""
        if self.watch is not None:
            self.watch.stop()
        self.port.close()
        self.line.close()
        self.reader.close()
        os.close(self.hot_fd)


@dataclass(frozen=True, slots=True)
class BrainEnds:
    """The ends that a new brain is given; closed here as soon as they are sent."""

    port: socket.socket
    line: socket.socket
    output: int
    hot_fd: int

    def descriptors(self) -> list[int]:
        return [self.port.fileno(), self.line.fileno(), self.hot_fd, self.output]

    def close(self) -> None:
        self.port.close()
        self.line.close()
        os.close(self.output)


@dataclass(frozen=True, slots=True)
class PortEnds:
    """The ends of a new port and output, for a brain that lives already."""

    port: socket.socket
    output: int


def make(
    brain: int, loop: asyncio.AbstractEventLoop, events: PortEvents
) -> tuple[BrainProcess, BrainEnds]:
    """Port, line, hot segment and output of a brain that does not exist yet. Raises OSError, and
    leaves nothing open then: descriptors or memory ran out."""
    with contextlib.ExitStack() as undo:
        our_line, their_line = line.pair()
        undo.callback(our_line.close)
        undo.callback(their_line.close)
        our_line.setblocking(False)
        hot_fd = hot.create()
        undo.callback(os.close, hot_fd)
        process, ends = make_around(brain, our_line, hot_fd, loop, events)
        undo.pop_all()
    return process, BrainEnds(ends.port, their_line, ends.output, process.hot_fd)


def make_around(
    brain: int,
    our_line: socket.socket,
    hot_fd: int,
    loop: asyncio.AbstractEventLoop,
    events: PortEvents,
) -> tuple[BrainProcess, PortEnds]:
    """A new port and output around a line and a hot segment, which stay the caller's where it
    raises HotSegmentError or OSError."""
    with contextlib.ExitStack() as undo:
        reader = HotReader(hot_fd)
        undo.callback(reader.close)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        undo.callback(ours.close)
        undo.callback(theirs.close)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PORT_BUFFER_BYTES)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        undo.pop_all()
    os.set_blocking(read_end, False)
    process = BrainProcess(
        id=brain,
        port=BrainPort(brain, ours, loop, events),
        line=our_line,
        hot_fd=hot_fd,
        reader=reader,
        output=read_end,
    )
    return process, PortEnds(theirs, write_end)

"""A mark in the environment of all that a test starts, by which all of it is found and ended.

    with marked():
        start(folder)          # daemons, what they spawn, what revives what: all have the mark

Children get their parent's environment, so nothing escapes by losing its parent, by becoming a
daemon or by being revived. Each mark is a variable of its own: marks nest, and a service that a
module's tests share outlives each of them. What pytest itself forks without an exec has no mark.
"""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Generator
from pathlib import Path

from osupervisor.supervisor.cli.processes import Processes

PATIENCE_S = 60.0
EXEC_S = 1.0
"""An exec takes a millisecond; what has no environment for so long was started without one."""


class Mark:
    """One mark. `environ` is what a process must be started with to have it."""

    def __init__(self) -> None:
        name = f"TEST_MARK_{secrets.token_hex(8)}"
        self.environ = {name: "1"}
        self._made_ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
        self._entry = f"{name}=1".encode()

    def pids(self) -> list[int]:
        """Every living process that has the mark, and may be looked at.

        In the middle of an exec a process has no environment yet: it is looked at again.
        """
        limit = time.monotonic() + EXEC_S
        while True:
            looks = {int(name): self._has(name) for name in os.listdir("/proc") if name.isdigit()}
            if None not in looks.values() or time.monotonic() > limit:
                return sorted(pid for pid, has in looks.items() if has)

    def _has(self, name: str) -> bool | None:
        """Whether this process has the mark. None: it has no environment, and was begun since."""
        try:
            environ = Path("/proc", name, "environ").read_bytes()
            if environ:
                return self._entry in environ.split(b"\0")
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except OSError:  # It has ended, or is another user's.
            return False
        state, started_ticks = fields[0], int(fields[19])
        return None if state not in "ZX" and started_ticks >= self._made_ticks else False

    def end(self) -> None:
        """Kill all that have the mark; none is left when this returns. What revives another is
        killed in the same round or, if it was revived meanwhile, in the next."""
        deadline = time.monotonic() + PATIENCE_S
        while pids := self.pids():
            assert time.monotonic() < deadline, f"processes {pids} can't be ended"
            with Processes(pids) as processes:
                for pid in processes.alive:
                    with contextlib.suppress(PermissionError):
                        processes.send(pid, signal.SIGKILL)
                processes.wait(deadline)


@contextlib.contextmanager
def marked() -> Generator[Mark]:
    """Mark what this process starts; end it when the block is left, however that happens."""
    mark = Mark()
    os.environ.update(mark.environ)
    try:
        yield mark
    finally:
        for name in mark.environ:
            del os.environ[name]
        mark.end()

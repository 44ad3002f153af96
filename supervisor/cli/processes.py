"""The processes of a service: who they are, and waiting until none of them is left.

Everything that a service starts descends from its heart, which is a subreaper: whatever loses its
parent becomes heart's child. A heart that was revived is no ancestor of the supervisor that it
took over, so that supervisors are also found by their command. All are held by pidfd from before
they are asked to end, so that no number is another process's by the time it is looked at.
"""

import os
import select
import signal
import time
from collections.abc import Iterator

POLL_MS_MAX = 60_000


class Processes:
    """Living processes, each by a descriptor; a context manager, as those must be closed."""

    def __init__(self, pids: list[int]) -> None:
        """Those of `pids` that are there."""
        self._alive: dict[int, int] = {}
        for pid in pids:
            try:
                self._alive[os.pidfd_open(pid)] = pid
            except OSError:  # it has ended; some kernels open no zombie
                continue

    @property
    def alive(self) -> list[int]:
        """Process ids of those that had not ended when `wait` last looked."""
        return list(self._alive.values())

    def send(self, pid: int, signum: int) -> bool:
        """Signal one of them. False: it has ended. Raises PermissionError."""
        for pidfd, its_pid in self._alive.items():
            if its_pid == pid:
                try:
                    signal.pidfd_send_signal(pidfd, signum)
                except ProcessLookupError:
                    return False
                return True
        return False

    def wait(self, deadline: float) -> bool:
        """Whether all have ended by `deadline`, in monotonic seconds."""
        poll = select.poll()
        for pidfd in self._alive:
            poll.register(pidfd, select.POLLIN)
        while self._alive:
            left_ms = int((deadline - time.monotonic()) * 1000) + 1
            if left_ms <= 0:
                return False
            for pidfd, _ in poll.poll(min(left_ms, POLL_MS_MAX)):
                poll.unregister(pidfd)
                del self._alive[pidfd]
                os.close(pidfd)
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        for pidfd in self._alive:
            os.close(pidfd)
        self._alive.clear()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def family(*pids: int) -> list[int]:
    """Processes and all that descend from them, parents first, as /proc shows them now."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = list(pids)
    for member in found:
        found.extend(child for child in children.get(member, ()) if child not in found)
    return found


def started_with(argument: str) -> list[int]:
    """Processes of this user that have this argument in their command."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if os.fsencode(argument) in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                yield int(name), int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it ended while we looked

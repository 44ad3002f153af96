"""The lock of a data directory: one supervisor each.

An exclusive flock on `<data>/lock`, held while the process lives; the file holds the owner's pid in
decimal, for messages alone. The kernel drops the lock with its owner, so there is no stale lock.

The lock is never inherited: a program that is executed doesn't get the descriptor, and a forked
child closes its copy at once, so that a child that outlives its parent can't keep the lock.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final, Self

from osupervisor.wal.errors import LockedError

LOCK_NAME: Final = "lock"

_held: set[int] = set()


class DirectoryLock:
    """The lock of one data directory, held from `acquire` to `release`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def acquire(cls, data: Path) -> Self:
        """Take the lock of `data`, which must exist.

        Raises LockedError, which names the holder, when another process has it; OSError.
        """
        path = data / LOCK_NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            pid = _pid(fd)
            os.close(fd)
            raise LockedError(str(path), pid) from None
        except OSError:
            os.close(fd)
            raise
        _held.add(fd)
        return cls(fd)

    def release(self) -> None:
        """Give it back; the file stays, because removing it would let two processes hold one."""
        if self._fd in _held:
            _held.remove(self._fd)
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # at once, whatever child is just being forked
            os.close(self._fd)
        self._fd = -1


def _pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _close_in_child() -> None:
    while _held:
        with contextlib.suppress(OSError):
            os.close(_held.pop())


os.register_at_fork(after_in_child=_close_in_child)

"""`<data>/run/heart.pid`: which heart serves a data folder, told by the kernel.

The file holds the process id as text, for people. What counts is a POSIX record lock on it: the
kernel drops it at the holder's death, forked children don't inherit it, and F_GETLK names the
holder without disturbing it. Whoever holds it must not open the file a second time: closing any
descriptor of the file would drop the lock. The file stays after a stop, empty.
"""

import fcntl
import os
import struct
import time

from osupervisor.supervisor.heart.errors import AlreadyRunningError

NAME = "heart.pid"
POLL_S = 0.02
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, len, pid


def acquire(data: str, patience_s: float) -> int:
    """The descriptor that holds the lock, this process's id written in.

    Tries for `patience_s` seconds: a heart that was just killed may still be on its way out.
    Raises AlreadyRunningError while another process holds it.
    """
    path = os.path.join(data, "run", NAME)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_s
    while not _try_lock(fd):
        if time.monotonic() >= deadline:
            pid = _holder(fd)
            os.close(fd)
            raise AlreadyRunningError(data, pid)
        time.sleep(POLL_S)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def release(fd: int) -> None:
    """Empty the file and drop the lock."""
    os.ftruncate(fd, 0)
    os.close(fd)


def holder(data: str) -> int | None:
    """The process id of the heart that serves this data folder, None where none does.

    0: it can't be seen from here, as it runs in another container.
    """
    try:
        fd = os.open(os.path.join(data, "run", NAME), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(fd)
    finally:
        os.close(fd)


def spoken(pid: int) -> str:
    """What to call a holder."""
    return f"process {pid}" if pid else "in another container"


def _try_lock(fd: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _holder(fd: int) -> int | None:
    query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, query)
    assert isinstance(answer, bytes)
    kind, _, _, _, pid = _FLOCK.unpack(answer)
    return None if kind == fcntl.F_UNLCK else int(pid)
